"""From small frames back to large ones: bicubic enlargement, and the inverse of the degradation.

An estimate of a large frame is consistent with a small frame when the degradation D turns it into
that small frame. ``back_project`` makes the most likely change that achieves this: with errors of
covariance P the damped pseudo-inverse B = P D^T (D P D^T + damping)^-1. Applying such a step for
one frame after the other, as in the methods of Kaczmarz (1937) and Kalman (1960), approaches the
solution for all frames of a stream together, as far as their motion tells them apart.

P assumes that an estimate's errors are white, plus some that are smooth. With white errors alone
a flat change would come back as a pattern of cells, which D cannot see.

Everything here is fixed; nothing is learned.
"""

from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from enhance_cli.resize import imresize
from enhance_cli.subsampling import SIGMA, blur_and_subsample, sample_gaussian

REACH = 3  # LR pixels to each side that a correction reaches; what lies beyond is below 1% of it
_SMOOTH = 2.0  # LR pixels: standard deviation of the correlation of an estimate's smooth errors
_SMOOTH_SHARE = 0.1  # variance of the smooth errors as a share of that of the white ones


def degrade(frame_hr: Tensor, scale: int) -> Tensor:
    """D, the degradation that is inverted: the chapter's blur of 1.5 HR pixels at x4, sub-sampled.

    Args:
        frame_hr: (N, C, s * h, s * w).
        scale: s; the blur is proportional to it.

    Returns:
        (N, C, h, w).
    """
    return blur_and_subsample(frame_hr, scale, _sigma(scale))


def back_project(missing_lr: Tensor, scale: int, damping: float) -> Tensor:
    """B: the most likely change of a large frame that changes its small version by ``missing_lr``.

    Args:
        missing_lr: (N, C, h, w) the small frame minus the small version of an estimate; outside
            the frame its border is repeated.
        scale: s, even.
        damping: above 0: the variance of the noise of a frame, along one axis, divided by that of
            an estimate's errors. Flat changes always come through in full.

    Returns:
        (N, C, s * h, s * w) float32.
    """
    return _enlarge(missing_lr, _back_projection_taps(scale, damping), scale)


def enlarge_bicubic(frame_lr: Tensor, scale: int) -> Tensor:
    """U: the same as ``resize.imresize`` to within rounding, several times faster.

    Args:
        frame_lr: (N, C, h, w).
        scale: s, whole.

    Returns:
        (N, C, s * h, s * w) float32, not limited to the range of ``frame_lr``.
    """
    return _enlarge(frame_lr, _bicubic_taps(scale), scale)


def full_precision(values: Tensor) -> AbstractContextManager[object]:
    """A context without mixed precision on the device of ``values``.

    On the ``meta`` device, where operations are only counted, there is none to turn off.
    """
    return nullcontext() if values.is_meta else torch.autocast(values.device.type, enabled=False)


def _enlarge(values: Tensor, taps: list[list[float]], scale: int) -> Tensor:
    """Make each pixel of a cell a weighted sum of the LR pixels around, along both axes alike."""
    count, colours, height, width = values.shape
    reach = len(taps[0]) // 2
    along = torch.tensor(taps, device=values.device)
    kernel = (along[:, None, :, None] * along[None, :, None, :]).flatten(0, 1)[:, None]
    with full_precision(values):
        padded = functional.pad(values.float(), (reach,) * 4, mode="replicate")
        cells = functional.conv2d(padded.flatten(0, 1)[:, None], kernel)
        return functional.pixel_shuffle(cells, scale).reshape(
            count, colours, scale * height, scale * width
        )


@lru_cache(maxsize=4)
def _bicubic_taps(scale: int) -> list[list[float]]:
    # The cache serves every caller, so the tensors must not depend on the mode of the first one.
    with torch.inference_mode(False), torch.device("cpu"):
        pixel = torch.zeros(1, 5, dtype=torch.float64)
        pixel[0, 2] = 1
        cells = imresize(pixel, scale)[0].reshape(5, scale)
        weights: list[list[float]] = cells.flip(0).T.tolist()
    return weights


def _sigma(scale: int) -> float:
    return SIGMA * scale / 4


@lru_cache(maxsize=16)
def _back_projection_taps(scale: int, damping: float) -> list[list[float]]:
    """B along one axis: for each of the s pixels of a cell, the weights of the LR pixels around.

    Each axis is damped on its own, which makes B separable. The weights of a pixel sum to one, so
    that flat changes stay flat.
    """
    cells = 8 * REACH + 1  # so many that the borders do not show in the middle
    taps = sample_gaussian(_sigma(scale), (3 * scale - 1) / 2, 0, 3 * scale)
    degradation = np.zeros((cells, scale * (cells + 2)))
    for cell in range(cells):
        degradation[cell, scale * cell : scale * (cell + 3)] = taps
    place = np.arange(scale * (cells + 2))
    distance = (place[:, None] - place) / (_SMOOTH * scale)
    errors = np.eye(len(place)) + _SMOOTH_SHARE * np.exp(-(distance**2) / 2)
    seen = errors @ degradation.T
    inverse = seen @ np.linalg.inv(degradation @ seen + damping * np.eye(cells))
    middle = cells // 2
    column = inverse[scale:-scale, middle].reshape(cells, scale)
    around = column[middle - REACH : middle + REACH + 1][::-1]
    weights: list[list[float]] = (around / around.sum(0)).T.tolist()
    return weights
