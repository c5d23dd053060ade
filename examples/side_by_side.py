"""Put a small picture, enlarged by bicubic interpolation, beside enlargements of it.

python examples/side_by_side.py small.png comparison.png large.png
python examples/side_by_side.py small.png sheet.jpg ENet-E=e.png ENet-P=p.png --crop 80,20,64,48
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from enhance_cli.io.files import replacing
from enhance_cli.io.image import read_rgb8
from enhance_cli.resize import imresize

MARGIN, TITLE = 12, 28


def side_by_side(
    small: Path,
    output: Path,
    enlargements: dict[str, Path],
    *,
    crop: tuple[int, int, int, int] | None = None,
    columns: int = 4,
) -> None:
    """Write the comparison.

    Args:
        small: The small picture.
        output: Where the comparison goes.
        enlargements: Pictures N times as large as the small one, by their titles.
        crop: Left, top, width and height in pixels of the small picture of what is shown; None
            shows all.
        columns: So many pictures stand beside each other.
    """
    source = read_rgb8(small)
    results = {title: read_rgb8(path) for title, path in enlargements.items()}
    scale = next(iter(results.values())).shape[0] / source.shape[0]
    bicubic = imresize(torch.from_numpy(np.array(source)).permute(2, 0, 1), scale)
    results = {"bicubic": bicubic.permute(1, 2, 0).numpy(), **results}
    left, top, width, height = (
        round(scale * part) for part in crop or (0, 0, source.shape[1], source.shape[0])
    )
    columns = min(columns, len(results))
    rows = -(-len(results) // columns)
    sheet = Image.new(
        "RGB",
        (columns * (width + MARGIN) + MARGIN, rows * (height + TITLE) + MARGIN),
        "white",
    )
    draw = ImageDraw.Draw(sheet)
    for index, (title, pixels) in enumerate(results.items()):
        row, column = divmod(index, columns)
        x, y = MARGIN + column * (width + MARGIN), row * (height + TITLE)
        draw.text((x, y + 8), title, fill="black")
        part = Image.fromarray(pixels[top : top + height, left : left + width])
        sheet.paste(part, (x, y + TITLE))
    with replacing(output) as temporary:
        sheet.save(temporary, quality=92)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("small", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("large", nargs="+", metavar="[TITLE=]LARGE")
    parser.add_argument("--crop", help="LEFT,TOP,WIDTH,HEIGHT in pixels of the small picture")
    parser.add_argument("--columns", type=int, default=4)
    asked = parser.parse_args()
    named = [large.rpartition("=") for large in asked.large]
    enlargements = {title or "enhance": Path(path) for title, _, path in named}
    left, top, width, height = map(int, asked.crop.split(",")) if asked.crop else (0, 0, 0, 0)
    crop = (left, top, width, height) if asked.crop else None
    side_by_side(asked.small, asked.output, enlargements, crop=crop, columns=asked.columns)


if __name__ == "__main__":
    main()
