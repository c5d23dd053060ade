"""Train a GAN and keep what it draws, and what the lens makes of true pictures, at each validation.

    python examples/lens_over_time.py digits-tempered mnist.npz -o runs/digits-tempered
    python examples/lens_over_time.py digits-gan mnist.npz -o runs/digits-gan --set seed=1

The run is that of ``enhance train``. Beside it come ``over_time.png``, a row for each validation
with drawn pictures on the left and lensed ones on the right (fig. 4.10 of dissertation 003), and
``figures.csv`` with the Frechet distance, the combinations of digits that were drawn, and the mean
squared change of the lens.
"""

import argparse
import csv
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from enhance_cli.architectures.dcgan import to_drawn
from enhance_cli.levels import to_levels, to_pixels, to_values
from enhance_cli.training.loop import train
from enhance_cli.training.overrides import override
from enhance_cli.training.recipes import RECIPES
from enhance_cli.training.resume import STATE_FILE, make_fingerprint
from enhance_cli.training.tempered import TemperedGenerator, TemperedStage, TemperedTraining

SHOWN = 8  # pictures on each side
GAP = 6  # white pixels between the two sides


def look(network: TemperedGenerator, true: Tensor, stage: TemperedStage) -> tuple[Tensor, float]:
    """A row of pictures, uint8 (C, side, W), and the mean squared change of the lens."""
    config = stage.config
    codes = torch.randn(SHOWN, config.latent, generator=torch.Generator().manual_seed(1))
    seen = to_drawn(to_values(true), config.padding)
    lensed = seen if network.lens is None else network.lens(seen)
    cut = slice(config.padding, config.padding + config.side)
    drawn = torch.cat(list(network.generator.decode(codes)), 2)
    right = torch.cat(list((lensed[..., cut, cut] + 1) / 2), 2)
    gap = torch.ones(*drawn.shape[:2], GAP)
    row = to_levels(torch.cat([drawn, gap, right], 2))
    return row, float((lensed - seen).square().mean())


class Watched:
    """Keeps what each validation of a task shows, in the folder of its run."""

    def __init__(self, task: TemperedTraining, true: Tensor, out: Path) -> None:
        self._task, self._true, self._out = task, true, out
        self._validate = task.validate

    def validate(self, network: nn.Module) -> float:
        """Validate as the task does."""
        score = self._validate(network)
        assert isinstance(network, TemperedGenerator)
        row, change = look(network, self._true, self._task.stage)
        picture = self._out / "over_time.png"
        pixels = to_pixels(row)
        if picture.exists():
            with Image.open(picture) as before:
                pixels = np.concatenate([np.asarray(before).reshape(-1, *pixels.shape[1:]), pixels])
        Image.fromarray(pixels.squeeze()).save(picture)
        figures: dict[str, Any] = {**self._task.notes(0, score), "change": change}
        table = self._out / "figures.csv"
        new = not table.exists()
        with table.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, figures)
            if new:
                writer.writeheader()
            writer.writerow(figures)
        return score


def main() -> None:
    """Train, and watch."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe")
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--fp32", action="store_true", help="in place of bf16")
    asked = parser.parse_args()
    device = torch.device("cpu")
    dtype = torch.float32 if asked.fp32 else torch.bfloat16
    (stage,) = (override(stage, asked.set) for stage in RECIPES[asked.recipe].stages)
    task = stage.prepare(asked.data, None, device)
    asked.out.mkdir(parents=True, exist_ok=True)
    task.validate = Watched(task, task.train_pictures[:SHOWN], asked.out).validate
    train(
        task,
        asked.out,
        asked.recipe,
        fingerprint=make_fingerprint(asked.recipe, stage.settings(), task.data, dtype),
        device=device,
        dtype=dtype,
        resume=(asked.out / STATE_FILE).exists(),
    )


if __name__ == "__main__":
    main()
