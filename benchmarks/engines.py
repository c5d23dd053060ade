"""Seconds and memory of the whole command, of the bare network, and of what others do.

    python benchmarks/engines.py [--megapixels 0.3,2,12] [--models enet-e,fast] [--rounds 3]

One table for each model and size of the result. All cases of a size are run in turns, each in a
process of its own, so that a busy machine slows all alike; the medians are given. What counts are
the ratios to the bare network by OpenVINO, in seconds of CPU time, which other programs on the
machine disturb least.

- "enhance" is the whole command, from the start of Python to the file, with OpenVINO or torch.
- "network" is the network alone on the whole picture, or on tiles of 512 pixels without margins
  where it is larger: no reading, no writing, no start.
- "plain loop" is what scripts beside networks do: torch in float32, tiles of 256 pixels with
  margins of 10, PNG by Pillow.
- "Pillow bicubic" reads, enlarges and writes.
- "network, ncnn", only with ``--cases``, is a network of the folder $NCNN_MODELS (NAME.param and
  NAME.bin, with - for _) run by the package ncnn on the CPU, which you install yourself.

``--plot`` draws how time and memory of the cases grow with the size.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from tiles import make_picture

SCALE = 4
CASES = {
    "enhance, OpenVINO": ["--backend", "openvino"],
    "enhance, torch": ["--backend", "torch"],
    "network, OpenVINO": [],
    "network, torch": [],
    "plain loop": [],
    "Pillow bicubic": [],
    "network, ncnn": [],
}
BASE = "network, OpenVINO"
DEFAULT_CASES = list(CASES)[:-1]  # ncnn has a network of its own, and is not installed by us

Cost = tuple[float, float, float]  # seconds, CPU seconds and MiB


def used() -> float:
    """Seconds of CPU time of this process."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    return own.ru_utime + own.ru_stime


def run_network(source: Path, model: str, backend: str) -> tuple[float, float]:
    """Seconds and CPU seconds of the network alone, after it has run once."""
    import torch

    from enhance_cli.engine.catalogue import ModelOptions
    from enhance_cli.levels import to_planes, to_values

    runs = ModelOptions(model, backend=backend).load("superres", SCALE)
    with Image.open(source) as image:
        planes = to_values(to_planes(np.asarray(image)))
    tiles = [
        tile[None].contiguous(memory_format=torch.channels_last)
        for rows in planes.split(512, 1)
        for tile in rows.split(512, 2)
    ]
    runs.run(tiles[0])
    start, before = time.perf_counter(), used()
    for tile in tiles:
        runs.run(tile)
    return time.perf_counter() - start, used() - before


def run_ncnn(source: Path, model: str) -> tuple[float, float]:
    """Seconds and CPU seconds of ncnn, after it has run once; tiles as in ``run_network``."""
    import ncnn

    network = ncnn.Net()
    network.opt.num_threads = int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1))
    files = Path(os.environ["NCNN_MODELS"]) / model
    network.load_param(f"{files}.param")
    network.load_model(f"{files}.bin")
    with Image.open(source) as image:
        planes = np.asarray(image, np.float32).transpose(2, 0, 1) / 255
    tiles = [
        np.ascontiguousarray(planes[:, top : top + 512, left : left + 512])
        for top in range(0, planes.shape[1], 512)
        for left in range(0, planes.shape[2], 512)
    ]

    def run(tile: np.ndarray) -> None:
        extractor = network.create_extractor()
        extractor.input(network.input_names()[0], ncnn.Mat(tile))
        status, _ = extractor.extract(network.output_names()[0])
        assert status == 0

    run(tiles[0])
    start, before = time.perf_counter(), used()
    for tile in tiles:
        run(tile)
    return time.perf_counter() - start, used() - before


def run_loop(source: Path, target: Path, model: str) -> None:
    """A plain loop over tiles of 256 pixels with margins of 10."""
    import torch

    from enhance_cli.engine.catalogue import ModelOptions

    network = ModelOptions(model).load("superres", SCALE).network
    with Image.open(source) as image:
        picture = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255
    _, _, height, width = picture.shape
    result = torch.zeros(1, 3, SCALE * height, SCALE * width)
    with torch.no_grad():
        for top in range(0, height, 256):
            for left in range(0, width, 256):
                above, before = min(top, 10), min(left, 10)
                tile = picture[..., top - above : top + 266, left - before : left + 266]
                large = network(tile)[..., SCALE * above :, SCALE * before :]
                part = result[
                    ..., SCALE * top : SCALE * (top + 256), SCALE * left : SCALE * (left + 256)
                ]
                part.copy_(large[..., : part.shape[2], : part.shape[3]])
    levels = (result[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(levels).save(target)


def run_bicubic(source: Path, target: Path) -> None:
    """Pillow's own enlargement."""
    with Image.open(source) as image:
        size = (SCALE * image.width, SCALE * image.height)
        image.resize(size, Image.Resampling.BICUBIC).save(target)


def run_inside(case: str, source: Path, target: Path, model: str) -> None:
    """Do one case in this process; a network alone prints its seconds."""
    if case == "network, ncnn":
        print(*run_ncnn(source, model.replace("_", "-")))  # noqa: T201
    elif case.startswith("network"):
        print(*run_network(source, model, case.split()[-1].lower()))  # noqa: T201
    else:
        loop: Callable[[], None] = lambda: run_loop(source, target, model)  # noqa: E731
        (loop if case == "plain loop" else lambda: run_bicubic(source, target))()


def measure(case: str, source: Path, target: Path, model: str, package: Path | None = None) -> Cost:
    """Seconds, CPU seconds and MiB of a case, by another checkout if one is given."""
    if case.startswith("enhance"):
        command = [sys.executable, "-m", "enhance_cli", "superres", str(source), f"-x{SCALE}"]
        command += ["-o", str(target), "--overwrite", "--quiet", "--model", model, *CASES[case]]
    else:
        command = [
            sys.executable,
            str(Path(__file__).resolve()),
            "--inside",
            case,
            "--models",
            model,
        ]
        command += ["--files", str(source), str(target)]
    start = time.perf_counter()
    # What lies in the current folder would be imported before any other checkout.
    variables = {"PYTHONPATH": str(package)} if package else {}
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        cwd=source.parent,
        env={**os.environ, **variables},
    )
    assert process.stdout is not None
    told = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{case}: status {status}")
    seconds, cpu = time.perf_counter() - start, usage.ru_utime + usage.ru_stime
    if told:
        seconds, cpu = map(float, told.split())
    return seconds, cpu, usage.ru_maxrss / 1024


def compare(
    source: Path, folder: Path, model: str, rounds: int, cases: list[str]
) -> dict[str, list[Cost]]:
    """What each case took in each round."""
    found: dict[str, list[Cost]] = {case: [] for case in cases}
    for _ in range(rounds):
        for case, rows in found.items():
            rows.append(measure(case, source, folder / "out.png", model))
    return found


def tell(found: dict[str, list[Cost]]) -> str:
    """The table of one model and one picture, as Markdown."""
    lines = [
        "| case | seconds | CPU seconds | ratio of CPU seconds | peak memory (MiB) |",
        "| --- | --- | --- | --- | --- |",
    ]
    base = found.get(BASE) or next(iter(found.values()))
    for case, rows in found.items():
        seconds, cpu, memory = (statistics.median(column) for column in zip(*rows, strict=True))
        pairs = zip(rows, base, strict=True)
        ratio = statistics.median(row[1] / other[1] for row, other in pairs)
        lines.append(f"| {case} | {seconds:.2f} | {cpu:.2f} | {ratio:.2f} | {memory:.0f} |")
    return "\n".join(lines)


def plot(path: Path, grown: dict[str, dict[float, Cost]]) -> None:
    """Draw CPU seconds and memory against megapixels, a line for each model and case."""
    import matplotlib.pyplot as plt

    figure, places = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for place, column, unit in zip(
        places, (1, 2), ("CPU seconds", "peak memory (MiB)"), strict=True
    ):
        for name, costs in grown.items():
            place.plot(list(costs), [cost[column] for cost in costs.values()], "o-", label=name)
        place.set(xscale="log", yscale="log", xlabel="megapixels of the result", ylabel=unit)
        place.set_xticks(sorted({size for costs in grown.values() for size in costs}))
        place.xaxis.set_major_formatter("{x:g}")
        place.minorticks_off()
        place.grid(alpha=0.3)
    places[0].legend(fontsize=8)
    figure.savefig(path)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--megapixels", default="0.3,2,12")
    parser.add_argument("--models", default="enet-e,fast")
    parser.add_argument("--cases", help="of the list above, separated by semicolons")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plot", type=Path, help="an SVG of time and memory against size")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    parser.add_argument("--files", type=Path, nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside:
        run_inside(arguments.inside, *arguments.files, arguments.models)
        return
    cases = arguments.cases.split(";") if arguments.cases else DEFAULT_CASES
    grown: dict[str, dict[float, Cost]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_picture(folder / "in.png", 64, 64)
        compiled = arguments.models.split(",") if "OpenVINO" in " ".join(cases) else []
        for model in compiled:  # now if it is not yet, for all sizes
            measure("enhance, OpenVINO", folder / "in.png", folder / "out.png", model)
        for megapixels in map(float, arguments.megapixels.split(",")):
            side = round((megapixels * 1e6) ** 0.5 / SCALE)
            make_picture(folder / "in.png", side, side)
            for model in arguments.models.split(","):
                print(f"\n{model} x{SCALE}, {megapixels:g} megapixels out\n")  # noqa: T201
                found = compare(folder / "in.png", folder, model, arguments.rounds, cases)
                print(tell(found), flush=True)  # noqa: T201
                for case, rows in found.items():
                    line = grown.setdefault(f"{model}: {case}", {})
                    line[megapixels] = tuple(map(statistics.median, zip(*rows, strict=True)))
    if arguments.plot:
        plot(arguments.plot, grown)


if __name__ == "__main__":
    main()
