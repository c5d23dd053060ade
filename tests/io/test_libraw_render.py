"""LibRaw's linear rendering: exact at the mosaic's own pixels, and less noisy when asked."""

import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from enhance_cli.errors import InputError
from enhance_cli.io.dng import write_dng
from enhance_cli.io.libraw_render import demosaic_linear, measure_wavelet_noise
from enhance_cli.io.raw import read_raw

BLACK, WHITE = 512, 16_383
GAINS = np.array([2.0, 1.0, 1.6])
MATRIX = np.array(
    [[1.0234, -0.2969, -0.2266], [-0.5625, 1.6328, -0.0469], [-0.0703, 0.2188, 0.6406]]
)
SITES = ((0, 0, 0), (1, 0, 1), (1, 1, 0), (2, 1, 1))  # colour, row, column


def write(mosaic: np.ndarray, target: Path | BytesIO, pattern: str = "RGGB") -> None:
    write_dng(
        target,
        mosaic.round().clip(0, WHITE).astype(np.uint16),
        white=WHITE,
        black=BLACK,
        as_shot_neutral=tuple(1 / GAINS),
        color_matrix=MATRIX,
        pattern=pattern,
    )


def ramp(height: int, width: int, peak: float) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return BLACK + (WHITE - BLACK) * peak * (0.1 + 0.9 * (x + y) / (height + width - 2))


@pytest.mark.parametrize("peak", [0.02, 0.8, 1.0])
def test_values_are_planes_times_gains(peak: float) -> None:
    mosaic, file = ramp(48, 64, peak).round(), BytesIO()
    write(mosaic, file)
    rendered = demosaic_linear(file)
    assert (rendered.shape, rendered.dtype) == ((3, 48, 64), np.float32)
    linear = (mosaic - BLACK) / (WHITE - BLACK)
    for colour, row, column in SITES:
        expected = (linear[row::2, column::2] * GAINS[colour]).clip(max=1)
        np.testing.assert_allclose(rendered[colour, row::2, column::2], expected, atol=2 / 65_535)
    np.testing.assert_array_equal(rendered, demosaic_linear(file, gains=(2.0, 1.0, 1.6)))
    assert demosaic_linear(file, gains=(1.0, 1.0, 1.0))[0].mean() < rendered[0].mean()


def test_the_area_is_that_of_read_raw(tmp_path: Path) -> None:
    mosaic = ramp(33, 42, 0.5).round()
    write(mosaic, tmp_path / "a.dng", pattern="BGGR")
    rendered = demosaic_linear(tmp_path / "a.dng")
    red, _, blue = read_raw(tmp_path / "a.dng").planes[:3]
    assert rendered.shape == (3, 34, 44)
    for colour, plane, (y, x) in ((0, red, (0, 0)), (2, blue, (1, 1))):
        expected = (plane * GAINS[colour]).clip(max=1)
        np.testing.assert_allclose(rendered[colour, y::2, x::2], expected, atol=2 / 65_535)


def noisy(deviation: float, light: float) -> tuple[np.ndarray, BytesIO]:
    clean = np.full((64, 96), BLACK + light)
    noise = np.random.default_rng(5).normal(0, deviation, clean.shape)
    file = BytesIO()
    write(clean + noise, file)
    return clean, file


def test_noise_is_measured_in_roots() -> None:
    _, file = noisy(40, 4000)
    # d(256 sqrt(4 x)) = 256 / sqrt(x) dx: 15871 levels fit four times into 16 bits.
    assert measure_wavelet_noise(file) == pytest.approx(256 / np.sqrt(4000) * 40, rel=0.1)
    flat = BytesIO()
    write(np.full((32, 32), 2000.0), flat)
    assert measure_wavelet_noise(flat) == 0


def test_denoising_denoises() -> None:
    _, file = noisy(40, 4000)
    threshold = 2 * measure_wavelet_noise(file)
    inside = (slice(None), slice(8, -8), slice(8, -8))  # FBDD spoils a pixel in three corners
    plain = demosaic_linear(file)[inside]
    for fbdd in (False, True):
        clean = demosaic_linear(file, wavelet_threshold=threshold, fbdd=fbdd)[inside]
        assert clean.std(axis=(1, 2)).max() < 0.4 * plain.std(axis=(1, 2)).max()
        np.testing.assert_allclose(clean.mean(axis=(1, 2)), plain.mean(axis=(1, 2)), rtol=0.02)
    fbdd_alone = demosaic_linear(file, fbdd=True)[inside]
    assert fbdd_alone.std(axis=(1, 2)).max() < 0.8 * plain.std(axis=(1, 2)).max()


def test_a_threshold_of_nothing_changes_nothing() -> None:
    _, file = noisy(40, 300)
    np.testing.assert_array_equal(
        demosaic_linear(file), demosaic_linear(file, wavelet_threshold=1e-9)
    )


def test_files_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="no such file"):
        demosaic_linear(tmp_path / "no.dng")
    monkeypatch.setitem(sys.modules, "rawpy", None)
    with pytest.raises(InputError, match="pip install rawpy"):
        demosaic_linear(BytesIO(b"x"))
