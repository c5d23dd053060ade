"""Time and peak memory of large RAW files, beside LibRaw's denoised rendering.

    python benchmarks/raw.py [--megapixels 12,24,42] [--threads 1,2] [--model sid-fcn]

Each case is a process of its own, so that its peak memory is its own. The network's share is what
``--strength 0``, which does all but run the network, does not need. The mosaic is smoothed noise in
the dark, with photon and read noise: time hardly depends on what it shows.
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

from enhance_cli.io.dng import write_dng

WHITE, BLACK, RATIO = 16_383, 512, 30
MATRIX = [[0.6988, -0.1384, -0.0714], [-0.5631, 1.341, 0.2447], [-0.1485, 0.2204, 0.7318]]
LIBRAW = """
import sys, rawpy
from PIL import Image
with rawpy.imread(sys.argv[1]) as raw:
    full = rawpy.FBDDNoiseReductionMode.Full
    pixels = raw.postprocess(use_camera_wb=True, fbdd_noise_reduction=full)
Image.fromarray(pixels).save(sys.argv[2])
"""


def make_raw(path: Path, megapixels: float) -> None:
    """Write a DNG of pictures' usual 3:2."""
    height, width = (2 * round((megapixels * 1e6 * part) ** 0.5 / 2) for part in (2 / 3, 3 / 2))
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 255, (height // 16, width // 16), dtype=np.uint8)
    light = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    electrons = np.asarray(light, np.float32) * (40 / RATIO)
    mosaic = rng.poisson(electrons) * 4 + rng.normal(BLACK, 8, (height, width))
    write_dng(
        path,
        mosaic.round().clip(0, WHITE).astype(np.uint16),
        white=WHITE,
        black=BLACK,
        as_shot_neutral=(0.5, 1.0, 0.625),
        color_matrix=np.array(MATRIX),
    )


def measure(command: list[str], threads: int) -> tuple[float, float]:
    """Seconds and peak MiB of a process.

    Raises:
        SystemExit: if it fails.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    start = time.perf_counter()
    process = subprocess.Popen(command, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{command[-1]}: status {status}")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def main() -> None:
    """Print one line of JSON per case."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--megapixels", default="12,24,42")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--model", default="sid-fcn")
    parser.add_argument("--options", default="", help="more options of enhance lowlight")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.dng", Path(folder) / "out.png"
        ours = [sys.executable, "-m", "enhance_cli", "lowlight", str(source), "-o", str(target)]
        ours += ["--overwrite", "--quiet", "--ratio", str(RATIO), "--model", arguments.model]
        ours += arguments.options.split()
        libraw = [sys.executable, "-c", LIBRAW, str(source), str(target)]
        sizes = map(float, arguments.megapixels.split(","))
        for megapixels, threads in product(sizes, map(int, arguments.threads.split(","))):
            make_raw(source, megapixels)
            seconds, peak = measure(ours, threads)
            without, _ = measure([*ours, "--strength", "0"], threads)
            plain, plain_peak = measure(libraw, threads)
            case = {
                "megapixels": megapixels,
                "threads": threads,
                "seconds": round(seconds, 1),
                "peak_mib": round(peak),
                "network_share": round(1 - without / seconds, 3),
                "libraw_seconds": round(plain, 1),
                "libraw_peak_mib": round(plain_peak),
            }
            sys.stdout.write(json.dumps(case) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
