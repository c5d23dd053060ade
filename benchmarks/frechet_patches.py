"""Are the patches of enlarged squares alike those of the true ones? As table 6.3 of thesis 002.

    python benchmarks/frechet_patches.py --datasets set5,set14,photos-val --side 256
    python benchmarks/frechet_patches.py --models enet-e-x4,vdvae-sr-x4 --temperatures 0,0.2,0.8,1

The squares are those of ``--protocol thesis-SIDE``. Patches are cut from the squares of all data
together, overlapping by half, since there are too few pictures for a distance of whole ones. A
line of JSON for each method tells the Frechet distance between the features of its patches and of
the true ones. FID is such a distance of other features, and of whole pictures: no figure of this is
to be compared with one. Even two sets of true pictures are at a distance, which is told as well: of
the patches of every other square from those of the rest.
"""

import argparse
import json
import sys
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from enhance_cli.data.benchmarks import data_roots, load_pairs
from enhance_cli.data.squares import cut_square
from enhance_cli.engine.catalogue import Model, ModelOptions
from enhance_cli.engine.drawing import NoiseField, draw_answer
from enhance_cli.engine.features import FeatureExtractor, load_features
from enhance_cli.engine.tiled import TilePlan, run_tiled
from enhance_cli.engine.weight_files import cache_folder
from enhance_cli.errors import EnhanceError
from enhance_cli.evaluation.set_scores import FeatureSet, measure_features
from enhance_cli.io.image import read_rgb8
from enhance_cli.levels import to_planes, to_values
from enhance_cli.resize import imresize

SCALE, PATCH = 4, 64


def enlarge_bicubic(small: Tensor) -> Tensor:
    """uint8 (3, h, w) -> uint8 (3, 4 * h, 4 * w)."""
    return imresize(small.double(), SCALE).round().clamp(0, 255).to(torch.uint8)


def enlarge(small: Tensor, model: Model, temperature: float, seed: int) -> Tensor:
    """uint8 (3, h, w) -> uint8 (3, 4 * h, 4 * w); a model without chance has no temperature."""
    draws = model.contract.draws
    network = draw_answer(model, temperature, NoiseField(seed)) if draws else model
    return run_tiled(network, to_values(small), TilePlan(), levels=torch.uint8)


def cut_patches(square: Tensor) -> Tensor:
    """uint8 (3, S, S) -> uint8 (N, 3, PATCH, PATCH)."""
    cut = square.unfold(1, PATCH, PATCH // 2).unfold(2, PATCH, PATCH // 2)
    return cut.permute(1, 2, 0, 3, 4).reshape(-1, 3, PATCH, PATCH)


def measure(extractor: FeatureExtractor, squares: list[Tensor]) -> FeatureSet:
    """The features of all patches of squares."""
    return measure_features(extractor, torch.cat([*map(cut_patches, squares)]), lambda _: None)


def main() -> None:
    """Print one line of JSON for each method."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--datasets", default="set5,set14,photos-val")
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--models", default="enet-e-x4,enet-pat-x4,vdvae-sr-x4")
    parser.add_argument("--temperatures", default="0,0.2,0.8,1")
    parser.add_argument("--features", default="squeezenet")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data-root", type=Path)
    asked = parser.parse_args()
    cache = cache_folder()
    roots = data_roots(asked.data_root, cache)
    device = torch.device("cpu")
    try:
        nets = [folder for root in roots for folder in (root, root.parent)]
        extractor = load_features(asked.features, roots=nets, cache=cache, device=device)
        models = [ModelOptions(name).load("superres", SCALE) for name in asked.models.split(",")]
        pairs = [p for name in asked.datasets.split(",") for p in load_pairs(name, SCALE, roots)]
    except EnhanceError as error:
        sys.exit(f"error: {error}")
    true = [cut_square(to_planes(read_rgb8(pair.reference)), asked.side) for pair in pairs]
    inputs = [imresize(square, 1 / SCALE) for square in true]
    methods = {"bicubic": enlarge_bicubic}
    for model in models:
        temperatures = asked.temperatures.split(",") if model.contract.draws else ["0"]
        for t in temperatures:
            label = f"{model.info.name} ({t})" if model.contract.draws else str(model.info.name)
            methods[label] = partial(enlarge, model=model, temperature=float(t), seed=asked.seed)

    def tell(method: str, count: int, distance: float) -> None:
        told = {"method": method, "patches": count, "frechet": round(distance, 2)}
        sys.stdout.write(json.dumps({**told, "features": extractor.title}) + "\n")
        sys.stdout.flush()

    truth = measure(extractor, true)
    halves = [measure(extractor, true[first::2]) for first in (0, 1)]
    tell("true, halves", min(len(half.features) for half in halves), halves[0].frechet(halves[1]))
    for label, method in methods.items():
        found = measure(extractor, [method(small) for small in inputs])
        tell(label, len(found.features), found.frechet(truth))


if __name__ == "__main__":
    main()
