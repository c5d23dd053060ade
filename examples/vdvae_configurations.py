"""Compare the configurations of table 5.1 of thesis 002 over equal steps, small enough for a CPU.

    python examples/vdvae_configurations.py photos -o runs/vdvae-configurations

First a small VDVAE learns squares of 32x32 pixels out of photographs that were reduced to a shorter
side of 160. Each configuration of VDVAE-SR, from 8x8 to 32x32, then begins from it and makes the
same number of steps: with a decoder that learns, and for the two that the thesis tried so, with one
that stays as it is. A run that was stopped goes on when the command is given again.

Beside the files of each run comes ``figures.csv``, which has the parts of the bound in bits per
dimension on held-out squares and on squares of the training photographs, and the PSNR of draws.
In the end ``curves.svg`` shows them, as the plots of figures 5.1, 5.2, 5.5, 5.6, 5.8 and 5.10 do,
and ``draws.png`` what is drawn from held-out squares, as the pictures beside those plots do.
"""

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from enhance_cli.architectures.vdvae import VdvaeConfig
from enhance_cli.architectures.vdvae_blocks import draw_noise
from enhance_cli.architectures.vdvae_sr import VdvaeSr, VdvaeSrConfig
from enhance_cli.data.patches import PatchSampler, PhotoSampler
from enhance_cli.engine.device import keep_freed_memory
from enhance_cli.evaluation.figures import COLOURS, new_drawing, to_svg
from enhance_cli.levels import to_levels, to_pixels, to_values
from enhance_cli.resize import imresize
from enhance_cli.training.loop import train
from enhance_cli.training.optimisation import Optimisation
from enhance_cli.training.resume import STATE_FILE, make_fingerprint
from enhance_cli.training.stages import TrainingTask
from enhance_cli.training.start import WeightsFile, load_split, read_start
from enhance_cli.training.vdvae import VdvaeStage, VdvaeTraining
from enhance_cli.training.vdvae_sr import LadderTraining, VdvaeSrStage

SHORTER, SIDE, SCALE, BATCH = 160, 32, 4, 8
CPU = torch.device("cpu")
BASE = VdvaeConfig(
    side=SIDE,
    encoder="32x1,32d2,16x2,16d2,8x2,8d2,4x1,4d4,1x1",
    decoder="1x1,4m1,4x1,8m4,8x2,16m8,16x2,32m16,32x1",
    width=96,
    widths="32:48",
    bottleneck=0.5,
    mixtures=3,
)
# As in ch. 5.5, the LR encoder is the HR encoder without its resolutions above the small picture.
LR_ENCODER = "8x2,8d2,4x1,4d4,1x1"
# Ch. 5.6 and 5.7 do not say whether the decoder learnt; ch. 6.0.1 says so of the final model.
RUNS: dict[str, tuple[Any, bool]] = {
    "trivial": ("trivial", True),
    "trivial-fixed": ("trivial", False),
    "lr-encoder": ("lr-encoder", True),
    "lr-encoder-fixed": ("lr-encoder", False),
    "posterior": ("posterior", True),
    "final": ("final", True),
}
SHOWN = 4  # held-out squares whose draws are kept
TEMPERATURES = (0.0, 0.2, 1.0)  # of these draws


class Watched(LadderTraining):
    """Keeps what each validation tells, and what is drawn then, in the folder of its run."""

    out: Path
    seen: LadderTraining  # is validated on photographs of the training
    small: Tensor
    step = 0

    def loss(self, step: int, generator: torch.Generator, share: slice) -> Tensor:
        """See ``LadderTraining``."""
        self.step = step + 1
        return super().loss(step, generator, share)

    def validate(self, network: nn.Module) -> float:
        """Validate as any such task does."""
        score = super().validate(network)
        self.seen.validate(network)
        told = {**self._figures, **{f"seen_{k}": v for k, v in self.seen._figures.items()}}
        table = self.out / "figures.csv"
        rows = [row for row in read_rows(table) if int(row["step"]) < self.step]
        rows.append({"step": str(self.step), **{k: f"{v:.4f}" for k, v in told.items()}})
        with table.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
        assert isinstance(network, VdvaeSr)
        chance = torch.Generator().manual_seed(1)
        noises = draw_noise(network.latent_shapes(*self.small.shape[-2:]), SHOWN, chance)
        drawn = [network.draw(self.small, t, noises).clamp(0, 1) for t in TEMPERATURES]
        np.save(self.out / f"draws-{self.step}.npy", to_levels(torch.stack(drawn)).numpy())
        return score


def read_rows(table: Path) -> list[dict[str, str]]:
    """The rows of a table; none if there is no such file."""
    if not table.exists():
        return []
    with table.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def run(task: TrainingTask, out: Path, name: str) -> None:
    """Train, or go on, or do nothing if all steps are done."""
    report = train(
        task,
        out,
        name,
        fingerprint=make_fingerprint(name, task.stage.settings(), task.data, torch.bfloat16),
        device=CPU,
        dtype=torch.bfloat16,
        resume=(out / STATE_FILE).exists(),
    )
    if report.interrupted:
        sys.exit(f"stopped at step {report.step} of {name}; the same command goes on")


def plan(steps: int, rate: float, seed: int) -> Optimisation:
    """Warm-up, a constant rate, and an average short enough for so few steps."""
    return Optimisation(
        steps=steps,
        learning_rate=rate,
        schedule="constant",
        warmup=0.05,
        clip=1.0,
        skip=380.0,
        ema=0.98,
        validate_every=50,
        keep="last",
        seed=seed,
    )


def middle(photo: Tensor) -> Tensor:
    """The square in the middle of a photograph, uint8 (3, SIDE, SIDE)."""
    top, left = ((length - SIDE) // 2 for length in photo.shape[-2:])
    return photo[:, top : top + SIDE, left : left + SIDE]


def train_all(asked: argparse.Namespace) -> Tensor:
    """Make all runs; gives the true squares of those that are drawn, uint8 (N, 3, SIDE, SIDE)."""
    halves = load_split(asked.photos, None)
    photos, held = (
        [imresize(photo, SHORTER / min(photo.shape[-2:])) for photo in half] for half in halves
    )
    about = f"{len(photos)} photographs, shorter side {SHORTER}"
    stage = VdvaeStage(
        config=BASE, optimisation=plan(asked.base_steps, 1e-3, asked.seed), batch=BATCH
    )
    network = stage.make_network(None).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    batches = [PhotoSampler(part, SIDE, CPU).batch for part in (photos, held)]
    run(VdvaeTraining(stage, network, *batches, about), asked.out / "vdvae", "vdvae")

    start = (WeightsFile(asked.out / "vdvae" / "vdvae.safetensors"),)
    pairs, held_pairs = (PatchSampler(part, SCALE, SIDE // SCALE, CPU) for part in (photos, held))
    chosen = held[:: len(held) // SHOWN][:SHOWN]
    true = torch.stack([middle(photo) for photo in chosen])
    for name in asked.runs:
        configuration, trainable = RUNS[name]
        config = VdvaeSrConfig(SCALE, BASE, LR_ENCODER, configuration, trainable)
        sr = VdvaeSrStage(
            architecture="vdvae-sr",
            config=config,
            start=start,
            optimisation=plan(asked.steps, asked.rate, asked.seed),
            patch=SIDE // SCALE,
            batch=BATCH,
        )
        init = read_start(sr.start, asked.out, name, 1)
        network = sr.make_network(init).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        task = Watched(sr, network, pairs, held_pairs, about)
        task.seen = LadderTraining(sr, network, pairs, pairs, about)
        task.small = to_values(torch.stack([imresize(square, 1 / SCALE) for square in true]))
        task.out = asked.out / name
        task.out.mkdir(parents=True, exist_ok=True)
        if not read_rows(task.out / "figures.csv"):
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
                task.validate(network.eval())
        run(task, task.out, name)
    return true


def draw_plots(out: Path, runs: Sequence[str]) -> bytes:
    """Curves of all runs: whole lines on held-out squares, dotted ones on those of the training."""
    titles = {
        "distortion": "Distortion",
        "rate": "Rate",
        "bound": "Negative ELBO",
        "psnr_y_0": "PSNR of luma at temperature 0",
        "psnr_y_1": "PSNR of luma at temperature 1",
    }
    figure = new_drawing((10, 6))
    grid = figure.subplots(2, 3).flatten()
    colours = dict(zip(RUNS, (*COLOURS, "#555555"), strict=True))
    for name in runs:
        rows = read_rows(out / name / "figures.csv")
        steps = [int(row["step"]) for row in rows]
        for panel, column in zip(grid, titles, strict=False):
            for prefix, dashes in (("", "-"), ("seen_", ":")):
                parts = ("distortion", "rate") if column == "bound" else (column,)
                values = [sum(float(row[prefix + part]) for part in parts) for row in rows]
                label = name.replace("-fixed", ", fixed decoder") if prefix == "" else None
                panel.plot(steps, values, dashes, color=colours[name], linewidth=1.2, label=label)
    for panel, (column, title) in zip(grid, titles.items(), strict=False):
        panel.set(title=title, xlabel="step", ylabel="dB" if "psnr" in column else "bits/dim")
        panel.grid(alpha=0.3)
    grid[-1].set_axis_off()
    grid[-1].legend(*grid[0].get_legend_handles_labels(), loc="center")
    return to_svg(figure)


def draw_sheet(out: Path, true: Tensor, runs: Sequence[str], steps: int) -> Image.Image:
    """A row of draws for each run, by rising temperature, and at last the input and the truth."""
    small = torch.stack([imresize(square, 1 / SCALE) for square in true])
    ends = torch.stack([small.repeat_interleave(SCALE, 2).repeat_interleave(SCALE, 3), true])
    rows = [torch.from_numpy(np.load(out / name / f"draws-{steps}.npy")) for name in runs]
    lines = [
        torch.cat([picture for group in (*row, *ends) for picture in group], 2) for row in rows
    ]
    pixels = to_pixels(torch.cat(lines, 1))
    return Image.fromarray(pixels).resize(
        (2 * pixels.shape[1], 2 * pixels.shape[0]), Image.Resampling.NEAREST
    )


def main() -> None:
    """Train, and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--base-steps", type=int, default=1200)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--runs", nargs="+", choices=RUNS, default=list(RUNS))
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    keep_freed_memory()
    true = train_all(asked)
    (asked.out / "curves.svg").write_bytes(draw_plots(asked.out, asked.runs))
    draw_sheet(asked.out, true, asked.runs, asked.steps).save(asked.out / "draws.png")


if __name__ == "__main__":
    main()
