"""Training of single-image super-resolution: settings, loss and validation."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from enhance_cli.data.benchmarks import data_roots
from enhance_cli.data.patches import PatchSampler, crop_to_multiple, small_copies, soft_copies
from enhance_cli.engine.loss_features import load_loss_distance, load_loss_features
from enhance_cli.engine.weight_files import cache_folder
from enhance_cli.errors import DatasetError
from enhance_cli.levels import quantise, to_values
from enhance_cli.metrics.protocols import score
from enhance_cli.resize import imresize
from enhance_cli.training.perceptual import Criterion, LossWeights, draw_shift, make_criterion
from enhance_cli.training.stages import Stage, TrainingTask
from enhance_cli.training.start import load_split


@dataclass(frozen=True, kw_only=True)
class SuperResolutionStage(Stage):
    """A network that enlarges pictures which MATLAB's bicubic filter has made smaller.

    Attributes:
        patch: Side of the low-resolution patches in pixels.
        batch: Patches per step, over all processes.
        l1_share: Share of the steps with an L1 loss, before ``losses`` take over. L1 converges
            faster at high learning rates than the squared error, which is what PSNR measures.
        losses: The losses of the other steps, and their weights.
        soft_share: Share of the pixels to train on that are softer than those of reduced
            photographs; see ``soft_copies``.
        small_copies: How many smaller copies of each photograph are trained on too; see
            ``small_copies``.
        flat_share: Share of the drawn patches that are dropped for lack of detail; see
            ``PatchSampler``.
        features: File of the first layers of VGG-19, for the losses that compare features; empty
            looks for it in a folder ``nets`` of the data.
        material: What pairs are made of, in a few words; part of a run's fingerprint.
    """

    material: ClassVar[str] = "photographs"
    patch: int = 32
    batch: int = 16
    l1_share: float = 0.75
    losses: LossWeights = LossWeights(euclidean=1.0)
    soft_share: float = 0.0
    small_copies: int = 0
    flat_share: float = 0.0
    features: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.l1_share <= 1:
            raise ValueError(f"l1_share must be from 0 to 1, not {self.l1_share}")
        if not 0 <= self.soft_share <= 0.5:
            raise ValueError(f"soft_share must be from 0 to 0.5, not {self.soft_share}")
        if not 0 <= self.small_copies <= 8:
            raise ValueError(f"small_copies must be from 0 to 8, not {self.small_copies}")
        if not 0 <= self.flat_share <= 0.9:
            raise ValueError(f"flat_share must be from 0 to 0.9, not {self.flat_share}")
        if self.patch < 1:
            raise ValueError(f"patch must be at least 1, not {self.patch}")

    @property
    def identity(self) -> tuple[object, ...]:
        """The architecture and its scale."""
        return self.architecture, self.config.scale

    def settings(self) -> dict[str, Any]:
        """All settings for JSON, of the file of features only its name."""
        return {**super().settings(), "features": Path(self.features).name}

    def prepare(
        self,
        data: Path,
        validation: Path | None,
        device: torch.device,
        init: dict[str, Tensor] | None = None,
    ) -> "SuperResolution":
        """Read the photographs and make the networks; see ``Stage.prepare``.

        Args:
            data: Folder of photographs to train on.
            validation: Folder of photographs to validate on; None holds out every twentieth.
            device: Where pixels and network live.
            init: Tensors to begin with.

        Raises:
            CheckpointError: Also if features are compared and their network cannot be loaded.
        """
        criterion = self.make_criterion(data, device)
        photos, held = load_split(data, validation)
        network = self.make_network(init)
        network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        seed = self.optimisation.seed
        sharp = [*photos, *small_copies(photos, self.small_copies, seed)]
        soft = soft_copies(sharp, self.soft_share, seed)
        pairs = self.make_source([*sharp, *soft], device)
        about = f"{len(photos)} {self.material}"
        return self.make_task(network, pairs, about, criterion, self.make_held(held), device)

    def make_source(self, photos: list[Tensor], device: torch.device) -> "PairSource":
        """What gives the pairs to train on, from photographs, each uint8 (3, H, W).

        Raises:
            DatasetError: If no photograph is large enough.
        """
        return PatchSampler(photos, int(self.config.scale), self.patch, device, self.flat_share)

    def make_held(self, photos: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
        """The pairs to validate on, from photographs that are never trained on.

        Returns:
            Small and large pictures, each uint8 (3, h, w) and (3, scale * h, scale * w).

        Raises:
            DatasetError: If no photograph is large enough.
        """
        return reduce_photos(photos, int(self.config.scale))

    def make_task(self, *parts: Any) -> "SuperResolution":
        """The task of this stage; see ``SuperResolution`` for its parts."""
        return SuperResolution(self, *parts)

    def make_criterion(self, data: Path, device: torch.device) -> Criterion:
        """Load and make the networks that the losses need.

        Args:
            data: What is trained on; the network of features may lie in ``nets`` beside it.
            device: Where the networks live.

        Raises:
            UsageError: If the losses cannot be had of patches of this size.
            CheckpointError: If the network of features is missing or damaged.
        """
        cache = cache_folder()
        roots = [data, data.absolute().parent, *data_roots(None, cache)]
        file = Path(self.features) if self.features else None
        scale = int(self.config.scale)
        return make_criterion(
            self.losses,
            self.patch * scale,
            self.optimisation.seed,
            device,
            lambda: load_loss_features(file, roots=roots, cache=cache, device=device),
            lambda: load_loss_distance(roots=roots, cache=cache, device=device),
            scale,
        )


class PairSource(Protocol):
    """Gives the pairs of small and large patches that a network is trained on."""

    def batch(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw pairs.

        Args:
            count: How many pairs (N).
            generator: A generator of the CPU; the same state gives the same batch everywhere.

        Returns:
            (N, 3, p, p) and (N, 3, scale * p, scale * p), float32 in [0, 1].
        """


class SuperResolution(TrainingTask):
    """A stage of super-resolution with its pairs, and photographs to validate on.

    Args:
        stage: The stage's settings.
        network: What is trained, on its device.
        pairs: What it is trained on.
        data: The same in a few words.
        criterion: The losses after those of L1.
        held: Small and large pictures to validate on, each uint8 (3, h, w) and
            (3, scale * h, scale * w).
        device: Where pixels and network live.
    """

    stage: SuperResolutionStage
    score_name = "validation_psnr_y"

    def __init__(
        self,
        stage: SuperResolutionStage,
        network: nn.Module,
        pairs: PairSource,
        data: str,
        criterion: Criterion,
        held: Sequence[tuple[Tensor, Tensor]],
        device: torch.device,
    ) -> None:
        super().__init__(stage, network, data)
        self.device = device
        self.scale = int(stage.config.scale)
        self._pairs = pairs
        self.criterion = criterion
        self.adversary = criterion.adversary
        if criterion.adversary is not None:
            self.columns = ("discriminator_on_true", "discriminator_on_made")
        self._held = held
        self._l1_steps = round(stage.l1_share * stage.optimisation.steps)

    def loss(self, step: int, generator: torch.Generator, share: slice) -> Tensor:
        """L1, later the weighed losses, of RGB in [0, 1]."""
        return self.losses(step, generator, share)[0]

    def losses(
        self, step: int, generator: torch.Generator, share: slice
    ) -> tuple[Tensor, Tensor | None]:
        """The same with the adversary's loss, where it is trained."""
        frame_lr, frame_hr = self._pairs.batch(self.stage.batch, generator)
        frame_lr, frame_hr = (
            part[share].contiguous(memory_format=torch.channels_last)
            for part in (frame_lr, frame_hr)
        )
        estimate = self.network(frame_lr)
        if step < self._l1_steps:
            return functional.l1_loss(estimate, frame_hr), None
        shift = draw_shift(generator)
        return self.criterion.losses(estimate, frame_hr, shift, step - self._l1_steps)

    def notes(self, step: int, score: float | None) -> dict[str, Any]:
        """See ``TrainingTask.notes``; also how well the adversary did on the last batch."""
        told = super().notes(step, score)
        if self.criterion.adversary is not None:
            performance = self.criterion.adversary.performance.tolist()
            told |= zip(self.columns, (round(share, 3) for share in performance), strict=True)
        return told

    def validate(self, network: nn.Module) -> float:
        """The mean PSNR in dB over the held-out photographs, by the protocol of the benchmarks."""
        scores = []
        for frame_lr, frame_hr in self._held:
            values_lr = to_values(frame_lr.to(self.device)[None])
            estimate = network(values_lr.contiguous(memory_format=torch.channels_last))[0]
            images = (quantise(estimate), to_values(frame_hr.to(self.device)))
            # A blank photograph can be met exactly, which would make the mean infinite.
            scores.append(min(score(*images, "y-crop", self.scale, ["psnr"])["psnr"], 100.0))
        return sum(scores) / len(scores)


def reduce_photos(photos: Sequence[Tensor], scale: int) -> list[tuple[Tensor, Tensor]]:
    """Photographs and what MATLAB's bicubic filter makes of them, to validate on.

    Args:
        photos: uint8 (3, H, W); those with a side of at most ``3 * scale`` are left out.
        scale: How many pixels of a photograph lie along the side of one of the small picture.

    Returns:
        The small pictures (3, h, w), and the photographs cut to (3, scale * h, scale * w).

    Raises:
        DatasetError: If no photograph is large enough.
    """
    large = [crop_to_multiple(photo, scale) for photo in photos]
    large = [photo for photo in large if min(photo.shape[-2:]) > 3 * scale]
    if not large:
        raise DatasetError(f"no photograph to validate on is larger than {3 * scale} pixels")
    return [(imresize(photo, 1 / scale), photo) for photo in large]
