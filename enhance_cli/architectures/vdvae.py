"""VDVAE, the very deep variational autoencoder (Child 2020; thesis 002, ch. 4.4)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from enhance_cli.architectures.logistic_mixture import LogisticMixture, parameter_count
from enhance_cli.architectures.spec import Architecture, Contract
from enhance_cli.architectures.vdvae_blocks import (
    Encoder,
    Maps,
    TopDown,
    TopDownBlock,
    Visit,
    Widths,
    draw_noise,
    parse_blocks,
    reached_sides,
)


@dataclass(frozen=True)
class VdvaeConfig:
    """Hyperparameters; the defaults are those for ImageNet-64, of 125.0 M parameters.

    Attributes:
        side: side of the pictures in pixels.
        encoder: block string of the bottom-up path, see ``vdvae_blocks.parse_blocks``.
        decoder: block string of the top-down path.
        width: channels between the blocks.
        widths: exceptions for some resolutions, ``side:channels`` with commas between.
        bottleneck: share of the channels that the inner convolutions of a block have.
        latent: channels of the latent of each block.
        mixtures: components of the likelihood's mixture.
        bits: the likelihood is that of so many bits of every colour.
        bias_up_to: highest side with a learned bias for every place.
        mean: mean of the training data in levels of 8 bits; the encoder sees pictures less it,
        deviation: and divided by this, their standard deviation.
    """

    side: int = 64
    encoder: str = "64x11,64d2,32x20,32d2,16x9,16d2,8x8,8d2,4x7,4d4,1x5"
    decoder: str = "1x2,4m1,4x3,8m4,8x7,16m8,16x15,32m16,32x31,64m32,64x12"
    width: int = 512
    widths: str = ""
    bottleneck: float = 0.25
    latent: int = 16
    mixtures: int = 10
    bits: int = 8
    bias_up_to: int = 64
    mean: float = 115.92961967
    deviation: float = 69.37404

    def __post_init__(self) -> None:
        if min(self.width, self.latent, self.mixtures) < 1 or not 1 <= self.bits <= 8:
            raise ValueError("width, latent and mixtures must be at least 1, and bits from 1 to 8")
        if not (0 < self.bottleneck <= 1 and self.deviation > 0):
            raise ValueError("bottleneck must be from 0 to 1, and deviation above 0")

    @property
    def channels(self) -> int:
        """The planes of the pictures, of which the likelihood needs three."""
        return 3

    @property
    def layer_widths(self) -> Widths:
        """How many channels there are at each resolution."""
        return Widths(self.width, self.widths, self.bottleneck)

    def normalise(self, x: Tensor) -> Tensor:
        """Pictures in [0, 1] as an encoder is shown them."""
        return (x * 255 - self.mean) / self.deviation


# Child's hyperparameters; the parameters are printed in fig. 6.1 of the thesis.
CIFAR10 = VdvaeConfig(
    side=32,
    encoder="32x11,32d2,16x6,16d2,8x6,8d2,4x3,4d4,1x3",
    decoder="1x1,4m1,4x2,8m4,8x5,16m8,16x10,32m16,32x21",
    width=384,
    mean=120.63838,
    deviation=64.16736,
)
IMAGENET32 = VdvaeConfig(
    side=32,
    encoder="32x15,32d2,16x9,16d2,8x8,8d2,4x6,4d4,1x6",
    decoder="1x2,4m1,4x4,8m4,8x9,16m8,16x19,32m16,32x40",
    mean=116.2373,
)
IMAGENET64 = VdvaeConfig()
FFHQ256 = VdvaeConfig(
    side=256,
    encoder="256x3,256d2,128x8,128d2,64x12,64d2,32x17,32d2,16x7,16d2,8x5,8d2,4x5,4d4,1x4",
    decoder="1x2,4m1,4x3,8m4,8x4,16m8,16x9,32m16,32x21,64m32,64x13,128m64,128x7,256m128",
    bits=5,
    mean=112.8666757481,
    deviation=69.84780273,
)
VDVAE_CONFIGS = {
    "cifar10": CIFAR10,
    "imagenet32": IMAGENET32,
    "imagenet64": IMAGENET64,
    "ffhq256": FFHQ256,
}

# No published one: small enough for two CPU cores, and narrow where there are many pixels.
FACES64 = VdvaeConfig(
    encoder="64x2,64d2,32x3,32d2,16x4,16d2,8x3,8d2,4x2,4d4,1x2",
    decoder="1x1,4m1,4x2,8m4,8x4,16m8,16x5,32m16,32x5,64m32,64x2",
    width=128,
    widths="64:48,32:96",
    bottleneck=0.5,
    mixtures=5,
    mean=112.1,
    deviation=75.2,
)


@dataclass(frozen=True)
class Bound:
    """The two parts of the evidence lower bound of pictures, both in bits per dimension.

    Attributes:
        distortion: what is left to say of each picture once its latents are known, (N,).
        rate: divergence of the posterior from the prior over all layers, (N,).
    """

    distortion: Tensor
    rate: Tensor

    @classmethod
    def of(cls, likelihood: LogisticMixture, x: Tensor, divergences: Sequence[Tensor]) -> "Bound":
        """Sum up, and turn nats into bits per dimension.

        Args:
            likelihood: p(x|z).
            x: the pictures (N, 3, H, W) in [0, 1].
            divergences: of each layer in nats, (N,).
        """
        unit = math.log(2) * x[0].numel()
        nats = -likelihood.log_prob(x).flatten(1).sum(1)
        return cls(nats / unit, torch.stack(list(divergences)).sum(0) / unit)

    @property
    def total(self) -> Tensor:
        """The negative of the bound, (N,), which training makes small."""
        return self.distortion + self.rate


class _Output(nn.Module):
    """The last convolution, which gives the parameters of the likelihood."""

    def __init__(self, width: int, mixtures: int) -> None:
        super().__init__()
        self.out_conv = nn.Conv2d(width, parameter_count(mixtures), 1)


class Decoder(TopDown):
    """The whole top-down path, from latents to the distribution of a picture."""

    def __init__(self, config: VdvaeConfig) -> None:
        super().__init__(config.decoder, config.layer_widths, config.latent, config.bias_up_to)
        width = config.layer_widths.at(self.specs[-1].side)
        self.bits = config.bits
        self.out_net = _Output(width, config.mixtures)
        self.gain = nn.Parameter(torch.ones(1, width, 1, 1))
        self.bias = nn.Parameter(torch.zeros(1, width, 1, 1))

    def run(self, start: Maps, visit: Visit) -> LogisticMixture:
        """The likelihood p(x|z) whose latents the visits of the blocks choose."""
        features = self.descend(start, visit) * self.gain + self.bias
        return LogisticMixture.of(self.out_net.out_conv(features), self.bits)


class Vdvae(nn.Module):
    """A ladder of stochastic layers, from one pixel to the size of the picture.

    Raises:
        ValueError: if the block strings do not fit each other or the side.
    """

    def __init__(self, config: VdvaeConfig) -> None:
        super().__init__()
        check_sides(config)
        self.config = config
        self.encoder = Encoder(config.encoder, config.layer_widths)
        self.decoder = Decoder(config)
        self.contract = Contract(scale=1, patch_size=config.side, tiling="forbidden")

    def _start(self, count: int, like: Tensor) -> Maps:
        top = self.decoder.specs[0].side
        return {top: like.new_zeros(count, self.config.layer_widths.at(top), top, top)}

    def latent_shapes(self) -> tuple[tuple[int, int, int], ...]:
        """Channels, height and width of the latent of each block."""
        top = self.decoder.specs[0].side
        return self.decoder.latent_shapes(top, top)

    def infer(
        self, x: Tensor, noises: Sequence[Tensor] | None
    ) -> tuple[LogisticMixture, list[Tensor]]:
        """The likelihood of pictures by a latent of their posterior.

        Args:
            x: (N, 3, side, side) in [0, 1].
            noises: standard normal values for each layer (see ``latent_shapes``), or None for the
                posterior's means.

        Returns:
            The likelihood, and the divergences of all layers in nats, (N,) each.
        """
        acts = self.encoder(self.config.normalise(x))
        divergences: list[Tensor] = []

        def visit(index: int, block: TopDownBlock, features: Tensor) -> Tensor:
            noise = None if noises is None else noises[index]
            features, divergence = block.infer(features, acts[block.spec.side], noise)
            divergences.append(divergence)
            return features

        likelihood = self.decoder.run(self._start(len(x), features_of(acts)), visit)
        return likelihood, divergences

    def bound(self, x: Tensor, generator: torch.Generator) -> Bound:
        """The evidence lower bound of pictures (N, 3, side, side) by one sample of the posterior.

        Args:
            x: in [0, 1], multiples of 1/255.
            generator: the source of chance, on the CPU.
        """
        noises = [
            noise.to(x.device) for noise in draw_noise(self.latent_shapes(), len(x), generator)
        ]
        likelihood, divergences = self.infer(x, noises)
        return Bound.of(likelihood, x, divergences)

    def draw(self, temperature: float, noises: Sequence[Tensor]) -> LogisticMixture:
        """The distribution of pictures with latents of the prior.

        Args:
            temperature: factor on all standard deviations of the latents; 0 gives their means.
            noises: standard normal values for each layer (N, *latent_shapes()[i]).
        """
        return self.decoder.run(
            self._start(len(noises[0]), noises[0]),
            lambda index, block, features: block.draw(features, temperature, noises[index]),
        )

    def sample(self, temperature: float, generators: Sequence[torch.Generator]) -> Tensor:
        """Draw pictures (N, 3, side, side) in [0, 1].

        Their pixels are drawn as well, as Child's code does; at temperature 0 all are expected
        values.

        Args:
            temperature: see ``draw``.
            generators: one for each picture, of the CPU, so that no picture depends on others.
        """
        device = next(self.parameters()).device
        alone = [draw_noise(self.latent_shapes(), 1, generator) for generator in generators]
        noises = [torch.cat(layer).to(device) for layer in zip(*alone, strict=True)]
        likelihood = self.draw(temperature, noises)
        return likelihood.sample(generators) if temperature else likelihood.mean

    def forward(self, x: Tensor) -> Tensor:
        """Reconstruct pictures (N, 3, side, side) in [0, 1] from the posterior's means."""
        return self.infer(x, None)[0].mean


def features_of(acts: Maps) -> Tensor:
    """Any of an encoder's features, for their type and device."""
    return next(iter(acts.values()))


def check_sides(config: VdvaeConfig) -> None:
    """See that both paths have the same resolutions and end at the size of the picture.

    Raises:
        ValueError: if not.
    """
    up, down = parse_blocks(config.encoder), parse_blocks(config.decoder)
    missing = {spec.side for spec in down} - reached_sides(config.encoder)
    if up[0].side != config.side or down[-1].side != config.side or missing:
        raise ValueError(
            f"blocks {config.encoder} and {config.decoder} do not lead from {config.side} pixels "
            "and back through the same resolutions"
        )


VDVAE = Architecture(
    name="vdvae",
    task="sample",
    config=VdvaeConfig,
    build=Vdvae,
    source="Child, Very Deep VAEs Generalize Autoregressive Models, ICLR 2021; thesis 002, ch. 4.4",
)
