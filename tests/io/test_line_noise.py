"""Lines of the sensor go, lines of the scene stay."""

from pathlib import Path

import numpy as np
import pytest
from mosaics import OPTIONS

from enhance_cli.io.dng import write_dng
from enhance_cli.io.line_noise import remove_line_noise
from enhance_cli.io.raw import RawSettings, read_raw

HEIGHT, WIDTH = 200, 300
LEVEL = 1 / 2**14


def scene(light: float = 30.0, noise: float = 10.0) -> np.ndarray:
    """Soft light of some levels, with noise."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    soft = light * (1 + 0.5 * np.sin(y / 30) * np.cos(x / 40))
    return soft + noise * np.random.default_rng(0).normal(size=soft.shape)


@pytest.mark.parametrize("by_row", [True, False])
def test_lines_in_the_dark_go(by_row: bool) -> None:
    rng = np.random.default_rng(1)
    lines = 3 * rng.normal(size=(HEIGHT, 1) if by_row else (1, WIDTH))
    values = ((scene() + lines) * LEVEL).astype(np.float32)
    plain = (scene() * LEVEL).astype(np.float32)
    removed = remove_line_noise(values, 2)
    assert removed[1 if by_row else 0] == 0
    assert removed[0 if by_row else 1] / LEVEL == pytest.approx(3, abs=0.9)
    left = (values - plain).mean(axis=1 if by_row else 0) / LEVEL
    # What is left is slow: from line to line it hardly changes.
    steps = np.diff(left[::2]).std(), np.diff(lines.ravel()[::2]).std()
    assert steps[0] < 0.45 * steps[1]


@pytest.mark.parametrize(("light", "noise", "lines"), [(30, 10, 0), (4000, 20, 3), (30, 10, 30)])
def test_what_is_no_noise_of_lines_stays(light: float, noise: float, lines: float) -> None:
    """None; too little of it to be seen in the light; and so much that it is a striped scene."""
    pattern = lines * np.random.default_rng(1).normal(size=(HEIGHT, 1))
    values = ((scene(light, noise) + pattern) * LEVEL).astype(np.float32)
    before = values.copy()
    assert remove_line_noise(values, 2) == (0, 0)
    np.testing.assert_array_equal(values, before)


def test_a_horizon_stays_while_noise_goes() -> None:
    rng = np.random.default_rng(1)
    light = scene()
    light[100:] += 60
    light[150:152] += 80
    values = ((light + 3 * rng.normal(size=(HEIGHT, 1))) * LEVEL).astype(np.float32)
    remove_line_noise(values, 2)
    means = values.mean(axis=1) / LEVEL
    assert means[104:110].mean() - means[90:96].mean() == pytest.approx(
        light[104:110].mean() - light[90:96].mean(), abs=5
    )
    assert means[150:152].mean() - means[144:148].mean() > 65


def test_raw_files_lose_it_where_wanted(tmp_path: Path) -> None:
    lines = 3 * np.random.default_rng(1).normal(size=(HEIGHT, 1))
    levels = (scene() + lines + 600).round().astype(np.uint16)
    write_dng(tmp_path / "a.dng", levels, black=600, **OPTIONS)
    rough, even = (
        np.diff(read_raw(tmp_path / "a.dng", RawSettings(repair=repair)).planes[1].mean(1)).std()
        for repair in (False, True)
    )
    assert even < 0.5 * rough
