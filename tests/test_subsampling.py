"""The degradation of ch. 3.3.5 in both phases."""

import math

import pytest
import torch
from torch import Tensor

from enhance_cli.errors import UnknownNameError
from enhance_cli.subsampling import PHASES, Phase, blur_and_subsample


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
    with pytest.raises(UnknownNameError, match="last"):
        blur_and_subsample(torch.zeros(1, 4, 4), 4, phase="last")  # type: ignore[arg-type]
