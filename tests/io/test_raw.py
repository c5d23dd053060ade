"""Mosaics of camera RAW files: levels, orders of the colours, white balance, renderings."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rawpy
import tifffile
from mosaics import OPTIONS, WHITE, refusal, scene
from PIL import Image as Pillow
from PIL.ExifTags import Base

from enhance_cli.io import dng
from enhance_cli.io.dng import BAYER_ORDERS, write_dng
from enhance_cli.io.metadata import load_exif, turn_upright
from enhance_cli.io.raw import (
    NotBayerError,
    RawSettings,
    WhiteBalanceRule,
    is_raw,
    read_raw,
    read_rendered,
)


@pytest.mark.parametrize("size", [(36, 40), (35, 43)])
@pytest.mark.parametrize(("top", "left"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_every_order_gives_the_whole_picture_in_its_place(
    top: int, left: int, size: tuple[int, int], tmp_path: Path
) -> None:
    """A mosaic without its first row or column is one of another order."""
    mosaic = scene()[top : top + size[0], left : left + size[1]]
    write_dng(tmp_path / "a.dng", mosaic, black=64, pattern=BAYER_ORDERS[2 * top + left], **OPTIONS)
    raw = read_raw(tmp_path / "a.dng")
    height, width = (side + first for side, first in zip(size, (top, left), strict=True))
    assert raw.margins == (top, left, height % 2, width % 2)
    # numpy's "reflect" mirrors at the last pixel, so that colours stay in their places.
    whole = np.pad(mosaic.astype(float), ((top, height % 2), (left, width % 2)), "reflect")
    np.testing.assert_allclose(unpacked(raw.planes), (whole - 64) / (WHITE - 64), rtol=1e-6)


def unpacked(planes: np.ndarray) -> np.ndarray:
    _, height, width = planes.shape
    mosaic = np.empty((2 * height, 2 * width), np.float32)
    for plane, (y, x) in zip(planes, [(0, 0), (0, 1), (1, 1), (1, 0)], strict=True):
        mosaic[y::2, x::2] = plane
    return mosaic


@pytest.mark.parametrize("origin", [(0, 0), (3, 5), (4, 7)])
def test_the_camera_s_crop_within_the_visible_area(
    origin: tuple[int, int], changed_tags: Callable[..., None], tmp_path: Path
) -> None:
    """Rows and columns that complete the blocks come from the mosaic."""
    mosaic, (top, left) = scene(60, 70), origin
    changed_tags(
        {
            50829: ("I", 4, (4, 6, 54, 66)),  # ActiveArea
            50719: ("I", 2, (left, top)),  # DefaultCropOrigin
            50720: ("I", 2, (41, 35)),  # DefaultCropSize
        }
    )
    write_dng(tmp_path / "a.dng", mosaic, black=64, **OPTIONS)
    raw = read_raw(tmp_path / "a.dng")
    above, before, below, behind = raw.margins
    assert (above, before) == (top % 2, left % 2)
    found = unpacked(raw.planes) * (WHITE - 64) + 64
    part = mosaic[4 + top - above : 4 + top + 35 + below, 6 + left - before :][:, : 41 + before]
    np.testing.assert_allclose(found[:, : 41 + before], part, atol=0.01)
    assert found.shape == (above + 35 + below, before + 41 + behind)


@pytest.mark.parametrize(
    ("origin", "size"), [((0, 0), (3, 3)), ((60, 60), (40, 30)), ((0, 0), (0, 0))]
)
def test_a_crop_that_leaves_hardly_anything_is_none(
    origin: tuple[int, int],
    size: tuple[int, int],
    changed_tags: Callable[..., None],
    tmp_path: Path,
) -> None:
    changed_tags({50719: ("I", 2, origin), 50720: ("I", 2, size)})
    write_dng(tmp_path / "a.dng", scene(), **OPTIONS)
    assert read_raw(tmp_path / "a.dng").planes.shape == (4, 20, 24)


def test_black_and_white_levels_are_0_and_1_and_nothing_is_clipped(tmp_path: Path) -> None:
    mosaic = np.full((24, 26), 256, np.uint16)
    mosaic[0, 0], mosaic[0, 1], mosaic[1, 0] = 64, WHITE, WHITE + 256
    write_dng(tmp_path / "a.dng", mosaic, black=256, **OPTIONS)
    red, green, blue, other_green = read_raw(tmp_path / "a.dng").planes[:, 0, 0]
    assert red == pytest.approx(-192 / (WHITE - 256))
    assert green == 1
    assert other_green == pytest.approx(WHITE / (WHITE - 256))
    assert blue == 0


@pytest.mark.parametrize("pattern", BAYER_ORDERS)
def test_black_of_each_channel(pattern: str, tmp_path: Path) -> None:
    """Each position lies 100 above its own black."""
    blacks = (100, 300, 500, 700)
    mosaic = np.tile(np.array(blacks, np.uint16).reshape(2, 2) + 100, (14, 14))
    mosaic[5, 5] += 1  # not one even level
    write_dng(tmp_path / "a.dng", mosaic, pattern=pattern, black=blacks, **OPTIONS)
    planes = read_raw(tmp_path / "a.dng").planes
    top, left = divmod(pattern.index("R"), 2)
    for plane, (y, x) in zip(planes, [(0, 0), (0, 1), (1, 1), (1, 0)], strict=True):
        black = blacks[(top + y) % 2 * 2 + (left + x) % 2]
        assert np.median(plane) == pytest.approx(100 / (WHITE - black))


def test_the_visible_area_alone(changed_tags: Callable[..., None], tmp_path: Path) -> None:
    mosaic = scene(60, 70)
    write_dng(tmp_path / "a.dng", mosaic[4:54, 6:66], black=64, **OPTIONS)
    changed_tags({50829: ("I", 4, (4, 6, 54, 66))})  # ActiveArea
    write_dng(tmp_path / "b.dng", mosaic, black=64, **OPTIONS)
    np.testing.assert_array_equal(
        read_raw(tmp_path / "b.dng").planes, read_raw(tmp_path / "a.dng").planes
    )


def test_daylight_where_the_camera_says_nothing(
    changed_tags: Callable[..., None], tmp_path: Path
) -> None:
    changed_tags({50728: None})  # AsShotNeutral
    write_dng(tmp_path / "a.dng", scene(), **OPTIONS)
    raw = read_raw(tmp_path / "a.dng")
    assert (raw.white_balance_source, raw.colour_source) == ("daylight", "file")
    xyz_of_white = np.array([0.9505, 1, 1.089])
    seen = OPTIONS["color_matrix"] @ xyz_of_white
    np.testing.assert_allclose(raw.white_balance, seen.max() / seen, rtol=2e-3)


@pytest.mark.parametrize("red", [(0, 0), (0, 1), (1, 4_000_000_000)])
def test_unusable_gains_are_not_used(
    red: tuple[int, int], changed_tags: Callable[..., None], tmp_path: Path
) -> None:
    changed_tags({50728: (5, 3, (*red, 1, 1, 1, 1))})
    write_dng(tmp_path / "a.dng", scene(), **OPTIONS)
    raw = read_raw(tmp_path / "a.dng")
    assert raw.white_balance_source == "daylight"
    assert np.isfinite(raw.white_balance).all()


@pytest.mark.parametrize(
    ("levels", "gains"),
    [
        ((500, 1000, 2000), (4, 2, 1)),
        ((1000, 2000, 1000), (2, 1, 2)),
        ((50, 3000, 1500), (4, 1, 2)),
        ((3500, 100, 100), (1, 4, 4)),
    ],
)
def test_grey_world_where_the_file_says_nothing(
    levels: tuple[int, int, int],
    gains: tuple[float, ...],
    changed_tags: Callable[..., None],
    tmp_path: Path,
) -> None:
    """Within 1/4 to 4 of green; a saturated lamp does not count."""
    red, green, blue = levels
    mosaic = np.tile(np.array([[red, green], [green, blue]], np.uint16), (20, 20))
    mosaic[:20, :10] = WHITE
    changed_tags({50728: None, 50721: None})  # AsShotNeutral, ColorMatrix1
    write_dng(tmp_path / "a.dng", mosaic, **OPTIONS)
    raw = read_raw(tmp_path / "a.dng")
    assert (raw.white_balance_source, raw.colour_source) == ("grey world", "none")
    np.testing.assert_allclose(raw.white_balance, gains, rtol=1e-3)
    np.testing.assert_array_equal(raw.camera_to_srgb, np.eye(3))


def test_linear_dng_is_read_below_black_too(tmp_path: Path) -> None:
    """Three samples a pixel, of which Bayer's mosaic is taken; nothing is clipped."""
    path = tmp_path / "a.dng"
    levels = np.random.default_rng(3).integers(0, 3000, (31, 40, 3), dtype=np.uint16)
    write_linear_dng(path, levels, black=500)
    assert is_raw(path)
    raw = read_raw(path)
    assert (raw.planes.shape, raw.margins, raw.grey) == ((4, 16, 20), (0, 0, 1, 0), False)
    taken = (levels[::2, ::2, 0], levels[::2, 1::2, 1], levels[1::2, 1::2, 2], levels[1::2, ::2, 1])
    for plane, values in zip(raw.planes, taken, strict=True):
        expected = (values.astype(float) - 500) / (65_535 - 500)
        np.testing.assert_allclose(plane[: len(values)], expected, atol=1e-6)
    picture = read_rendered(path)
    assert picture.pixels.shape == (31, 40, 3)


def write_linear_dng(path: Path, levels: np.ndarray, black: int = 0) -> None:
    tags = [
        (50714, "H", 3, (black,) * 3, True),
        (50706, "B", 4, (1, 4, 0, 0), True),
        (50708, "s", 0, "any", True),
        (50717, "H", 3, (65_535,) * 3, True),
        dng._rationals(50721, OPTIONS["color_matrix"].ravel(), signed=True),
        dng._rationals(50728, (1, 1, 1)),
        (50778, "H", 1, 21, True),
    ]
    tifffile.imwrite(
        path,
        levels,
        photometric=34892,
        planarconfig="contig",
        subfiletype=0,
        metadata=None,
        extratags=tags,
    )


X_TRANS = "GGRGGBGGBGGRBRGRBGGGBGGRGGRGGBRBGBRG"


def test_a_sensor_without_red_is_none_of_ours(
    changed_tags: Callable[..., None], tmp_path: Path
) -> None:
    changed_tags({33422: ("B", 4, (1, 2, 2, 1))})
    write_dng(tmp_path / "a.dng", scene(48, 60), **OPTIONS)
    with pytest.raises(NotBayerError):
        read_raw(tmp_path / "a.dng")


@pytest.mark.parametrize(("height", "width"), [(48, 60), (41, 55)])
def test_x_trans_keeps_colours_places_and_noise_below_black(
    height: int, width: int, changed_tags: Callable[..., None], tmp_path: Path
) -> None:
    """A red and a dark blue half; measured colours stay as they are."""
    rgb = np.empty((height, width, 3))
    rgb[:, : width // 2], rgb[:, width // 2 :] = (900, 300, 200), (10, 20, 60)
    kinds = np.array(["RGB".index(colour) for colour in X_TRANS]).reshape(6, 6)
    kinds = np.tile(kinds, (9, 12))[:height, :width, None]
    mosaic = np.take_along_axis(rgb, kinds, 2)[..., 0]
    mosaic += np.random.default_rng(0).normal(0, 30, mosaic.shape)
    levels = (mosaic + 200).round().astype(np.uint16)
    changed_tags({33421: ("H", 2, (6, 6)), 33422: ("B", 36, tuple(map(int, kinds[:6, :6].flat)))})
    write_dng(tmp_path / "a.dng", levels, black=200, **OPTIONS)
    raw = read_raw(tmp_path / "a.dng")
    assert raw.margins == (0, 0, height % 2, width % 2)
    span = WHITE - 200
    middle = width // 4  # of the planes
    for plane, colour in zip(raw.planes * span, (0, 1, 2, 1), strict=True):
        assert plane[:, 3 : middle - 3].mean() == pytest.approx(rgb[0, 0, colour], abs=10)
        assert plane[:, middle + 3 : -3].mean() == pytest.approx(rgb[0, -1, colour], abs=10)
    assert raw.planes.min() < 0
    measured = kinds[: height // 2 * 2 : 2, ::2, 0] == 0
    red = raw.planes[0, : len(measured), : measured.shape[1]] * span
    stored = levels[: height // 2 * 2 : 2, ::2].astype(float) - 200
    np.testing.assert_allclose(red[measured], stored[measured], atol=0.01)


def test_a_monochrome_sensor_is_grey(tmp_path: Path) -> None:
    path = tmp_path / "a.dng"
    write_dng(path, scene(), black=64, **OPTIONS)
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages.first.tags["PhotometricInterpretation"].overwrite(34892)
    raw = read_raw(path)
    assert raw.grey and raw.white_balance == (1, 1, 1)
    np.testing.assert_allclose(unpacked(raw.planes), (scene() - 64.0) / (WHITE - 64), atol=1e-6)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_rendering_is_upright(orientation: int, tmp_path: Path) -> None:
    mosaic = (np.arange(30)[:, None] * 90 + np.arange(40) * 20).astype(np.uint16)
    write_dng(tmp_path / "a.dng", mosaic, **OPTIONS)
    write_dng(tmp_path / "b.dng", mosaic, orientation=orientation, **OPTIONS)
    expected = turn_upright(read_rendered(tmp_path / "a.dng").pixels, orientation)
    picture = read_rendered(tmp_path / "b.dng")
    np.testing.assert_array_equal(picture.pixels, expected)
    assert load_exif(picture.exif or b"")[Base.Orientation] == 1


@pytest.mark.parametrize(("level", "black"), [(0, 0), (100, 0), (60, 64), (64, 64)])
def test_one_even_level_is_refused(level: int, black: int, tmp_path: Path) -> None:
    write_dng(tmp_path / "a.dng", np.full((30, 40), level, np.uint16), black=black, **OPTIONS)
    assert "every pixel has the same level" in refusal(read_raw, tmp_path / "a.dng")
    assert "every pixel has the same level" in refusal(read_rendered, tmp_path / "a.dng")


def test_nothing_above_black_is_refused(tmp_path: Path) -> None:
    write_dng(tmp_path / "a.dng", scene() // 64, black=64, **OPTIONS)
    refusal(read_raw, tmp_path / "a.dng")


def test_white_below_black_is_refused(changed_tags: Callable[..., None], tmp_path: Path) -> None:
    changed_tags({50714: (5, 4, (2000, 1) * 4), 50717: ("I", 1, 1000)})
    write_dng(tmp_path / "a.dng", scene(), **OPTIONS)
    assert "white level" in refusal(read_raw, tmp_path / "a.dng")


def test_a_real_mosaic_of_another_order(raw_folder: Path) -> None:
    """PiDNG's begins with green over red: a mirrored row comes first, and one last."""
    raw = read_raw(raw_folder / "pidng_10bit.dng")
    with rawpy.imread(str(raw_folder / "pidng_10bit.dng")) as file:
        stored = file.raw_image.copy()
    assert (raw.planes.shape, raw.margins) == ((4, 241, 320), (1, 0, 1, 0))
    assert raw.bits == 10
    np.testing.assert_allclose(raw.planes[0, 1:] * 1023, stored[1::2, 0::2], atol=1e-3)
    np.testing.assert_allclose(raw.planes[2, :-1] * 1023, stored[0::2, 1::2], atol=1e-3)
    assert (raw.white_balance_source, raw.colour_source) == ("grey world", "none")
    assert raw.camera == ""


@pytest.mark.parametrize(
    ("name", "crop"),
    [
        ("colorchart.dng", np.s_[:, :]),
        ("Blackmagic.dng", np.s_[4 : 4 + 1080, 8 : 8 + 2048]),  # blocks of its DefaultCrop
    ],
)
def test_agrees_with_libraw(name: str, crop: tuple[slice, slice], raw_folder: Path) -> None:
    """At half size LibRaw takes the blocks as they are: no demosaicing is in between."""
    raw = read_raw(raw_folder / name)
    with rawpy.imread(str(raw_folder / name)) as file:
        rendered = file.postprocess(
            half_size=True,
            use_camera_wb=True,
            output_color=rawpy.ColorSpace.sRGB,
            gamma=(1, 1),
            no_auto_bright=True,
            user_flip=0,
            output_bps=16,
            adjust_maximum_thr=0,  # else the brightest value of a picture becomes its white
        )[crop]
    red, green, blue, other_green = np.maximum(raw.planes, 0)  # as LibRaw does, before the mean
    camera = np.stack([red, (green + other_green) / 2, blue], axis=-1) * raw.white_balance
    ours = (camera @ raw.camera_to_srgb.T).clip(0, 1)
    unsaturated = (camera < 0.98).all(axis=-1)
    assert unsaturated.mean() > 0.99
    assert np.abs(ours - rendered / 65_535)[unsaturated].max() < 2e-4


def test_a_scan_is_rendered_as_its_own_preview_shows_it(raw_folder: Path) -> None:
    """LibRaw takes the scanner's 8 bits for 16-bit light, which is white all over."""
    picture = read_rendered(raw_folder / "not_bayer_coolscan.nef")
    assert picture.pixels.shape == (593, 869, 3)
    with Pillow.open(raw_folder / "not_bayer_coolscan.nef") as preview:
        expected = np.asarray(preview).mean(axis=(0, 1))
    np.testing.assert_allclose(picture.pixels.mean(axis=(0, 1)) / 257, expected, atol=1)
    assert load_exif(picture.exif or b"")[Base.Model] == "Nikon COOLSCAN IV ED"


@pytest.mark.parametrize(
    ("rule", "source"),
    [
        ("camera", "camera"),
        ("daylight", "daylight"),
        ("auto", "grey world"),
        ((3.0, 1.5, 6.0), "given"),
    ],
)
def test_the_white_balance_that_is_wanted(
    rule: WhiteBalanceRule | tuple[float, float, float], source: str, tmp_path: Path
) -> None:
    mosaic = np.tile(np.array([[400, 900], [900, 300]], np.uint16), (20, 20))
    mosaic[0, 0] += 1
    write_dng(tmp_path / "a.dng", mosaic, **OPTIONS)
    raw = read_raw(tmp_path / "a.dng", RawSettings(white_balance=rule))
    expected = {"camera": (2, 1, 1.6), "grey world": (2.25, 1, 3), "given": (2, 1, 4)}
    assert raw.white_balance_source == source
    if source in expected:
        np.testing.assert_allclose(raw.white_balance, expected[source], rtol=1e-3)
