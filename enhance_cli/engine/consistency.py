"""Consistency with the input: the reduced copy of an enlargement becomes the picture it is of.

A fixed operation, nothing is learned. Of all pictures whose reduced copy (``imresize``) is the
input, the one nearest to the enlargement is taken: with the reduction D, which works along each
axis apart, m becomes m + D^T (D D^T)^-1 (x - D m). Values beyond black and white are cut off, and
both steps are repeated in turn (projection onto convex sets), since each undoes a little of the
other.

``architectures.back_projection`` inverts another degradation, that of video, and damps it, as is
right for frames with noise.
"""

import math

import numpy as np
from numpy.typing import NDArray

from enhance_cli.resize import contributions

_ROUNDS = 20
_ENOUGH = 1e-3  # root mean squared difference that ends the rounds: 60 dB

Plane = NDArray[np.float32]


class Reduction:
    """The reduction of pictures of one size by ``imresize``, and the way back.

    Args:
        height, width: of the small pictures, in pixels.
        scale: how many times larger the others are.
    """

    def __init__(self, height: int, width: int, scale: int) -> None:
        self._rows, self._columns = (_Axis(length, scale) for length in (height, width))

    def reduce(self, large: Plane) -> Plane:
        """(scale * height, scale * width) -> (height, width), not clamped."""
        down = self._rows.matrix @ large
        small: Plane = (self._columns.matrix @ down.T).T
        return small

    def project(self, large: Plane, small: Plane) -> Plane:
        """The nearest picture to ``large`` in [0, 1] whose reduced copy is ``small``.

        Where there is none, as with isolated pixels of black and white, the reduced copy comes as
        near as it can.

        Args:
            large: (scale * height, scale * width), of any range.
            small: (height, width) in [0, 1].

        Returns:
            A new plane like ``large``, in [0, 1].
        """
        result = large.clip(0, 1)
        for _ in range(_ROUNDS):
            missing = small - self.reduce(result)
            if math.sqrt(float(np.square(missing).mean())) < _ENOUGH:
                break
            weights = self._columns.solve(self._rows.solve(missing).T).T
            up = self._rows.matrix.T @ weights
            result += (self._columns.matrix.T @ up.T).T
            np.clip(result, 0, 1, out=result)
        return result


class _Axis:
    """The reduction along one axis as a matrix D (length, scale * length)."""

    def __init__(self, length: int, scale: int) -> None:
        # They take long to load, and few pictures need them.
        from scipy.sparse import coo_array, csc_array
        from scipy.sparse.linalg import splu

        indices, weights = contributions(scale * length, 1 / scale)
        places = np.broadcast_to(np.arange(length), tuple(indices.shape))
        # Entries of one place, as at borders, where pixels are repeated, are summed.
        entries = (weights.numpy().ravel(), (places.ravel(), indices.numpy().ravel()))
        matrix = coo_array(entries, shape=(length, scale * length)).tocsr()
        self.matrix = matrix.astype(np.float32)
        self._inverse = splu(csc_array(matrix @ matrix.T))

    def solve(self, values: Plane) -> Plane:
        """(D D^T)^-1 of columns (length, n)."""
        solved: Plane = self._inverse.solve(values.astype(np.float64)).astype(np.float32)
        return solved
