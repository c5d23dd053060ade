"""Does the spread of a model's answers foretell its errors? Rank correlation on photographs.

    python benchmarks/spread.py --model vdvae-sr [--temperature 1] [--samples 8]
    python benchmarks/spread.py --weights runs/mine/mine.safetensors --dataset set14

Each photograph is reduced by MATLAB's bicubic and enlarged again: once along the mean path, whose
distance to the truth is the error, and by several samples, whose standard deviation is the spread.
Spearman's rank correlation of the two is told for single pixels and for the means of blocks of
8x8, since the error of a single pixel is one draw, and noisy. Beside it stands that of the input's
own contrast, which needs no model: a spread that foretells less is worth nothing. ``calibration``
is the root mean square of the error divided by that of the spread; 1 is right for samples of
temperature 1 and a mean path in their middle.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import Tensor

from enhance_cli.data.benchmarks import data_roots, load_pairs
from enhance_cli.engine.catalogue import Model, ModelOptions
from enhance_cli.engine.drawing import NoiseField, draw_answer
from enhance_cli.engine.spread import RunningSpread
from enhance_cli.engine.tiled import TilePlan, run_tiled
from enhance_cli.engine.weight_files import cache_folder
from enhance_cli.errors import EnhanceError, UsageError
from enhance_cli.io.image import read_rgb8
from enhance_cli.levels import to_pixels, to_planes, to_values
from enhance_cli.resize import imresize

BLOCK = 8  # pixels
Map = NDArray[np.float64]


def enlarge(model: Model, small: Tensor, temperature: float, noise: NoiseField) -> Tensor:
    """uint8 (3, h, w) -> uint16 (3, scale * h, scale * w), since 8 bits hide small spreads."""
    network = draw_answer(model, temperature, noise)
    return run_tiled(network, to_values(small), TilePlan(), levels=torch.uint16)


def root_mean_square(difference: Tensor) -> Map:
    """(3, H, W) -> (H, W), over the colours."""
    found: Map = difference.square().mean(0).sqrt().numpy()
    return found


def local_contrast(small: Tensor, scale: int) -> Map:
    """The standard deviation of the enlarged input within 2 small pixels, (H, W)."""
    values = imresize(small.double(), scale)[None] / 255
    side = 4 * scale + 1
    mean, square = (
        torch.nn.functional.avg_pool2d(part, side, 1, side // 2, count_include_pad=False)
        for part in (values, values.square())
    )
    found: Map = (square - mean.square()).clamp(min=0).mean(1)[0].sqrt().numpy()
    return found


def block_means(values: Map) -> Map:
    """Root mean squares of blocks; what is left over at the right and below is not counted."""
    rows, columns = (side // BLOCK for side in values.shape)
    cut = values[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK)
    found: Map = np.sqrt(np.square(cut).mean((1, 3)))
    return found


def measure(model: Model, reference: Path, arguments: argparse.Namespace) -> dict[str, float]:
    """What the spread tells of the errors in one photograph."""
    scale = model.contract.scale
    truth = to_planes(read_rgb8(reference))
    height, width = (side - side % scale for side in truth.shape[-2:])
    truth = truth[:, :height, :width]
    small = imresize(truth, 1 / scale)
    running = RunningSpread()
    for sample in range(arguments.samples):
        noise = NoiseField(arguments.seed, sample)
        drawn = enlarge(model, small, arguments.temperature, noise)
        running.add(to_pixels(drawn, drawn.dtype))
    spread = running.spread().astype(np.float64)
    mean = enlarge(model, small, 0.0, NoiseField(arguments.seed))
    error = root_mean_square(to_values(mean, torch.float64) - to_values(truth, torch.float64))
    contrast = local_contrast(small, scale)
    return {
        "pixels": float(spearmanr(spread, error, axis=None).statistic),
        "blocks": float(spearmanr(block_means(spread), block_means(error), axis=None).statistic),
        "contrast_pixels": float(spearmanr(contrast, error, axis=None).statistic),
        "contrast_blocks": float(
            spearmanr(block_means(contrast), block_means(error), axis=None).statistic
        ),
        "calibration": float(np.sqrt(np.square(error).mean() / np.square(spread).mean())),
    }


def main() -> None:
    """Print one line of JSON for each photograph, and one for their mean."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--dataset", default="photos-val")
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    try:
        model = ModelOptions(arguments.model, arguments.weights).load("superres")
        if not model.contract.draws:
            raise UsageError(
                f"model {model.info.name!r} has no chance in it, choose one that draws"
            )
        roots = data_roots(arguments.data_root, cache_folder())
        pairs = load_pairs(arguments.dataset, model.contract.scale, roots)
    except EnhanceError as error:
        sys.exit(f"error: {error}")
    rows = []
    for pair in pairs:
        rows.append(measure(model, pair.reference, arguments))
        sys.stdout.write(json.dumps({"image": pair.name, **rows[-1]}) + "\n")
        sys.stdout.flush()
    mean = {key: sum(row[key] for row in rows) / len(rows) for key in rows[0]}
    sys.stdout.write(json.dumps({"image": "mean", **mean}) + "\n")


if __name__ == "__main__":
    main()
