"""Training of single-image super-resolution: settings, loss and validation."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from enhance_cli.data.patches import PatchSampler, crop_to_multiple
from enhance_cli.errors import DatasetError, UsageError
from enhance_cli.levels import quantise, to_values
from enhance_cli.metrics.protocols import score
from enhance_cli.resize import imresize
from enhance_cli.training.stages import Stage, TrainingTask
from enhance_cli.training.start import load_split


@dataclass(frozen=True, kw_only=True)
class SuperResolutionStage(Stage):
    """A network that enlarges pictures which MATLAB's bicubic filter has made smaller.

    Attributes:
        patch: Side of the low-resolution patches in pixels.
        batch: Patches per step, over all processes.
        l1_share: Share of the steps with an L1 loss, before the squared error of dissertation
            003, eq. 2.4, takes over. L1 converges faster at high learning rates; the squared
            error is what PSNR measures.
    """

    patch: int = 32
    batch: int = 16
    l1_share: float = 0.75

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.l1_share <= 1:
            raise ValueError(f"l1_share must be from 0 to 1, not {self.l1_share}")
        if min(self.patch, self.batch) < 1:
            raise ValueError("patch and batch must be at least 1")

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
    ) -> "SuperResolution":
        """Read the photographs and make the network; see ``Stage.prepare``.

        Args:
            data: Folder of photographs to train on.
            validation: Folder of photographs to validate on; None holds out every twentieth.
            device: Where pixels and network live.
            init: Tensors to begin with.
        """
        photos, held = load_split(data, validation)
        network = self.make_network(init)
        network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return SuperResolution(self, network, photos, held, device)


class SuperResolution(TrainingTask):
    """A stage of super-resolution with its photographs, each uint8 (3, H, W)."""

    stage: SuperResolutionStage
    score_name = "validation_psnr_y"

    def __init__(
        self,
        stage: SuperResolutionStage,
        network: nn.Module,
        photos: Sequence[Tensor],
        held: Sequence[Tensor],
        device: torch.device,
    ) -> None:
        super().__init__(stage, network, f"{len(photos)} photographs")
        self.device = device
        self.scale = int(stage.config.scale)
        self._sampler = PatchSampler(photos, self.scale, stage.patch, device)
        self._held = [
            crop_to_multiple(photo, self.scale)
            for photo in held
            if min(photo.shape[-2:]) > 3 * self.scale
        ]
        if not self._held:
            raise DatasetError(
                f"no photograph to validate on is larger than {3 * self.scale} pixels"
            )
        self._l1_steps = round(stage.l1_share * stage.optimisation.steps)

    def loss(self, step: int, generator: torch.Generator, share: slice) -> Tensor:
        """L1, later the squared error (eq. 2.4, as a mean over channels too), of RGB in [0, 1]."""
        frame_lr, frame_hr = self._sampler.batch(self.stage.batch, generator)
        if len(frame_lr[share]) == 0:
            raise UsageError(f"batch={len(frame_lr)}: too small for so many processes")
        estimate = self.network(frame_lr[share].contiguous(memory_format=torch.channels_last))
        if step < self._l1_steps:
            return functional.l1_loss(estimate, frame_hr[share])
        return functional.mse_loss(estimate, frame_hr[share])

    def validate(self, network: nn.Module) -> float:
        """The mean PSNR in dB over the held-out photographs, by the protocol of the benchmarks."""
        scores = []
        for photo in self._held:
            frame_lr = to_values(imresize(photo, 1 / self.scale).to(self.device)[None])
            estimate = network(frame_lr.contiguous(memory_format=torch.channels_last))[0]
            images = (
                quantise(estimate),
                to_values(photo.to(self.device)),
            )
            # A blank photograph can be met exactly, which would make the mean infinite.
            scores.append(min(score(*images, "y-crop", self.scale, ["psnr"])["psnr"], 100.0))
        return sum(scores) / len(scores)
