"""Functions in the place of decoders that do what native code does on bad files."""

import ctypes
from collections.abc import Callable
from pathlib import Path

import numpy as np

from enhance_cli.io import reading
from enhance_cli.io.image import Picture


def crash(_path: Path) -> None:
    ctypes.string_at(0)


def hang(_path: Path) -> None:
    while True:
        pass


def eat(_path: Path) -> int:
    return int(np.ones(2**29, np.uint8).sum())


def fail(_path: Path) -> None:
    from PIL import TiffImagePlugin

    TiffImagePlugin.ImageFileDirectory_v2(b"no directory")


def read_image(
    path: Path, notice: Callable[[str], None] = lambda _: None, page: int | None = None
) -> Picture:
    if "bad" in path.name:
        crash(path)
    return reading.read_image(path, notice, page)
