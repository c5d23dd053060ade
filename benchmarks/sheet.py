"""A sheet of squares enlarged by models, as figures 6.3 to 6.8 of thesis 002, and their times.

    python benchmarks/sheet.py --dataset set14 --side 256 --images img_001,img_011 -o sheet.png
    python benchmarks/sheet.py --models enet-e-x4,vdvae-sr-x4 --temperatures 0,0.2,0.8,1 --samples 4

A row for each picture: the truth, the input, bicubic enlargement, and each model; one that draws
has a column for each temperature, and one for the spread of several samples at the last. Below each
stands its PSNR in dB by the protocol ``thesis-SIDE``. For each model a line of JSON tells its
parameters and the seconds that a megapixel of the result takes, for each sample.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, nn

from enhance_cli.data.benchmarks import data_roots, load_pairs
from enhance_cli.data.squares import cut_square
from enhance_cli.engine.catalogue import Model, ModelOptions
from enhance_cli.engine.drawing import NoiseField, draw_answer
from enhance_cli.engine.spread import RunningSpread
from enhance_cli.engine.tiled import TilePlan, run_tiled
from enhance_cli.engine.weight_files import cache_folder
from enhance_cli.errors import EnhanceError
from enhance_cli.io.image import read_rgb8
from enhance_cli.levels import to_pixels, to_planes, to_values
from enhance_cli.metrics.protocols import score
from enhance_cli.resize import imresize

SCALE, MARGIN, LINE = 4, 6, 16
SMALLEST = 128  # side at which pictures are shown; smaller ones have larger pixels
BRIGHT = 0.1  # standard deviation, of white, that is drawn brightest

Pixels = NDArray[np.uint8]
Column = tuple[str, Pixels, str]  # heading, picture, what stands below it


class Clock:
    """Seconds and pixels of a model's results."""

    def __init__(self) -> None:
        self.seconds = self.pixels = 0.0

    def run(self, model: Model, small: Tensor, temperature: float, noise: NoiseField) -> Tensor:
        """uint8 (3, h, w) -> uint8 (3, 4 * h, 4 * w)."""
        start = time.perf_counter()
        network = draw_answer(model, temperature, noise) if model.contract.draws else model
        result = run_tiled(network, to_values(small), TilePlan(), levels=torch.uint8)
        self.seconds += time.perf_counter() - start
        self.pixels += result[0].numel()
        return result


def columns(
    reference: Path, models: dict[str, Model], clocks: dict[str, Clock], asked: argparse.Namespace
) -> Iterator[Column]:
    """The pictures of a row."""
    truth = cut_square(to_planes(read_rgb8(reference)), asked.side)
    small = imresize(truth, 1 / SCALE)

    def column(heading: str, estimate: Tensor) -> Column:
        values, wanted = (to_values(picture, torch.float64) for picture in (estimate, truth))
        decibels = score(values, wanted, "y-crop", 0, ["psnr"])["psnr"]
        return heading, to_pixels(estimate), f"{decibels:.2f}"

    yield "truth", to_pixels(truth), "PSNR (dB)"
    repeated = small.repeat_interleave(SCALE, 1).repeat_interleave(SCALE, 2)
    yield "input", to_pixels(repeated), f"{asked.side // SCALE} pixels"
    bicubic = imresize(small.double(), SCALE).round().clamp(0, 255).to(torch.uint8)
    yield column("bicubic", bicubic)
    for name, model in models.items():
        temperatures = asked.temperatures if model.contract.draws else [0.0]
        for temperature in temperatures:
            heading = f"{name} ({temperature:g})" if model.contract.draws else name
            noise = NoiseField(asked.seed)
            yield column(heading, clocks[name].run(model, small, temperature, noise))
        if model.contract.draws and temperatures[-1] > 0:
            running = RunningSpread()
            for sample in range(asked.samples):
                noise = NoiseField(asked.seed, sample)
                drawn = clocks[name].run(model, small, temperatures[-1], noise)
                running.add(to_pixels(drawn))
            shown = colormaps["inferno"](running.spread() / BRIGHT, bytes=True)[..., :3]
            yield f"spread of {asked.samples}", shown, f"0 to {255 * BRIGHT:.1f} levels"


def compose(rows: list[list[Column]], side: int) -> Image.Image:
    """Rows of pictures with their headings, and a line below each picture."""
    side *= max(1, SMALLEST // side)
    wide, high = side + MARGIN, side + LINE + MARGIN
    width = MARGIN + wide * max(map(len, rows))
    sheet = Image.new("RGB", (width, MARGIN + LINE + high * len(rows)), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for place, (heading, _, _) in enumerate(rows[0]):
        pen.text((MARGIN + place * wide, MARGIN // 2), heading, "black", font)
    for number, row in enumerate(rows):
        top = MARGIN + LINE + number * high
        for place, (_, picture, below) in enumerate(row):
            left = MARGIN + place * wide
            shown = Image.fromarray(np.ascontiguousarray(picture))
            sheet.paste(shown.resize((side, side), Image.Resampling.NEAREST), (left, top))
            pen.text((left, top + side + 1), below, "black", font)
    return sheet


def main() -> None:
    """Write the sheet, and print one line of JSON for each model."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--dataset", default="set14")
    parser.add_argument("--images", default="img_001,img_011")
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--models", default="enet-e-x4,enet-pat-x4")
    parser.add_argument("--weights", type=Path, help="another model, in a checkpoint")
    parser.add_argument("--temperatures", default="0,0.2,0.8,1")
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("sheet.png"))
    asked = parser.parse_args()
    asked.temperatures = [float(text) for text in asked.temperatures.split(",")]
    options = [ModelOptions(name) for name in asked.models.split(",") if name]
    options += [ModelOptions(weights=asked.weights)] if asked.weights else []
    try:
        loaded = [option.load("superres", SCALE) for option in options]
        pairs = load_pairs(asked.dataset, SCALE, data_roots(asked.data_root, cache_folder()))
    except EnhanceError as error:
        sys.exit(f"error: {error}")
    models = {str(model.info.name): model for model in loaded}
    clocks = {name: Clock() for name in models}
    wanted = asked.images.split(",")
    chosen = [pair.reference for pair in pairs if pair.name in wanted]
    if not chosen:
        sys.exit(f"error: --images {asked.images}: none of {[pair.name for pair in pairs]}")
    rows = [list(columns(path, models, clocks, asked)) for path in chosen]
    compose(rows, asked.side).save(asked.output)
    for name, clock in clocks.items():
        network = models[name].network
        assert isinstance(network, nn.Module)
        told = {
            "model": name,
            "parameters": sum(parameter.numel() for parameter in network.parameters()),
            "seconds_per_megapixel": round(clock.seconds / clock.pixels * 1e6, 2),
        }
        sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
