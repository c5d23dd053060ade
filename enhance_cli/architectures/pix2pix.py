"""Pix2Pix's generator as a conditional autoencoder (thesis 000, ch. 6.1.5)."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from enhance_cli.architectures.spec import Architecture, Contract
from enhance_cli.architectures.variational import PosteriorNetwork, initialise

# The text lists five of the encoder's blocks; the decoder's seven skips, the 1x1 bottleneck
# and the 54.41 M parameters of table 7 belong to the eight of the original.
_WIDTHS = (64, 128, 256, 512, 512, 512, 512)
LATENT = 512
PATCH = 256


@dataclass(frozen=True)
class Pix2PixConfig:
    """Hyperparameters.

    Attributes:
        channels_in: Planes of the input: 4 for packed RAW, 3 for sRGB (task 2).
        channels_out: Planes of the output: 3 for colour, 1 for grey (task 1).
    """

    channels_in: int = 4
    channels_out: int = 3

    def __post_init__(self) -> None:
        if self.channels_in not in (3, 4) or self.channels_out not in (1, 3):
            raise ValueError("Pix2Pix maps 4 or 3 channels to 3 or 1")


class _Down(nn.Module):
    """Seven of the blocks E_{4,2}: convolutions of stride 2 with LeakyReLU(0.2)."""

    def __init__(self, channels_in: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(inner, outer, 4, 2, 1)
            for inner, outer in zip((channels_in, *_WIDTHS), _WIDTHS, strict=False)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """The seven outputs for (N, C, 256, 256), shallow first; the last is (N, 512, 2, 2)."""
        outputs = []
        for convolution in self.convolutions:
            x = functional.leaky_relu(convolution(x), 0.2)
            outputs.append(x)
        return outputs


class _Pix2PixPosterior(nn.Module):
    """The encoder q(z|x): the downsampling network with a last block each for both moments."""

    def __init__(self, config: Pix2PixConfig) -> None:
        super().__init__()
        self.down = _Down(config.channels_out)
        self.mean = nn.Conv2d(_WIDTHS[-1], LATENT, 4, 2, 1)
        self.log_variance = nn.Conv2d(_WIDTHS[-1], LATENT, 4, 2, 1)
        initialise(self)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Means and log-variances, each (N, 512, 1, 1), of clean patches (N, C', 256, 256)."""
        features = self.down(x)[-1]
        return self.mean(features), self.log_variance(features)


class Pix2Pix(nn.Module):
    """The test-time network: the prior's mean, of 1x1 pixel, then the decoder with seven skips.

    No batch normalization (ch. 6.1.5) and no activation on the bottleneck (ch. 6.1.1).
    """

    def __init__(self, config: Pix2PixConfig) -> None:
        super().__init__()
        self.config = config
        self.down = _Down(config.channels_in)
        self.to_latent = nn.Conv2d(_WIDTHS[-1], LATENT, 4, 2, 1)
        outer = [*_WIDTHS[::-1], config.channels_out]
        inner = [LATENT, *(2 * width for width in _WIDTHS[::-1])]
        self.enlarge = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 4, 2, 1) for a, b in zip(inner, outer, strict=True)
        )
        self.contract = Contract(
            scale=1,
            channels_in=config.channels_in,
            channels_out=config.channels_out,
            colour="amplified-raw" if config.channels_in == 4 else "amplified-srgb",
            patch_size=PATCH,
            tiling="blended",
        )
        initialise(self)

    def prior(self, y: Tensor) -> tuple[Tensor, Any]:
        """The mean of p(z|y), (N, 512, 1, 1), and the skip connections."""
        skips = self.down(y)
        return self.to_latent(skips[-1]), skips

    def decode(self, z: Tensor, context: Any) -> Tensor:
        """The mean of p(x|y, z), (N, C', 256, 256) in [-1, 1], for codes (N, 512, 1, 1)."""
        x = z
        last = len(self.enlarge) - 1
        for level, enlarge in enumerate(self.enlarge):
            x = enlarge(x)
            if level < 3:
                x = functional.dropout(x, 0.5, self.training)
            if level < last:
                x = torch.cat([functional.relu(x), context[-1 - level]], 1)
        return torch.tanh(x)

    def forward(self, y: Tensor) -> Tensor:
        """The patches (N, C', 256, 256) made of (N, C, 256, 256) with z at the prior's mean."""
        return self.decode(*self.prior(y))

    def make_posterior(self) -> PosteriorNetwork:
        """Make a fresh encoder q(z|x), which only training needs."""
        return _Pix2PixPosterior(self.config)


PIX2PIX = Architecture(
    name="pix2pix",
    task="lowlight",
    config=Pix2PixConfig,
    build=Pix2Pix,
    source="Isola et al., Image-to-Image Translation with Conditional Adversarial Networks, "
    "2018; Eriksson 2020, ch. 6.1.5",
)
