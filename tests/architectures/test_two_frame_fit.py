"""The fit on small frames against what it stands for: changes of the large estimate."""

import pytest
import torch
from torch import Tensor
from video_networks import constant_flow, random

from enhance_cli.architectures.back_projection import back_project, degrade
from enhance_cli.architectures.two_frame_fit import _RELAXATION, fit_both_frames
from enhance_cli.architectures.warping import enlarge_flow, sampling_grid, warp

DAMPING = 0.003


def fit_large(estimate: Tensor, now: Tensor, before: Tensor, flow: Tensor, scale: int) -> Tensor:
    """The estimate, changed for both frames in turn and without doubts."""
    to_frame, to_previous = enlarge_flow(flow, scale), enlarge_flow(-flow, scale)
    for _ in range(3):
        estimate = estimate + back_project(now - degrade(estimate, scale), scale, DAMPING)
        missing = _RELAXATION * (before - degrade(warp(estimate, to_previous), scale))
        estimate = estimate + warp(back_project(missing, scale, DAMPING), to_frame)
    return estimate + back_project(now - degrade(estimate, scale), scale, DAMPING)


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize(("x", "y"), [(0.0, 0.0), (0.5, 0.0), (-1.5, 2.0)])
def test_it_is_the_fit_of_the_large_estimate(scale: int, x: float, y: float) -> None:
    """To within what bilinear warping there loses of frames that are nothing but noise."""
    now, before = (random(1, 1, 24, 28, seed=seed) for seed in range(2))
    flow = constant_flow(24, 28, x, y)
    estimate = torch.full((1, 1, 24 * scale, 28 * scale), 0.5)
    wanted = fit_large(estimate, now, before, flow, scale)
    for_now, moved = fit_both_frames(
        now - 0.5,
        before - 0.5,
        flow,
        -flow,
        sampling_grid(enlarge_flow(flow, scale)),
        torch.ones(1, 1, 24, 28),
        torch.ones_like,
        scale=scale,
        damping=DAMPING,
        iterations=3,
    )
    made = estimate + back_project(for_now, scale, DAMPING) + moved
    inner = (..., slice(6 * scale, -6 * scale), slice(6 * scale, -6 * scale))
    change = (wanted - estimate)[inner].square().mean().sqrt()
    assert (made - wanted)[inner].square().mean().sqrt() < 0.12 * change
