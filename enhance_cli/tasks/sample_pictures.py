"""Small pictures in and out: what an autoencoder can take, grids, and folders of many."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from enhance_cli.architectures.spec import Contract
from enhance_cli.errors import OutputError
from enhance_cli.io.image import Picture, check_writable, read_image, write_image
from enhance_cli.levels import to_pixels, to_planes, to_values
from enhance_cli.metrics.quality import luma_bt601
from enhance_cli.resize import imresize

MARGIN = 2  # white pixels between the pictures of a grid and around it
GRID_PIXELS = 10**8
_DIGITS = 5
_NUMBERED = re.compile(rf"[0-9]{{{_DIGITS},}}\.png")


@dataclass(frozen=True)
class PictureGrid:
    """Where pictures lie in a grid.

    Attributes:
        count: how many places there are, with the empty ones.
        columns: how many of them stand side by side.
        side: height and width of one picture in pixels, as it is drawn.
    """

    count: int
    columns: int
    side: int

    @property
    def height(self) -> int:
        """The height of the whole grid in pixels."""
        return math.ceil(self.count / self.columns) * (self.side + MARGIN) + MARGIN

    @property
    def width(self) -> int:
        """The width of the whole grid in pixels."""
        return self.columns * (self.side + MARGIN) + MARGIN

    def check(self, path: Path) -> None:
        """Check before any work that such a grid can be written.

        Raises:
            OutputError: if the grid is too large, or ``path`` cannot be written.
        """
        if self.height * self.width > GRID_PIXELS:
            raise OutputError(
                f"{path}: {self.count} pictures make a grid of {self.width}x{self.height} pixels, "
                f"at most {GRID_PIXELS // 10**6} million are drawn: give -o a folder for single "
                "pictures, or draw fewer"
            )
        check_writable(path, self.height, self.width, depth=8, alpha=False)


def square_columns(count: int) -> int:
    """The number of columns that makes a grid a square, or one column wider than high."""
    return math.isqrt(count - 1) + 1


def compose_grid(pictures: Sequence[NDArray[np.uint8] | None], columns: int) -> NDArray[np.uint8]:
    """Put pictures side by side on white, row by row.

    Args:
        pictures: (side, side, C) levels each, or None for an empty place; at least one picture.
        columns: how many stand side by side.

    Returns:
        (H, W, C) levels, as large as :class:`PictureGrid` says.
    """
    side, _, channels = next(picture.shape for picture in pictures if picture is not None)
    layout = PictureGrid(len(pictures), columns, side)
    grid: NDArray[np.uint8] = np.full((layout.height, layout.width, channels), 255, np.uint8)
    for place, picture in enumerate(pictures):
        if picture is not None:
            row, column = divmod(place, columns)
            top, left = (MARGIN + index * (side + MARGIN) for index in (row, column))
            grid[top : top + side, left : left + side] = picture
    return grid


def pair_rows(
    above: Sequence[NDArray[np.uint8]], below: Sequence[NDArray[np.uint8]], columns: int
) -> list[NDArray[np.uint8] | None]:
    """Put each row of ``above`` on top of the row of ``below`` that belongs to it.

    Returns:
        The places of a grid of so many columns; None where the last row is not full.
    """
    places: list[NDArray[np.uint8] | None] = []
    for start in range(0, len(above), columns):
        for row in (above, below):
            part = list(row[start : start + columns])
            places += [*part, *[None] * (columns - len(part))]
    return places


def to_zoomed_pixels(picture: Tensor, zoom: int = 1) -> NDArray[np.uint8]:
    """Turn values (C, side, side) in [0, 1] into pixels (zoom * side, zoom * side, C).

    Each value becomes a square of ``zoom`` by ``zoom`` equal pixels.
    """
    return np.ascontiguousarray(to_pixels(picture).repeat(zoom, axis=0).repeat(zoom, axis=1))


def read_square(path: Path, contract: Contract) -> tuple[Tensor, list[str]]:
    """Read a picture in the shape that a network of small squares takes.

    The middle square of the picture is resized by MATLAB's bicubic method. Colours become BT.601
    luma for a network of one plane, grey is repeated for a network of three planes, and
    transparent pictures are laid on white.

    Args:
        path: a picture of 8 or 16 bits.
        contract: what the network takes; it has a patch size.

    Returns:
        Values (C, side, side), float32 in [0, 1], and a line on each thing that was changed.

    Raises:
        InputError: if the picture cannot be read.
    """
    assert contract.patch_size is not None
    picture = read_image(path)
    side, shorter = contract.patch_size, min(picture.height, picture.width)
    values = _middle(picture.pixels, shorter)
    notices = _size_notices(picture, side)
    if picture.alpha is not None and (picture.alpha < picture.max_value).any():
        cover = _middle(picture.alpha[..., None], shorter)
        values = values * cover + (1 - cover)
        notices.append("transparency placed on white")
    if shorter != side:
        # Rounding may make the scaled side a hair too long, and imresize rounds up.
        values = imresize(values, side / shorter)[:, :side, :side].clamp(0, 1)
    if len(values) > contract.channels_in:
        values = (luma_bt601(values) - 16) / 219
        notices.append("colours turned to grey")
    elif len(values) < contract.channels_in:
        values = values.expand(contract.channels_in, -1, -1)
        notices.append("grey taken as colour")
    return values, notices


def _middle(samples: NDArray[Any], side: int) -> Tensor:
    """Cut the middle square out of levels (H, W, C); gives values (C, side, side) in [0, 1]."""
    top, left = ((length - side) // 2 for length in samples.shape[:2])
    middle = samples[top : top + side, left : left + side]
    return to_values(to_planes(middle))


def _size_notices(picture: Picture, side: int) -> list[str]:
    shorter = min(picture.height, picture.width)
    steps = [
        text
        for text, needed in (
            (f"cut to the middle {shorter}x{shorter}", picture.height != picture.width),
            (f"resized to {side}x{side}", shorter != side),
        )
        if needed
    ]
    return [f"{picture.width}x{picture.height} pixels {' and '.join(steps)}"] if steps else []


@dataclass(frozen=True)
class NumberedFiles:
    """The files of single pictures in a folder: ``00000.png``, ``00001.png`` and so on.

    Attributes:
        folder: is made when the first picture is written.
        count: how many pictures there will be.
    """

    folder: Path
    count: int

    def path(self, number: int) -> Path:
        """The file of one picture; the names of all have the same length."""
        digits = max(_DIGITS, len(str(self.count - 1)))
        return self.folder / f"{number:0{digits}}.png"

    def namesake(self, path: Path) -> Path | None:
        """The file among them that has the same name as ``path``, if there is one."""
        number = int(path.stem) if _NUMBERED.fullmatch(path.name) else self.count
        same = number < self.count and self.path(number).name == path.name
        return self.path(number) if same else None

    def check(self, side: int, overwrite: bool) -> int:
        """Check before any work that the folder can be written and holds no such pictures.

        Args:
            side: height and width of the pictures in pixels.
            overwrite: whether it may hold some already.

        Returns:
            How many numbered pictures it holds that will not be replaced.

        Raises:
            OutputError: if the folder cannot be written, or holds such pictures.
        """
        check_writable(self.path(0), side, side, depth=8, alpha=False)
        if not self.folder.is_dir():
            return 0
        there = {path.name for path in self.folder.iterdir() if _NUMBERED.fullmatch(path.name)}
        if there and not overwrite:
            raise OutputError(
                f"{self.folder}: holds {min(there)} already, add --overwrite or choose another -o"
            )
        last = self.path(self.count - 1).name
        return sum(len(name) != len(last) or name > last for name in there)

    def write(self, number: int, pixels: NDArray[np.uint8]) -> None:
        """Write one picture, whole or not at all.

        Raises:
            OutputError: if it cannot be written.
        """
        write_image(self.path(number), Picture(pixels))
