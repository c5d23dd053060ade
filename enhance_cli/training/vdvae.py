"""Training of VDVAE (Child 2020; thesis 002, ch. 4.4 and fig. 6.1)."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from enhance_cli.architectures.vdvae import VDVAE, Bound, Vdvae
from enhance_cli.architectures.vdvae_blocks import start_lively
from enhance_cli.data.patches import PhotoSampler
from enhance_cli.data.picture_sets import PICTURE_SETS
from enhance_cli.errors import UnknownNameError, UsageError
from enhance_cli.levels import to_values
from enhance_cli.training.stages import Stage, TrainingTask
from enhance_cli.training.start import load_split

_VALIDATED = 64  # pictures of a validation
_AT_ONCE = 8

Batch = Callable[[int, torch.Generator], Tensor]


@dataclass(frozen=True, kw_only=True)
class BoundStage(Stage):
    """What the stages that raise an evidence lower bound have in common.

    Attributes:
        rate_warmup: Share of the steps over which the weight of the rate rises from 0 to 1. The
            latents are used from the start then; a decoder that has a good picture anyway would
            rather learn to do without them (posterior collapse, ch. 5.4.3).
    """

    rate_warmup: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.rate_warmup <= 1:
            raise ValueError(f"rate_warmup must be from 0 to 1, not {self.rate_warmup}")

    def rate_weight(self, step: int) -> float:
        """The weight that the rate has in the loss of a step counted from 0."""
        rising = self.rate_warmup * self.optimisation.steps
        return min(1.0, (step + 1) / rising) if rising else 1.0


@dataclass(frozen=True, kw_only=True)
class VdvaeStage(BoundStage):
    """The evidence lower bound of small pictures.

    Attributes:
        architecture: There is one.
        dataset: Key of ``PICTURE_SETS``, or empty for squares out of photographs.
        batch: Pictures per step, over all processes.
        lively_start: Whether fresh weights are those of ``vdvae_blocks.start_lively``, for
            trainings of thousands of steps. Weights that are given stay as they are.
    """

    architecture: str = VDVAE.name
    dataset: str = ""
    batch: int = 32
    lively_start: bool = False

    def __post_init__(self) -> None:
        if self.dataset and self.dataset not in PICTURE_SETS:
            raise UnknownNameError("dataset", self.dataset, PICTURE_SETS)
        super().__post_init__()

    @property
    def identity(self) -> tuple[object, ...]:
        """What the pictures are, and the block strings."""
        return self.dataset, self.config.side, self.config.encoder, self.config.decoder

    def make_network(self, init: dict[str, Tensor] | None) -> nn.Module:
        """See ``Stage.make_network``; ``lively_start`` counts where ``init`` is None."""
        network = super().make_network(init)
        if self.lively_start and init is None:
            start_lively(network, cast(Vdvae, network).encoder)
        return network

    def prepare(
        self,
        data: Path,
        validation: Path | None,
        device: torch.device,
        init: dict[str, Tensor] | None = None,
    ) -> "VdvaeTraining":
        """Read the pictures and make the network; see ``Stage.prepare``.

        Args:
            data: Folder of photographs, or the file of ``dataset`` or its folder.
            validation: Another such, to validate on; None holds out a part of ``data``.
            device: Where pixels and network live.
            init: Tensors to begin with.
        """
        side = self.config.side
        if self.dataset:
            read = PICTURE_SETS[self.dataset].read
            sets = read(data)
            held = sets.validation if validation is None else read(validation).validation
            if sets.train.shape[1:] != (3, side, side):
                raise UsageError(
                    f"{self.dataset}: pictures of shape {tuple(sets.train.shape[1:])}, the "
                    f"network takes 3 planes of {side}x{side}"
                )
            batches = _choose_from(sets.train.to(device)), _choose_from(held.to(device))
            about = f"{len(sets.train)} pictures of {self.dataset}"
        else:
            photos, others = load_split(data, validation)
            batches = (
                PhotoSampler(photos, side, device).batch,
                PhotoSampler(others, side, device).batch,
            )
            about = f"{len(photos)} photographs"
        network = self.make_network(init)
        network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return VdvaeTraining(self, network, *batches, about)


def _choose_from(pictures: Tensor) -> Batch:
    """Draws from pictures uint8 (N, C, side, side), and shows half of them mirrored."""

    def batch(count: int, generator: torch.Generator) -> Tensor:
        chosen = torch.randint(len(pictures), (count,), generator=generator)
        turned = torch.rand(count, generator=generator) < 0.5
        x = to_values(pictures[chosen.to(pictures.device)])
        return torch.where(turned.to(x.device)[:, None, None, None], x.flip(-1), x)

    return batch


class BoundTraining(TrainingTask):
    """A stage that raises the evidence lower bound, in bits per dimension.

    Args:
        stage: The stage's settings.
        network: What is trained, on its device.
        data: What it is trained on, in a few words.
    """

    stage: BoundStage
    unit = "-bits/dim"
    columns: tuple[str, ...] = ("distortion", "rate")

    def __init__(self, stage: BoundStage, network: nn.Module, data: str) -> None:
        super().__init__(stage, network, data)
        self._figures: dict[str, float] = {}

    def loss_of(self, bound: Bound, step: int) -> Tensor:
        """The negative bound, the mean over its pictures; at first its rate counts less."""
        return (bound.distortion + self.stage.rate_weight(step) * bound.rate).mean()

    def notes(self, step: int, score: float | None) -> dict[str, Any]:
        """Also the parts of the score, if it has just been measured."""
        figures = self._figures if score is not None else {}
        return {
            **super().notes(step, score),
            **{name: round(value, 4) for name, value in figures.items()},
        }


def noise_of_share(generator: torch.Generator, share: slice) -> torch.Generator:
    """The source of noise for a share of a batch: other processes need other noise.

    Args:
        generator: Of the step, the same in all processes.
        share: Which part of the batch this process takes.
    """
    return torch.Generator().manual_seed(generator.initial_seed() + (share.start or 0))


class VdvaeTraining(BoundTraining):
    """A stage with its pictures.

    Args:
        stage: The stage's settings.
        network: What is trained, on its device.
        train: Gives pictures to train on.
        held: Gives pictures to validate on.
        data: What it is trained on, in a few words.
    """

    stage: VdvaeStage

    def __init__(
        self, stage: VdvaeStage, network: nn.Module, train: Batch, held: Batch, data: str
    ) -> None:
        super().__init__(stage, network, data)
        self._train, self._held = train, held

    def loss(self, step: int, generator: torch.Generator, share: slice) -> Tensor:
        """The negative bound in bits per dimension, the mean of this process's share.

        At first its rate counts less.
        """
        x = self._train(self.stage.batch, generator)[share]
        own = noise_of_share(generator, share)
        bound = cast(Vdvae, self.network).bound(_channels_last(x), own)
        return self.loss_of(bound, step)

    def validate(self, network: nn.Module) -> float:
        """The bound in bits per dimension over the same held-out pictures and noise every time."""
        generator = torch.Generator().manual_seed(0)
        totals = dict.fromkeys(self.columns, 0.0)
        for x in self._held(_VALIDATED, generator).split(_AT_ONCE):  # type: ignore[no-untyped-call]
            bound = cast(Vdvae, network).bound(_channels_last(x), generator)
            totals["distortion"] += float(bound.distortion.sum())
            totals["rate"] += float(bound.rate.sum())
        self._figures = {name: total / _VALIDATED for name, total in totals.items()}
        return -sum(self._figures.values())


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)
