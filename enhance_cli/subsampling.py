"""Gaussian blur and sub-sampling: how the dissertation makes small frames of large ones.

Chapter 3.3.5 blurs the large frame and keeps every s-th pixel along both axes. It leaves open
which pixel of each s x s cell that is, the *phase* of the small frames:

- ``middle`` samples the middle of the cell, between its pixels, as ordinary resizing does. Small
  and large frames then cover the same field of view. This is what the networks are trained with.
- ``first`` keeps the first (top left) pixel of the cell, as the published files of Vid4 with blur
  degradation ("BD") and most other implementations do. Compared with ``middle``, the whole small
  frame shows the scene (s - 1) / 2 large pixels farther to the top left.

A leaf module, because data, networks and evaluation must agree on one kernel.
"""

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Literal, get_args

from torch import Tensor
from torch.nn import functional

from enhance_cli.errors import UnknownNameError

Phase = Literal["middle", "first"]
PHASES: tuple[Phase, ...] = get_args(Phase)

SIGMA = 1.5  # standard deviation of the chapter's blur, in HR pixels


def cell_position(scale: int, phase: Phase) -> float:
    """Where in a cell of ``scale`` HR pixels the small frame samples, from its first pixel.

    Raises:
        UnknownNameError: if there is no such phase.
    """
    if phase not in PHASES:
        raise UnknownNameError("phase", phase, PHASES)
    return (scale - 1) / 2 if phase == "middle" else 0.0


@lru_cache(maxsize=64)
def sample_gaussian(sigma: float, centre: float, first: int, count: int) -> tuple[float, ...]:
    """A sampled Gaussian whose weights sum to one.

    Args:
        sigma: standard deviation in pixels; 0 takes the pixel nearest to the centre, or the mean
            of the two that are equally near.
        centre: position of its maximum.
        first: position of the first tap; the others follow one pixel apart.
        count: number of taps.
    """
    exponents = [-(((first + tap - centre) / max(sigma, 0.05)) ** 2) / 2 for tap in range(count)]
    largest = max(exponents)
    weights = [math.exp(exponent - largest) for exponent in exponents]
    total = sum(weights)
    return tuple(weight / total for weight in weights)


def blur_and_subsample(
    frames: Tensor, scale: int, sigma: float = SIGMA, phase: Phase = "middle"
) -> Tensor:
    """Blur frames with a Gaussian and keep one sample of every cell (ch. 3.3.5).

    The sums are written out instead of convolved, because mixed precision would round a
    convolution, and the difference between two nearly equal small frames matters.

    Args:
        frames: (..., H, W) floating point; outside the frame its border is repeated.
        scale: s, the side of a cell in pixels.
        sigma: standard deviation of the Gaussian in pixels.
        phase: where in the cell the sample lies.

    Returns:
        (..., H / s, W / s), not rounded.

    Raises:
        ValueError: if a side is not a multiple of ``scale``.
    """
    height, width = frames.shape[-2:]
    if height % scale or width % scale:
        raise ValueError(f"frames of {width}x{height}: sides must be multiples of {scale}")
    centre, radius = cell_position(scale, phase), max(math.ceil(4 * sigma), 1)
    first, last = math.ceil(centre - radius), math.floor(centre + radius)
    taps = sample_gaussian(sigma, centre, first, last - first + 1)
    before, after = max(-first, 0), max(last - scale + 1, 0)
    planes = frames.reshape(-1, 1, height, width)
    planes = functional.pad(planes, (before, after, before, after), mode="replicate")
    starts = range(first + before, first + before + len(taps))
    rows = _sum(
        tap * planes[..., start : start + height - scale + 1 : scale, :]
        for tap, start in zip(taps, starts, strict=True)
    )
    cells = _sum(
        tap * rows[..., start : start + width - scale + 1 : scale]
        for tap, start in zip(taps, starts, strict=True)
    )
    return cells.reshape(*frames.shape[:-2], height // scale, width // scale)


def _sum(terms: Iterator[Tensor]) -> Tensor:
    total = next(terms)
    for term in terms:
        total = total + term
    return total
