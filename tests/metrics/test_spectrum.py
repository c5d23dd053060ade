"""Energy at high spatial frequencies: waves of known power, and what blur does."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from enhance_cli.metrics.spectrum import high_frequency_energy


def wave(rows: int, columns: int, height: int = 32, width: int = 24) -> Tensor:
    """0.5 + 0.2 cos of whole cycles over the picture, (1, 1, H, W)."""
    y = torch.arange(height, dtype=torch.float64)[:, None] / height
    x = torch.arange(width, dtype=torch.float64)[None] / width
    return (0.5 + 0.2 * torch.cos(2 * math.pi * (rows * y + columns * x)))[None, None]


@pytest.mark.parametrize(
    ("rows", "columns", "high"),
    [
        (9, 0, True),
        (8, 0, False),
        (0, 7, True),
        (0, 6, False),  # 9/32, 8/32, 7/24, 6/24
        (5, 4, False),
        (6, 4, True),
        (0, 0, False),  # hypot(5/32, 4/24) = 0.228, then 0.251
    ],
)
def test_pure_waves(rows: int, columns: int, high: bool) -> None:
    energy = high_frequency_energy(wave(rows, columns))
    assert energy == pytest.approx(0.2**2 / 2 if high else 0, abs=1e-15)


def test_shortest_wave() -> None:
    checker = (torch.arange(8)[:, None] + torch.arange(8)[None]) % 2
    assert high_frequency_energy(checker[None, None]) == pytest.approx(0.25)


def test_all_frequencies_are_the_variance() -> None:
    images = torch.rand(5, 3, 13, 10, generator=torch.Generator().manual_seed(0))
    expected = images.double().var((2, 3), unbiased=False).mean()
    assert high_frequency_energy(images, cutoff=0) == pytest.approx(float(expected), rel=1e-12)


def test_blur_lowers_it_and_brightness_does_not() -> None:
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    energy = high_frequency_energy(images)
    assert high_frequency_energy(functional.avg_pool2d(images, 3, 1, 1)) < 0.3 * energy
    assert high_frequency_energy(images / 2 + 0.3) == pytest.approx(energy / 4, rel=1e-5)


def test_mean_over_many_pictures() -> None:
    images = torch.cat([wave(9, 0)] * 300 + [wave(1, 0)] * 100)
    assert high_frequency_energy(images) == pytest.approx(0.75 * 0.02)


def test_constant_pictures_have_none() -> None:
    assert high_frequency_energy(torch.full((2, 1, 9, 7), 0.7)) == pytest.approx(0, abs=1e-20)
    assert high_frequency_energy(torch.ones(2, 1, 1, 1)) == 0


def test_refused() -> None:
    for images in (torch.zeros(3, 8, 8), torch.zeros(0, 3, 8, 8)):
        with pytest.raises(ValueError, match="N, C, H, W"):
            high_frequency_energy(images)
    for cutoff in (-0.1, 0.8, math.nan):
        with pytest.raises(ValueError, match="cutoff"):
            high_frequency_energy(torch.zeros(1, 1, 8, 8), cutoff)
