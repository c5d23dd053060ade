"""Make a RAW file that was exposed far too briefly, out of a RAW file or a photograph.

    python examples/darken.py photo.dng --ratio 100 --iso 3200 -o dark.dng

The sensor and its noise are simulated as for training (``enhance_cli.data.sensor``).
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from enhance_cli.colour import SRGB_TO_XYZ
from enhance_cli.data.darkness import draw_conditions, expose_raw, unpack
from enhance_cli.data.patches import crop_to_multiple
from enhance_cli.data.sensor import Sensor, draw_sensors, expose
from enhance_cli.io.dng import write_dng
from enhance_cli.io.image import read_rgb8
from enhance_cli.io.raw import Exposure, is_raw, read_raw


def darken_raw(source: Path, target: Path, ratio: float, iso: float, seed: int) -> None:
    """Divide the values of a RAW file by ``ratio`` and expose a noisy sensor to them."""
    raw = read_raw(source)
    generator = torch.Generator().manual_seed(seed)
    sensor = draw_sensors(torch.tensor([iso]), generator)
    levels = expose(torch.from_numpy(raw.planes)[None] / ratio, sensor, generator)
    matrix = np.linalg.inv(raw.camera_to_srgb.astype(float)) @ np.linalg.inv(SRGB_TO_XYZ.numpy())
    seconds = raw.exposure.seconds
    exposure = Exposure(seconds / ratio if seconds else None, iso, raw.exposure.f_number)
    _write(target, levels, sensor, raw.white_balance, matrix, exposure, raw.orientation)


def darken_photo(source: Path, target: Path, ratio: float, iso: float, seed: int) -> None:
    """Turn a photograph back into what a sensor would have seen, and expose a noisy one to it."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.from_numpy(np.array(read_rgb8(source))).permute(2, 0, 1).float() / 255
    taken = draw_conditions(
        1, generator, ratio=torch.tensor([ratio]), iso=torch.tensor([iso]), vary_brightness=False
    )
    levels, _, _ = expose_raw(crop_to_multiple(pixels, 2)[None], taken, generator)
    red, blue = taken.gains[0].tolist()
    _write(
        target,
        levels,
        taken.sensor,
        (red, 1.0, blue),
        taken.xyz_to_camera[0].double().numpy(),
        Exposure(iso=iso),
    )


def _write(
    target: Path,
    levels: Tensor,
    sensor: Sensor,
    gains: tuple[float, float, float],
    matrix: np.ndarray,
    exposure: Exposure,
    orientation: int = 1,
) -> None:
    red, green, blue = gains
    write_dng(
        target,
        unpack(levels)[0].numpy().astype(np.uint16),
        white=int(sensor.white[0]),
        black=int(sensor.black[0]),
        color_matrix=matrix,
        orientation=orientation,
        as_shot_neutral=(1 / red, 1 / green, 1 / blue),
        exposure=exposure,
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
    darken = darken_raw if is_raw(arguments.source) else darken_photo
    darken(arguments.source, arguments.output, arguments.ratio, arguments.iso, arguments.seed)


if __name__ == "__main__":
    main()
