"""Noise that whole rows or columns of a sensor share, and which shows as lines in the dark.

Electronics read a sensor row by row, and add to each row, and to each column, a level of their own.
The eye sees lines of a tenth of the noise of single pixels. The level of a row shows in the median
of what sets it apart from the rows of the same colours above and below. A fixed operation.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solveh_banded

# Lines are removed where they vary more than the noise of pixels explains by this factor, by at
# least this share of the mean level, since less is not seen, and by no more than this share of the
# noise of pixels, since more is a pattern of the scene.
_FACTOR, _SEEN, _MOST = 2.0, 0.02, 0.5
_OUTLIERS = 4.0  # deviations beyond which a line is an edge of the scene
_LEAST = 64  # pixels in a line, and lines

Plane = NDArray[np.float32]


def remove_line_noise(values: Plane, period: int) -> tuple[float, float]:
    """Remove the noise that rows share, and then that of columns, in place.

    Args:
        values: (H, W), the mosaic; 1 is white.
        period: the side of the block whose colours repeat.

    Returns:
        The deviation of what was removed of rows and of columns; 0 where nothing was.
    """
    return _remove(values, period), _remove(values.T, period)


def _remove(values: Plane, period: int) -> float:
    count, length = values.shape
    if min(count, length) < _LEAST or count < 4 * period:
        return 0.0
    apart = np.empty(count)
    deviation = 0.0
    apart[:period] = apart[-period:] = 0
    for row in range(period, count - period):
        # As float32, of whole rows, it takes no memory to speak of.
        difference = values[row] - (values[row - period] + values[row + period]) / 2
        apart[row] = np.median(difference)
        deviation += float(np.median(np.abs(difference - apart[row])))
    inner = apart[period:-period]
    pixels = 1.4826 * deviation / len(inner)
    by_pixels = np.pi / 2 * pixels**2 / length  # the variance of a median
    spread = 1.4826 * float(np.median(np.abs(inner - np.median(inner))))
    lines = (spread**2 - by_pixels) / 1.5  # of a row and half of two others
    if spread**2 <= _FACTOR * by_pixels:
        return 0.0
    if not _SEEN * float(values.mean()) <= lines**0.5 <= _MOST * pixels:
        return 0.0
    apart[np.abs(apart) > _OUTLIERS * spread] = 0
    levels = np.zeros(count)
    for first in range(period):
        levels[first::period] = _solve(apart[first::period], max(by_pixels, 1e-20) / lines)
    levels -= np.median(levels)
    values -= levels[:, None].astype(np.float32)
    return float(levels.std())


def _solve(apart: NDArray[np.float64], noise: float) -> NDArray[np.float64]:
    """The levels of lines whose differences to the mean of both neighbours are known.

    They are the most likely ones if levels are independent and normal, and ``noise`` is the
    variance of the differences' errors as a share of that of the levels.
    """
    count = len(apart)
    # Differences are D @ levels, with rows (-1/2, 1, -1/2); the first and the last are unknown.
    known = np.ones(count)
    known[[0, -1]] = 0
    above, below = np.roll(known, 1), np.roll(known, -1)
    above[0] = below[-1] = 0
    diagonal = known + (above + below) / 4 + noise
    next_to = np.zeros(count)
    next_to[1:] = -(known[:-1] + known[1:]) / 2
    second = np.zeros(count)
    second[2:] = known[1:-1] / 4
    right = known * apart
    side = right.copy()
    side[1:] -= right[:-1] / 2
    side[:-1] -= right[1:] / 2
    return np.asarray(solveh_banded(np.array([second, next_to, diagonal]), side))
