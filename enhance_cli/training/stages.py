"""What a recipe consists of, and what becomes of one of its stages once its data are read.

A recipe makes the weights of one model in one or more stages. A stage is one run of the training
loop: where its network begins, its data and its loss, and how it descends. Each task has a
subclass of ``Stage``, a frozen dataclass whose ``prepare`` gives a ``TrainingTask``.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from enhance_cli.architectures import ARCHITECTURES, MODELS
from enhance_cli.training.optimisation import Optimisation
from enhance_cli.training.start import EarlierStage, Start, make_network


@dataclass(frozen=True, kw_only=True)
class Stage(ABC):
    """One run of the training loop; each task adds its data and its loss.

    Attributes:
        architecture: Key of ``ARCHITECTURES``.
        config: Hyperparameters, an instance of the architecture's configuration.
        start: Weights to begin with: those tensors are taken whose name and shape fit, and where
            several have them, the last of them counts. Empty for fresh weights.
        batch: Examples per step, over all processes, which take equal shares.
        optimisation: Steps, learning rates, and which weights are kept.
    """

    architecture: str
    config: Any
    start: tuple[Start, ...] = ()
    batch: int
    optimisation: Optimisation = field(default_factory=Optimisation)

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES:
            raise ValueError(f"architecture: choose from {', '.join(ARCHITECTURES)}")
        if not isinstance(self.config, ARCHITECTURES[self.architecture].config):
            raise ValueError(f"architecture: {self.config} is not one of {self.architecture}")
        if self.batch < 1:
            raise ValueError(f"batch must be at least 1, not {self.batch}")

    @property
    @abstractmethod
    def identity(self) -> tuple[object, ...]:
        """What ``--set`` must not change, because another model would come out of it."""

    @abstractmethod
    def prepare(
        self,
        data: Path,
        validation: Path | None,
        device: torch.device,
        init: dict[str, Tensor] | None = None,
    ) -> "TrainingTask":
        """Read the data and make the network.

        Args:
            data: File or folder to train on.
            validation: File or folder to validate on; None holds out a part of ``data``.
            device: Where the network lives.
            init: Tensors to begin with; those are taken whose name and shape fit.

        Raises:
            DatasetError: If the data are missing, or there are too few of them.
            UsageError: If a setting and the data or the network do not go together.
            CheckpointError: If no tensor of ``init`` fits.
        """

    def make_network(self, init: dict[str, Tensor] | None) -> nn.Module:
        """The network on the CPU, its fresh weights drawn by the stage's seed."""
        torch.manual_seed(self.optimisation.seed)
        return make_network(ARCHITECTURES[self.architecture], self.config, init)

    def settings(self) -> dict[str, Any]:
        """All settings for JSON, as checkpoints and states note them."""
        return {**asdict(self), "start": [str(start) for start in self.start]}


class TrainingTask(ABC):
    """A stage with its data: a network, its loss and its validation.

    Args:
        stage: The stage's settings.
        network: What is trained, on its device.
        data: What it is trained on, in a few words; part of a run's fingerprint.

    Attributes:
        unit: Unit of the validation score.
        score_name: How checkpoints call the score.
        model: What checkpoints hold: the network, or that part of it which is used later.
        adversary: A second network that learns beside the first one, with a loss and an optimiser
            of its own, and is not kept in checkpoints; None for most tasks.
        columns: Names of those numbers of ``notes`` that the log of a run has a column for.
    """

    adversary: nn.Module | None = None
    columns: tuple[str, ...] = ()
    unit: str = "dB"
    score_name: str = "validation"

    def __init__(self, stage: Stage, network: nn.Module, data: str) -> None:
        self.stage, self.network, self.data = stage, network, data
        self.model = network

    @abstractmethod
    def loss(self, step: int, generator: torch.Generator, share: slice) -> Tensor:
        """The mean loss of this process's share of a step's batch.

        Args:
            step: Counted from 0.
            generator: Of this step, on the CPU.
            share: Which items of the batch this process takes.
        """

    def losses(
        self, step: int, generator: torch.Generator, share: slice
    ) -> tuple[Tensor, Tensor | None]:
        """The loss of a step as ``loss`` gives it, and the adversary's loss for the same batch.

        The first must have gradients for ``network`` only, the second for ``adversary`` only.
        The second is None in steps in which the adversary is not trained. All processes must
        agree on that, so it may depend only on the step and on the adversary's tensors.
        """
        return self.loss(step, generator, share), None

    def earlier_updates(
        self, step: int, generator: torch.Generator, share: slice
    ) -> Iterable[Tensor]:
        """Losses that the adversary descends one by one in a step, before that of ``losses``.

        Each is asked for after the adversary was updated by the one before. Most tasks have none.
        """
        return ()

    def make_optimiser(self, parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
        """The optimiser of the network, or of the adversary: Adam by the stage's plan."""
        plan = self.stage.optimisation
        return torch.optim.Adam(parameters, lr=plan.learning_rate, betas=plan.betas)

    @abstractmethod
    def validate(self, network: nn.Module) -> float:
        """A score where higher is better, on data that are never trained on.

        Buffers of ``network`` that are filled here are kept in checkpoints.
        """

    def notes(self, step: int, score: float | None) -> dict[str, Any]:
        """What a checkpoint says of its training besides its settings, for JSON.

        Args:
            step: How many steps the weights have behind them.
            score: Their validation score; None where they have not just been validated.
        """
        return {self.score_name: None if score is None else round(score, 4)}


@dataclass(frozen=True)
class Recipe:
    """How the weights of a model are made.

    Attributes:
        name: Name of the recipe and of the model that it makes.
        summary: One line for ``enhance train --list``.
        stages: What is trained in turn; the last stage makes the model.
    """

    name: str
    summary: str
    stages: tuple[Stage, ...]

    def __post_init__(self) -> None:
        for number, stage in enumerate(self.stages, 1):
            for start in stage.start:
                if isinstance(start, EarlierStage) and not 0 < start.number < number:
                    raise ValueError(f"{self.name}: stage {number} cannot begin from {start}")


def make_recipe(model: str, *stages: Stage) -> Recipe:
    """The recipe of a model of ``MODELS``, with the model's summary."""
    return Recipe(model, MODELS[model].summary, stages)


def named_network(model: str) -> dict[str, Any]:
    """The fields of a ``Stage`` that describe the network of a model of ``MODELS``."""
    return {"architecture": MODELS[model].architecture, "config": MODELS[model].config}
