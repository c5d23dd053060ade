"""Data consistency: an estimate must turn into the small frames that were seen. Fixed, not learned.

A recurrent network warps its previous estimate onto the current frame. Where the small version of
that estimate already resembles the frame, the estimate is worth keeping, and what it still gets
wrong can be computed, because the degradation is known (``back_projection``). This module
computes that correction, and how much confidence each place deserves.

It assumes the dissertation's degradation (ch. 3.3.5). On small frames that were made in another
way it gains less, and should be given more damping and a lower weight.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from enhance_cli.architectures.back_projection import (
    back_project,
    back_projection_taps,
    bicubic_taps,
    degrade,
)
from enhance_cli.architectures.cells import Taps, enlarge_to_cells, full_precision, space_to_depth
from enhance_cli.architectures.two_frame_fit import fit_both_frames
from enhance_cli.architectures.warping import (
    enlarge_flow,
    grid_sample,
    invert_flow,
    sampling_grid,
)
from enhance_cli.colour import luma


@dataclass(frozen=True)
class DataConsistency:
    """Settings of the data-consistency step.

    Attributes:
        weight: how much of the consistent estimate goes into the result where the confidence is
            1, from 0 to below 1. The rest is what the network makes of the frame alone, so that
            errors fade out over the frames.
        tolerance: mean difference, on [0, 1], between a frame and the small version of an
            estimate at which the confidence has fallen to 37% (1 / e).
        damping: of the correction, above 0. The more noise frames have, the more of it is wanted.
        noise_floor: standard deviation, on [0, 1], of what frames show that is not detail of the
            scene. Differences of this size do not lower the confidence.
        iterations: how often the estimate is then fitted to the previous frame and to the current
            one in turn, which is better for both than correcting it for one frame only.

    Raises:
        ValueError: if a setting is out of its range.
    """

    weight: float = 0.97
    tolerance: float = 0.05
    damping: float = 0.003
    noise_floor: float = 0.0
    iterations: int = 5

    def __post_init__(self) -> None:
        if not 0 <= self.weight < 1:
            raise ValueError(f"weight must be from 0 to below 1, not {self.weight}")
        if not self.tolerance > 0:
            raise ValueError(f"tolerance must be above 0, not {self.tolerance}")
        if not self.damping > 0:
            raise ValueError(f"damping must be above 0, not {self.damping}")
        if not self.noise_floor >= 0:
            raise ValueError(f"noise_floor must be 0 or more, not {self.noise_floor}")
        if self.iterations < 0:
            raise ValueError(f"iterations must be 0 or more, not {self.iterations}")


def correct_estimate(
    frame_lr: Tensor, estimate_hr: Tensor, scale: int, settings: DataConsistency
) -> tuple[Tensor, Tensor]:
    """Make one estimate consistent with one small frame.

    The estimate m becomes m + B (x - D m) for the frame x, the degradation D and its damped
    pseudo-inverse B.

    Args:
        frame_lr: x, (N, 3, h, w) in [0, 1].
        estimate_hr: m, (N, 3, s * h, s * w).
        scale: s.
        settings: tolerance, damping and noise floor are used.

    Returns:
        The corrected estimate (N, 3, s * h, s * w), float32, and the confidence in the given one
        (N, 1, h, w) from 0 to 1, through which no gradient flows.
    """
    with full_precision(frame_lr):
        frame_lr, estimate_hr = frame_lr.float(), estimate_hr.float()
        small = degrade(estimate_hr, scale)
        missing = frame_lr - small
        confidence = _confidence_in(small, missing, frame_lr, settings)
        return estimate_hr + back_project(missing, scale, settings.damping), confidence


def fuse_previous_estimate(
    frame_lr: Tensor,
    warped_hr: Tensor,
    previous_lr: Tensor,
    flow: Tensor,
    grid: Tensor,
    *,
    scale: int,
    settings: DataConsistency,
) -> tuple[Tensor, Tensor]:
    """What the previous estimate, warped onto the frame, adds to what the frame itself shows.

    Args:
        frame_lr: x, (N, 3, h, w) in [0, 1].
        warped_hr: the previous estimate, warped along ``flow``, (N, 3, s * h, s * w).
        previous_lr: the previous frame, (N, 3, h, w).
        flow: (N, 2, h, w) in LR pixels; no gradient reaches it from here.
        grid: the ``sampling_grid`` of the enlarged flow, (N, s * h, s * w, 2).
        scale: s.
        settings: all but the weight are used.

    Returns:
        l (m' - U x) in cells, (N, 3 * s * s, h, w), for the consistent estimate m', bicubic
        enlargement U and the confidence l; and that confidence (N, 1, h, w), from 0 to 1.
    """
    with full_precision(frame_lr):
        frame_lr, warped_hr = frame_lr.float(), warped_hr.float()
        small = degrade(warped_hr, scale)
        missing = frame_lr - small
        confidence = _confidence_in(small, missing, frame_lr, settings)
        kept = enlarge_to_cells([(confidence, _bilinear_taps(scale))], scale)
        change = None
        if settings.iterations:
            for_frame, for_previous = _fit_luma(
                warped_hr, missing, previous_lr, flow.detach(), grid.detach(), kept, scale, settings
            )
            missing = missing - luma(missing) + for_frame
            change = kept * space_to_depth(for_previous, scale)
        taps = back_projection_taps(scale, settings.damping)
        detail = enlarge_to_cells([(missing, taps), (-frame_lr, bicubic_taps(scale))], scale)
        detail = detail.add_(space_to_depth(warped_hr, scale))
        detail = detail.reshape(len(detail), 3, scale * scale, *frame_lr.shape[-2:])
        if change is not None:
            detail = detail + change[:, None]
        return (detail * kept[:, None]).flatten(1, 2), confidence


def enlarge_confidence(confidence: Tensor, scale: int) -> Tensor:
    """(N, 1, h, w) -> (N, 1, s * h, s * w), bilinear."""
    return functional.interpolate(
        confidence, scale_factor=scale, mode="bilinear", align_corners=False
    )


@lru_cache(maxsize=4)
def _bilinear_taps(scale: int) -> Taps:
    """The weights of three LR pixels for each pixel of a cell."""
    places = [(pixel + 0.5) / scale - 0.5 for pixel in range(scale)]
    return [[max(0.0, 1 - abs(place - near)) for near in (-1, 0, 1)] for place in places]


def _fit_luma(
    warped_hr: Tensor,
    missing: Tensor,
    previous_lr: Tensor,
    flow: Tensor,
    grid: Tensor,
    kept: Tensor,
    scale: int,
    settings: DataConsistency,
) -> tuple[Tensor, Tensor]:
    """``fit_both_frames`` in luma alone, which holds most of the detail.

    Args:
        missing: what the frame misses in the warped estimate, (N, 3, h, w).
        kept: the confidence in the estimate, in cells.
    """
    back, previous = invert_flow(flow), luma(previous_lr.float())
    returned = grid_sample(luma(warped_hr), sampling_grid(enlarge_flow(back, scale)))
    detail = _detail(previous, settings)
    return fit_both_frames(
        luma(missing),
        previous - degrade(returned, scale),
        flow,
        back,
        grid,
        kept.mean(1, keepdim=True),
        lambda missing: _trust(missing, detail, settings),
        scale=scale,
        damping=settings.damping,
        iterations=settings.iterations,
    )


def _confidence_in(
    small: Tensor, missing: Tensor, frame_lr: Tensor, settings: DataConsistency
) -> Tensor:
    """The confidence in an estimate of a small version, (N, 1, h, w) from 0 to 1."""
    # A stream begins with a black estimate, which counts as none, however dark the frame is.
    given = small.detach().amax(1, keepdim=True) > 0
    return given * _trust(missing, _detail(frame_lr, settings), settings)


@torch.no_grad()
def _trust(missing: Tensor, detail: Tensor, settings: DataConsistency) -> Tensor:
    """How well an estimate explains a frame, (N, 1, h, w) from 0 to 1, without gradient.

    It falls with the size of what is missing, and with that size relative to the detail of the
    frame around the pixel: where a frame is smooth, a difference cannot be detail that the small
    frame hides, so it points to wrong flow. Noise causes differences too, which is why the noise
    floor counts as detail.
    """
    size, power = missing.abs().mean(1, keepdim=True), missing.square().mean(1, keepdim=True)
    around = _mean_around(torch.cat([size, power], 1))
    size, power = around[:, :1], around[:, 1:]
    return torch.exp(-(size / settings.tolerance).square()) * detail / (detail + 2 * power)


@torch.no_grad()
def _detail(frame_lr: Tensor, settings: DataConsistency) -> Tensor:
    """The variance of a frame around each pixel, and that of noise, (N, 1, h, w)."""
    spread = (frame_lr - _mean_around(frame_lr)).square().mean(1, keepdim=True)
    return _mean_around(spread) + (settings.noise_floor**2 + 1e-9)


def _mean_around(values: Tensor) -> Tensor:
    """Mean over 3x3 pixels."""
    padded = functional.pad(values, (1,) * 4, mode="replicate")
    rows = padded[..., :-2, :] + padded[..., 1:-1, :] + padded[..., 2:, :]
    return (rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]) / 9
