"""Small training tasks, and runs of them, that tests of the loop share."""

import csv
import json
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from enhance_cli.architectures.enhancenet import EnhanceNetConfig
from enhance_cli.architectures.spec import Contract
from enhance_cli.data.patches import PatchSampler
from enhance_cli.resize import imresize
from enhance_cli.training.adversarial import Adversary
from enhance_cli.training.loop import Report, train
from enhance_cli.training.optimisation import Optimisation
from enhance_cli.training.resume import LOG_COLUMNS
from enhance_cli.training.stages import Stage, TrainingTask
from enhance_cli.training.superres import (
    SuperResolution,
    SuperResolutionStage,
    reduce_photos,
)

CPU = torch.device("cpu")
PLAN = Optimisation(steps=8, learning_rate=0.02, validate_every=3, seed=3)


@dataclass(frozen=True)
class CurveFitConfig:
    """Hyperparameters of ``CurveFit``."""

    units: int = 8


class CurveFit(nn.Module):
    """A function of one variable by a few units; ``count`` is no parameter."""

    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.config, self.contract = CurveFitConfig(), Contract(scale=1)
        self.layers = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.layers(x)
        return result


@dataclass(frozen=True, kw_only=True)
class RegressionStage(Stage):
    """Fits sin(2x). The name of an architecture is only written down."""

    architecture: str = "enhancenet"
    config: Any = EnhanceNetConfig(scale=4)
    batch: int = 8
    optimisation: Optimisation = PLAN

    @property
    def identity(self) -> tuple[object, ...]:
        return ()

    def prepare(
        self,
        data: Path,
        validation: Path | None,
        device: torch.device,
        init: dict[str, Tensor] | None = None,
    ) -> "Regression":
        return Regression(self, init=init)


class Regression(TrainingTask):
    """The smallest task; keeps what it was asked to validate."""

    def __init__(
        self,
        stage: Stage | None = None,
        scores: list[float] | None = None,
        init: dict[str, Tensor] | None = None,
    ) -> None:
        torch.manual_seed(0)
        super().__init__(stage or RegressionStage(), CurveFit(), "a curve")
        if init is not None:
            self.network.load_state_dict(init)
        self.scores = scores
        self.validated: list[dict[str, Tensor]] = []

    def loss(self, step: int, generator: torch.Generator, share: slice) -> Tensor:
        x = torch.randn(8, 1, generator=generator)[share]
        return (self.network(x) - torch.sin(2 * x)).square().mean()  # type: ignore[no-any-return]

    def validate(self, network: nn.Module) -> float:
        assert not network.training
        self.validated.append({k: v.clone() for k, v in network.state_dict().items()})
        if self.scores is not None:
            return self.scores[len(self.validated) - 1]
        x = torch.linspace(-2, 2, 50)[:, None]
        return -float((network(x) - torch.sin(2 * x)).square().mean())


class Contest(Regression):
    """The same against a discriminator of its values, which pauses now and then."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        judge = nn.Sequential(nn.Linear(1, 1), nn.Flatten(0))
        nn.init.constant_(judge[0].weight, 4.0)  # type: ignore[arg-type]
        self.adversary = Adversary(judge, winning=0.4)

    def loss(self, step: int, generator: torch.Generator, share: slice) -> Tensor:
        return self.losses(step, generator, share)[0]

    def losses(
        self, step: int, generator: torch.Generator, share: slice
    ) -> tuple[Tensor, Tensor | None]:
        x = torch.randn(8, 1, generator=generator)[share]
        made, true = self.network(x), torch.sin(2 * x)
        assert isinstance(self.adversary, Adversary)
        loss, rival = self.adversary.losses(made, true)
        return (made - true).square().mean() + loss, rival


def regression(plan: Optimisation = PLAN, scores: list[float] | None = None) -> Regression:
    """The task with another plan, or with these scores in place of its own."""
    return Regression(RegressionStage(optimisation=plan), scores)


def photo(seed: int, height: int = 61, width: int = 74) -> Tensor:
    """A smooth random photograph, uint8 (3, H, W)."""
    generator = torch.Generator().manual_seed(seed)
    rough = torch.rand(3, height // 4 + 1, width // 4 + 1, generator=generator)
    return (imresize(rough, 4)[:, :height, :width].clamp(0, 1) * 255).round().to(torch.uint8)


def write_photo(path: Path, image: Tensor) -> None:
    """Write a photograph (3, H, W), its folder too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(path)


def tiny_stage(scale: int = 4, **changes: Any) -> SuperResolutionStage:
    """Super-resolution by a network that trains in no time."""
    stage = SuperResolutionStage(
        architecture="enhancenet",
        config=EnhanceNetConfig(scale=scale, channels=8, blocks=1),
        patch=8,
        batch=4,
        optimisation=PLAN,
    )
    return replace(stage, **changes)


def super_resolution(stage: SuperResolutionStage | None = None) -> SuperResolution:
    """As ``stage.prepare`` makes it, from photographs in memory."""
    stage = stage or tiny_stage()
    network = stage.make_network(None)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    pairs = PatchSampler([photo(1), photo(2)], stage.config.scale, stage.patch, CPU)
    criterion = stage.make_criterion(Path(), CPU)
    held = reduce_photos([photo(3, 40, 44)], stage.config.scale)
    return SuperResolution(stage, network, pairs, "2 photographs", criterion, held, CPU)


TASKS: dict[str, Callable[[], TrainingTask]] = {
    "regression": Regression,
    "super-resolution": super_resolution,
    "contest": Contest,
}


def run(out: Path, make: Callable[[], TrainingTask] = Regression, **options: Any) -> Report:
    """Train a fresh copy of a task, as a new process would, and report every step."""
    options = {"fingerprint": "settings", "device": CPU, "report_every_seconds": 0.0} | options
    return train(make(), out, "model", **options)


def ctrl_c_at(
    step: int, make: Callable[[], TrainingTask] = Regression
) -> Callable[[], TrainingTask]:
    """Makes the task with a user who presses Ctrl-C during that step, counted from 1."""

    def interrupted() -> TrainingTask:
        task = make()
        whole = task.losses

        def losses(index: int, *rest: Any) -> tuple[Tensor, Tensor | None]:
            if index == step - 1:
                signal.raise_signal(signal.SIGINT)
            return whole(index, *rest)

        task.losses = losses  # type: ignore[method-assign]
        return task

    return interrupted


def log_rows(out: Path) -> list[dict[str, str]]:
    """The rows of a run's log, without the time."""
    with (out / "curve.csv").open(newline="") as file:
        reader = csv.DictReader(file)
        assert tuple(reader.fieldnames or ())[: len(LOG_COLUMNS)] == LOG_COLUMNS
        return [{k: v for k, v in row.items() if k != "seconds"} for row in reader]


def described(path: Path) -> dict[str, str]:
    """The metadata of a safetensors file."""
    with safe_open(path, framework="pt") as file:
        return dict(file.metadata())


def notes(path: Path) -> dict[str, Any]:
    """What a checkpoint says of its training; strict JSON, which knows no infinity."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    found: dict[str, Any] = json.loads(described(path)["training"], parse_constant=refuse)
    return found


def assert_same_run(left: Path, right: Path, names: tuple[str, ...] = ("model", "last")) -> None:
    """Bit-identical weights, averages, moments and counters, and the same log."""
    for name in ("state", *names):
        first, second = (load_file(out / f"{name}.safetensors") for out in (left, right))
        assert first.keys() == second.keys()
        for key, value in first.items():
            assert torch.equal(value, second[key]), (name, key)
    states = [described(out / "state.safetensors") for out in (left, right)]
    for key in ("fingerprint", "step", "best"):
        assert states[0][key] == states[1][key]
    assert log_rows(left) == log_rows(right)
