"""Data consistency: an estimate must turn into the small frames that were seen. Fixed, not learned.

A recurrent network warps its previous estimate onto the current frame. Where the small version of
that estimate already resembles the frame, the estimate is worth keeping, and what it still gets
wrong can be computed, because the degradation is known (``back_projection``). This module
computes that correction, and how much confidence each place deserves.

It assumes the dissertation's degradation (ch. 3.3.5). On small frames that were made in another
way it gains less, and should be given more damping and a lower weight.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from enhance_cli.architectures.back_projection import (
    back_project,
    degrade,
    enlarge_bicubic,
    full_precision,
)
from enhance_cli.architectures.warping import (
    enlarge_flow,
    grid_sample,
    invert_flow,
    sampling_grid,
)

_RELAXATION = 1.7  # step length of the fit to the previous frame; it converges below 2
_LUMA = (0.299, 0.587, 0.114)  # of R'G'B', ITU-R BT.601


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
        # A stream begins with a black estimate, which counts as none, however dark the frame is.
        given = small.detach().amax(1, keepdim=True) > 0
        confidence = given * _confidence(missing, frame_lr, settings)
        return estimate_hr + back_project(missing, scale, settings.damping), confidence


def fuse_previous_estimate(
    frame_lr: Tensor,
    warped_hr: Tensor,
    previous_lr: Tensor,
    flow: Tensor,
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
        scale: s.
        settings: all but the weight are used.

    Returns:
        l (m' - U x), (N, 3, s * h, s * w), for the consistent estimate m', bicubic enlargement U
        and the confidence l; and that confidence (N, 1, h, w), from 0 to 1.
    """
    with full_precision(frame_lr):
        frame_lr = frame_lr.float()
        estimate, confidence = correct_estimate(frame_lr, warped_hr, scale, settings)
        enlarged_confidence = enlarge_confidence(confidence, scale)
        if settings.iterations:
            estimate = estimate + _fit_both_frames(
                _luma(estimate),
                _luma(frame_lr),
                _luma(previous_lr.float()),
                flow.detach(),
                enlarged_confidence,
                scale,
                settings,
            )
        detail = enlarged_confidence * (estimate - enlarge_bicubic(frame_lr, scale))
        return detail, confidence


def enlarge_confidence(confidence: Tensor, scale: int) -> Tensor:
    """(N, 1, h, w) -> (N, 1, s * h, s * w), bilinear."""
    return functional.interpolate(
        confidence, scale_factor=scale, mode="bilinear", align_corners=False
    )


def _fit_both_frames(
    estimate: Tensor,
    frame: Tensor,
    previous: Tensor,
    flow: Tensor,
    confidence_hr: Tensor,
    scale: int,
    settings: DataConsistency,
) -> Tensor:
    """The change that fits an estimate to the previous and to the current frame in turn.

    Correcting an estimate for the current frame spoils a little how well it explained the
    previous one. Going back and forth finds an estimate that explains both. It is done in luma
    alone, which holds most of the detail.

    Args:
        estimate, confidence_hr: (N, 1, s * h, s * w).
        frame, previous: luma of the small frames, (N, 1, h, w).

    Returns:
        (N, 1, s * h, s * w), to be added to every colour.
    """
    fitted = estimate
    to_frame, to_previous = (
        sampling_grid(enlarge_flow(way, scale)) for way in (flow, invert_flow(flow))
    )
    for _ in range(settings.iterations):
        missing = previous - degrade(grid_sample(fitted, to_previous), scale)
        missing = missing * _confidence(missing, previous, settings)
        change = grid_sample(back_project(missing, scale, settings.damping), to_frame)
        fitted = fitted + _RELAXATION * confidence_hr * change
        fitted = fitted + back_project(frame - degrade(fitted, scale), scale, settings.damping)
    return fitted - estimate


def _confidence(missing: Tensor, frame_lr: Tensor, settings: DataConsistency) -> Tensor:
    """How well an estimate explains a frame, (N, 1, h, w) from 0 to 1, without gradient.

    It falls with the size of what is missing, and with that size relative to the detail of the
    frame around the pixel: where a frame is smooth, a difference cannot be detail that the small
    frame hides, so it points to wrong flow. Noise causes differences too, which is why the noise
    floor counts as detail.
    """
    with torch.no_grad():
        size = _mean_around(missing.abs())
        power = 2 * _mean_around(missing.square())
        local_mean = _mean_around(frame_lr, over_colours=False)
        detail = _mean_around((frame_lr - local_mean).square())
        detail = detail + (settings.noise_floor**2 + 1e-9)
        return torch.exp(-(size / settings.tolerance).square()) * detail / (detail + power)


def _mean_around(values: Tensor, *, over_colours: bool = True) -> Tensor:
    """Mean over 3x3 pixels and, unless told otherwise, over the colours."""
    values = values.mean(1, keepdim=True) if over_colours else values
    return functional.avg_pool2d(functional.pad(values, (1,) * 4, mode="replicate"), 3, 1)


def _luma(frame: Tensor) -> Tensor:
    red, green, blue = (weight * frame[:, at : at + 1] for at, weight in enumerate(_LUMA))
    return red + green + blue
