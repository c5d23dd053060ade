"""Which part of a sensor makes the picture, and the whole blocks of the mosaic that hold it."""

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from enhance_cli.io.dng_tags import DEFAULT_CROP_ORIGIN, DEFAULT_CROP_SIZE, DngTags

# A crop that keeps less than this share of a side comes from a damaged file.
_LEAST_SHARE = 0.25

Scalar = TypeVar("Scalar", bound=np.generic)
Margins = tuple[int, int, int, int]


@dataclass(frozen=True)
class Area:
    """A rectangle of pixels: rows ``top`` to ``bottom`` and columns ``left`` to ``right``.

    The last row and column do not belong to it.
    """

    top: int
    left: int
    bottom: int
    right: int

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left


def find_area(raw: Any, tags: DngTags) -> Area:
    """The part of the visible area that the camera shows, in pixels of the visible area.

    Cameras record some rows and columns more than they show, and tell so. Where a file says
    nothing, or nothing that makes sense, it is the whole visible area.

    Args:
        raw: rawpy's ``RawPy`` object.
        tags: what a DNG file says. LibRaw rounds its crop to whole blocks.
    """
    sizes = raw.sizes
    origin, size = tags.numbers(DEFAULT_CROP_ORIGIN), tags.numbers(DEFAULT_CROP_SIZE)
    if len(origin) == len(size) == 2:
        left, top, width, height = (round(number) for number in (*origin, *size))
    else:
        # LibRaw counts the crop from the first pixel of the sensor, not of the visible area.
        top = sizes.crop_top_margin - sizes.top_margin
        left = sizes.crop_left_margin - sizes.left_margin
        height, width = sizes.crop_height, sizes.crop_width
    crop = Area(
        max(top, 0), max(left, 0), min(top + height, sizes.height), min(left + width, sizes.width)
    )
    if crop.height < _LEAST_SHARE * sizes.height or crop.width < _LEAST_SHARE * sizes.width:
        return Area(0, 0, sizes.height, sizes.width)
    return crop


def cut_blocks(
    values: NDArray[Scalar], area: Area, first: tuple[int, int], period: int = 2
) -> tuple[NDArray[Scalar], Margins]:
    """Cut the whole blocks of a mosaic that hold an area.

    Where an area does not begin or end with a block, the rows and columns that lie there in the
    mosaic complete it. Where it has none, they are mirrored at the last pixel, which keeps every
    colour in its place.

    Args:
        values: (H, W, ...), the visible area.
        area: the part that is wanted.
        first: the row and column of a pixel at which a block begins.
        period: the side of a block.

    Returns:
        The blocks, and by how many rows and columns they go beyond the area: at the top, left,
        bottom and right.
    """
    height, width = values.shape[:2]
    top = area.top - (area.top - first[0]) % period
    left = area.left - (area.left - first[1]) % period
    bottom = area.bottom + (top - area.bottom) % period
    right = area.right + (left - area.right) % period
    blocks = values[max(top, 0) : bottom, max(left, 0) : right]
    beyond = (
        (max(-top, 0), max(bottom - height, 0)),
        (max(-left, 0), max(right - width, 0)),
        *((0, 0),) * (values.ndim - 2),
    )
    if any(map(any, beyond)):
        blocks = np.pad(blocks, beyond, "reflect")
    return blocks, (area.top - top, area.left - left, bottom - area.bottom, right - area.right)
