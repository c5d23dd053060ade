"""How noisy a picture in colour is, from its pixels alone."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

_PATCH = 5  # side in pixels
_MOST = 40_000  # That many patches tell enough.
_FEWEST = 500  # With fewer patches than this the smallest variances are too small by chance.


def estimate_noise(pixels: NDArray[np.uint8]) -> float | None:
    """Estimate the standard deviation of noise that is independent in every value of a picture.

    Patches of 5x5 pixels vary along few of their 75 principal components, since textures are alike
    in the three channels; along the others there is noise alone, and alike. So components are
    dropped, the largest first, until the mean of the other variances is not above their median
    (Chen, Zhu and Heng, "An efficient statistical method for image noise level estimation", ICCV
    2015, algorithm 1). Nothing is learned. Noise that JPEG has halved in its planes of colour, or
    that demosaicing has smoothed, counts for less; grey pictures seem to have none.

    Args:
        pixels: (H, W, 3) RGB, gamma-encoded. Time and memory grow with it, and a part of 512x512
            pixels tells enough.

    Returns:
        The deviation in levels of 255; None if the picture is too small, or too much of it is black
        or white.
    """
    if min(pixels.shape[:2]) < _PATCH:
        return None
    patches = sliding_window_view(pixels, (_PATCH, _PATCH), (0, 1)).reshape(-1, 3 * _PATCH**2)
    patches = patches[((patches > 0) & (patches < 255)).all(1)]
    if len(patches) < _FEWEST:
        return None
    patches = patches[:: -(-len(patches) // _MOST)]
    variances = np.linalg.eigvalsh(np.cov(patches, rowvar=False))  # the smallest first
    left_over = (variances[:count] for count in range(len(variances), 0, -1))
    noise = next(part.mean() for part in left_over if part.mean() <= np.median(part))
    return float(np.sqrt(max(noise, 0.0)))
