"""The reduction of frames and its damped pseudo-inverse."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from enhance_cli.architectures import back_projection
from enhance_cli.architectures.back_projection import (
    REACH,
    back_project,
    degrade,
    enlarge_bicubic,
)
from enhance_cli.resize import imresize


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("scale", [2, 4])
def test_what_is_flat_stays_flat_in_both_directions(scale: int) -> None:
    flat = torch.full((1, 3, 8, 12), 0.3)
    reduced = degrade(flat, scale)
    assert torch.allclose(reduced, torch.full((1, 3, 8 // scale, 12 // scale), 0.3))
    made = back_project(reduced, scale, 0.003)
    assert (made - 0.3).abs().max() < 1e-6


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("size", [(1, 1), (1, 5), (9, 12)])
def test_bicubic_enlargement_is_matlabs(scale: int, size: tuple[int, int]) -> None:
    frames = random(2, 3, *size)
    assert torch.allclose(enlarge_bicubic(frames, scale), imresize(frames, scale), atol=1e-6)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(enlarge_bicubic(frames, scale).float(), enlarge_bicubic(frames, scale))


@pytest.mark.parametrize("scale", [2, 4])
def test_what_is_missing_is_put_right(scale: int) -> None:
    """D B is the identity but for damping and reach; bicubic enlargement is far from it."""
    missing = random(2, 3, 16, 20) - 0.5
    inner = (..., slice(REACH, -REACH), slice(REACH, -REACH))

    def left(made: Tensor) -> float:
        return float(
            (missing - degrade(made, scale))[inner].abs().mean() / missing[inner].abs().mean()
        )

    assert left(back_project(missing, scale, 1e-6)) < 0.02
    assert left(back_project(missing, scale, 0.003)) < 0.06
    assert left(imresize(missing, scale)) > 0.3


def test_damping_leaves_more_undone() -> None:
    missing = random(1, 1, 16, 20) - 0.5
    changes = [
        float(back_project(missing, 4, damping).square().sum()) for damping in (0.003, 0.03, 0.3)
    ]
    assert changes[0] > changes[1] > changes[2] > 0


def test_a_correction_reaches_no_farther_than_it_says() -> None:
    missing = torch.zeros(1, 1, 15, 15)
    missing[..., 7, 7] = 1
    made = back_project(missing, 4, 0.003)
    rows = made[0, 0].abs().amax(1).nonzero().flatten()
    assert rows.min() == 4 * (7 - REACH) and rows.max() == 4 * (8 + REACH) - 1
    assert torch.allclose(made, made.flip(-1).flip(-2), atol=1e-6)
    assert torch.allclose(made, made.transpose(-1, -2), atol=1e-6)


def test_frames_of_one_pixel_and_mixed_precision() -> None:
    assert back_project(random(1, 3, 1, 1), 4, 0.003).shape == (1, 3, 4, 4)
    missing = random(1, 3, 6, 5) - 0.5
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(back_project(missing, 4, 0.003), back_project(missing, 4, 0.003))
        made = back_project(missing, 4, 0.003)
    assert made.dtype == torch.float32
    assert torch.equal(made, back_project(missing, 4, 0.003))


@pytest.mark.parametrize("mode", [torch.inference_mode, lambda: torch.device("meta")])
def test_what_is_cached_serves_every_device_and_mode(mode: Callable[[], Any]) -> None:
    back_projection.bicubic_taps.cache_clear()
    back_projection.back_projection_taps.cache_clear()
    with mode():
        frame = torch.zeros(1, 3, 5, 6)
        assert enhanced_shapes(frame) == {(1, 3, 20, 24)}
    frame = random(1, 3, 5, 6).requires_grad_()
    (enlarge_bicubic(frame, 4) + back_project(frame, 4, 0.003)).sum().backward()
    assert frame.grad is not None


def enhanced_shapes(frame: Tensor) -> set[tuple[int, ...]]:
    large = enlarge_bicubic(frame, 4)
    made = large, back_project(degrade(large, 4), 4, 0.1)
    return {tuple(each.shape) for each in made}
