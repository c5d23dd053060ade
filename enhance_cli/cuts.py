"""Scene cuts, found by comparing each frame with the one before it; a leaf module.

A cut changes both what is where and which colours there are; a fast pan keeps the colours, a
flash keeps the places. The score is the geometric mean of both changes, from 0 to 1, and needs
no memory but the previous frame.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

_ROWS, _COLUMNS = 18, 32
_LEVELS = 16


def cut_score(before: Tensor, after: Tensor) -> float:
    """How much a frame differs from the one before it.

    Args:
        before, after: (3, H, W) in [0, 1], of one size.

    Returns:
        0 for equal frames, up to 1.
    """
    thumbs = [
        functional.adaptive_avg_pool2d(frame.float(), (_ROWS, _COLUMNS))
        for frame in (before, after)
    ]
    colours = [_histograms(frame) for frame in (before, after)]
    recoloured = float((colours[0] - colours[1]).abs().sum(1).mean() / 2)
    return min(1.0, math.sqrt(_moved(*thumbs) * recoloured))


def _moved(before: Tensor, after: Tensor) -> float:
    """1 less the correlation of two thumbnails; for flat ones, how far their levels differ."""
    spread = [thumb - thumb.mean((1, 2), keepdim=True) for thumb in (before, after)]
    energy = float((spread[0].square().mean() * spread[1].square().mean()).sqrt())
    if energy < 1e-6:
        return min(1.0, 2 * float((before - after).abs().mean()))
    return min(1.0, max(0.0, 1 - float((spread[0] * spread[1]).mean()) / energy))


def _histograms(frame: Tensor) -> Tensor:
    """Shares (3, levels) of each channel's values, softened so that a small change of
    brightness does not empty one level into the next."""
    rows, columns = (max(1, side // 64) for side in frame.shape[1:])
    sample = frame[:, ::rows, ::columns].flatten(1).float()
    place = sample.clamp(0, 1) * (_LEVELS - 1)
    low = place.floor()
    part = place - low
    counts = torch.zeros(3, _LEVELS, device=frame.device)
    counts.scatter_add_(1, low.long(), 1 - part)
    counts.scatter_add_(1, (low.long() + 1).clamp(max=_LEVELS - 1), part)
    return counts / sample.shape[1]
