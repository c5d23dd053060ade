"""VDVAE-SR: a VDVAE whose prior is shown a small picture (thesis 002, ch. 5)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from enhance_cli.architectures.logistic_mixture import LogisticMixture
from enhance_cli.architectures.spec import Architecture, Contract
from enhance_cli.architectures.vdvae import (
    FFHQ256,
    IMAGENET64,
    Bound,
    Decoder,
    VdvaeConfig,
    check_sides,
)
from enhance_cli.architectures.vdvae_blocks import (
    Encoder,
    Maps,
    TopDownBlock,
    draw_noise,
    parse_blocks,
    reached_sides,
)

Configuration = Literal["trivial", "lr-encoder", "posterior", "final"]


@dataclass(frozen=True)
class VdvaeSrConfig:
    """Hyperparameters; the defaults are the thesis's network from 16x16 to 64x64.

    Attributes:
        scale: enlargement.
        vdvae: the VDVAE of large pictures whose encoder and decoder are taken over.
        lr_encoder: block string of the LR encoder. Its sides are those of the small picture, and
            it ends where the decoder begins. ``trivial`` has none.
        configuration: a line of table 5.1. ``trivial`` makes the top of the decoder from the small
            picture by one convolution, ``lr-encoder`` by an encoder. ``posterior`` also adds the
            LR encoder's activations to those of the HR encoder, and ``final`` adds them, times a
            gate, to what goes into every block, so that the prior sees them too.
        trainable_decoder: whether training changes what is taken over of the decoder.
    """

    scale: int = 4
    vdvae: VdvaeConfig = IMAGENET64
    lr_encoder: str = "16x9,16d2,8x8,8d2,4x7,4d4,1x5"
    configuration: Configuration = "final"
    trainable_decoder: bool = True

    def __post_init__(self) -> None:
        if self.configuration not in get_args(Configuration):
            raise ValueError(
                f"configuration {self.configuration!r}: choose from "
                f"{', '.join(get_args(Configuration))}"
            )

    @property
    def side_lr(self) -> int:
        """Side of the small pictures in pixels."""
        return self.vdvae.side // self.scale

    @property
    def in_posterior(self) -> bool:
        """Whether activations are passed in the posterior on each layer."""
        return self.configuration in ("posterior", "final")

    @property
    def in_prior(self) -> bool:
        """Whether they are passed in the prior on each layer, with gates."""
        return self.configuration == "final"


# The LR encoder of the larger network is that of ImageNet-64 (ch. 6.0.1).
SR64 = VdvaeSrConfig()
SR256 = replace(SR64, vdvae=FFHQ256, lr_encoder=IMAGENET64.encoder)


class _Trivial(nn.Module):
    """A linear map from small pictures to the top of the decoder (ch. 5.4)."""

    def __init__(self, width: int, side_lr: int, top: int) -> None:
        super().__init__()
        self.top = top
        self.linear = nn.Conv2d(3, width, side_lr // top, stride=side_lr // top)

    def forward(self, x: Tensor) -> dict[int, Tensor]:
        """(N, 3, H, W) -> the features of one resolution, as ``Encoder`` gives them."""
        return {self.top: self.linear(x)}


Visit = Callable[[int, TopDownBlock, Tensor, Tensor | None], Tensor]


class VdvaeSr(nn.Module):
    """The four models of table 5.1.

    The tensors of encoder and decoder have the names of VDVAE's, so that its weights fit. The HR
    encoder is never trained (ch. 5.3).

    Raises:
        ValueError: if the block strings do not fit the sides.
    """

    def __init__(self, config: VdvaeSrConfig) -> None:
        super().__init__()
        check_sides(config.vdvae)
        self.config = config
        widths = config.vdvae.channels
        self.encoder = Encoder(config.vdvae.encoder, widths).requires_grad_(False)
        self.decoder = Decoder(config.vdvae).requires_grad_(config.trainable_decoder)
        top = self.top = self.decoder.specs[0].side
        if config.configuration == "trivial":
            self.lr_encoder: nn.Module = _Trivial(widths.at(top), config.side_lr, top)
        else:
            specs = parse_blocks(config.lr_encoder)
            if specs[0].side != config.side_lr or top not in reached_sides(config.lr_encoder):
                raise ValueError(
                    f"lr_encoder {config.lr_encoder} must lead from {config.side_lr} pixels to the "
                    f"decoder's first side, {top}"
                )
            self.lr_encoder = Encoder(config.lr_encoder, widths)
        if config.in_prior:
            # One for each block (fig. 5.9; Bachlechner et al. 2020).
            self.gates = nn.Parameter(torch.zeros(len(self.decoder.specs)))
        self.contract = Contract(
            scale=config.scale, patch_size=config.side_lr, tiling="blended", draws=True
        )

    def latent_shapes(self, height_lr: int, width_lr: int) -> tuple[tuple[int, int, int], ...]:
        """Channels, height and width of the latent of each block; see ``DrawingNetwork``.

        The network takes pictures of one size only.
        """
        assert height_lr == width_lr == self.config.side_lr
        return self.decoder.latent_shapes(self.top, self.top)

    def forward(self, frame_lr: Tensor) -> Tensor:
        """Enlarge (N, 3, H, W) in [0, 1] to (N, 3, 4H, 4W) in [0, 1], every latent at its mean."""
        return self._run(frame_lr, lambda _i, block, x, _lr: block.draw(x, 0.0, None)).mean

    def draw(self, frame_lr: Tensor, temperature: float, noises: Sequence[Tensor]) -> Tensor:
        """One of the answers, the mean of p(x|z, y); see ``DrawingNetwork``."""
        return self._run(
            frame_lr, lambda index, block, x, _lr: block.draw(x, temperature, noises[index])
        ).mean

    def bound(self, frame_lr: Tensor, frame_hr: Tensor, generator: torch.Generator) -> Bound:
        """The evidence lower bound of log p(x|y) by one sample of the posterior (eq. 5.1).

        Args:
            frame_lr: y, (N, 3, H, W) in [0, 1].
            frame_hr: x, (N, 3, 4H, 4W) in [0, 1], multiples of 1/255.
            generator: the source of chance, on the CPU.
        """
        shapes = self.latent_shapes(*frame_lr.shape[-2:])
        noises = draw_noise(shapes, len(frame_lr), generator)
        acts: Maps = self.encoder(self.config.vdvae.normalise(frame_hr))
        divergences: list[Tensor] = []

        def visit(index: int, block: TopDownBlock, x: Tensor, low: Tensor | None) -> Tensor:
            seen = acts[block.spec.side]
            if self.config.in_posterior and low is not None:
                seen = seen + low
            x, divergence = block.infer(x, seen, noises[index].to(x.device))
            divergences.append(divergence)
            return x

        return Bound.of(self._run(frame_lr, visit), frame_hr, divergences)

    def _run(self, frame_lr: Tensor, visit: Visit) -> LogisticMixture:
        """The likelihood p(x|z, y) by the latents that the visits choose.

        A visit is shown the LR encoder's activations of its resolution, where there are some.
        """
        low: Maps = self.lr_encoder(self.config.vdvae.normalise(frame_lr))

        def gated(index: int, block: TopDownBlock, x: Tensor) -> Tensor:
            own = low.get(block.spec.side)
            if self.config.in_prior and own is not None:
                x = x + self.gates[index] * own
            return visit(index, block, x, own)

        return self.decoder.run({self.top: low[self.top]}, gated)


VDVAE_SR = Architecture(
    name="vdvae-sr",
    task="superres",
    config=VdvaeSrConfig,
    build=VdvaeSr,
    source="thesis 002, ch. 5; Child, Very Deep VAEs, ICLR 2021",
)
