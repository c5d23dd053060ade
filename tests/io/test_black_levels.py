"""Black levels as DNG files give them, and where they are wrong."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mosaics import OPTIONS, WHITE, scene

from enhance_cli.io import dng
from enhance_cli.io.dng import write_dng
from enhance_cli.io.raw import RawImage, RawSettings, read_raw

GAINS = np.array([2.0, 1.0, 1.6])
AUTO = RawSettings(black="auto")


def mosaic_of(planes: np.ndarray) -> np.ndarray:
    _, height, width = planes.shape
    mosaic = np.empty((2 * height, 2 * width), np.float32)
    for plane, (y, x) in zip(planes, [(0, 0), (0, 1), (1, 1), (1, 0)], strict=True):
        mosaic[y::2, x::2] = plane
    return mosaic


def test_a_fraction_of_a_level(tmp_path: Path) -> None:
    write_dng(tmp_path / "a.dng", scene(), black=(63.6, 63.4, 64.25, 63.6), **OPTIONS)
    found = mosaic_of(read_raw(tmp_path / "a.dng").planes)
    blacks = np.tile([[63.6, 63.4], [64.25, 63.6]], (20, 24))
    np.testing.assert_allclose(found, (scene() - blacks) / (WHITE - blacks), atol=1e-6)


def test_a_pattern_and_differences_of_rows_and_columns(
    changed_tags: Callable[..., None], tmp_path: Path
) -> None:
    """Whatever repeats, counted from the first pixel of the active area."""
    rng = np.random.default_rng(2)
    tile, rows, columns = rng.integers(50, 70, (3, 4)), rng.normal(0, 3, 36), rng.normal(0, 3, 40)
    changed_tags(
        {
            50713: ("H", 2, (3, 4)),  # BlackLevelRepeatDim
            50714: ("H", 12, tuple(map(int, tile.flat))),
            50715: dng._rationals(50715, columns, signed=True)[1:4],  # BlackLevelDeltaH
            50716: dng._rationals(50716, rows, signed=True)[1:4],  # BlackLevelDeltaV
            50829: ("I", 4, (2, 6, 38, 46)),  # ActiveArea
        }
    )
    write_dng(tmp_path / "a.dng", scene(), **OPTIONS)
    found = mosaic_of(read_raw(tmp_path / "a.dng").planes)
    blacks = np.tile(tile, (12, 10)) + rows[:, None] + columns
    np.testing.assert_allclose(
        found * (WHITE - blacks.mean()), scene()[2:38, 6:46] - blacks, atol=0.7
    )


@pytest.mark.parametrize(
    "tags",
    [
        {50714: (5, 4, (636, 10) * 3 + (1, 0))},  # no number
        {50714: ("H", 1, 900), 50713: None},  # LibRaw is asked what it reads
        {50713: ("H", 2, (65_535, 65_535))},
        {50716: (10, 3, (9, 1) * 3)},  # three rows of forty
    ],
)
def test_tags_that_make_no_sense_are_left_to_libraw(
    tags: dict[int, tuple], changed_tags: Callable[..., None], tmp_path: Path
) -> None:
    changed_tags(tags)
    write_dng(tmp_path / "a.dng", scene(), black=64, **OPTIONS)
    planes = read_raw(tmp_path / "a.dng").planes
    assert np.isfinite(planes).all() and -0.3 < planes.min() < 0


def dark_scene(offset: float, light: float = 40, fog: float = 0) -> np.ndarray:
    """Patches of every colour, from black on, with noise, on a black level of 512."""
    rng = np.random.default_rng(3)
    patches = rng.random((10, 12, 3)) ** 2
    rgb = (patches * light + fog).repeat(60, 0).repeat(60, 1) / GAINS
    mosaic = np.empty(rgb.shape[:2])
    for y, x in np.ndindex(2, 2):
        mosaic[y::2, x::2] = rgb[y::2, x::2, y + x]
    levels = 512 + offset + mosaic + rng.normal(0, 4, mosaic.shape)
    return levels.round().astype(np.uint16)


def read(path: Path, levels: np.ndarray, settings: RawSettings) -> tuple[RawImage, list[str]]:
    told: list[str] = []
    options = OPTIONS | {"white": 16_383, "as_shot_neutral": tuple(1 / GAINS)}
    write_dng(path, levels, black=512, **options)
    return read_raw(path, settings, told.append), told


@pytest.mark.parametrize("offset", [-5.0, 4.0, 8.0])
def test_the_darkest_data_show_a_wrong_level(offset: float, tmp_path: Path) -> None:
    right, _ = read(tmp_path / "a.dng", dark_scene(0), RawSettings())
    found, told = read(tmp_path / "b.dng", dark_scene(offset), AUTO)
    error = (found.planes - right.planes).mean() * (16_383 - 512)
    assert abs(error) < 1.2
    assert len(told) == 1 and "darkest data" in told[0] and "black level 512 by" in told[0]
    kept, told = read(tmp_path / "c.dng", dark_scene(offset), RawSettings(black="file"))
    assert (kept.planes - right.planes).mean() * 15_871 == pytest.approx(offset, abs=0.01)
    assert not told
    given, _ = read(tmp_path / "d.dng", dark_scene(offset), RawSettings(black=512 + offset))
    np.testing.assert_allclose(given.planes, right.planes, atol=1e-4)


@pytest.mark.parametrize(("light", "fog"), [(40, 0), (2000, 0), (40, 30), (2000, 400)])
def test_a_right_level_stays_in_fog_too(light: float, fog: float, tmp_path: Path) -> None:
    """Fog is grey, so its raw levels are not the same in all colours."""
    found, told = read(tmp_path / "a.dng", dark_scene(0, light, fog), AUTO)
    right, _ = read(tmp_path / "b.dng", dark_scene(0, light, fog), RawSettings())
    assert not told
    np.testing.assert_array_equal(found.planes, right.planes)


@pytest.mark.parametrize("masked", [True, False])
def test_masked_pixels_show_it_best(
    masked: bool, changed_tags: Callable[..., None], tmp_path: Path
) -> None:
    """Of a border that is no masked one, but sees light, nothing is concluded."""
    levels = dark_scene(-3, light=4000, fog=900) if masked else dark_scene(0)
    border = 509 if masked else 540
    levels[:, :40] = np.random.default_rng(6).normal(border, 4, (levels.shape[0], 40)).round()
    changed_tags({50829: ("I", 4, (0, 40, *levels.shape))})
    found, told = read(tmp_path / "a.dng", levels, AUTO)
    plain, _ = read(tmp_path / "b.dng", levels, RawSettings())
    shift = (found.planes - plain.planes).mean() * 15_871
    if masked:
        assert shift == pytest.approx(3, abs=0.2)
        assert "masked border" in told[0]
    else:
        assert (shift, told) == (0, [])


def test_dark_data_that_are_rounded_are_no_proof(tmp_path: Path) -> None:
    """Without noise what lies at 63.6 is stored as 64; all that is brighter is right."""
    levels = (dark_scene(0) - 512.0) / 16 + 63.6
    rounded = levels.clip(63.6).round().astype(np.uint16)
    options = OPTIONS | {"white": 1023, "as_shot_neutral": tuple(1 / GAINS)}
    write_dng(tmp_path / "a.dng", rounded, black=63.6, **options)
    told: list[str] = []
    read_raw(tmp_path / "a.dng", AUTO, told.append)
    assert told == []
