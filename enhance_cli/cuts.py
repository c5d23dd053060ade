"""Find scene cuts by comparing each frame with the one before it.

A cut changes both the places of things and the colours that there are. A fast pan keeps the
colours, and a flash keeps the places. The score is the geometric mean of both changes.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

_ROWS, _COLUMNS = 18, 32  # of the thumbnails that are compared
_BINS = 16  # of a colour histogram


def cut_score(before: Tensor, after: Tensor) -> float:
    """Measure how much a frame differs from the one before it.

    Args:
        before, after: frames (3, H, W) in [0, 1] of one size.

    Returns:
        From 0 for equal frames to 1.
    """
    thumbs = [
        functional.adaptive_avg_pool2d(frame.float(), (_ROWS, _COLUMNS))
        for frame in (before, after)
    ]
    colours = [_histograms(frame) for frame in (before, after)]
    recoloured = float((colours[0] - colours[1]).abs().sum(1).mean() / 2)
    return min(1.0, math.sqrt(_moved(*thumbs) * recoloured))


def _moved(before: Tensor, after: Tensor) -> float:
    """One minus the correlation of two thumbnails; for flat ones, twice their difference."""
    spread = [thumb - thumb.mean((1, 2), keepdim=True) for thumb in (before, after)]
    energy = float((spread[0].square().mean() * spread[1].square().mean()).sqrt())
    if energy < 1e-6:
        return min(1.0, 2 * float((before - after).abs().mean()))
    return min(1.0, max(0.0, 1 - float((spread[0] * spread[1]).mean()) / energy))


def _histograms(frame: Tensor) -> Tensor:
    """Histograms (3, bins) of the channels, which sum to 1.

    A value counts in both bins beside it, in shares, so that a small change of brightness does not
    move whole areas from one bin to the next.
    """
    rows, columns = (max(1, side // 64) for side in frame.shape[1:])
    sample = frame[:, ::rows, ::columns].flatten(1).float()
    place = sample.clamp(0, 1) * (_BINS - 1)
    low = place.floor()
    part = place - low
    counts = torch.zeros(3, _BINS, device=frame.device)
    counts.scatter_add_(1, low.long(), 1 - part)
    counts.scatter_add_(1, (low.long() + 1).clamp(max=_BINS - 1), part)
    return counts / sample.shape[1]
