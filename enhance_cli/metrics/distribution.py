"""How alike two pictures' distributions of luminance are (thesis 000, ch. 6.3.4 and fig. 30)."""

import torch
from torch import Tensor

from enhance_cli.colour import LUMINANCE

LEVELS = 256


def luminance_histogram(image: Tensor, data_range: float) -> Tensor:
    """Count the luminance levels of a picture.

    Values are rounded to levels of 8 bits, as a screen shows them, and their BT.709 luma is
    rounded to the same levels. The counts of several pictures may be added up.

    Args:
        image: (3, H, W) shown RGB, or (1, H, W) that is luminance already.
        data_range: the value of white; black is 0. Values outside are clipped.

    Returns:
        (256,) int64 counts that sum to H * W.

    Raises:
        ValueError: if there are neither one nor three channels, or no pixels.
    """
    if image.shape[0] not in (1, 3) or not image.numel():
        raise ValueError(f"a histogram needs 1 or 3 channels and pixels, not {tuple(image.shape)}")
    levels = (image.double() / data_range * (LEVELS - 1)).round().clamp(0, LEVELS - 1)
    if len(levels) == 3:
        levels = (levels * LUMINANCE.to(levels).view(3, 1, 1)).sum(0).round()
    return torch.bincount(levels.long().flatten(), minlength=LEVELS)


def histogram_divergence(first: Tensor, second: Tensor) -> float:
    """Jensen-Shannon divergence of two histograms to base 2 (thesis 000, eq. 21 and 22).

    Args:
        first, second: counts or shares of one shape; each is divided by its sum.

    Returns:
        From 0 for equal distributions to 1 for those that have no level in common.

    Raises:
        ValueError: if the shapes differ, or one is empty.
    """
    if first.shape != second.shape:
        raise ValueError(
            f"histograms of one shape are compared, not {tuple(first.shape)} "
            f"and {tuple(second.shape)}"
        )
    if first.sum() <= 0 or second.sum() <= 0:
        raise ValueError("an empty histogram has no distribution")
    p, q = (counts.double() / counts.sum() for counts in (first, second))
    middle = (p + q) / 2

    def divergence(share: Tensor) -> Tensor:
        some = share > 0  # 0 log 0 is 0, and the middle is above 0 wherever a share is
        return (share[some] * torch.log2(share[some] / middle[some])).sum()

    return min(max(float((divergence(p) + divergence(q)) / 2), 0.0), 1.0)


def jsd(image: Tensor, reference: Tensor, data_range: float) -> float:
    """Jensen-Shannon divergence of two pictures' luminance (thesis 000, ch. 6.3.4).

    Args:
        image, reference: (3, H, W) shown RGB or (1, H, W) luminance; sizes may differ.
        data_range: the value of white; black is 0.

    Returns:
        From 0 for the same distribution to 1 for pictures that have no level in common.

    Raises:
        ValueError: as ``luminance_histogram``.
    """
    return histogram_divergence(
        luminance_histogram(image, data_range), luminance_histogram(reference, data_range)
    )
