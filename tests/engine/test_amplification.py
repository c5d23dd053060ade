"""How much a dark picture is amplified: proportion, limits, noise and highlights."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from enhance_cli.engine.amplification import MAX_CLIPPED_SHARE, MAX_RATIO, _thin, choose_ratio


def scene(height: int = 240, width: int = 320, seed: int = 0) -> Tensor:
    """A picture of soft, muted colours, (3, H, W), of about a fifth of white."""
    rough = 0.1 + 0.2 * torch.rand(1, 3, 5, 6, generator=torch.Generator().manual_seed(seed))
    return functional.interpolate(rough, (height, width), mode="bicubic", align_corners=True)[
        0
    ].clamp(0.02, 1)


def packed(rgb: Tensor) -> Tensor:
    """A mosaic without its colour shifts: every plane sees the same places."""
    return rgb[[0, 1, 2, 1]]


def noise(like: Tensor, deviation: float, seed: int = 1) -> Tensor:
    return deviation * torch.randn(like.shape, generator=torch.Generator().manual_seed(seed))


def log_average(rgb: Tensor) -> float:
    """Of the luminance, pixel by pixel."""
    light = (rgb * torch.tensor([0.2126, 0.7152, 0.0722]).view(3, 1, 1)).sum(0)
    return math.exp(float(light.log().mean()))


def test_a_picture_is_brought_between_key_and_highlight() -> None:
    """As much above one of the two as below the other, in stops; by hand for two levels."""
    picture = torch.full((3, 400, 400), 0.004)
    picture[:, :40] = 0.02  # a tenth
    keyed, lit = 0.14 / (0.004**0.9 * 0.02**0.1), 0.66 / 0.02
    assert choose_ratio(picture) == pytest.approx(math.sqrt(keyed * lit), rel=1e-3)
    flat = torch.full((3, 64, 64), 0.002)
    assert choose_ratio(flat) == pytest.approx(0.25 / 0.002, rel=1e-3)


@pytest.mark.parametrize("make", [packed, lambda rgb: rgb])
def test_the_ratio_is_inverse_to_the_exposure(make) -> None:  # type: ignore[no-untyped-def]
    picture = make(scene())
    first = choose_ratio(picture / 10) / 10
    for factor in (2.0, 3.7, 50.0, 200.0):
        assert choose_ratio(picture / factor) == pytest.approx(first * factor, rel=1e-3)


def test_nothing_is_darkened_and_there_is_an_end() -> None:
    assert choose_ratio(scene() * 3) == 1
    assert choose_ratio(torch.ones(4, 32, 32)) == 1
    assert choose_ratio(scene() / 1e5) == MAX_RATIO == 300
    ratios = [choose_ratio(scene() / factor) for factor in (0.1, 1, 10, 100, 1000, 1e4)]
    assert ratios == sorted(ratios)
    assert ratios[0] == 1
    assert ratios[-1] == 300


@pytest.mark.parametrize("value", [0.0, -0.01])
@pytest.mark.parametrize("size", [(1, 1), (3, 100)])
def test_black_pictures(value: float, size: tuple[int, int]) -> None:
    for planes in (3, 4):
        assert choose_ratio(torch.full((planes, *size), value)) == MAX_RATIO


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (7, 3), (1, 501)])
def test_tiny_pictures(size: tuple[int, int]) -> None:
    for planes in (3, 4):
        assert choose_ratio(torch.full((planes, *size), 0.01)) == pytest.approx(25, rel=1e-3)


def test_packed_and_full_colours_are_judged_alike() -> None:
    picture = scene() / 20
    assert choose_ratio(packed(picture)) == pytest.approx(choose_ratio(picture), rel=1e-5)
    greens = packed(picture)
    greens[1] *= 1.5
    greens[3] *= 0.5  # their mean is as before
    assert choose_ratio(greens) == pytest.approx(choose_ratio(picture), rel=1e-5)


@pytest.mark.parametrize("signal_to_noise", [1.0, 0.3])
def test_zero_mean_noise_changes_little(signal_to_noise: float) -> None:
    picture = packed(scene(480, 640)) / 100
    noisy = picture + noise(picture, float(picture.mean()) / signal_to_noise)
    assert float((noisy < 0).float().mean()) > 0.1
    assert choose_ratio(noisy) == pytest.approx(choose_ratio(picture), rel=0.15)


def test_hot_pixels_change_little() -> None:
    picture = packed(scene(480, 640)) / 100
    hot = picture.clone()
    hot[:, ::97, ::89] = 1.0
    assert choose_ratio(hot) == pytest.approx(choose_ratio(picture), rel=0.1)


def test_black_parts_count_as_a_fiftieth_of_the_mean() -> None:
    """Or a frame of nothing would drag the log-average down to nothing."""
    for level in (0.0, -0.001, 1e-9):
        picture = torch.full((3, 160, 160), 0.01)
        picture[:, :16] = level
        average = 0.9 * 0.01 + 0.1 * level
        keyed = 0.14 / math.exp(0.9 * math.log(0.01) + 0.1 * math.log(average / 50))
        assert choose_ratio(picture) == pytest.approx(math.sqrt(keyed * 66), rel=1e-3)


@pytest.mark.parametrize("share", [0.01, 0.04, 0.3])
def test_what_would_burn_out_holds_the_ratio_back(share: float) -> None:
    """Halfway in stops for a fiftieth of the picture; all the way for a tenth."""
    picture = torch.full((3, 400, 400), 0.001)
    rows = round(400 * share) // 8 * 8
    picture[:, :rows] = 0.05
    log_average = 0.001 * 50 ** (rows / 400)
    expected = {
        0.01: 0.25 / log_average,
        0.04: math.sqrt(0.14 / log_average * 0.66 / 0.05),
        0.3: 1 / 0.05,
    }
    assert choose_ratio(picture) == pytest.approx(expected[share], rel=1e-3)


@pytest.mark.parametrize("power", [2, 4, 8])
def test_no_more_than_a_tenth_is_burnt_out(power: int) -> None:
    steep = scene() ** power
    steep = steep / steep.max() / 20
    squares = functional.avg_pool2d(steep[None], 8)[0].amax(0).flatten()
    burnt = int((squares * choose_ratio(steep) > 1 + 1e-5).sum())
    assert burnt <= MAX_CLIPPED_SHARE * len(squares) + 1


def test_what_is_nearly_white_may_become_white() -> None:
    picture = torch.full((3, 400, 400), 0.01)
    picture[:, :120] = 0.9
    log_average = 0.01**0.7 * 0.9**0.3
    keyed = 0.14 / log_average
    expected = min(math.sqrt(keyed * 0.66 / 0.01), 0.25 / log_average)
    assert choose_ratio(picture) == pytest.approx(expected, rel=1e-3)
    picture[:, :120] = 0.6  # not so near
    assert choose_ratio(picture) == pytest.approx(1 / 0.6, rel=1e-3)


def test_small_lamps_may_burn_out() -> None:
    picture = torch.full((3, 400, 400), 0.001)
    before = choose_ratio(picture)
    picture[:, :24, :32] = 0.5  # half of a hundredth
    assert before == pytest.approx(250, rel=1e-3)
    assert choose_ratio(picture) == pytest.approx(before, rel=0.05)


def test_any_colour_can_burn_out() -> None:
    """A red wall may not lose its red, whatever its luminance is."""
    for plane in range(3):
        picture = torch.full((3, 64, 64), 1e-4)
        picture[plane] = 0.02
        assert choose_ratio(picture) <= 50 * 1.001


@pytest.mark.parametrize("count", [1, 999_999, 1_500_000, 2_000_001, 40_000_000])
def test_a_quantile_of_few_enough_values(count: int) -> None:
    """torch.quantile refuses 16 million values."""
    thin = _thin(torch.zeros(1).expand(count))
    assert min(count, 1_000_000) <= len(thin) <= 2_000_000


def test_the_picture_is_left_as_it_was() -> None:
    picture = packed(scene()) / 10
    kept = picture.clone()
    choose_ratio(picture)
    assert torch.equal(picture, kept)
