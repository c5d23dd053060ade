"""``enhance lowlight -o photo.dng``: linear DNG files that LibRaw opens like the RAW file."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rawpy
import tifffile
from dark_pictures import XMP, XMP_TAG, add_tag, use_networks, write_raw
from PIL import Image
from PIL.ExifTags import IFD, Base

from enhance_cli.io.raw import Exposure, read_exposure

# Of a Sony A7S II, as Adobe's tables have it.
SONY = np.array([[0.6988, -0.1384, -0.0714], [-0.5631, 1.341, 0.2447], [-0.1485, 0.2204, 0.7318]])
# Four patches of a dark scene in white-balanced camera RGB; the last one saturates the sensor.
PATCHES = np.array([[0.04, 0.02, 0.01], [0.01, 0.015, 0.05], [0.03, 0.03, 0.03], [3.0, 3.0, 3.0]])
SIDE = 48


@pytest.fixture(autouse=True)
def weights(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    return use_networks(tmp_path_factory.mktemp("networks"), monkeypatch)


def write_patches(path: Path, patches: np.ndarray = PATCHES, **settings: object) -> None:
    light = patches.repeat(SIDE, 0)[None].repeat(SIDE, 0)
    write_raw(path, light, light.shape[:2], color_matrix=SONY, **settings)


def rendered(path: Path) -> np.ndarray:
    """As LibRaw shows it with the camera's white balance, linear, 16 bits."""
    with rawpy.imread(str(path)) as raw:
        return raw.postprocess(
            use_camera_wb=True, no_auto_bright=True, output_bps=16, gamma=(1, 1)
        ).astype(float)


def tags_of(path: Path) -> dict[int, object]:
    with tifffile.TiffFile(path) as file:
        return {tag.code: tag.value for tag in file.pages[0].tags}


def means(picture: np.ndarray, count: int) -> np.ndarray:
    """The mean colour of the middle of each patch."""
    return np.stack(
        [picture[8:-8, at * SIDE + 8 : (at + 1) * SIDE - 8].mean((0, 1)) for at in range(count)]
    )


def test_libraw_shows_the_brightness_and_colours_of_the_raw(tmp_path: Path, enhance: Callable):
    for name, patches in (("lamp", PATCHES), ("dark", PATCHES[:3] / 8)):
        write_patches(tmp_path / "a.dng", patches)
        out = tmp_path / f"{name}.dng"
        ran = enhance("lowlight", tmp_path / "a.dng", "-o", out, "--ratio", 12, "--json")
        assert ran.code == 0, ran.err
        result = json.loads(ran.out)["results"][0]
        assert result["strength"] == 1 and "curve" not in result
        shown, wanted = rendered(out), rendered(tmp_path / "a.dng")
        assert shown.shape == wanted.shape == (SIDE, SIDE * len(patches), 3)
        count = len(patches)
        np.testing.assert_allclose(means(shown, count), means(wanted, count), rtol=0.01, atol=2)


def test_half_size_grey_and_turned_with_all_that_is_said_about_it(
    tmp_path: Path, enhance: Callable, monkeypatch: pytest.MonkeyPatch
):
    add_tag(monkeypatch, XMP_TAG)
    write_patches(tmp_path / "a.dng", orientation=6, make="Acme", exposure=Exposure(0.04, 400, 4))
    out = tmp_path / "half.DNG"
    options = ["--model", "sid-fcn", "--grayscale", "--size", "half", "--ratio", "12"]
    ran = enhance("lowlight", tmp_path / "a.dng", "-o", out, *options)
    assert ran.code == 0, ran.err
    upright = rendered(out)
    assert upright.shape == (96, 24, 3)
    assert np.ptp(upright, axis=2).max() < 0.02 * upright.max()
    tags = tags_of(out)
    assert tags[Base.Orientation] == 6 and tags[700] == XMP and tags[Base.Make] == "Acme"
    assert "ratio 12" in tags[Base.Software] and "strength 1" in tags[Base.Software]
    assert read_exposure(out) == Exposure(0.04, 400, 4)
    matrix = np.array(tags[50721]).reshape(9, 2)
    np.testing.assert_allclose(matrix[:, 0] / matrix[:, 1], SONY.ravel(), atol=1e-4)
    ran = enhance("lowlight", tmp_path / "a.dng", "-o", out, "--overwrite", "--no-metadata")
    assert ran.code == 0, ran.err
    assert not {700, Base.Make, Base.Software, IFD.Exif} & set(tags_of(out))


def test_its_result_can_be_brightened_in_turn(tmp_path: Path, enhance: Callable):
    write_patches(tmp_path / "a.dng", PATCHES[:3] / 8)
    for source, out in (("a.dng", "b.dng"), ("a.dng", "a.png"), ("b.dng", "b.png")):
        ran = enhance("lowlight", tmp_path / source, "-o", tmp_path / out, "--ratio", 96)
        assert ran.code == 0, ran.err
    with Image.open(tmp_path / "a.png") as first, Image.open(tmp_path / "b.png") as second:
        difference = np.asarray(first).astype(float) - np.asarray(second)
    assert np.abs(means(difference, 3)).max() < 2


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        (("--curve", "flat"), 2, "--curve flat: a DNG holds light as the sensor records it"),
        (("--bits", "8"), 2, "--bits 8: a DNG has 16"),
        ((), 1, "a.png: only RAW files of sensors with red, green and blue become DNG"),
    ],
)
def test_what_becomes_no_dng(
    tmp_path: Path, enhance: Callable, options: tuple[str, ...], code: int, told: str
):
    Image.new("RGB", (40, 40), (9, 9, 9)).save(tmp_path / "a.png")
    ran = enhance("lowlight", tmp_path / "a.png", "-o", tmp_path / "b.dng", *options)
    assert ran.code == code and told in ran.err and len(ran.err.splitlines()) == 1
    assert not (tmp_path / "b.dng").exists()
