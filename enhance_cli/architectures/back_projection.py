"""The paper's degradation of a frame, and the way back: what a small frame says of a large one.

An estimate explains a frame when its small version is the frame. ``back_project`` makes the
likeliest change that lets it do so: for reduction D and errors of covariance P the damped
pseudo-inverse B = P D^T (D P D^T + damping)^-1. One such step with every frame, as in the methods
of Kaczmarz (1937) and Kalman (1960), solves for all frames of a stream at once, as far as their
motion tells them apart.

P says that an estimate's errors are of any frequency alike, but for some that are wide. White
errors alone would give back what is flat as a grid of the size of cells, which D does not see.
"""

from collections.abc import Iterator
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

REACH = 3  # LR pixels to each side that a correction reaches; what is beyond is below 1% of it
_SMOOTH = 2.0  # LR pixels: how wide an estimate's wide errors are


def reduce_frame(frame_hr: Tensor, scale: int) -> Tensor:
    """D: the paper's degradation (dissertation 003, ch. 3.3.5), sampled in the middle of cells.

    A Gaussian of 1.5 pixels for x4, as ``data.degradation.blur_and_subsample``, but without
    convolutions, which mixed precision would round: what is left of two nearly equal frames
    matters here.

    Args:
        frame_hr: (N, C, s * h, s * w); outside, its border is repeated.
        scale: s, even.

    Returns:
        (N, C, h, w).
    """
    taps = _reduction_taps(scale).tolist()
    padded = functional.pad(frame_hr, (scale,) * 4, mode="replicate")
    height, width = frame_hr.shape[-2:]
    rows = _sum(tap * padded[..., at : at + height : scale, :] for at, tap in enumerate(taps))
    return _sum(tap * rows[..., at : at + width : scale] for at, tap in enumerate(taps))


def back_project(missing_lr: Tensor, scale: int, damping: float) -> Tensor:
    """B: the likeliest change of a large frame that shows as ``missing_lr`` in its small version.

    Args:
        missing_lr: (N, C, h, w) what an estimate's small version lacks; outside, its border is
            repeated.
        scale: s, even.
        damping: above 0: the variance of a frame's noise, along one axis, as a share of that of
            an estimate's errors. What is flat comes through in full nevertheless.

    Returns:
        (N, C, s * h, s * w) float32.
    """
    count, colours, height, width = missing_lr.shape
    taps = torch.tensor(_projection_taps(scale, damping), device=missing_lr.device)
    kernel = (taps[:, None, :, None] * taps[None, :, None, :]).flatten(0, 1)[:, None]
    with torch.autocast(missing_lr.device.type, enabled=False):
        padded = functional.pad(missing_lr.float(), (REACH,) * 4, mode="replicate")
        phases = functional.conv2d(padded.flatten(0, 1)[:, None], kernel)
        return functional.pixel_shuffle(phases, scale).reshape(
            count, colours, scale * height, scale * width)


def _reduction_taps(scale: int) -> Tensor:
    place = (torch.arange(3 * scale) - (3 * scale - 1) / 2) / (0.375 * scale)
    return torch.softmax(-place.square() / 2, 0)


@lru_cache(maxsize=16)
def _projection_taps(scale: int, damping: float) -> list[list[float]]:
    """B along one axis: for each of the s places in a cell, weights of the cells around.

    Both axes are damped on their own, which lets B be separable. What is flat stays flat: the
    places' weights sum to one.
    """
    cells = 8 * REACH + 1  # so many that the ends do not show in the middle
    taps = _reduction_taps(scale).double()
    reduction = torch.zeros(cells, scale * (cells + 2), dtype=torch.float64)
    for cell in range(cells):
        reduction[cell, scale * cell : scale * (cell + 3)] = taps
    place = torch.arange(scale * (cells + 2), dtype=torch.float64)
    distance = (place[:, None] - place) / (_SMOOTH * scale)
    errors = torch.eye(len(place), dtype=torch.float64) + 0.1 * torch.exp(-distance.square() / 2)
    shown = errors @ reduction.T
    projection = shown @ torch.linalg.inv(
        reduction @ shown + damping * torch.eye(cells, dtype=torch.float64))
    middle = cells // 2
    column = projection[scale:-scale, middle].reshape(cells, scale)
    around = column[middle - REACH : middle + REACH + 1].flip(0)
    weights: list[list[float]] = (around / around.sum(0)).T.float().tolist()
    return weights


def _sum(terms: Iterator[Tensor]) -> Tensor:
    total = next(terms)
    for term in terms:
        total = total + term
    return total
