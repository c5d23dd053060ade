"""Where the tiles of a picture lie. There are only boxes here, no tensors.

Every grid covers every pixel. To add one, write a function and give it a line in ``GRIDS``.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Box:
    """A rectangle of a picture, in pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def bottom(self) -> int:
        """First row below the box."""
        return self.top + self.height

    @property
    def right(self) -> int:
        """First column to the right of the box."""
        return self.left + self.width

    def scaled(self, factor: int) -> "Box":
        """The box at the same place in a picture that is enlarged ``factor`` times."""
        return Box(*(factor * value for value in (self.top, self.left, self.height, self.width)))


# Start and length of the boxes along one axis.
Spans = list[tuple[int, int]]


def core_spans(length: int, tile: int, overlap: int) -> Spans:
    """Cut into nearly equal parts, and widen each by half the overlap on both sides.

    Of all grids this spends least on overlap, since tiles become smaller instead of overlapping
    more. At the edges of the picture they are clipped.
    """
    if tile >= length:
        return [(0, length)]
    margin = math.ceil(overlap / 2)
    if tile <= 2 * margin:
        raise ValueError(f"a tile of {tile} pixels does not hold margins of {margin}")
    # The first and the last part have one widened side, so the longest part in between decides.
    count = math.ceil(length / (tile - 2 * margin))
    if count > 1 and 2 * (tile - margin) >= length:
        count = 2
    edges = [round(index * length / count) for index in range(count + 1)]
    spans = [
        (max(0, start - margin), min(length, end + margin))
        for start, end in zip(edges, edges[1:], strict=False)
    ]
    return [(start, end - start) for start, end in spans]


def even_spans(length: int, tile: int, overlap: int) -> Spans:
    """Lay equal tiles at even strides of at most ``tile - overlap``; the last ends at the edge.

    Both grids of thesis 000 (ch. 6.2, on a picture of 1424x2128) are of this kind.
    """
    if tile >= length:
        return [(0, length)]
    count = math.ceil((length - tile) / (tile - overlap)) + 1
    return [(round(index * (length - tile) / (count - 1)), tile) for index in range(count)]


def fixed_spans(length: int, tile: int, overlap: int) -> Spans:
    """Lay equal tiles at strides of ``tile - overlap``; the last is moved back to the edge."""
    if tile >= length:
        return [(0, length)]
    starts = [*range(0, length - tile, tile - overlap), length - tile]
    return [(start, tile) for start in starts]


GRIDS: dict[str, Callable[[int, int, int], Spans]] = {
    "cores": core_spans,
    "even": even_spans,
    "fixed": fixed_spans,
}


def make_boxes(
    name: str, height: int, width: int, tile: int, overlap: int | tuple[int, int]
) -> list[Box]:
    """Lay a grid over a picture.

    Args:
        name: key of ``GRIDS``.
        height, width: size of the picture in pixels.
        tile: side of a box. If the picture is smaller, so is the box.
        overlap: pixels that neighbouring boxes share at least, vertically and horizontally.

    Returns:
        The boxes, row by row.

    Raises:
        ValueError: if the tile is not larger than the overlap; of ``cores``, for which the
            overlap is rounded up to an even number, not larger than that.
    """
    vertical, horizontal = (overlap, overlap) if isinstance(overlap, int) else overlap
    if tile <= max(vertical, horizontal):
        raise ValueError(f"a tile of {tile} pixels does not hold an overlap of {overlap}")
    spans = GRIDS[name]
    return [
        Box(top, left, box_height, box_width)
        for top, box_height in spans(height, tile, vertical)
        for left, box_width in spans(width, tile, horizontal)
    ]
