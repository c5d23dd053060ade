"""PSNR of low-light enhancement over exposure ratio and ISO, beside what it must beat.

    python benchmarks/ratio_iso.py photos_val --model sid-fcn --model runs/new.safetensors
    python benchmarks/ratio_iso.py photos_val --source srgb --half --model sid-fcn-srgb

Photographs are darkened as in ``synthetic-dark``, each with one sensor and one noise for each cell,
and every method is given the true ratio. Prints one table in Markdown for each method.
"""

import argparse
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from enhance_cli.colour import compress_range, expand_range
from enhance_cli.data.dark_sets import DarkScene, View, make_scene
from enhance_cli.data.darkness import draw_conditions
from enhance_cli.demosaicing import demosaic_adaptive
from enhance_cli.engine.brighten import DarkImage, brighten
from enhance_cli.engine.catalogue import load_model
from enhance_cli.engine.tiled import TilePlan
from enhance_cli.evaluation.baselines import BASELINES
from enhance_cli.io.image import find_images
from enhance_cli.metrics import METRICS

Method = Callable[[DarkScene, float], Tensor]
RATIOS = (1, 2, 8, 30, 100, 250)
ISOS = (100, 800, 6_400, 25_600)


def adaptive(scene: DarkScene, ratio: float) -> Tensor:
    """The network's fixed demosaicing alone."""
    red, green, blue = scene.gains
    balanced = scene.planes * torch.tensor([red, green, blue, green]).view(4, 1, 1)
    mosaic = functional.pixel_shuffle((balanced * ratio)[None, [0, 1, 3, 2]], 2)
    full = expand_range(demosaic_adaptive(compress_range(mosaic.clamp(max=1))))[0]
    return scene.show(full, scene.camera_to_srgb)


def network(name: str) -> Method:
    """A model of the catalogue, or a checkpoint."""
    path = Path(name)
    given = {"weights": path} if path.suffix else {"name": name}
    model = load_model("lowlight", device=torch.device("cpu"), **given)  # type: ignore[arg-type]

    def run(scene: DarkScene, ratio: float) -> Tensor:
        image = DarkImage(scene.planes, scene.gains, scene.camera_to_srgb)
        return brighten(model, image, ratio, TilePlan())

    return run


def measure(method: Method, photos: list[Path], view: View, ratio: float, iso: float) -> float:
    """Mean PSNR in dB over photographs."""
    scores = []
    for photo in photos:
        generator = torch.Generator().manual_seed(
            zlib.crc32(f"{photo.stem}/{ratio:g}/{iso:g}".encode())
        )
        taken = draw_conditions(
            1,
            generator,
            ratio=torch.tensor([float(ratio)]),
            iso=torch.tensor([float(iso)]),
            vary_brightness=False,
        )
        scene = make_scene(photo, taken, view, generator)
        shown = method(scene, ratio)
        scores.append(METRICS["psnr"].measure(shown, scene.reference(), 1.0))
    return sum(scores) / len(scores)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--model", action="append", default=[], help="name or checkpoint")
    parser.add_argument("--source", default="raw", choices=[*BASELINES], help="what is given")
    parser.add_argument("--half", action="store_true", help="files of half the sensor's size")
    parser.add_argument("--baseline", action="append", default=[], help="of enhance evaluate")
    parser.add_argument("--count", type=int, default=4, help="how many photographs")
    parser.add_argument("--ratio", type=float, action="append", help=f"default: {RATIOS}")
    parser.add_argument("--iso", type=float, action="append", help=f"default: {ISOS}")
    options = parser.parse_args()
    torch.set_grad_enabled(False)
    photos = find_images(options.photos)
    photos = photos[:: max(len(photos) // options.count, 1)][: options.count]
    methods: dict[str, Method] = {}
    if options.source == "raw":
        methods["adaptive demosaicing"] = adaptive
    methods |= {name: BASELINES[options.source][name] for name in options.baseline}
    methods |= {name: network(name) for name in options.model}
    view = View(options.source, half=options.half)
    isos = options.iso or ISOS
    titles = " | ".join(f"ISO {iso:,.0f}" for iso in isos)
    head = f"| ratio | {titles} |\n| ---{' | ---' * len(isos)} |"
    for name, method in methods.items():
        sys.stdout.write(f"\n{name}\n\n{head}\n")
        for ratio in options.ratio or RATIOS:
            cells = [f"{measure(method, photos, view, ratio, iso):.2f}" for iso in isos]
            sys.stdout.write(f"| {ratio:g} | {' | '.join(cells)} |\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
