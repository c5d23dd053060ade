"""The degradation of ch. 3.3.5 in both phases."""

import math

import pytest
import torch
from torch import Tensor

from enhance_cli.errors import UnknownNameError
from enhance_cli.resize import imresize
from enhance_cli.subsampling import (
    PHASES,
    Phase,
    blur_and_subsample,
    find_phase,
    shift_from_phase,
    shift_to_phase,
)


def random(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("sigma", [0.5, 1.5, 5.0])
@pytest.mark.parametrize("phase", PHASES)
def test_it_is_the_sampled_gaussian(phase: Phase, sigma: float) -> None:
    """Read off the formula, for one cell in the middle of a frame without borders."""
    frame = random(1, 64, 64)
    centre = 32 + (1.5 if phase == "middle" else 0.0)  # of the cell in row and column 8
    along = [math.exp(-(((at - centre) / sigma) ** 2) / 2) for at in range(64)]
    kernel = torch.tensor(along, dtype=torch.float64) / sum(along)
    expected = kernel @ frame[0] @ kernel
    made = blur_and_subsample(frame, 4, sigma, phase)
    assert made.shape == (1, 16, 16)
    assert float(made[0, 8, 8]) == pytest.approx(float(expected), abs=1e-4)


def test_without_blur_the_phases_are_the_middle_and_the_first_pixel() -> None:
    frame = random(2, 3, 8, 12)
    assert torch.equal(blur_and_subsample(frame, 4, 0.0, "first"), frame[..., ::4, ::4])
    middle = (frame[..., 1::4, :] + frame[..., 2::4, :]) / 2
    middle = (middle[..., 1::4] + middle[..., 2::4]) / 2
    assert torch.allclose(blur_and_subsample(frame, 4, 0.0), middle)


def test_the_border_is_repeated_and_flat_frames_stay_flat() -> None:
    frame = torch.full((1, 1, 4, 8), 0.3)
    for phase in PHASES:
        assert torch.allclose(blur_and_subsample(frame, 4, 3.0, phase), torch.tensor(0.3))


@pytest.mark.parametrize(("height", "width"), [(6, 8), (8, 6)])
def test_sides_must_be_multiples(height: int, width: int) -> None:
    with pytest.raises(ValueError, match=f"{width}x{height}: sides must be multiples of 4"):
        blur_and_subsample(torch.zeros(1, 3, height, width), 4)


def test_unknown_phase() -> None:
    assert [find_phase(phase) for phase in PHASES] == list(PHASES)
    with pytest.raises(UnknownNameError, match="unknown phase 'last'"):
        find_phase("last")


def waves(height: int, width: int, offset: float = 0.0) -> Tensor:
    """(1, 3, H, W): waves of 9 to 15 pixels, seen from ``offset`` pixels to the bottom right."""
    x, y = torch.arange(width) + offset, torch.arange(height)[:, None] + offset
    return torch.stack(
        [torch.sin(x / (1.5 + c / 2)) + torch.cos(y / (2 + c / 2)) for c in (0, 1, 2)]
    )[None]


@pytest.mark.parametrize("scale", [2, 4])
def test_large_frames_are_moved_by_half_a_cell_less_half_a_pixel(scale: int) -> None:
    """A network sees frames of phase ``first`` from (s - 1) / 2 pixels too far to the top left."""
    offset = (scale - 1) / 2
    truth, seen = waves(48, 56), waves(48, 56, -offset)
    inner = (..., slice(12, -12), slice(12, -12))
    assert torch.allclose(shift_to_phase(seen, scale, "first")[inner], truth[inner], atol=5e-3)
    assert torch.allclose(shift_from_phase(truth, scale, "first")[inner], seen[inner], atol=5e-3)
    assert torch.equal(shift_to_phase(seen, scale, "middle"), seen)


def test_a_moved_frame_repeats_its_border_and_stays_flat() -> None:
    flat = torch.full((3, 5, 7), 0.3)
    assert torch.allclose(shift_to_phase(flat, 4, "first"), flat)
    ramp = torch.arange(40.0).expand(1, 40, 40)
    assert torch.allclose(
        shift_to_phase(ramp, 4, "first")[..., 8:-9], ramp[..., 8:-9] + 1.5, atol=0.02
    )


@pytest.mark.parametrize("scale", [2, 4])
def test_both_phases_give_aligned_enlargements(scale: int) -> None:
    truth = 0.5 + 0.2 * waves(96, 112)
    made = {}
    for phase in PHASES:
        enlarged = imresize(blur_and_subsample(truth, scale, phase=phase), scale)
        made[phase] = shift_to_phase(enlarged, scale, phase)
    inner = (..., slice(16, -16), slice(16, -16))
    errors = [float((frame - truth)[inner].square().mean()) for frame in made.values()]
    assert errors[1] == pytest.approx(errors[0], rel=0.02)
    unmoved = imresize(blur_and_subsample(truth, scale, phase="first"), scale)
    assert float((unmoved - truth)[inner].square().mean()) > 1.5 * errors[0]
