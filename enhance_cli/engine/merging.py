"""How the results of overlapping tiles become one picture.

The merger ``crop`` cuts off what a network could not see around. The others weigh every pixel of a
tile, by a positive number. To add one, write a function and give it a line in ``WEIGHTS``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from enhance_cli.engine.grids import Box
from enhance_cli.levels import to_levels


@dataclass(frozen=True)
class MergeSettings:
    """The settings of all mergers.

    Attributes:
        halo: for ``crop``, how many pixels along the sides of a tile that lie inside the picture
            are wrong, because the network did not see what is beyond them.
        overlap: for ``feather``, the width of the ramp in pixels.
        power: for ``inverse-distance``, the exponent p, 0 or more.
    """

    halo: int = 0
    overlap: int = 0
    power: float = 2.0


# Whether the top, bottom, left and right side of a tile lie inside the picture.
Sides = tuple[bool, bool, bool, bool]


def average_weights(height: int, width: int, inner: Sides, settings: MergeSettings) -> Tensor:
    """Weights of 1 everywhere."""
    return torch.ones(height, width)


def inverse_distance_weights(
    height: int, width: int, inner: Sides, settings: MergeSettings
) -> Tensor:
    """Weights that are the distance to the tile's centre to the power of ``-p`` (000, eq. 16).

    Weights are relative to that of the pixel nearest to the centre, and never below 1e-30, so
    that their sum does not underflow for any power. A pixel at the very centre counts as half a
    pixel away.
    """
    y = torch.arange(height, dtype=torch.float64) - (height - 1) / 2
    x = torch.arange(width, dtype=torch.float64) - (width - 1) / 2
    distance = torch.hypot(y[:, None], x[None, :]).clamp_(min=0.5)
    return (distance / distance.min()).pow_(-settings.power).clamp_(min=1e-30).float()


def feather_weights(height: int, width: int, inner: Sides, settings: MergeSettings) -> Tensor:
    """Weights that rise linearly over the overlap, from the sides that lie inside the picture."""

    def ramp(length: int, first: bool, last: bool) -> Tensor:
        place = torch.arange(1, length + 1, dtype=torch.float32)
        line = torch.full((length,), float(settings.overlap + 1))
        line = torch.minimum(line, place) if first else line
        return torch.minimum(line, place.flip(0)) if last else line

    top, bottom, left, right = inner
    return (
        ramp(height, top, bottom)[:, None] * ramp(width, left, right) / (settings.overlap + 1) ** 2
    )


WEIGHTS: dict[str, Callable[[int, int, Sides, MergeSettings], Tensor]] = {
    "average": average_weights,
    "inverse-distance": inverse_distance_weights,
    "feather": feather_weights,
}
MERGERS = ("crop", *WEIGHTS)


@lru_cache(maxsize=32)
def tile_weights(
    name: str, height: int, width: int, inner: Sides, settings: MergeSettings
) -> Tensor:
    """The weights (height, width) of a tile in float32, which are kept for tiles like it."""
    return WEIGHTS[name](height, width, inner, settings)


def inner_sides(box: Box, height: int, width: int) -> Sides:
    """Which sides of a box lie inside a picture of this size, and not on its edge."""
    return (box.top > 0, box.bottom < height, box.left > 0, box.right < width)


class CropCanvas:
    """Collects tiles by writing each into its place; it needs no memory beyond the result.

    For a fully convolutional network with this halo, the result is exact.

    Args:
        shape: (C, H, W) of the result.
        dtype: float32, or uint8 or uint16 to store levels: values in [0, 1] are rounded to
            levels as they arrive.
    """

    def __init__(self, shape: tuple[int, int, int], dtype: torch.dtype) -> None:
        self._result = torch.empty(shape, dtype=dtype)
        self._halo = 0

    def begin(self, settings: MergeSettings) -> None:
        """Start a picture; at the sides of tiles, ``halo`` pixels will be cut off."""
        self._halo = settings.halo

    def add(self, box: Box, tile: Tensor) -> None:
        """Place a tile (C, box.height, box.width) float32."""
        _, height, width = self._result.shape
        top, bottom, left, right = (
            self._halo if side else 0 for side in inner_sides(box, height, width)
        )
        self._result[
            :, box.top + top : box.bottom - bottom, box.left + left : box.right - right
        ] = to_levels(
            tile[:, top : box.height - bottom, left : box.width - right], self._result.dtype
        )

    def finish(self) -> Tensor:
        """The result (C, H, W)."""
        return self._result


class BlendCanvas:
    """Collects weighted tiles and the sum of their weights.

    Args:
        shape: (C, H, W) of the result.
        dtype: as of ``CropCanvas``; the sums are float32.
        merger: key of ``WEIGHTS``.
    """

    def __init__(self, shape: tuple[int, int, int], dtype: torch.dtype, merger: str) -> None:
        self._sum = torch.empty(shape)
        self._weight = torch.empty(shape[1:])
        self._settings = MergeSettings()
        self._dtype, self._merger = dtype, merger

    def begin(self, settings: MergeSettings) -> None:
        """Start a picture; the tiles will be weighted by these settings."""
        self._sum.zero_()
        self._weight.zero_()
        self._settings = settings

    def add(self, box: Box, tile: Tensor) -> None:
        """Add a tile (C, box.height, box.width) float32."""
        _, height, width = self._sum.shape
        weights = tile_weights(
            self._merger, box.height, box.width, inner_sides(box, height, width), self._settings
        )
        rows, columns = slice(box.top, box.bottom), slice(box.left, box.right)
        self._sum[:, rows, columns].addcmul_(tile, weights)
        self._weight[rows, columns] += weights

    def finish(self) -> Tensor:
        """The result (C, H, W); the sums are used up."""
        return to_levels(self._sum.div_(self._weight), self._dtype)


Canvas = CropCanvas | BlendCanvas


def make_canvas(merger: str, shape: tuple[int, int, int], dtype: torch.dtype) -> Canvas:
    """A canvas for a merger of ``MERGERS``; every picture on it starts with ``begin``."""
    if merger == "crop":
        return CropCanvas(shape, dtype)
    return BlendCanvas(shape, dtype, merger)
