"""DNG files that come back as they were written."""

import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from enhance_cli.errors import OutputError
from enhance_cli.io.dng import BAYER_ORDERS, write_dng
from enhance_cli.io.raw import Exposure, read_exposure, read_raw

rawpy = pytest.importorskip("rawpy")
pytest.importorskip("tifffile")

# Of a Sony A7S II, as Adobe's tables have it.
SONY = np.array([[0.6988, -0.1384, -0.0714], [-0.5631, 1.341, 0.2447], [-0.1485, 0.2204, 0.7318]])
COLOURS = {"as_shot_neutral": (0.5, 1.0, 0.625), "color_matrix": SONY}


def noise(height: int, width: int, white: int = 16_383) -> np.ndarray:
    rng = np.random.default_rng(height * 1000 + width)
    return rng.integers(0, white, (height, width), dtype=np.uint16, endpoint=True)


def linear(mosaic: np.ndarray, pattern: str, blacks: tuple[int, ...], white: int) -> np.ndarray:
    """R, G in the red rows, B, G in the blue rows, pixel by pixel."""
    top, left = divmod(pattern.index("R"), 2)
    height, width = (mosaic.shape[0] - top) // 2, (mosaic.shape[1] - left) // 2
    planes = np.zeros((4, height, width))
    for plane, (y, x) in enumerate([(0, 0), (0, 1), (1, 1), (1, 0)]):
        for row in range(height):
            for column in range(width):
                at = top + 2 * row + y, left + 2 * column + x
                black = blacks[at[0] % 2 * 2 + at[1] % 2]
                planes[plane, row, column] = (mosaic[at] - float(black)) / (white - black)
    return planes


@pytest.mark.parametrize("shape", [(22, 24), (23, 27)])
@pytest.mark.parametrize("pattern", BAYER_ORDERS)
def test_planes_come_back(pattern: str, shape: tuple[int, int], tmp_path: Path) -> None:
    mosaic, blacks = noise(*shape), (400, 500, 600, 700)
    write_dng(tmp_path / "a.dng", mosaic, pattern=pattern, black=blacks, white=16_383, **COLOURS)
    planes = read_raw(tmp_path / "a.dng").planes
    expected = linear(mosaic, pattern, blacks, 16_383)
    top, left = divmod(pattern.index("R"), 2)  # mirrored, where not 0, and not looked at here
    whole = planes[:, top : top + expected.shape[1], left : left + expected.shape[2]]
    np.testing.assert_allclose(whole, expected, atol=1e-6)
    assert planes.min() < -0.01


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_levels_come_back(bits: int, tmp_path: Path) -> None:
    white, black = 2**bits - 1, 2 ** (bits - 5)
    mosaic = noise(24, 22, white)
    write_dng(tmp_path / "a.dng", mosaic, black=black, white=white, **COLOURS)
    raw = read_raw(tmp_path / "a.dng")
    assert raw.bits == bits
    np.testing.assert_allclose(raw.planes, linear(mosaic, "RGGB", (black,) * 4, white), atol=1e-6)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_comes_back(orientation: int, tmp_path: Path) -> None:
    write_dng(tmp_path / "a.dng", noise(24, 30), white=16_383, orientation=orientation, **COLOURS)
    raw = read_raw(tmp_path / "a.dng")
    assert raw.orientation == orientation
    assert raw.planes.shape == (4, 12, 15)


@pytest.mark.parametrize(
    "exposure",
    [
        Exposure(1 / 4000, 100, 1.4),
        Exposure(30, 102_400, 22),
        Exposure(None, 800, None),
        Exposure(1 / 3, 65_535, None),
        Exposure(1.7e-5, 4_000_000, 0.95),
        Exposure(2.5),
    ],
)
def test_exposure_comes_back(exposure: Exposure, tmp_path: Path) -> None:
    path = tmp_path / "a.dng"
    write_dng(path, noise(24, 22), white=16_383, exposure=exposure, **COLOURS)
    for found in (read_raw(path).exposure, read_exposure(path)):
        pairs = (found.seconds, exposure.seconds), (found.f_number, exposure.f_number)
        for value, written in pairs:
            assert value == (written and pytest.approx(written, rel=1e-5))
        assert found.iso == exposure.iso


def test_no_exposure_stays_none(tmp_path: Path) -> None:
    write_dng(tmp_path / "a.dng", noise(24, 22), white=16_383, **COLOURS)
    assert read_raw(tmp_path / "a.dng").exposure == Exposure(None, None, None)


@pytest.mark.parametrize("neutral", [(0.5, 1, 0.625), (1, 1, 1), (1, 0.4, 0.9)])
def test_colours_come_back(neutral: tuple[float, float, float], tmp_path: Path) -> None:
    write_dng(
        tmp_path / "a.dng",
        noise(24, 22),
        white=16_383,
        as_shot_neutral=neutral,
        color_matrix=SONY,
        make="Maker",
        model="One",
    )
    raw = read_raw(tmp_path / "a.dng")
    gains = max(neutral) / np.array(neutral)
    np.testing.assert_allclose(raw.white_balance, gains, rtol=1e-4)
    assert (raw.white_balance_source, raw.colour_source) == ("camera", "file")
    assert raw.camera == "Maker One"
    # Linear sRGB as the camera sees it, each channel divided by its answer to white.
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    seen = SONY @ xyz / (SONY @ xyz @ np.ones(3))[:, None]
    np.testing.assert_allclose(raw.camera_to_srgb @ seen, np.eye(3), atol=1e-3)
    np.testing.assert_allclose(raw.camera_to_srgb.sum(axis=1), 1, atol=1e-5)


def test_an_open_file(tmp_path: Path) -> None:
    mosaic, buffer = noise(24, 22), BytesIO()
    write_dng(buffer, mosaic, white=16_383, **COLOURS)
    write_dng(tmp_path / "a.dng", mosaic, white=16_383, **COLOURS)
    assert buffer.getvalue() == (tmp_path / "a.dng").read_bytes()
    buffer.seek(0)
    with rawpy.imread(buffer) as raw:
        np.testing.assert_array_equal(raw.raw_image, mosaic)


def test_a_failure_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill_up(self: Path, data: bytes) -> int:
        self.open("wb").close()
        raise OSError(28, "No space left on device")

    path = tmp_path / "a.dng"
    path.write_bytes(b"old")
    monkeypatch.setattr(Path, "write_bytes", fill_up)
    with pytest.raises(OutputError, match=r"a\.dng: cannot write \(No space"):
        write_dng(path, noise(24, 22), white=16_383, **COLOURS)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_without_tifffile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tifffile", None)
    with pytest.raises(OutputError, match="pip install tifffile"):
        write_dng(tmp_path / "a.dng", noise(24, 22), white=16_383, **COLOURS)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "wrong",
    [
        {"pattern": "RGBG"},
        {"black": 20_000},
        {"orientation": 9},
        {"white": 70_000},
        {"as_shot_neutral": (0, 1, 1)},
        {"color_matrix": np.full((3, 3), np.nan)},
    ],
)
def test_senseless_values(wrong: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        write_dng(tmp_path / "a.dng", noise(24, 22), **({"white": 16_383} | COLOURS | wrong))
