"""A small VDVAE-SR that two CPU cores can train, and that takes pictures of any size.

It has the ladder of thesis 002, ch. 5, with what makes it small:

- There are no biases that are tied to a place and no latents of one pixel, so it is convolutional.
- The LR encoder begins as an ENet-E that is trained already and stays as it is. Its features stand
  for the activations of the LR encoder; the ladder adds them to its own where a resolution begins,
  which is before prior and posterior alike (table 5.1, final model).
- The likelihood is of what is left between the picture and what ENet-E makes. The HR encoder is
  shown that difference.
- The ladder ends at half of the picture's size; its last features become cells of 2x2 pixels.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from enhance_cli.architectures.enhancenet import EnhanceNet, EnhanceNetConfig
from enhance_cli.architectures.layers import Chain, Convolution, Enlarge, Reduce, receptive_halo
from enhance_cli.architectures.logistic_mixture import LogisticMixture, parameter_count
from enhance_cli.architectures.spec import Architecture, Contract
from enhance_cli.architectures.vdvae_blocks import (
    Encoder,
    Maps,
    TopDown,
    Visit,
    Widths,
    parse_blocks,
    reached_sides,
    start_lively,
)
from enhance_cli.architectures.vdvae_conditional import ConditionalVdvae
from enhance_cli.resize import imresize

_LR_SIDE = 16  # nominal side of the input in block strings, as of the thesis's smaller model
_HALO = 32  # see ``VdvaeSrCompact``
_CELL = 2  # side of the cells of pixels that a feature of the last resolution becomes
_ERROR = 0.1  # about the standard deviation of ENet-E's error, the unit of all that is said of it
_FIRST_LOG_SCALE = -1.5  # the likelihood begins about as wide as that


_Seen = tuple[Tensor, Maps]  # what ENet-E makes, and what the ladder begins with


@dataclass(frozen=True)
class VdvaeSrCompactConfig:
    """Hyperparameters.

    Attributes:
        scale: enlargement; the block strings are for 4.
        encoder: block string of the HR encoder, from side 32 on, twice that of the input.
        lr_encoder: block string of what follows ENet-E's features at side 16.
        decoder: block string of the ladder, which ends at side 32.
        width: channels between the blocks.
        widths: exceptions for some resolutions, ``side:channels`` with commas between.
        bottleneck: share of the channels that the inner convolutions of a block have.
        latent: channels of the latent of each block.
        mixtures: components of the likelihood's mixture.
        widest: largest scale of these, in colours of [-1, 1]. What the latents do not say can be
            no farther off than this without great cost; with scales as wide as they like, the
            likelihood explains all by noise of single pixels, and the latents stay unused.
        base: the ENet-E that everything is added to.
    """

    scale: int = 4
    encoder: str = "32x2,32d2,16x2,16d2,8x1"
    lr_encoder: str = "16x3,16d2,8x1"
    decoder: str = "8x2,16m8,16x3,32m16,32x3"
    width: int = 128
    widths: str = "32:64"
    bottleneck: float = 0.5
    latent: int = 16
    mixtures: int = 1
    widest: float = 0.01
    base: EnhanceNetConfig = EnhanceNetConfig()


class VdvaeSrCompact(ConditionalVdvae[_Seen]):
    """ENet-E and a ladder of latents that tells what could be there instead.

    The receptive field has a radius of 76 pixels, and tiles that hold it would be mostly margin.
    The halo is therefore at most 32. Four pictures of 128x128 were cut in two, for weights of 406
    steps: beyond 16 pixels from the cut no value of a draw differs by more than 0.005 of 255
    levels, beyond 8 by more than 0.3.

    Raises:
        ValueError: if no network can be built from the config.
    """

    def __init__(self, config: VdvaeSrCompactConfig) -> None:
        super().__init__()
        if config.scale != 4 or config.base.scale != 4:
            raise ValueError(f"the ladder is for x4, not for x{config.scale}")
        if min(config.width, config.latent, config.mixtures) < 1:
            raise ValueError("width, latent and mixtures must be at least 1")
        self.config = config
        widths = Widths(config.width, config.widths, config.bottleneck)
        self.base = EnhanceNet(config.base).requires_grad_(False)
        self.lr_encoder = Encoder(config.lr_encoder, widths, config.base.channels)
        self.encoder = Encoder(config.encoder, widths, 3 * _CELL**2)
        self.decoder = TopDown(config.decoder, widths, config.latent, bias_up_to=0)
        self.top, self.last = (self.decoder.specs[index].side for index in (0, -1))
        _check_sides(config, self.top, self.last)
        self.lift = nn.Conv2d(config.base.channels, widths.at(self.last), 1)
        cells = _CELL**2 * parameter_count(config.mixtures)
        self.out = nn.Conv2d(widths.at(self.last), cells, 3, padding=1)
        start_lively(self, self.encoder, self.lr_encoder)
        self._initialise_output()
        self.contract = Contract(
            scale=config.scale,
            halo=min(self._radius(), _HALO),
            size_multiple=_LR_SIDE // self.top,
            draws=True,
        )

    @torch.no_grad()
    def _initialise_output(self) -> None:
        """The mean begins at the picture of ENet-E."""
        components = self.config.mixtures
        assert self.out.bias is not None
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        kinds = self.out.bias.view(parameter_count(components), -1)[components:]
        kinds.view(3, 3, components, -1)[:, 1] = _FIRST_LOG_SCALE
        if components > 1:  # alike components would learn the same for ever
            kinds.view(3, 3, components, -1)[:, 1] += torch.linspace(-1, 1, components)[:, None]

    def _radius(self) -> int:
        """Of the receptive field, in input pixels."""
        chain: Chain = [Convolution()] * (2 + 2 * self.config.base.blocks)
        for spec in self.lr_encoder.specs:
            chain += [Convolution()] * 2
            chain += [Reduce(spec.other)] if spec.other else []
        before = self.top
        for spec in self.decoder.specs:
            chain += [Enlarge(spec.side // before)] if spec.side > before else []
            chain += [Convolution()] * 4
            before = spec.side
        return receptive_halo([*chain, Convolution(), Enlarge(_CELL)])

    def latent_shapes(self, height_lr: int, width_lr: int) -> tuple[tuple[int, int, int], ...]:
        """Channels, height and width of the latent of each block; see ``DrawingNetwork``."""
        times = _LR_SIDE // self.top
        return self.decoder.latent_shapes(height_lr // times, width_lr // times)

    def see(self, frame_lr: Tensor) -> _Seen:
        """What ENet-E makes of the input, and the features that the ladder begins with."""
        residual, features = self.base.trace(frame_lr)
        enlarged = imresize(frame_lr, self.config.scale) + residual.to(frame_lr.dtype)
        return enlarged, {**self.lr_encoder(features[0]), self.last: self.lift(features[1])}

    def posterior_features(self, frame_hr: Tensor, seen: _Seen) -> Maps:
        """Those of the HR encoder, which is shown by how much ENet-E is wrong."""
        error = ((frame_hr - seen[0]) / _ERROR).asinh()  # some are ten times the usual one
        acts: Maps = self.encoder(functional.pixel_unshuffle(error, _CELL))
        return acts

    def descend(self, seen: _Seen, visit: Visit) -> LogisticMixture:
        """See ``ConditionalVdvae``."""
        enlarged, start = seen
        pixels = functional.pixel_shuffle(self.out(self.decoder.descend(start, visit)), _CELL)
        # The likelihood's colours are in [-1, 1], where errors are twice as large.
        return LogisticMixture.of(
            pixels, offset=2 * enlarged - 1, unit=2 * _ERROR, widest=self.config.widest
        )


def _check_sides(config: VdvaeSrCompactConfig, top: int, last: int) -> None:
    """See that the three block strings are of resolutions that fit.

    Raises:
        ValueError: if not.
    """
    up, low = parse_blocks(config.encoder), parse_blocks(config.lr_encoder)
    if (up[0].side, low[0].side, last) != (2 * _LR_SIDE, _LR_SIDE, 2 * _LR_SIDE):
        raise ValueError(
            f"encoder {config.encoder} must begin and decoder {config.decoder} end at side "
            f"{2 * _LR_SIDE}, lr_encoder {config.lr_encoder} begin at {_LR_SIDE}"
        )
    needed = {spec.side for spec in parse_blocks(config.decoder)}
    if not needed <= reached_sides(config.encoder) or top not in reached_sides(config.lr_encoder):
        raise ValueError(
            f"decoder {config.decoder} has a side that encoder {config.encoder} has not, or begins "
            f"where lr_encoder {config.lr_encoder} does not end"
        )


VDVAE_SR_COMPACT = Architecture(
    name="vdvae-sr-compact",
    task="superres",
    config=VdvaeSrCompactConfig,
    build=VdvaeSrCompact,
    source="thesis 002, ch. 5, made small; Child, Very Deep VAEs, ICLR 2021",
)
