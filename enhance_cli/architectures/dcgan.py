"""The generator and the discriminator of dissertation 003, ch. 4 (fig. 4.3), after DCGAN.

The figure has kernels of 4x4, of stride 1/2 in the generator and 2 in the discriminator; its
numbers of channels are lost. Here they are C at the largest map, 2C and 4C at those of 8 and 4
pixels a side, and C is 32: the text wants few, so that small sets are not memorised.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from enhance_cli.architectures.spec import Architecture, Contract

DRAWN = 32  # side of all pictures of the chapter, in pixels
_FIRST = 4  # side of the smallest map
_SLOPE = 0.2  # of LeakyReLU (Radford et al., 2016)


@dataclass(frozen=True)
class DcganConfig:
    """Hyperparameters of the generator.

    Attributes:
        side: Side of the pictures in pixels.
        padding: Width of the border that is drawn around them and cut off again: 2 for the digits
            of 28x28, since the networks draw and see 32x32.
        channels: Channels of the pictures, 1 or 3.
        latent: Dimensions of a code.
        width: C of fig. 4.3, the channels of the largest map.
        normalised: Whether both networks have batch normalisation; LSGAN and WGAN-GP have none.

    Raises:
        ValueError: If no network is made of such values.
    """

    # Codes are drawn from N(0, I), the only density that a generator knows.
    prior: ClassVar[bool] = True

    side: int = DRAWN
    padding: int = 0
    channels: int = 3
    latent: int = 64
    width: int = 32
    normalised: bool = True

    def __post_init__(self) -> None:
        if self.side + 2 * self.padding != DRAWN or self.padding < 0:
            raise ValueError(
                f"side {self.side} with padding {self.padding}: both networks are made for "
                f"{DRAWN} pixels, so side + 2 * padding must be that"
            )
        if self.channels not in (1, 3):
            raise ValueError(f"channels must be 1 or 3, not {self.channels}")
        if min(self.latent, self.width) < 1:
            raise ValueError("latent and width must be at least 1")


class StandardNormal:
    """The density N(0, I) of a generator's codes, beside which no other is fitted."""

    fitted = False

    def __init__(self, latent: int) -> None:
        self.latent = latent

    def sample(
        self, density: str, count: int, temperature: float, generator: torch.Generator
    ) -> Tensor:
        """Draw codes (count, D) float32 on the CPU; see ``autoencoder.Densities.sample``.

        Raises:
            ValueError: If the density is not ``prior``.
        """
        if density != "prior":
            raise ValueError(f"density {density!r}: a generator has only its prior")
        return torch.randn(count, self.latent, generator=generator) * temperature


class Generator(nn.Module):
    """Turns codes into pictures: a dense layer, then three convolutions of stride 1/2.

    ReLU follows every layer but the last, which ends with the hyperbolic tangent. The weights begin
    as Glorot and Bengio have it (ch. 4.2.4).

    Attributes:
        config: The hyperparameters.
        contract: How the network is run; its input is a map of a single place.
        densities: What codes are drawn from.
    """

    def __init__(self, config: DcganConfig) -> None:
        super().__init__()
        self.config = config
        self.contract = Contract(
            scale=DRAWN,
            channels_in=config.latent,
            channels_out=config.channels,
            colour="srgb" if config.channels == 3 else "grey",
            patch_size=1,
            tiling="forbidden",
        )
        self.densities = StandardNormal(config.latent)
        bias = not config.normalised  # which the normalisation would take away again
        widths = [4 * config.width, 2 * config.width, config.width]
        layers: list[nn.Module] = [
            nn.Flatten(),
            nn.Linear(config.latent, widths[0] * _FIRST**2, bias=bias),
            nn.Unflatten(1, (widths[0], _FIRST, _FIRST)),
        ]
        for before, after in zip(widths, [*widths[1:], config.channels], strict=True):
            layers += [nn.BatchNorm2d(before)] if config.normalised else []
            last = after == config.channels and before == config.width
            layers += [
                nn.ReLU(),
                nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=bias or last),
            ]
        self.layers = nn.Sequential(*layers)
        initialise(self)

    def forward(self, z: Tensor) -> Tensor:
        """Whole pictures (N, C, 32, 32) in [-1, 1] for codes (N, D) or (N, D, 1, 1)."""
        drawn: Tensor = self.layers(z)
        return drawn.float().tanh()

    def decode(self, z: Tensor) -> Tensor:
        """Pictures (N, C, side, side) in [0, 1] for codes (N, D), without their border."""
        padding, side = self.config.padding, self.config.side
        drawn: Tensor = self(z)[..., padding : padding + side, padding : padding + side]
        return (drawn + 1) / 2


class DcganDiscriminator(nn.Module):
    """Tells true pictures from drawn ones: three convolutions of stride 2, then a dense layer.

    LeakyReLU of slope 0.2 follows the convolutions. There is batch normalisation after all of them
    but the first, if the config has any; it takes the statistics of each batch, since the network
    is of no use but in training. The last layer's values are given as they are: logits to the
    classical objective, scores to the others.
    """

    def __init__(self, config: DcganConfig) -> None:
        super().__init__()
        width, bias = config.width, not config.normalised
        layers: list[nn.Module] = [nn.Conv2d(config.channels, width, 4, 2, 1), nn.LeakyReLU(_SLOPE)]
        for before in (width, 2 * width):
            layers.append(nn.Conv2d(before, 2 * before, 4, 2, 1, bias=bias))
            if config.normalised:
                layers.append(nn.BatchNorm2d(2 * before, track_running_stats=False))
            layers.append(nn.LeakyReLU(_SLOPE))
        self.layers = nn.Sequential(
            *layers, nn.Flatten(), nn.Linear(4 * width * _FIRST**2, 1), nn.Flatten(0)
        )
        initialise(self)

    def forward(self, pictures: Tensor) -> Tensor:
        """A value (N,) for each of the pictures (N, C, 32, 32) in [-1, 1]."""
        values: Tensor = self.layers(pictures)
        return values


def initialise(network: nn.Module) -> None:
    """Draw the weights of all layers by Xavier's rule, and set their biases to 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def to_drawn(values: Tensor, padding: int) -> Tensor:
    """Pictures (N, C, side, side) in [0, 1] as the networks see them: (N, C, 32, 32) in [-1, 1].

    The border of ``padding`` pixels is black, like the ground of the digits.
    """
    return functional.pad(values, (padding,) * 4) * 2 - 1


DCGAN = Architecture(
    name="dcgan",
    task="sample",
    config=DcganConfig,
    build=Generator,
    source="Sajjadi et al., Tempered Adversarial Networks, ICML 2018; dissertation 003, fig. 4.3",
)
