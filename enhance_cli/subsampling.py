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
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Literal, get_args

from torch import Tensor
from torch.nn import functional

from enhance_cli.errors import UnknownNameError

Phase = Literal["middle", "first"]
PHASES: tuple[Phase, ...] = get_args(Phase)

MIDDLE: Phase = "middle"

SIGMA = 1.5  # standard deviation of the chapter's blur, in HR pixels
_SINC_RADIUS = 6  # taps to each side of a shift by part of a pixel


def find_phase(name: str) -> Phase:
    """The phase of a name.

    Raises:
        UnknownNameError: if there is none.
    """
    for phase in PHASES:
        if phase == name:
            return phase
    raise UnknownNameError("phase", name, PHASES)


def cell_position(scale: int, phase: Phase) -> float:
    """Where in a cell of ``scale`` HR pixels the small frame samples, from its first pixel."""
    return (scale - 1) / 2 if phase == MIDDLE else 0.0


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
    frames: Tensor, scale: int, sigma: float = SIGMA, phase: Phase = MIDDLE
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
    return _filter(frames, taps, first, scale)


def shift_to_phase(frames_hr: Tensor, scale: int, phase: Phase) -> Tensor:
    """Move large frames that were made from small frames of a phase to where they belong.

    Networks and resizers take small frames to sample the middle of each cell. What they make of
    frames of phase ``first`` therefore lies (s - 1) / 2 pixels too far to the bottom right. It is
    moved back with a windowed sinc, which keeps detail that linear interpolation would blur.
    The pixels that come in at the bottom and right repeat the border.

    Args:
        frames_hr: (..., H, W) floating point.
        scale: s, by how much they were enlarged.
        phase: of the small frames; nothing moves for ``middle``.

    Returns:
        (..., H, W), not limited to the range of ``frames_hr``.
    """
    return _shift(frames_hr, cell_position(scale, MIDDLE) - cell_position(scale, phase))


def shift_from_phase(frames_hr: Tensor, scale: int, phase: Phase) -> Tensor:
    """The reverse of ``shift_to_phase``, but for the border: true frames as a network sees them."""
    return _shift(frames_hr, cell_position(scale, phase) - cell_position(scale, MIDDLE))


def _shift(frames: Tensor, distance: float) -> Tensor:
    """Frames (..., H, W) whose pixels come from ``distance`` pixels to the right and below."""
    if distance == 0:
        return frames
    whole = math.floor(distance)
    taps = _sinc_taps(distance - whole)
    return _filter(frames, taps, whole + 1 - _SINC_RADIUS, 1)


@lru_cache(maxsize=16)
def _sinc_taps(fraction: float) -> tuple[float, ...]:
    """Lanczos's windowed sinc, sampled a fraction of a pixel beside its centre."""
    places = [tap + 1 - _SINC_RADIUS - fraction for tap in range(2 * _SINC_RADIUS)]
    weights = [_sinc(place) * _sinc(place / _SINC_RADIUS) for place in places]
    total = sum(weights)
    return tuple(weight / total for weight in weights)


def _sinc(place: float) -> float:
    return math.sin(math.pi * place) / (math.pi * place) if place else 1.0


def _filter(frames: Tensor, taps: Sequence[float], first: int, step: int) -> Tensor:
    """Filter both axes of frames (..., H, W) and keep every ``step``-th pixel.

    Args:
        taps: weights of neighbouring pixels.
        first: place of the first of them, counted from the pixel that is kept; outside the frame
            its border is repeated.
    """
    height, width = frames.shape[-2:]
    before = max(-first, 0)
    after = max(first + len(taps) - step, 0)
    planes = frames.reshape(-1, 1, height, width)
    planes = functional.pad(planes, (before, after, before, after), mode="replicate")
    starts = range(first + before, first + before + len(taps))
    rows = _sum(
        (tap, planes[..., start : start + height - step + 1 : step, :])
        for tap, start in zip(taps, starts, strict=True)
    )
    result = _sum(
        (tap, rows[..., start : start + width - step + 1 : step])
        for tap, start in zip(taps, starts, strict=True)
    )
    return result.reshape(*frames.shape[:-2], height // step, width // step)


def _sum(terms: Iterator[tuple[float, Tensor]]) -> Tensor:
    """The sum of tensors, each times its weight."""
    weight, first = next(terms)
    total = weight * first
    for weight, term in terms:
        total.add_(term, alpha=weight)
    return total
