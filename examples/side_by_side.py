"""Put a small picture, enlarged by bicubic interpolation, beside an enlargement of it.

python examples/side_by_side.py SMALL LARGE OUTPUT
"""

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from enhance_cli.io.files import replacing
from enhance_cli.io.image import read_rgb8
from enhance_cli.resize import imresize

MARGIN, TITLE = 12, 28


def side_by_side(small: Path, large: Path, output: Path) -> None:
    """Write the comparison; both pictures are 8-bit RGB, the first 1/N the size of the second."""
    source, result = read_rgb8(small), read_rgb8(large)
    scale = result.shape[0] / source.shape[0]
    bicubic = imresize(torch.from_numpy(np.array(source)).permute(2, 0, 1), scale)
    panels = {
        "bicubic": Image.fromarray(bicubic.permute(1, 2, 0).numpy()),
        "enhance": Image.fromarray(result),
    }
    height, width = result.shape[:2]
    sheet = Image.new("RGB", (2 * width + 3 * MARGIN, height + TITLE + MARGIN), "white")
    draw = ImageDraw.Draw(sheet)
    for index, (title, panel) in enumerate(panels.items()):
        left = MARGIN + index * (width + MARGIN)
        draw.text((left, 8), title, fill="black")
        sheet.paste(panel, (left, TITLE))
    with replacing(output) as temporary:
        sheet.save(temporary)


if __name__ == "__main__":
    side_by_side(*map(Path, sys.argv[1:4]))
