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

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from enhance_cli.architectures.cells import Taps, depth_to_space, enlarge_to_cells
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
    return blur_and_subsample(frame_hr, scale, degradation_sigma(scale))


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
    cells = enlarge_to_cells([(missing_lr, back_projection_taps(scale, damping))], scale)
    return depth_to_space(cells, scale)


def enlarge_bicubic(frame_lr: Tensor, scale: int) -> Tensor:
    """U: the same as ``resize.imresize`` to within rounding, several times faster.

    Args:
        frame_lr: (N, C, h, w).
        scale: s, whole.

    Returns:
        (N, C, s * h, s * w) float32, not limited to the range of ``frame_lr``.
    """
    return depth_to_space(enlarge_to_cells([(frame_lr, bicubic_taps(scale))], scale), scale)


@lru_cache(maxsize=4)
def bicubic_taps(scale: int) -> Taps:
    # The cache serves every caller, so the tensors must not depend on the mode of the first one.
    with torch.inference_mode(False), torch.device("cpu"):
        pixel = torch.zeros(1, 5, dtype=torch.float64)
        pixel[0, 2] = 1
        cells = imresize(pixel, scale)[0].reshape(5, scale)
        weights: Taps = cells.flip(0).T.tolist()
    return weights


def degradation_sigma(scale: int) -> float:
    """Standard deviation of the blur of D, in HR pixels."""
    return SIGMA * scale / 4


@lru_cache(maxsize=16)
def back_projection_taps(scale: int, damping: float) -> Taps:
    """B along one axis: for each of the s pixels of a cell, the weights of the LR pixels around.

    Each axis is damped on its own, which makes B separable. The weights of a pixel sum to one, so
    that flat changes stay flat.
    """
    cells = 8 * REACH + 1  # so many that the borders do not show in the middle
    taps = sample_gaussian(degradation_sigma(scale), (3 * scale - 1) / 2, 0, 3 * scale)
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
    weights: Taps = (around / around.sum(0)).T.tolist()
    return weights
