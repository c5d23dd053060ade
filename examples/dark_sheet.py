"""One picture that shows dark files as they are, merely amplified, and enhanced.

python examples/dark_sheet.py night.dng dim.jpg -o sheet.png
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from enhance_cli.colour import linear_to_srgb, render, srgb_to_linear
from enhance_cli.data.darkness import demosaic
from enhance_cli.engine.amplification import choose_ratio
from enhance_cli.engine.brighten import DarkImage, brighten
from enhance_cli.engine.catalogue import load_model
from enhance_cli.engine.tiled import TilePlan
from enhance_cli.io.image import read_rgb8
from enhance_cli.io.raw import is_raw, read_raw

WIDTH = 480


def read_dark(path: Path) -> DarkImage:
    """A RAW file or a picture as light."""
    if is_raw(path):
        raw = read_raw(path)
        return DarkImage(
            torch.from_numpy(raw.planes), raw.white_balance, torch.from_numpy(raw.camera_to_srgb)
        )
    pixels = torch.from_numpy(np.array(read_rgb8(path))).permute(2, 0, 1).float() / 255
    return DarkImage(srgb_to_linear(pixels))


def show(image: DarkImage, ratio: float) -> Tensor:
    """(3, H, W) in [0, 1]: amplified and rendered, not enhanced."""
    amplified = image.balanced() * ratio
    if image.is_raw:
        return render(demosaic(amplified[None])[0], image.camera_to_srgb, "camera")
    return linear_to_srgb(amplified.clamp(0, 1))


def thumbnail(shown: Tensor) -> Image.Image:
    """A picture of ``WIDTH`` pixels."""
    pixels = (shown * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
    image = Image.fromarray(pixels)
    return image.resize(
        (WIDTH, round(WIDTH * image.height / image.width)), Image.Resampling.LANCZOS
    )


def main() -> None:
    """Parse the command line and write the sheet."""
    parser = argparse.ArgumentParser()
    parser.add_argument("sources", type=Path, nargs="+")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    device = torch.device("cpu")
    rows = []
    for path in arguments.sources:
        image = read_dark(path)
        model = load_model("lowlight", name=None if image.is_raw else "sid-fcn-srgb", device=device)
        ratio = choose_ratio(image.balanced())
        enhanced = brighten(model, image, ratio, TilePlan())
        rows.append(
            [thumbnail(picture) for picture in (show(image, 1), show(image, ratio), enhanced)]
        )
    sheet = Image.new("RGB", (3 * WIDTH, sum(row[0].height for row in rows)))
    top = 0
    for row in rows:
        for column, picture in enumerate(row):
            sheet.paste(picture, (column * WIDTH, top))
        top += row[0].height
    sheet.save(arguments.output)


if __name__ == "__main__":
    main()
