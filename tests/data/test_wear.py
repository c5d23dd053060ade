"""Worn pictures: repeatable, aligned with their originals, worn as far as they say."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from enhance_cli.data.wear import Round, Wear, gaussian_kernel, sinc_kernel
from enhance_cli.levels import quantise
from enhance_cli.resize import imresize

CLEAN = Round(blur=0, noise=0, jpeg=0)


def smooth_picture() -> Tensor:
    """(3, 96, 128): slow waves that differ in every direction and colour."""
    y, x = torch.meshgrid(torch.arange(96) / 96, torch.arange(128) / 128, indexing="ij")
    waves = [0.5 + 0.4 * torch.sin(4 * a * x + 3 * b * y) for a, b in ((1, 2), (2, -1), (-1, 1))]
    return torch.stack(waves)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_same_seed_wears_a_picture_alike() -> None:
    wear, picture = Wear(plain=0), torch.rand(3, 64, 64, generator=generator(9))
    first, again, other = (wear.apply(picture, 4, generator(seed)) for seed in (1, 1, 2))
    assert first.equal(again)
    assert not first.equal(other)
    assert first.shape == (3, 16, 16)
    assert first.equal(quantise(first))


def test_plain_pictures_are_reduced_by_matlab_s_bicubic_alone() -> None:
    picture = torch.rand(3, 32, 48, generator=generator(0))
    worn = Wear(plain=1).apply(picture, 4, generator(0))
    assert worn.equal(quantise(imresize(picture, 1 / 4)))


def test_nothing_shifts() -> None:
    """Blur and every filter on a detour of any size leave slow waves where they are.

    The shift in pixels is the regression of what has changed on the slope.
    """
    wear = Wear(plain=0, first=replace(CLEAN, blur=1), second=CLEAN, ringing=0)
    picture = smooth_picture()
    small = imresize(picture, 1 / 4)
    for seed in range(12):
        change = (wear.apply(picture, 4, generator(seed)) - small)[:, 3:-3, 3:-3]
        for slope in torch.gradient(small[:, 3:-3, 3:-3], dim=(1, 2)):
            assert abs(float((change * slope).sum() / slope.square().sum())) < 0.05


@pytest.mark.parametrize("kind", ["noise", "jpeg"])
def test_what_happens_to_a_picture_is_as_strong_as_it_says(kind: str) -> None:
    flat = torch.full((3, 512, 512), 0.5)
    if kind == "noise":
        worn = Round(blur=0, noise=1, level=(10, 10), jpeg=0)
        for seed in range(4):
            small = Wear(0, CLEAN, worn, ringing=0).apply(flat, 4, generator(seed))
            assert 255 * float(small.std()) == pytest.approx(10, rel=0.05)
    else:
        picture = torch.rand(1, 512, 512, generator=generator(3)).expand(3, -1, -1)
        errors = []
        for quality in (30, 95):
            worn = Round(blur=0, noise=0, jpeg=1, quality=(quality, quality))
            clean = Wear(0, CLEAN, CLEAN, ringing=0).apply(picture, 4, generator(5))
            small = Wear(0, CLEAN, worn, ringing=0).apply(picture, 4, generator(5))
            errors.append(float((small - clean).square().mean()))
        assert errors[0] > 4 * errors[1] > 0


def test_kernels_by_hand() -> None:
    """They keep the brightness; a Gaussian lies along its axis, and a sinc rings."""
    gaussian = gaussian_kernel((3.0, 1.0), 0.0)
    assert float(gaussian.sum()) == pytest.approx(1)
    assert float(gaussian[7, 8] / gaussian[7, 7]) == pytest.approx(2.718281828 ** (-1 / 18))
    assert float(gaussian[8, 7] / gaussian[7, 7]) == pytest.approx(2.718281828**-0.5)
    sinc = sinc_kernel(2.0)
    assert float(sinc.sum()) == pytest.approx(1)
    # 2 J1(2) against the limit at the middle, which is half of the squared cutoff.
    assert float(sinc[7, 8] / sinc[7, 7]) == pytest.approx(2 * 0.5767248078 / 2.0, rel=1e-5)
    assert sinc.min() < 0


def test_impossible_settings_are_refused() -> None:
    for wrong in ({"plain": 2.0}, {"detour": (0.0, 1.0)}):
        with pytest.raises(ValueError):
            Wear(**wrong)
    for off in ({"quality": (95, 30)}, {"quality": (50, 101)}, {"level": (0, 1)}):
        with pytest.raises(ValueError, match=next(iter(off))):
            Round(**off)
