"""VDVAE-SR: a VDVAE whose prior is shown a small picture (thesis 002, ch. 5)."""

from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from enhance_cli.architectures.logistic_mixture import LogisticMixture
from enhance_cli.architectures.spec import Architecture, Contract
from enhance_cli.architectures.vdvae import (
    FFHQ256,
    IMAGENET64,
    Decoder,
    VdvaeConfig,
    check_sides,
)
from enhance_cli.architectures.vdvae_blocks import (
    Encoder,
    Maps,
    TopDownBlock,
    Visit,
    parse_blocks,
    reached_sides,
)
from enhance_cli.architectures.vdvae_conditional import ConditionalVdvae

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


class VdvaeSr(ConditionalVdvae[Maps]):
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
        widths = config.vdvae.layer_widths
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

    def see(self, frame_lr: Tensor) -> Maps:
        """The LR encoder's activations of every resolution that it has."""
        low: Maps = self.lr_encoder(self.config.vdvae.normalise(frame_lr))
        return low

    def posterior_features(self, frame_hr: Tensor, seen: Maps) -> Maps:
        """The HR encoder's activations, and the LR encoder's where the configuration says so."""
        acts: Maps = self.encoder(self.config.vdvae.normalise(frame_hr))
        if not self.config.in_posterior:
            return acts
        return {side: high + seen[side] if side in seen else high for side, high in acts.items()}

    def descend(self, seen: Maps, visit: Visit) -> LogisticMixture:
        """See ``ConditionalVdvae``; gated activations are added to what goes into each block."""

        def gated(index: int, block: TopDownBlock, x: Tensor) -> Tensor:
            own = seen.get(block.spec.side)
            if self.config.in_prior and own is not None:
                x = x + self.gates[index] * own
            return visit(index, block, x)

        return self.decoder.run({self.top: seen[self.top]}, gated)


VDVAE_SR = Architecture(
    name="vdvae-sr",
    task="superres",
    config=VdvaeSrConfig,
    build=VdvaeSr,
    source="thesis 002, ch. 5; Child, Very Deep VAEs, ICLR 2021",
)
