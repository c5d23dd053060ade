"""Make the pairs that a network for real pictures learns from, with a large network as teacher.

    enhance weights import RealESRGAN_x4plus.pth --as teacher -o teacher.safetensors
    python examples/teacher_pairs.py photos --teacher teacher.safetensors -n 2000 -o pairs
    enhance train enet-real-x4 --data pairs

Squares of the photographs are worn out (``enhance_cli.data.wear``) and enlarged by the teacher.
Files of 128 pairs each appear one by one, so the work can be interrupted; called again, it goes on.
"""

import argparse
import os
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from enhance_cli.data.patches import load_photos
from enhance_cli.data.wear import Wear
from enhance_cli.engine.catalogue import Model, ModelOptions
from enhance_cli.engine.tiled import TilePlan, run_tiled
from enhance_cli.errors import EnhanceError
from enhance_cli.levels import to_levels, to_values
from enhance_cli.talk import Talk

PER_FILE = 128
FLATTEST = 0.06  # Squares whose grey deviates less than this from its mean teach little.


def draw_square(
    photos: list[Tensor], side: int, generator: torch.Generator
) -> tuple[int, Tensor] | None:
    """A square of a photograph, which is drawn by area; None if it is flat."""
    areas = torch.tensor([float(photo[0].numel()) for photo in photos])
    index = int(torch.multinomial(areas, 1, generator=generator))
    top, left = (
        int(torch.randint(length - side + 1, (), generator=generator))
        for length in photos[index].shape[-2:]
    )
    square = photos[index][:, top : top + side, left : left + side]
    flat = float(to_values(square).mean(0).std()) < FLATTEST
    return None if flat else (index, square)


def make_file(
    photos: list[Tensor], teacher: Model, side: int, number: int, seed: int
) -> dict[str, Tensor]:
    """One file of pairs; see ``enhance_cli.data.pairs``."""
    scale = teacher.contract.scale
    generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
    rows: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
    while len(rows) < PER_FILE:
        drawn = draw_square(photos, side * scale, generator)
        if drawn is None:
            continue
        index, truth = drawn
        worn = Wear().apply(to_values(truth), scale, generator)
        taught = run_tiled(teacher, worn, TilePlan(tile=0), levels=torch.uint8)
        rows.append((to_levels(worn), taught, truth, torch.tensor(index)))
    names = ("input", "teacher", "truth", "photo")
    return {
        name: torch.stack(column)
        for name, column in zip(names, zip(*rows, strict=True), strict=True)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, help="folder of sharp photographs")
    parser.add_argument("--teacher", type=Path, required=True, help="its checkpoint")
    parser.add_argument("-n", type=int, default=2000, help="how many pairs, at least")
    parser.add_argument("--side", type=int, default=64, help="side of the small pictures")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--precision", default="auto", help="bf16 is faster on new processors")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the pairs")
    options = parser.parse_args()
    model = ModelOptions(weights=options.teacher, precision=options.precision)
    teacher = model.load("superres")
    side = options.side * teacher.contract.scale
    photos = [photo for photo in load_photos(options.photos) if min(photo.shape[-2:]) >= side]
    if not photos:
        parser.error(f"{options.photos}: no photograph has {side} pixels on both sides")
    options.output.mkdir(parents=True, exist_ok=True)
    talk = Talk()
    files = -(-options.n // PER_FILE)
    with talk.progress("teaching", files, "files") as bar:
        for number in range(files):
            target = options.output / f"pairs_{number:03d}.safetensors"
            if not target.exists():
                part = target.with_suffix(".part")
                save_file(make_file(photos, teacher, options.side, number, options.seed), part)
                os.replace(part, target)
            bar.advance(1)


if __name__ == "__main__":
    try:
        main()
    except EnhanceError as error:
        sys.exit(f"error: {error}")
