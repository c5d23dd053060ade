"""SID-net and its variants (thesis 000, ch. 6.1.4, table 2) as conditional autoencoders."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from enhance_cli.architectures.spec import Architecture, Contract
from enhance_cli.architectures.variational import PosteriorNetwork, initialise

PATCH = 256
_POOLINGS = 5
_SLOPE = 0.2


@dataclass(frozen=True)
class SidNetConfig:
    """Hyperparameters; the defaults are the thesis's baseline of 49.48 M parameters.

    Attributes:
        channels_in: Planes of the input: 4 for packed RAW, 3 for sRGB (task 2).
        channels_out: Planes of the output: 3 for colour, 1 for grey (task 1).
        width: Filters of the first block; ``SID-net small`` has 16.
        latent: Dimensions of the bottleneck; ``SID-net small`` has 768.
        skips: Whether the decoder sees the blocks of the prior network.
    """

    channels_in: int = 4
    channels_out: int = 3
    width: int = 32
    latent: int = 512
    skips: bool = True

    def __post_init__(self) -> None:
        if self.channels_in not in (3, 4) or self.channels_out not in (1, 3):
            raise ValueError("SID-net maps 4 or 3 channels to 3 or 1")
        if min(self.width, self.latent) < 1:
            raise ValueError(f"no network of width {self.width} and latent {self.latent}")


def double_block(channels_in: int, channels_out: int) -> nn.Sequential:
    """Two 3x3 convolutions, each with LeakyReLU(0.2): B_{3,1} of ch. 6.1.4."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, padding=1),
        nn.LeakyReLU(_SLOPE),
        nn.Conv2d(channels_out, channels_out, 3, padding=1),
        nn.LeakyReLU(_SLOPE),
    )


class _Down(nn.Module):
    """The downsampling network: five double blocks, each followed by a max pooling of 2."""

    def __init__(self, channels_in: int, width: int) -> None:
        super().__init__()
        self.widths = [width << level for level in range(_POOLINGS)]
        self.blocks = nn.ModuleList(
            double_block(inner, outer)
            for inner, outer in zip([channels_in, *self.widths], self.widths, strict=False)
        )
        self.features = self.widths[-1] * (PATCH >> _POOLINGS) ** 2

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Features (N, F) of (N, C, 256, 256), and the outputs of the blocks, shallow first."""
        skips = []
        for block in self.blocks:
            skips.append(block(x))
            x = nn.functional.max_pool2d(skips[-1], 2)
        return x.flatten(1), skips


class _SidPosterior(nn.Module):
    """The encoder q(z|x): the downsampling network with a head each for both moments."""

    def __init__(self, config: SidNetConfig) -> None:
        super().__init__()
        self.down = _Down(config.channels_out, config.width)
        self.mean = nn.Linear(self.down.features, config.latent)
        self.log_variance = nn.Linear(self.down.features, config.latent)
        initialise(self)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Means and log-variances, each (N, latent), of clean patches (N, C', 256, 256)."""
        features, _ = self.down(x)
        return self.mean(features), self.log_variance(features)


class SidNet(nn.Module):
    """The test-time network of figure 10: the prior's mean, then the decoder.

    Takes a 256x256 patch, amplified by the exposure ratio and clipped to [0, 1], and gives one
    of the same side in sRGB. A transposed convolution here has no activation: the text says
    that convolutional layers are followed by LeakyReLU, the diagram that blocks are.
    """

    def __init__(self, config: SidNetConfig) -> None:
        super().__init__()
        self.config = config
        self.down = _Down(config.channels_in, config.width)
        widths = self.down.widths
        self.to_latent = nn.Linear(self.down.features, config.latent)
        self.from_latent = nn.Linear(config.latent, self.down.features)
        self.enlarge = nn.ModuleList(
            nn.ConvTranspose2d(inner, outer, 2, stride=2)
            for inner, outer in zip([widths[-1], *widths[::-1]], widths[::-1], strict=False)
        )
        self.blocks = nn.ModuleList(
            double_block(2 * width if config.skips else width, width) for width in widths[::-1]
        )
        self.out = nn.Conv2d(widths[0], config.channels_out, 1)
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
        """The mean of p(z|y), (N, latent), and what the decoder sees of y."""
        features, skips = self.down(y)
        return self.to_latent(features), skips if self.config.skips else None

    def decode(self, z: Tensor, context: Any) -> Tensor:
        """The mean of p(x|y, z), (N, C', 256, 256) and not clamped, for codes (N, latent)."""
        side = PATCH >> _POOLINGS
        x = self.from_latent(z).view(len(z), -1, side, side)
        for level, (enlarge, block) in enumerate(zip(self.enlarge, self.blocks, strict=True)):
            x = enlarge(x)
            if context is not None:
                x = torch.cat([x, context[-1 - level]], 1)
            x = block(x)
        out: Tensor = self.out(x)
        return out

    def forward(self, y: Tensor) -> Tensor:
        """The patches (N, C', 256, 256) made of (N, C, 256, 256) with z at the prior's mean."""
        return self.decode(*self.prior(y))

    def make_posterior(self) -> PosteriorNetwork:
        """Make a fresh encoder q(z|x), which only training needs."""
        return _SidPosterior(self.config)


SID_NET = Architecture(
    name="sid-net",
    task="lowlight",
    config=SidNetConfig,
    build=SidNet,
    source="Eriksson, Real-world Low-light Image Enhancement Using VAEs, 2020, ch. 6.1.4",
)
