"""How far the answers of a network are apart, without holding more than one of them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_STRIP = 64  # rows that are worked on together, so that no temporary is as large as a picture

Spread = NDArray[np.float32]


class RunningSpread:
    """Means and squared deviations of pictures that come one after another (Welford, 1962)."""

    def __init__(self) -> None:
        self.count = 0
        self._mean: NDArray[np.float32] | None = None
        self._squares: Spread | None = None

    def add(self, pixels: NDArray[Any]) -> None:
        """Take in a picture: levels (H, W, C), all of one size and type."""
        top = np.float32(np.iinfo(pixels.dtype).max)
        if self._mean is None or self._squares is None:
            self._mean = np.zeros(pixels.shape, np.float32)
            self._squares = np.zeros(pixels.shape[:2], np.float32)
        self.count += 1
        for start in range(0, len(pixels), _STRIP):
            rows = slice(start, start + _STRIP)
            values, mean = pixels[rows] / top, self._mean[rows]
            before = values - mean
            mean += before / np.float32(self.count)
            self._squares[rows] += (before * (values - mean)).sum(2)

    def spread(self) -> Spread:
        """The standard deviation of each pixel (H, W), where white is 1; colours are averaged.

        Raises:
            ValueError: if there are fewer than two pictures.
        """
        if self._mean is None or self._squares is None or self.count < 2:
            raise ValueError(f"the spread of {self.count} pictures: at least 2 are needed")
        result: Spread = np.sqrt(self._squares / np.float32(self._mean.shape[2] * (self.count - 1)))
        return result
