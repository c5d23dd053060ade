"""The data-consistency step: what two frames tell together, and how much confidence is due."""

import pytest
import torch
from torch import Tensor
from video_networks import constant_flow, random

from enhance_cli.architectures.back_projection import back_project, degrade
from enhance_cli.architectures.cells import depth_to_space
from enhance_cli.architectures.data_consistency import (
    DataConsistency,
    correct_estimate,
    fuse_previous_estimate,
)
from enhance_cli.architectures.warping import enlarge_flow, sampling_grid, warp
from enhance_cli.resize import imresize


def moved_pair(shift: float) -> tuple[Tensor, Tensor, Tensor]:
    """A picture with detail, its small version, and that of ``shift`` HR pixels before."""

    def detail(left: float) -> Tensor:  # waves of 7 HR pixels, which small frames alias
        x, y = torch.arange(160) + left, torch.arange(128)[:, None]
        return (0.5 + 0.3 * torch.sin(x * 0.9 + y * 0.2)).expand(1, 3, 128, 160)

    return detail(0), degrade(detail(0), 4), degrade(detail(-shift), 4)


def fuse_pair(iterations: int, shift: float = 0.5) -> tuple[Tensor, Tensor]:
    """The estimate from two frames without any detail to begin with, and the truth."""
    truth, frame, previous = moved_pair(shift)
    flow = constant_flow(32, 40, shift / 4, 0)
    warped = warp(imresize(previous, 4).clamp(0, 1), enlarge_flow(flow, 4), "bicubic")
    settings = DataConsistency(tolerance=1e3, noise_floor=10.0, iterations=iterations)
    detail, confidence = fuse(frame, warped, previous, flow, settings)
    assert confidence.min() > 0.99
    return detail + imresize(frame, 4), truth


def fuse(
    frame: Tensor, warped: Tensor, previous: Tensor, flow: Tensor, settings: DataConsistency
) -> tuple[Tensor, Tensor]:
    """What the step adds to the enlarged frame, as a large frame, and the confidence."""
    grid = sampling_grid(enlarge_flow(flow, 4))
    cells, confidence = fuse_previous_estimate(
        frame, warped, previous, flow, grid, scale=4, settings=settings
    )
    return depth_to_space(cells, 4), confidence


def test_two_frames_in_turn_tell_more_than_one_after_the_other() -> None:
    errors = []
    for iterations in (0, 1, 3, 10):
        made, truth = fuse_pair(iterations)
        errors.append(float((made - truth)[..., 24:-24, 24:-24].square().mean().sqrt()))
    assert errors[1] < 0.9 * errors[0]
    assert errors[2] < 0.9 * errors[1]
    assert errors[3] < 0.9 * errors[2]


def test_iterations_leave_both_frames_explained() -> None:
    _, frame, previous = moved_pair(0.5)
    back = enlarge_flow(constant_flow(32, 40, -0.5 / 4, 0), 4)

    def left(iterations: int) -> tuple[float, float]:
        made, _ = fuse_pair(iterations)
        of_both = degrade(made, 4) - frame, degrade(warp(made, back), 4) - previous
        now, before = (float(missing[..., 6:-6, 6:-6].abs().mean()) for missing in of_both)
        return now, before

    first, last = left(0), left(6)
    assert last[1] < 0.5 * first[1]
    assert last[0] < 0.02 * float((frame - 0.5).abs().mean()) + first[0]


def test_iterations_change_luma_alone_and_nothing_without_confidence() -> None:
    frame, previous = random(1, 3, 8, 9), random(1, 3, 8, 9, seed=1)
    enlarged, flow = imresize(frame, 4), constant_flow(8, 9, 0.3, 0)

    def fuse_one(warped: Tensor, iterations: int, tolerance: float) -> tuple[Tensor, Tensor]:
        settings = DataConsistency(tolerance=tolerance, iterations=iterations)
        return fuse(frame, warped, previous, flow, settings)

    change = fuse_one(enlarged, 2, 10.0)[0] - fuse_one(enlarged, 0, 10.0)[0]
    assert change.abs().max() > 0.01
    assert torch.allclose(change, change[:, :1].expand_as(change), atol=1e-5)
    detail, confidence = fuse_one(1 - enlarged, 2, 0.01)
    assert detail.abs().max() < 1e-3
    assert confidence.max() < 1e-3


def test_what_is_missing_counts_beside_detail_and_noise() -> None:
    """The same small error lowers the confidence in a smooth place, not in a busy one."""
    soft, busy = 0.5 + 0.001 * random(1, 3, 10, 12), random(1, 3, 10, 12)

    def confidence(frame: Tensor, noise_floor: float) -> float:
        settings = DataConsistency(tolerance=1.0, noise_floor=noise_floor)
        estimate = back_project(frame + 0.01, 4, 1e-6)
        return float(correct_estimate(frame, estimate, 4, settings)[1].mean())

    assert confidence(soft, 0.0) < 0.05
    assert confidence(busy, 0.0) > 0.9
    assert confidence(soft, 0.1) > 0.9


@pytest.mark.parametrize(
    "settings",
    [
        {"weight": -0.1},
        {"weight": 1.0},
        {"tolerance": 0.0},
        {"damping": 0.0},
        {"noise_floor": -0.1},
        {"iterations": -1},
    ],
)
def test_settings_are_checked_where_they_are_declared(settings: dict[str, float]) -> None:
    ((name, value),) = settings.items()
    with pytest.raises(ValueError, match=f"{name} must be .*{value}"):
        DataConsistency(**settings)  # type: ignore[arg-type]
