"""Training of the super-resolution models with a ladder of latents (thesis 002, ch. 5 and 6)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from enhance_cli.architectures.spec import Contract
from enhance_cli.architectures.vdvae import Bound
from enhance_cli.architectures.vdvae_blocks import draw_noise
from enhance_cli.data.patches import PatchSampler
from enhance_cli.errors import UsageError
from enhance_cli.levels import quantise
from enhance_cli.metrics.protocols import score
from enhance_cli.training.start import load_split
from enhance_cli.training.vdvae import BoundStage, BoundTraining, noise_of_share

_VALIDATED = 64  # patches of a validation
_AT_ONCE = 8
_TEMPERATURES = (0.0, 0.2, 1.0)  # of the draws whose PSNR a validation tells


class LadderNetwork(Protocol):
    """What the stage needs of a network, beside what a ``DrawingNetwork`` has."""

    def bound(self, frame_lr: Tensor, frame_hr: Tensor, generator: torch.Generator) -> Bound:
        """The evidence lower bound of large pictures given small ones."""

    def latent_shapes(self, height_lr: int, width_lr: int) -> tuple[tuple[int, int, int], ...]:
        """See ``DrawingNetwork``."""

    def draw(self, frame_lr: Tensor, temperature: float, noises: Sequence[Tensor]) -> Tensor:
        """See ``DrawingNetwork``."""


@dataclass(frozen=True, kw_only=True)
class VdvaeSrStage(BoundStage):
    """The bound of eq. 5.1 on patches of photographs that MATLAB's bicubic filter made smaller.

    Attributes:
        patch: Side of the low-resolution patches in pixels.
        batch: Patches per step, over all processes.
    """

    patch: int = 16
    batch: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.patch < 1:
            raise ValueError(f"patch must be at least 1, not {self.patch}")

    @property
    def identity(self) -> tuple[object, ...]:
        """The architecture and its scale."""
        return self.architecture, self.config.scale

    def prepare(
        self,
        data: Path,
        validation: Path | None,
        device: torch.device,
        init: dict[str, Tensor] | None = None,
    ) -> "LadderTraining":
        """Read the photographs and make the network; see ``Stage.prepare``.

        Args:
            data: Folder of photographs to train on.
            validation: Folder of photographs to validate on; None holds out every twentieth.
            device: Where pixels and network live.
            init: Tensors to begin with.
        """
        photos, held = load_split(data, validation)
        network = self.make_network(init)
        contract = network.contract
        assert isinstance(contract, Contract)
        if self.patch != (contract.patch_size or self.patch) or self.patch % contract.size_multiple:
            taken = contract.patch_size or f"multiples of {contract.size_multiple}"
            raise UsageError(f"patch={self.patch}: the network takes {taken}")
        network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        pairs, held_pairs = (
            PatchSampler(part, self.config.scale, self.patch, device) for part in (photos, held)
        )
        return LadderTraining(self, network, pairs, held_pairs, f"{len(photos)} photographs")


class LadderTraining(BoundTraining):
    """A stage with its pairs.

    Args:
        stage: The stage's settings.
        network: What is trained, on its device.
        pairs: What it is trained on.
        held: What it is validated on.
        data: What it is trained on, in a few words.
    """

    stage: VdvaeSrStage
    columns = (*BoundTraining.columns, *(f"psnr_y_{t:g}" for t in _TEMPERATURES))

    def __init__(
        self,
        stage: VdvaeSrStage,
        network: nn.Module,
        pairs: PatchSampler,
        held: PatchSampler,
        data: str,
    ) -> None:
        super().__init__(stage, network, data)
        self._pairs, self._held = pairs, held

    def loss(self, step: int, generator: torch.Generator, share: slice) -> Tensor:
        """The negative bound in bits per dimension, the mean of this process's share.

        At first its rate counts less.
        """
        frame_lr, frame_hr = (
            part[share].contiguous(memory_format=torch.channels_last)
            for part in self._pairs.batch(self.stage.batch, generator)
        )
        own = noise_of_share(generator, share)
        network = cast(LadderNetwork, self.network)
        return self.loss_of(network.bound(frame_lr, frame_hr, own), step)

    def validate(self, network: nn.Module) -> float:
        """The bound over patches of the held-out photographs, in bits per dimension.

        The same patches and noise come every time. Noted beside it are its two parts and the mean
        PSNR in dB of draws at several temperatures (luma, a border of one LR pixel cut off).
        """
        model = cast(LadderNetwork, network)
        generator = torch.Generator().manual_seed(0)
        frame_lr, frame_hr = self._held.batch(_VALIDATED, generator)
        totals = dict.fromkeys(self.columns, 0.0)
        for small, large in zip(frame_lr.split(_AT_ONCE), frame_hr.split(_AT_ONCE), strict=True):  # type: ignore[no-untyped-call]
            small = small.contiguous(memory_format=torch.channels_last)
            bound = model.bound(small, large, generator)
            totals["distortion"] += float(bound.distortion.sum())
            totals["rate"] += float(bound.rate.sum())
            shapes = model.latent_shapes(*small.shape[-2:])
            noises = [n.to(small.device) for n in draw_noise(shapes, len(small), generator)]
            for temperature in _TEMPERATURES:
                drawn = quantise(model.draw(small, temperature, noises))
                for estimate, truth in zip(drawn, large, strict=True):
                    # A blank patch can be met exactly, which would make the mean infinite.
                    found = score(estimate, truth, "y-crop", self.stage.config.scale, ["psnr"])
                    totals[f"psnr_y_{temperature:g}"] += min(found["psnr"], 100.0)
        self._figures = {name: total / _VALIDATED for name, total in totals.items()}
        return -(self._figures["distortion"] + self._figures["rate"])
