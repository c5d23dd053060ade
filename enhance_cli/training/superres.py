"""Training of single-image super-resolution: recipe, objective and validation."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from enhance_cli.architectures import ARCHITECTURES
from enhance_cli.data.patches import PatchSampler, crop_to_multiple
from enhance_cli.engine.checkpoint import save_checkpoint
from enhance_cli.errors import DatasetError, UsageError
from enhance_cli.levels import quantise, to_values
from enhance_cli.metrics.protocols import score
from enhance_cli.resize import imresize
from enhance_cli.training.loop import Optimisation
from enhance_cli.training.start import load_split, make_network


@dataclass(frozen=True)
class SuperResolutionRecipe:
    """A network, its degradation (MATLAB bicubic) and its losses.

    Attributes:
        name: of the recipe and of the model that it makes.
        summary: one line for ``enhance train --list``.
        architecture: key of ``ARCHITECTURES``.
        config: hyperparameters of the architecture, ``scale`` among them.
        patch: LR patch side.
        batch: patches per step, over all processes.
        l1_share: share of the steps with an L1 loss before the squared error of eq. 2.4; L1
            converges faster at high learning rates, the squared error is what PSNR measures.
        optimisation: schedule and optimiser.
    """

    name: str
    summary: str
    architecture: str
    config: dict[str, Any]
    patch: int = 32
    batch: int = 16
    l1_share: float = 0.75
    optimisation: Optimisation = field(default_factory=Optimisation)

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES:
            raise ValueError(f"choose from {', '.join(ARCHITECTURES)}")
        if not 0 <= self.l1_share <= 1:
            raise ValueError(f"l1_share must be from 0 to 1, not {self.l1_share}")
        if min(self.patch, self.batch) < 1:
            raise ValueError("patch and batch must be at least 1")

    @property
    def identity(self) -> tuple[object, ...]:
        """Name and scale."""
        return self.name, self.config["scale"]

    def prepare(
        self,
        data: Path,
        validation: Path | None,
        device: torch.device,
        init: dict[str, Tensor] | None = None,
    ) -> "SuperResolution":
        """Read the data and make the network.

        Args:
            data: folder of photographs to train on.
            validation: folder of photographs to validate on; None holds out every twentieth.
            device: where pixels and network live.
            init: tensors to start from; those whose name and shape fit are taken.

        Raises:
            DatasetError: if there are too few usable photographs.
            CheckpointError: if no tensor of ``init`` fits.
        """
        photos, held = load_split(data, validation)
        torch.manual_seed(self.optimisation.seed)
        network = make_network(ARCHITECTURES[self.architecture], self.config, init)
        network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return SuperResolution(self, network, photos, held, device)


class SuperResolution:
    """A prepared recipe; see ``training.loop.Experiment``."""

    unit = "dB"

    def __init__(
        self,
        recipe: SuperResolutionRecipe,
        network: nn.Module,
        photos: Sequence[Tensor],
        held: Sequence[Tensor],
        device: torch.device,
    ) -> None:
        self.recipe, self.network, self.device = recipe, network, device
        self.scale = int(recipe.config["scale"])
        self.data = f"{len(photos)} photographs"
        self._sampler = PatchSampler(photos, self.scale, recipe.patch, device)
        self._held = [
            crop_to_multiple(photo, self.scale)
            for photo in held
            if min(photo.shape[-2:]) > 3 * self.scale
        ]
        if not self._held:
            raise DatasetError(
                f"no photograph to validate on is larger than {3 * self.scale} pixels"
            )
        self._l1_steps = round(recipe.l1_share * recipe.optimisation.steps)

    def loss(self, step: int, generator: torch.Generator, share: slice) -> Tensor:
        """L1, later the squared error (eq. 2.4, as a mean over channels too), of RGB in [0, 1]."""
        frame_lr, frame_hr = self._sampler.batch(self.recipe.batch, generator)
        if len(frame_lr[share]) == 0:
            raise UsageError(f"batch={len(frame_lr)}: too small for so many processes")
        estimate = self.network(frame_lr[share].contiguous(memory_format=torch.channels_last))
        if step < self._l1_steps:
            return functional.l1_loss(estimate, frame_hr[share])
        return functional.mse_loss(estimate, frame_hr[share])

    def validate(self, network: nn.Module) -> float:
        """Mean PSNR in dB over the validation pictures, by the protocol of the benchmarks."""
        scores = []
        for photo in self._held:
            frame_lr = to_values(imresize(photo, 1 / self.scale).to(self.device)[None])
            estimate = network(frame_lr.contiguous(memory_format=torch.channels_last))[0]
            images = (
                quantise(estimate),
                to_values(photo.to(self.device)),
            )
            scores.append(score(*images, "y-crop", self.scale, ["psnr"])["psnr"])
            scores[-1] = min(scores[-1], 100.0)  # a blank one can be met exactly
        return sum(scores) / len(scores)

    def save(self, path: Path, tensors: dict[str, Tensor], step: int, score: float) -> None:
        """Write a checkpoint with its recipe, step and validation score."""
        save_checkpoint(
            path,
            self.network,
            ARCHITECTURES[self.recipe.architecture],
            self.recipe.name,
            tensors=tensors,
            training={
                "recipe": asdict(self.recipe),
                "data": self.data,
                "step": step,
                "validation_psnr_y": round(score, 4) if math.isfinite(score) else None,
            },
        )
