"""``enhance lowlight`` on what cameras' sensors do: orders, crops, black levels, bad pixels."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from dark_pictures import BLACK, GAINS, WHITE, XMP, XMP_TAG, add_tag, use_networks, write_raw
from PIL import Image

from enhance_cli.io import dng
from enhance_cli.io.dng import BAYER_ORDERS


@pytest.fixture(autouse=True)
def weights(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Networks that give their input, demosaiced."""
    return use_networks(tmp_path_factory.mktemp("awkward"), monkeypatch)


def load(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image).astype(float)


@pytest.mark.parametrize(("order", "odd"), list(zip(BAYER_ORDERS, (0, 1, 1, 0), strict=True)))
def test_every_pixel_lies_where_the_sensor_saw_it(
    tmp_path: Path, enhance: Callable, order: str, odd: int
):
    """White lines at known rows and columns; a half-size result does not lose its borders."""
    rgb = np.full((48 - odd, 64 - odd, 3), 0.02)
    rgb[20:22], rgb[:, 31:33] = 0.9, 0.9
    write_raw(tmp_path / "a.dng", rgb, rgb.shape[:2], order)
    for size, step in (("full", 1), ("half", 2)):
        out = tmp_path / f"{size}.png"
        ran = enhance("lowlight", tmp_path / "a.dng", "--ratio", 1, "--size", size, "-o", out)
        assert ran.code == 0, ran.err
        shown = load(out)[..., 1]
        assert shown.shape == (rgb.shape[0] // step, rgb.shape[1] // step)
        for line, place in ((shown[:, 8], 20.5), (shown[8], 31.5)):
            light = line - np.median(line)
            middle = (light @ np.arange(len(line)) / light.sum() + 0.5) * step - 0.5
            assert middle == pytest.approx(place, abs=0.6 * step)


def test_pixels_that_are_not_square_become_so(
    tmp_path: Path, enhance: Callable, monkeypatch: pytest.MonkeyPatch
):
    add_tag(monkeypatch, dng._rationals(50718, (2, 1)))  # DefaultScale
    write_raw(tmp_path / "a.dng", orientation=6)
    ran = enhance("lowlight", tmp_path / "a.dng")
    assert ran.code == 0 and "2 times as wide as high" in ran.err
    assert load(tmp_path / "a_bright.png").shape == (128, 48, 3)


def test_rating_and_title_are_kept(
    tmp_path: Path, enhance: Callable, monkeypatch: pytest.MonkeyPatch
):
    add_tag(monkeypatch, XMP_TAG)
    write_raw(tmp_path / "a.dng", orientation=6)
    out = tmp_path / "a.jpg"
    assert enhance("lowlight", tmp_path / "a.dng", "-o", out).code == 0
    with Image.open(out) as image:
        assert image.info["xmp"] == XMP.replace(b"6", b"1") and image.size == (48, 64)
    ran = enhance("lowlight", tmp_path / "a.dng", "-o", out, "--overwrite", "--no-metadata")
    assert ran.code == 0, ran.err
    with Image.open(out) as image:
        assert "xmp" not in image.info


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--black", "dark", "--black dark: must be auto, file or a level"),
        ("--black", "-3", "--black -3: must be"),
        ("--black", "9,9", "--black 9,9: must be"),
        ("--wb", "cloudy", "--wb cloudy: must be camera, auto, daylight or the gains"),
        ("--wb", "1,0,1", "--wb 1,0,1: must be"),
        ("--wb", "1,1,nan", "--wb 1,1,nan: must be"),
    ],
)
def test_black_and_white_that_are_no_choice(
    tmp_path: Path, enhance: Callable, option: str, value: str, told: str
):
    write_raw(tmp_path / "a.dng")
    ran = enhance("lowlight", tmp_path / "a.dng", option, value)
    assert (ran.code, len(ran.err.splitlines())) == (2, 1) and told in ran.err


def test_black_and_white_as_given(tmp_path: Path, enhance: Callable):
    """Twice the gain of red against green shows; the file's own black level gives way."""
    write_raw(tmp_path / "a.dng", 0.1)
    shown = {}
    for name, options in {
        "own": (),
        "red": ("--wb", "4,1,1.6"),
        "dark": ("--black", BLACK + 0.05 * (WHITE - BLACK)),
    }.items():
        out = tmp_path / f"{name}.png"
        ran = enhance("lowlight", tmp_path / "a.dng", "--ratio", 2, "-o", out, *options)
        assert ran.code == 0, ran.err
        shown[name] = load(out)[8:-8, 8:-8].mean((0, 1))
    assert shown["red"][0] > shown["own"][0] + 30
    assert shown["dark"].max() < shown["own"].min() - 20


def test_raw_that_is_not_supported_is_named(tmp_path: Path, enhance: Callable):
    """Also in a folder, where the other files go on; a camera's file named .raw is read."""
    (tmp_path / "kodak.raw").write_bytes(b"bare numbers" * 40)
    write_raw(tmp_path / "b.dng")
    (tmp_path / "b.dng").rename(tmp_path / "camera.RAW")
    ran = enhance("lowlight", tmp_path)
    assert ran.code == 0 and "kodak.raw: skipped, .raw of this kind is not supported" in ran.err
    assert (tmp_path / "camera_bright.png").exists()
    ran = enhance("lowlight", tmp_path / "kodak.raw")
    assert (ran.code, len(ran.err.splitlines())) == (1, 1) and "not supported" in ran.err


def test_a_monochrome_sensor_gives_a_grey_picture(tmp_path: Path, enhance: Callable):
    write_raw(tmp_path / "a.dng", 0.1 * GAINS)  # the same levels at all pixels
    with tifffile.TiffFile(tmp_path / "a.dng", mode="r+") as file:
        file.pages.first.tags["PhotometricInterpretation"].overwrite(34892)
    ran = enhance("lowlight", tmp_path / "a.dng", "--ratio", 2)
    assert ran.code == 0 and "white balance" not in ran.err
    shown = load(tmp_path / "a_bright.png")
    assert shown.ndim == 2 and np.ptp(shown[8:-8, 8:-8]) <= 2
