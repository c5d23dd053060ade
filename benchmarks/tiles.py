"""Time and peak memory of one large enlargement, by model, precision and tile size.

    python benchmarks/tiles.py [--width 1500 --height 1000] [--tiles 0,128,256,512]
    python benchmarks/tiles.py --width 512 --height 512 --models enet-e,enet-real,fast

Each case is a process of its own, so that its peak memory is its own. The picture is noise with
the spectrum of a photograph; time does not depend on what it shows.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path

import numpy as np
from PIL import Image

from enhance_cli.defaults import TASKS


def make_picture(path: Path, height: int, width: int) -> None:
    """Write an 8-bit RGB picture of smoothed noise."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 255, (height // 8, width // 8, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(path)


def run_case(
    source: Path, target: Path, model: str, tile: str, precision: str
) -> dict[str, float | str]:
    """Enlarge in a process of its own; seconds of the whole process and of the work, MiB."""
    case: dict[str, float | str] = {"model": model, "tile": tile, "precision": precision}
    command = [sys.executable, "-m", "enhance_cli", "superres", str(source), "-x4"]
    command += ["-o", str(target), "--overwrite", "--json", "--quiet"]
    for option, value in case.items():
        command += [f"--{option}", str(value)]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        return {**case, "failed": f"status {status}"}
    work = json.loads(output)["results"][0]["seconds"]
    with Image.open(target) as picture:
        megapixels = picture.width * picture.height / 1e6
    return {
        **case,
        "process_s": time.perf_counter() - start,
        "work_s": work,
        "work_s_per_output_megapixel": work / megapixels,
        "peak_mib": usage.ru_maxrss / 1024,
    }


def main() -> None:
    """Print one line of JSON per case."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--width", type=int, default=1500)
    parser.add_argument("--height", type=int, default=1000)
    parser.add_argument("--models", default=TASKS["superres"].model)
    parser.add_argument("--tiles", default="auto,0")
    parser.add_argument("--precisions", default="fp32")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.png", Path(folder) / "out.png"
        make_picture(source, arguments.height, arguments.width)
        asked = (arguments.models, arguments.tiles, arguments.precisions)
        for case in product(*(part.split(",") for part in asked)):
            sys.stdout.write(json.dumps(run_case(source, target, *case)) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
