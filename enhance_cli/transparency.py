"""Transparency of pictures that are enlarged: what it hides, and its own borders."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def without_rings(enlarged: NDArray[Any], alpha: NDArray[Any]) -> NDArray[Any]:
    """Keep an enlarged alpha within the values of the 3x3 input pixels around each pixel.

    Beside hard edges the network overshoots a little ("ringing"). In colours this looks sharp,
    but in alpha it makes specks beside whatever was cut out.

    Args:
        enlarged: (H, W), what the network made of ``alpha``, of the same type.
        alpha: (h, w) levels, as they were before.
    """
    from scipy import ndimage  # It takes long to load, and few pictures need it.

    rows, columns = (
        (2 * np.arange(after) + 1) * before // (2 * after)
        for before, after in zip(alpha.shape, enlarged.shape, strict=True)
    )
    low, high = (
        extreme(alpha, size=3)[rows[:, None], columns]
        for extreme in (ndimage.minimum_filter, ndimage.maximum_filter)
    )
    kept: NDArray[Any] = np.clip(enlarged, low, high)
    return kept


def fill_transparent(pixels: NDArray[Any], alpha: NDArray[Any]) -> NDArray[Any]:
    """Give fully transparent pixels the colour of the nearest one that is not.

    They may have any colour, and none of it shall bleed into what can be seen.

    Args:
        pixels: (H, W, C) levels.
        alpha: (H, W), 0 where nothing can be seen.
    """
    hidden = alpha == 0
    if not hidden.any() or hidden.all():
        return pixels
    from scipy import ndimage

    rows, columns = ndimage.distance_transform_edt(
        hidden, return_distances=False, return_indices=True
    )
    filled: NDArray[Any] = pixels[rows, columns]
    return filled
