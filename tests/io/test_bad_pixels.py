"""Hot and dead pixels vanish; stars, lamps and clean pictures stay."""

from pathlib import Path

import numpy as np
import pytest
from mosaics import OPTIONS
from scipy.special import ndtr

from enhance_cli.io.bad_pixels import repair_alone
from enhance_cli.io.dng import write_dng
from enhance_cli.io.raw import RawSettings, read_raw

BAYER = np.array([[0, 1], [1, 2]], np.uint8)
X_TRANS = np.array(
    ["RGB".index(colour) for colour in "GGRGGBGGBGGRBRGRBGGGBGGRGGRGGBRBGBRG"], np.uint8
).reshape(6, 6)
SIDE = 240


def noisy(light: np.ndarray, read: float = 8.0, seed: int = 0) -> np.ndarray:
    """Read noise and photon noise of one level an electron."""
    rng = np.random.default_rng(seed)
    deviations = np.sqrt(read**2 + np.maximum(light, 0))
    return (light + deviations * rng.normal(size=light.shape)).astype(np.float32)


def gradient() -> np.ndarray:
    return np.mgrid[:SIDE, :SIDE].sum(0) * 0.3 + 10.0


@pytest.mark.parametrize("colours", [BAYER, X_TRANS])
@pytest.mark.parametrize("change", [150.0, 4000.0, -300.0])
def test_pixels_that_stand_alone_vanish(colours: np.ndarray, change: float) -> None:
    values, rng = noisy(gradient()), np.random.default_rng(1)
    bad = rng.random(values.shape) < 1e-3
    spoilt = values + np.float32(change) * bad
    repaired = spoilt.copy()
    repair_alone(repaired, colours)
    assert (np.abs(repaired - values)[bad] < 60).mean() > 0.9
    assert (repaired != spoilt)[~bad].mean() < 1e-4


def star(sharpness: float, y: float, x: float, colour: tuple[float, ...]) -> np.ndarray:
    """A point of light behind a lens, whose light each pixel gathers over its area; peak 1."""
    edges = np.arange(SIDE + 1) - 0.5
    down, across = (np.diff(ndtr((edges - at) / sharpness)) for at in (y, x))
    filters = np.tile(np.asarray(colour)[BAYER], (SIDE // 2, SIDE // 2))
    return np.outer(down, across) / np.diff(ndtr(np.array([-0.5, 0.5]) / sharpness)) ** 2 * filters


@pytest.mark.parametrize("sharpness", [0.5, 0.7, 1.2])
@pytest.mark.parametrize("colour", [(0.5, 1, 0.6), (0.5, 0.6, 0.2), (0.25, 0.8, 0.8)])
def test_stars_survive(sharpness: float, colour: tuple[float, ...]) -> None:
    """A hundred of them, with every place within a pixel; also those of few electrons."""
    rng = np.random.default_rng(2)
    light = gradient()
    for y, x in np.ndindex(10, 10):
        place = np.array([20 + 20 * y, 20 + 20 * x]) + rng.uniform(-0.5, 1.5, 2)
        light += star(sharpness, *place, colour) * rng.choice([600, 3000, 12_000])
    values = noisy(light)
    repaired = values.copy()
    repair_alone(repaired, BAYER)
    lost = np.abs(values - repaired).reshape(12, 20, 12, 20).max((1, 3)) > 100
    assert lost.sum() <= (3 if sharpness == 0.5 else 0)


def test_a_clean_mosaic_stays() -> None:
    """Edges, thin lines, corners and a checkerboard of single cells."""
    values = np.full((SIDE, SIDE), 100.0, np.float32)
    values[40:80, 40:80] = 900
    values[100, :] = values[:, 101] = 700
    values[np.arange(SIDE), np.arange(SIDE)] = 800
    values[140:200:2, 140:200:2] = 500
    repaired = values.copy()
    assert repair_alone(repaired, BAYER) == 0
    np.testing.assert_array_equal(repaired, values)


def test_what_is_too_small_is_left_alone() -> None:
    for side in (2, 8):
        values = np.zeros((side, side), np.float32)
        values[1, 1] = 9
        assert repair_alone(values, BAYER) == 0 and values[1, 1] == 9


def test_raw_files_are_repaired_where_wanted(tmp_path: Path) -> None:
    levels = noisy(gradient() + 600).round().astype(np.uint16)
    levels[50, 61] += 2500
    write_dng(tmp_path / "a.dng", levels, **OPTIONS)
    stored, repaired = (
        read_raw(tmp_path / "a.dng", RawSettings(repair=repair)).planes[1, 25, 30]
        for repair in (False, True)
    )
    assert stored > 0.7 and repaired == pytest.approx((600 + 43) / 4095, abs=0.01)
