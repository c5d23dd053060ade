"""Small low-light tasks that tests of their training share."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from enhance_cli.architectures import ARCHITECTURES
from enhance_cli.architectures.sid_fcn import SidFcnConfig
from enhance_cli.data.darkness import DarkPairs, pack
from enhance_cli.engine.checkpoint import build
from enhance_cli.resize import imresize
from enhance_cli.training.lowlight import LowLight, LowLightStage, TrainingModel
from enhance_cli.training.objectives import HybridObjective
from enhance_cli.training.optimisation import Optimisation, step_generator

CPU = torch.device("cpu")
PLAIN = HybridObjective(alpha=0.0, prior_deviation=0.0)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def write_photos(folder: Path) -> Path:
    """Three photographs of 101x96 pixels."""
    for index in range(3):
        rough = random(3, 8, 9, seed=index)
        image = (imresize(rough, 12)[:, :96, :101].clamp(0, 1) * 255).round().to(torch.uint8)
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / f"{index}.png")
    return folder


def tiny(objective: HybridObjective = PLAIN, **changes: Any) -> LowLightStage:
    stage = LowLightStage(
        architecture="sid-fcn",
        config=SidFcnConfig(**{"width": 2, "latent": 2} | changes.pop("config", {})),
        patch=32,
        batch=4,
        objective=objective,
        optimisation=Optimisation(steps=8, learning_rate=3e-3, validate_every=4, seed=1),
    )
    return replace(stage, **changes)


def prepare(stage: LowLightStage, photos: Path, **options: Any) -> LowLight:
    return stage.prepare(photos, photos, CPU, **options)


def loss(task: LowLight, step: int = 0, share: slice = slice(None)) -> Tensor:
    return task.loss(step, step_generator(1, step), share)


class Fixed:
    """The same pairs each time."""

    summary = "fixed pairs"

    def __init__(self, pairs: DarkPairs) -> None:
        self.pairs = pairs

    def draw(self, count: int, generator: torch.Generator) -> DarkPairs:
        return self.pairs

    def validation(self) -> Any:
        return iter([self.pairs.take(slice(0, 1))])


def some_pairs(planes: int, side: int, count: int = 1) -> DarkPairs:
    clean = random(count, 3, side, side, seed=1)
    dark = pack(clean) if planes == 4 else clean
    dark = dark * 1.5 - 0.2
    matrix = torch.tensor([[1.4, -0.3, -0.1], [-0.2, 1.3, -0.1], [0.0, -0.4, 1.4]])
    return DarkPairs(dark, clean, matrix.expand(count, 3, 3))


def direct(architecture: str, config: dict[str, Any], planes: int = 4) -> LowLight:
    """An task of a network that works on patches, without photographs of 512 pixels."""
    torch.manual_seed(0)
    made = ARCHITECTURES[architecture]
    network = build(made, made.config(**config))
    stage = LowLightStage(
        architecture=architecture, config=made.config(**config), patch=512, batch=1
    )
    pairs = some_pairs(planes, 512 if planes == 4 else 256)
    return LowLight(stage, TrainingModel(network, True), Fixed(pairs))
