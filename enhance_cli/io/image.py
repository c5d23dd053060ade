"""Pictures in and out (first part: reading 8-bit RGB for training)."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageOps

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"}


def find_images(folder: Path, recursive: bool = False) -> list[Path]:
    walk = folder.rglob("*") if recursive else folder.glob("*")
    return sorted(path for path in walk if path.suffix.lower() in SUFFIXES)


def read_rgb8(path: Path) -> NDArray[np.uint8]:
    with Pillow.open(path) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
