"""Make a RAW file as dark as if it had been exposed too briefly, with a sensor's noise.

    python examples/darken_raw.py photo.dng --ratio 100 --iso 3200 -o dark.dng
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from enhance_cli.colour import SRGB_TO_XYZ
from enhance_cli.data.darkness import unpack
from enhance_cli.data.sensor import draw_sensors, expose
from enhance_cli.io.dng import write_dng
from enhance_cli.io.raw import Exposure, read_raw


def darken(source: Path, target: Path, ratio: float, iso: float, seed: int) -> None:
    """Divide the raw values by ``ratio``, expose a noisy sensor to them, write a DNG."""
    raw = read_raw(source)
    generator = torch.Generator().manual_seed(seed)
    sensor = draw_sensors(torch.tensor([iso]), generator)
    levels = expose(torch.from_numpy(raw.planes)[None] / ratio, sensor, generator)
    matrix = np.linalg.inv(raw.camera_to_srgb.astype(float)) @ np.linalg.inv(SRGB_TO_XYZ.numpy())
    seconds = raw.exposure.seconds
    write_dng(
        target, unpack(levels)[0].numpy().astype(np.uint16), white=int(sensor.white[0]),
        black=int(sensor.black[0]), color_matrix=matrix,
        as_shot_neutral=tuple(1 / gain for gain in raw.white_balance),  # type: ignore[arg-type]
        orientation=raw.orientation,
        exposure=Exposure(seconds / ratio if seconds else None, iso, raw.exposure.f_number),
    )


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("source", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--ratio", type=float, default=100)
    parser.add_argument("--iso", type=float, default=1600)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    darken(arguments.source, arguments.output, arguments.ratio, arguments.iso, arguments.seed)


if __name__ == "__main__":
    main()
