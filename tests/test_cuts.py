"""Cuts are found, and what only looks like them is not."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from enhance_cli.cuts import cut_score
from enhance_cli.defaults import CUT_THRESHOLD


def picture(seed: int, height: int = 120, width: int = 160) -> Tensor:
    """(3, H, W): blurred noise with a palette of its own, something like a scene."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(3, 7, 9, generator=generator)
    fine = torch.rand(3, 30, 40, generator=generator)
    size = (height, width)
    smooth = (
        functional.interpolate(coarse[None], size, mode="bicubic")
        + 0.3 * functional.interpolate(fine[None], size, mode="bilinear")
    )[0]
    floor, span = torch.rand(2, 3, 1, 1, generator=generator)
    return (floor * 0.6 + smooth * (0.15 + 0.4 * span)).clamp(0, 1)


@pytest.mark.parametrize("size", [(1, 1), (17, 31), (65, 1000)])
def test_zero_for_equal_frames(size: tuple[int, int]) -> None:
    frame = picture(0, *size)
    assert cut_score(frame, frame) == pytest.approx(0, abs=1e-3)
    for level in (0.0, 0.5, 1.0):
        flat = torch.full((3, *size), level)
        assert cut_score(flat, flat) == 0


@pytest.mark.parametrize("size", [(1, 1), (17, 31)])
def test_from_0_to_1_and_the_same_in_both_directions(size: tuple[int, int]) -> None:
    frames = [picture(seed, *size) for seed in range(6)]
    frames += [torch.zeros(3, *size), torch.ones(3, *size), 1 - frames[0]]
    for one in frames:
        for other in frames:
            score = cut_score(one, other)
            assert 0 <= score <= 1
            assert score == pytest.approx(cut_score(other, one), abs=1e-5)
    assert cut_score(torch.zeros(3, *size), torch.ones(3, *size)) == pytest.approx(1)


def test_different_pictures_are_cuts() -> None:
    scores = [cut_score(picture(2 * seed), picture(2 * seed + 1)) for seed in range(40)]
    assert sum(score > CUT_THRESHOLD for score in scores) >= 38
    black = torch.zeros(3, 120, 160)
    assert all(
        cut_score(black, picture(seed)) > CUT_THRESHOLD
        for seed in range(10)
        if picture(seed).mean() > 0.3
    )


@pytest.mark.parametrize("seed", range(2))
def test_what_is_no_cut(seed: int) -> None:
    frame = picture(seed)
    wide = picture(seed, 120, 200)
    noise = torch.randn(frame.shape, generator=torch.Generator().manual_seed(seed))
    lamp = torch.zeros_like(frame)
    lamp[:, 30:60, 40:80] = 0.3
    changes = {
        "pan": (wide[..., :160], wide[..., 16:176]),
        "brighter": (frame * 0.7, frame * 0.85),
        "a step of a fade to black": (frame * 0.5, frame * 0.42),
        "a step of a dissolve": (
            0.6 * frame + 0.4 * picture(seed + 50),
            0.5 * frame + 0.5 * picture(seed + 50),
        ),
        "flash": (frame * 0.5, (frame * 0.5 + 0.4)),
        "a lamp goes on": (frame * 0.5, (frame * 0.5 + lamp).clamp(0, 1)),
        "noise": (frame, (frame + 0.1 * noise).clamp(0, 1)),
        "zoom": (
            frame,
            functional.interpolate(frame[None], scale_factor=1.1, mode="bilinear")[
                0, :, 6:126, 8:168
            ],
        ),
    }
    scores = {name: cut_score(*pair) for name, pair in changes.items()}
    assert max(scores.values()) < CUT_THRESHOLD, scores


def test_sixteen_bit_values_and_large_frames_score_alike() -> None:
    one, other = picture(1), picture(2)
    small = cut_score(one, other)
    large = cut_score(
        *(
            functional.interpolate(frame[None], scale_factor=4, mode="bilinear")[0]
            for frame in (one, other)
        )
    )
    assert large == pytest.approx(small, abs=0.05)
