"""Fitting an estimate to two frames in turn, all on the grid of small frames. Fixed, not learned.

An estimate e is changed by B m, warped along the flow, for what the previous frame misses, m, and
by B n for what the current frame misses, n, in turn (``back_projection`` has B and D). So the
change is known by two small frames, the sums of all m and of all n. What a change does to the
small versions of the estimate is found without large frames, too: there a blur and a warp are
exchanged, which is exact where the flow is even. D B n, moved by parts of a pixel, is a small
frame that is filtered to twice its size and sampled along the flow.

Changing the large estimate itself takes several times as long. On the first 14 frames of the clips
of ``video-val`` it gives results that differ by -0.03 to 0.004 dB.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from enhance_cli.architectures.back_projection import (
    back_project,
    back_projection_taps,
    degradation_sigma,
    degrade,
)
from enhance_cli.architectures.cells import Taps, full_precision
from enhance_cli.architectures.warping import grid_sample, sampling_grid
from enhance_cli.resize import keys_cubic

_RELAXATION = 1.7  # step length of the fit to the previous frame; it converges below 2
_REACH = 4  # LR pixels to each side that a change shows in a small version
_FINE = 3  # the filtered frame has so many pixels for an LR pixel, along each axis; odd


def fit_both_frames(
    missing_now: Tensor,
    missing_before: Tensor,
    flow: Tensor,
    back: Tensor,
    grid: Tensor,
    confidence: Tensor,
    trust: Callable[[Tensor], Tensor],
    *,
    scale: int,
    damping: float,
    iterations: int,
) -> tuple[Tensor, Tensor]:
    """The change of an estimate after which it explains the current and the previous frame.

    Correcting an estimate for the current frame spoils a little how well it explained the
    previous one. Going back and forth finds an estimate that explains both.

    Args:
        missing_now: luma of the current frame minus that of the small version of the estimate,
            (N, 1, h, w).
        missing_before: the same of the previous frame and of the estimate, warped onto it.
        flow: from the current to the previous frame, (N, 2, h, w) in LR pixels.
        back: from the previous to the current one.
        grid: the ``sampling_grid`` of ``flow`` for large frames.
        confidence: how much of the changes for the previous frame is done, (N, 1, h, w).
        trust: how much of what the previous frame misses is to be believed, (N, 1, h, w).
        scale: s.
        damping: of the back projection.
        iterations: how often the estimate is fitted to the previous frame.

    Returns:
        The small frame to be projected back for the current frame, (N, 1, h, w), and the change
        for the previous one, (N, 1, s * h, s * w), which counts as much as there is confidence.
    """
    kernel = torch.tensor(_kernel(scale, damping), device=missing_now.device)
    to_frame, to_previous = sampling_grid(flow), sampling_grid(back)
    confidence_before = grid_sample(confidence, to_previous)

    def see(change: Tensor) -> Tensor:
        """What a change makes of the small version, at a finer grid, in cells."""
        padded = functional.pad(change, (_REACH,) * 4, mode="replicate")
        return functional.conv2d(padded, kernel)

    def move(seen: Tensor, grid: Tensor) -> Tensor:
        return grid_sample(functional.pixel_shuffle(seen, _FINE), grid, "bicubic")

    unmoved = slice(_FINE**2 // 2, _FINE**2 // 2 + 1)  # of a cell, at the place of the LR pixel
    now, before = missing_now, missing_before
    total_now = total_before = change = torch.zeros_like(now)
    with full_precision(now):
        for index in range(iterations):
            if index:
                seen = see(change)
                before = before - confidence_before * seen[:, unmoved]
                now = now - confidence * move(seen, to_frame)
            total_now = total_now + now
            seen = see(now)
            now = now - seen[:, unmoved]
            before = before - move(seen, to_previous)
            change = _RELAXATION * trust(before) * before
            total_before = total_before + change
        large = grid_sample(back_project(total_before, scale, damping), grid)
        # So that the current frame is explained as it would be without any exchange.
        left = missing_now - see(total_now)[:, unmoved] - confidence * degrade(large, scale)
    return total_now + left, large


@lru_cache(maxsize=16)
def _kernel(scale: int, damping: float) -> list[list[list[list[float]]]]:
    """The filters of ``see``, one for each pixel of the finer frame in a cell."""
    fine = np.array(_moved_taps(scale, damping))
    filters = [np.outer(row, column) for row in fine for column in fine]
    kernel: list[list[list[list[float]]]] = np.array(filters)[:, None].tolist()
    return kernel


def _moved_taps(scale: int, damping: float) -> Taps:
    """D B along one axis at the finer grid, sharpened by as much as bicubic sampling softens it."""
    places = (np.arange(-16 * (_REACH + 1), 16 * (_REACH + 1)) + 0.5) / 16
    cells = np.arange(-_REACH, _REACH + 1)
    nodes = cells[:, None] + (np.arange(_FINE) + 0.5) / _FINE - 0.5
    distances = torch.from_numpy(_FINE * (places[:, None] - nodes.flatten()))
    wanted = _seen(places, scale, damping)
    values = np.linalg.lstsq(keys_cubic(distances).numpy(), wanted, rcond=None)[0]
    values = values.reshape(nodes.shape)
    values[:, _FINE // 2] = _seen(cells, scale, damping)  # which is D B, to the digit
    # A pixel sees a change in the cell to its left from the right.
    taps: Taps = values[::-1].T.tolist()
    return taps


def _seen(places: np.ndarray, scale: int, damping: float) -> np.ndarray:
    """D B along one axis: the small version of what one LR pixel of 1 at 0 makes, at any place."""
    taps = np.array(back_projection_taps(scale, damping))  # (s, LR pixels around)
    made = taps[:, ::-1].T.flatten()  # HR pixels, from left to right
    sigma = degradation_sigma(scale)
    middles = np.arange(len(made)) - (len(made) - 1) / 2
    distances = scale * places[:, None] - middles
    # Of a blur all of whose taps are in the sum.
    reach = np.arange(-6 * scale, 6 * scale + 1)
    total = np.exp(-((((scale * places[:, None] - middles[0]) % 1 + reach) / sigma) ** 2) / 2).sum(
        1
    )
    seen: np.ndarray = (np.exp(-((distances / sigma) ** 2) / 2) @ made) / total
    return seen
