"""LPIPS of given maps: by hand, its invariances, and what is refused."""

import math

import pytest
import torch
from torch import Tensor

from enhance_cli.metrics.lpips import lpips


def maps(seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(3, 4, 6, 5, generator=generator),
        torch.randn(3, 2, 3, 2, generator=generator),
    ]


WEIGHTS = [
    torch.tensor([1.0, 0.5, 0.0, 2.0]).view(1, 4, 1, 1),
    torch.tensor([0.25, 3.0]).view(1, 2, 1, 1),
]


def test_by_hand() -> None:
    """Two places: the same direction, and directions 45 degrees apart."""
    a = torch.tensor([[3.0, 1.0], [4.0, 0.0]]).view(1, 2, 1, 2)
    b = torch.tensor([[6.0, 1.0], [8.0, 1.0]]).view(1, 2, 1, 2)
    half = 1 / math.sqrt(2)
    expected = (2 * (1 - half) ** 2 + 5 * half**2) / 2
    weights = [torch.tensor([2.0, 5.0]).view(1, 2, 1, 1)]
    assert lpips([a], [b], weights).tolist() == pytest.approx([expected])
    # two layers add up
    assert lpips([a, a], [b, b], weights * 2).tolist() == pytest.approx([2 * expected])


def test_laws() -> None:
    a, b = maps(1), maps(2)
    assert lpips(a, a, WEIGHTS).tolist() == [0, 0, 0]
    distance = lpips(a, b, WEIGHTS)
    assert distance.shape == (3,)
    assert (distance > 0).all()
    assert torch.equal(distance, lpips(b, a, WEIGHTS))
    scaled = lpips([3 * layer for layer in a], b, WEIGHTS)  # only directions count
    torch.testing.assert_close(scaled, distance)
    alone = lpips([layer[1:2] for layer in a], [layer[1:2] for layer in b], WEIGHTS)
    torch.testing.assert_close(alone, distance[1:2])
    doubled = lpips(a, b, [2 * weight for weight in WEIGHTS])
    torch.testing.assert_close(doubled, 2 * distance)


def test_a_channel_without_weight_still_takes_part_in_the_scaling() -> None:
    a, b = maps(1), maps(2)
    b[0][:, 2] += 5
    assert not torch.allclose(lpips(a, b, WEIGHTS), lpips(a, maps(2), WEIGHTS))


def test_places_without_features_are_finite() -> None:
    zero = [torch.zeros_like(layer) for layer in maps(1)]
    assert lpips(zero, zero, WEIGHTS).tolist() == [0, 0, 0]
    assert torch.isfinite(lpips(zero, maps(1), WEIGHTS)).all()


def test_refused() -> None:
    a = maps(1)
    with pytest.raises(ValueError, match="maps of one shape"):
        lpips(a, a[:1], WEIGHTS)
    with pytest.raises(ValueError, match="maps of one shape"):
        lpips([], [], [])
    with pytest.raises(ValueError, match=r"channels needs weights"):
        lpips(a, a, WEIGHTS[:1])
    with pytest.raises(ValueError, match=r"channels needs weights"):
        lpips(a, a, WEIGHTS[::-1])
    for value in (-1.0, math.nan):
        with pytest.raises(ValueError, match="at least 0"):
            lpips(a, a, [WEIGHTS[0], torch.full((1, 2, 1, 1), value)])
