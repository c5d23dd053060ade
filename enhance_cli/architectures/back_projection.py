"""The paper's degradation of a frame, and the way back: what a small frame says of a large one.

An estimate explains a frame when its small version is the frame. ``back_project`` makes the
likeliest change that lets it do so: for reduction D and errors of covariance P the damped
pseudo-inverse B = P D^T (D P D^T + damping)^-1. One such step with every frame, as in the methods
of Kaczmarz (1937) and Kalman (1960), solves for all frames of a stream at once, as far as their
motion tells them apart.

P says that an estimate's errors are of any frequency alike, but for some that are wide. White
errors alone would give back what is flat as a grid of the size of cells, which D does not see.
"""

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from enhance_cli.architectures.flow_net import enlarge_flow, fetch, invert_flow, sampling_grid
from enhance_cli.resize import imresize

REACH = 3  # LR pixels to each side that a correction reaches; what is beyond is below 1% of it
_SMOOTH = 2.0  # LR pixels: how wide an estimate's wide errors are
_RELAXATION = 1.7  # of the fit to the frame before; below 2 it converges
_LUMA = (0.299, 0.587, 0.114)  # of R'G'B', ITU-R BT.601


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
    taps = _reduction_taps(scale)
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
    return _spread(missing_lr, _projection_taps(scale, damping), scale)


def enlarge_bicubic(frame_lr: Tensor, scale: int) -> Tensor:
    """U: as ``resize.imresize`` to within rounding, several times faster for whole scales.

    Args:
        frame_lr: (N, C, h, w).
        scale: s, whole.

    Returns:
        (N, C, s * h, s * w) float32, not limited to the range of ``frame_lr``.
    """
    return _spread(frame_lr, _bicubic_taps(scale), scale)


def _spread(values: Tensor, taps: list[list[float]], scale: int) -> Tensor:
    """Each place of a cell as a weighted sum of the cells around, along both axes alike."""
    count, colours, height, width = values.shape
    reach = len(taps[0]) // 2
    along = torch.tensor(taps, device=values.device)
    kernel = (along[:, None, :, None] * along[None, :, None, :]).flatten(0, 1)[:, None]
    with _full_precision(values):
        padded = functional.pad(values.float(), (reach,) * 4, mode="replicate")
        places = functional.conv2d(padded.flatten(0, 1)[:, None], kernel)
        return functional.pixel_shuffle(places, scale).reshape(
            count, colours, scale * height, scale * width
        )


@lru_cache(maxsize=4)
def _bicubic_taps(scale: int) -> list[list[float]]:
    # Cached for all callers: whatever device or mode the first of them is in.
    with torch.inference_mode(False), torch.device("cpu"):
        pixel = torch.zeros(1, 5, dtype=torch.float64)
        pixel[0, 2] = 1
        cells = imresize(pixel, scale)[0].reshape(5, scale)
        weights: list[list[float]] = cells.flip(0).T.tolist()
    return weights


def recall(
    frame_lr: Tensor,
    warped: Tensor,
    previous_lr: Tensor,
    flow: Tensor,
    *,
    scale: int,
    tolerance: float,
    damping: float,
    noise_floor: float,
    sweeps: int,
) -> tuple[Tensor, Tensor]:
    """What the previous estimate, warped onto the frame, adds to what the frame shows.

    The estimate m becomes m + B (x - D m), which explains the frame x. That spoils a little how it
    explained the frame before, and each of ``sweeps`` fits it to that one and to x once more: both
    frames together tell more than one after the other. They do so in luma alone, which most detail
    is in.

    Args:
        frame_lr: x, (N, 3, h, w) in [0, 1].
        warped: m, (N, 3, s * h, s * w).
        previous_lr: the frame before, (N, 3, h, w).
        flow: (N, 2, h, w) that ``warped`` was fetched along; no gradient reaches it from here.
        scale: s.
        tolerance: where what is left of a frame is this large, it counts 37% (1 / e).
        damping: of B.
        noise_floor: standard deviation of what is no detail, though frames show it.
        sweeps: 0 or more.

    Returns:
        l (m' - U x), (N, 3, s * h, s * w), for the estimate m' so made and bicubic enlargement U;
        and the likeness l of x and D m, (N, 1, h, w) from 0 to 1.
    """
    with _full_precision(frame_lr):
        frame_lr, warped = frame_lr.float(), warped.float()
        shown = reduce_frame(warped, scale)
        missing = frame_lr - shown
        # Black is what a stream begins with: no memory, however dark the frame is.
        remembered = shown.detach().amax(1, keepdim=True) > 0
        likeness = remembered * _likeness(missing, frame_lr, tolerance, noise_floor)
        weight = enlarge_likeness(likeness, scale)
        estimate = warped + back_project(missing, scale, damping)
        if sweeps:
            now, before = _luma(frame_lr), _luma(previous_lr.float())
            first = luma = _luma(estimate)
            flow = flow.detach()
            to_now, to_before = (
                sampling_grid(enlarge_flow(way, scale)) for way in (flow, invert_flow(flow))
            )
            for _ in range(sweeps):
                missing = before - reduce_frame(fetch(luma, to_before), scale)
                missing = missing * _likeness(missing, before, tolerance, noise_floor)
                change = fetch(back_project(missing, scale, damping), to_now)
                luma = luma + _RELAXATION * weight * change
                luma = luma + back_project(now - reduce_frame(luma, scale), scale, damping)
            estimate = estimate + (luma - first)
        return weight * (estimate - enlarge_bicubic(frame_lr, scale)), likeness


def enlarge_likeness(likeness: Tensor, scale: int) -> Tensor:
    """(N, 1, h, w) -> (N, 1, s * h, s * w), bilinear."""
    return functional.interpolate(
        likeness, scale_factor=scale, mode="bilinear", align_corners=False
    )


def _likeness(missing: Tensor, frame_lr: Tensor, tolerance: float, noise_floor: float) -> Tensor:
    """How far an estimate explains a frame: (N, 1, h, w) from 0 to 1; without gradient.

    It falls with what is missing, by itself and beside the detail of the frame around: where that
    is soft, small frames hide nothing that could be found, and what is missing tells of wrong flow;
    or of noise, which is why that counts as detail here.
    """
    with torch.no_grad():
        size = _around(missing.abs())
        power = 2 * _around(missing.square())
        detail = _around((frame_lr - _around(frame_lr, colours=True)).square())
        detail = detail + (noise_floor**2 + 1e-9)
        return torch.exp(-(size / tolerance).square()) * detail / (detail + power)


def _around(values: Tensor, *, colours: bool = False) -> Tensor:
    """Mean of 3x3 pixels, and of the colours unless they are to be kept."""
    values = values if colours else values.mean(1, keepdim=True)
    return functional.avg_pool2d(functional.pad(values, (1,) * 4, mode="replicate"), 3, 1)


def _luma(frame: Tensor) -> Tensor:
    return _sum(weight * frame[:, at : at + 1] for at, weight in enumerate(_LUMA))


def _full_precision(values: Tensor) -> AbstractContextManager[object]:
    """Without mixed precision, which tensors that are only counted (``meta``) do not know."""
    return nullcontext() if values.is_meta else torch.autocast(values.device.type, enabled=False)


def _reduction_taps(scale: int) -> list[float]:
    places = [(at - (3 * scale - 1) / 2) / (0.375 * scale) for at in range(3 * scale)]
    taps = [math.exp(-place * place / 2) for place in places]
    total = sum(taps)
    return [tap / total for tap in taps]


@lru_cache(maxsize=16)
def _projection_taps(scale: int, damping: float) -> list[list[float]]:
    """B along one axis: for each of the s places in a cell, weights of the cells around.

    Both axes are damped on their own, which lets B be separable. What is flat stays flat: the
    places' weights sum to one.
    """
    cells = 8 * REACH + 1  # so many that the ends do not show in the middle
    taps = _reduction_taps(scale)
    reduction = np.zeros((cells, scale * (cells + 2)))
    for cell in range(cells):
        reduction[cell, scale * cell : scale * (cell + 3)] = taps
    place = np.arange(scale * (cells + 2))
    distance = (place[:, None] - place) / (_SMOOTH * scale)
    errors = np.eye(len(place)) + 0.1 * np.exp(-(distance**2) / 2)
    shown = errors @ reduction.T
    projection = shown @ np.linalg.inv(reduction @ shown + damping * np.eye(cells))
    middle = cells // 2
    column = projection[scale:-scale, middle].reshape(cells, scale)
    around = column[middle - REACH : middle + REACH + 1][::-1]
    weights: list[list[float]] = (around / around.sum(0)).T.tolist()
    return weights


def _sum(terms: Iterator[Tensor]) -> Tensor:
    total = next(terms)
    for term in terms:
        total = total + term
    return total
