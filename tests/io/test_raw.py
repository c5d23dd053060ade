"""Camera RAW files: recognised by content, read with their levels, refused in one line."""

import os
import struct
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from datetime import datetime
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import TiffImagePlugin
from PIL.ExifTags import IFD, Base

from enhance_cli.errors import InputError
from enhance_cli.io import dng
from enhance_cli.io.dng import BAYER_ORDERS, write_dng
from enhance_cli.io.exposure import complete_exif, find_exposure, read_raw_exif
from enhance_cli.io.image import Picture, write_image
from enhance_cli.io.metadata import clean_exif, load_exif, turn_upright
from enhance_cli.io.raw import (
    Exposure,
    NotBayerError,
    is_raw,
    read_exposure,
    read_raw,
    read_rendered,
)

rawpy = pytest.importorskip("rawpy")
tifffile = pytest.importorskip("tifffile")

WHITE = 4095
OPTIONS: dict[str, Any] = {
    "white": WHITE,
    "as_shot_neutral": (0.5, 1.0, 0.625),
    "color_matrix": np.array(
        [[0.6988, -0.1384, -0.0714], [-0.5631, 1.341, 0.2447], [-0.1485, 0.2204, 0.7318]]
    ),
}
READABLE = ["Blackmagic.dng", "colorchart.dng", "pidng_10bit.dng", "not_bayer_coolscan.nef"]
# Whole pictures, or empty: the reader of pictures deals with them.
NOT_RAW = {"jpeg_renamed.arw", "empty.arw"}
CORRUPT = [
    "Canon-R6-pruned.CR3",
    "FujiFilm.raf",
    "IMG_1361.dng",
    "Nikon.nef",
    "SigmaDP2.x3f",
    "exiv2-canon-powershot-s40.crw",
    "issue_839_poc.rw2",
    "issue_857_coverage.raf",
    "random.arw",
    "truncated_4k.dng",
    "truncated_half.dng",
    *sorted(NOT_RAW),
]


def scene(height: int = 40, width: int = 48) -> np.ndarray:
    """A mosaic without a repetition, so that a shift by a block shows."""
    rng = np.random.default_rng(7)
    return rng.integers(0, WHITE, (height, width), dtype=np.uint16, endpoint=True)


@pytest.fixture
def raw_folder(shared_data: Path) -> Path:
    folder = shared_data / "raw"
    if not folder.is_dir():
        pytest.skip("the camera RAW files (../shared/data/raw) are not on this machine")
    return folder


@pytest.fixture
def changed_tags(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let ``write_dng`` write other tags: a tuple in place of its own, None for none."""
    encode = dng._encode

    def change(tags: dict[int, tuple[Any, ...] | None]) -> None:
        def encode_changed(mosaic: np.ndarray, own: list[Any]) -> bytes:
            kept = [tag for tag in own if tag[0] not in tags]
            added = [(code, *tag, True) for code, tag in tags.items() if tag]
            return encode(mosaic, kept + added)

        monkeypatch.setattr(dng, "_encode", encode_changed)

    return change


def fake_raw(**other: Any) -> SimpleNamespace:
    told = {
        "iso_speed": 0.0,
        "shutter_speed": 0.0,
        "aperture": 0.0,
        "focal_length": 0.0,
        "timestamp": datetime(1970, 1, 1),
    } | other
    return SimpleNamespace(
        other=SimpleNamespace(**told), lens=SimpleNamespace(make="Lens Ltd", model="50mm F1.2")
    )


def refusal(call: Callable[[Path], object], path: Path) -> str:
    """The one line of a refusal."""
    with pytest.raises(InputError) as refused:
        call(path)
    message = str(refused.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("size", [(36, 40), (37, 40), (36, 41), (35, 43)])
@pytest.mark.parametrize(("top", "left"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_every_order_is_the_same_scene(
    top: int, left: int, size: tuple[int, int], tmp_path: Path
) -> None:
    """A mosaic without its first row or column is one of another order."""
    mosaic = scene()
    write_dng(tmp_path / "whole.dng", mosaic, black=64, **OPTIONS)
    cut = mosaic[top : top + size[0], left : left + size[1]]
    write_dng(tmp_path / "cut.dng", cut, black=64, pattern=BAYER_ORDERS[2 * top + left], **OPTIONS)
    planes = read_raw(tmp_path / "cut.dng").planes
    height, width = (size[0] - top) // 2, (size[1] - left) // 2
    assert planes.shape == (4, height, width)
    whole = read_raw(tmp_path / "whole.dng").planes
    np.testing.assert_array_equal(planes, whole[:, top : top + height, left : left + width])


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


@pytest.mark.parametrize("name", ["a.dng", "a.ARW", "a.tif", "a.jpg", "a"])
def test_a_dng_under_any_name(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    write_dng(path, scene(), orientation=6, **OPTIONS)
    assert is_raw(path)
    raw = read_raw(path)
    assert raw.planes.shape == (4, 20, 24)
    assert raw.orientation == 6


def test_a_name_that_is_no_utf8(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.dng"))
    write_dng(path, scene(), **OPTIONS)
    assert is_raw(path)
    assert read_raw(path).planes.shape == (4, 20, 24)


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "GIF", "WEBP", "JPEG2000"])
def test_a_picture_under_the_name_of_a_raw_file_is_none(format_: str, tmp_path: Path) -> None:
    Pillow.new("RGB", (30, 20), "red").save(tmp_path / "a.arw", format_)
    assert not is_raw(tmp_path / "a.arw")


def test_a_mosaic_inside_a_tiff_without_dng_tags_is_one(
    changed_tags: Callable[..., None], tmp_path: Path
) -> None:
    changed_tags({50706: None})
    write_dng(tmp_path / "a.tif", scene(), **OPTIONS)
    assert is_raw(tmp_path / "a.tif")
    with tifffile.TiffWriter(tmp_path / "b.tif") as writer:  # as cameras: a preview comes first
        writer.write(np.zeros((8, 8, 3), np.uint8), photometric="rgb", subifds=1)
        writer.write(scene(), photometric="cfa", subfiletype=0)
    assert is_raw(tmp_path / "b.tif")
    Pillow.new("I;16", (30, 20)).save(tmp_path / "c.tif")
    assert not is_raw(tmp_path / "c.tif")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"II",
        b"II*\0",
        b"II*\0\x08\0\0\0",
        b"MM\0*\xff\xff\xff\xff",
        b"II*\0\x08\0\0\0\xff\xff" + b"\x4a\x01\x04\0\xff\xff\xff\xff\xff\xff\xff\xff" * 9,
        b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 262, 3, 0, 0),
        b"P5 nonsense",
    ],
)
def test_odd_files_are_no_raw(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(content)
    assert not is_raw(tmp_path / "a.tif")


def test_what_is_no_file_is_no_raw(tmp_path: Path) -> None:
    (tmp_path / "folder.arw").mkdir()
    os.mkfifo(tmp_path / "pipe.arw")
    for name in ("folder.arw", "pipe.arw", "absent.arw", "x" * 300 + ".arw", "\0.arw"):
        assert not is_raw(tmp_path / name)
        refusal(read_raw, tmp_path / name)
        refusal(read_exposure, tmp_path / name)


def test_recognising_reads_little(tmp_path: Path) -> None:
    entry = struct.pack("<HHII", 330, 4, 2**26 // 4, 8)
    for name, head in (("a.arw", b""), ("a.tif", b"II*\0\x08\0\0\0\x01\0" + entry)):
        with (tmp_path / name).open("wb") as file:
            file.write(head)
            file.truncate(2**26)
        tracemalloc.start()
        is_raw(tmp_path / name)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 2**20


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


def test_exif_is_carried(tmp_path: Path) -> None:
    path = tmp_path / "a.dng"
    write_dng(
        path,
        scene(),
        exposure=Exposure(1 / 50, 3200, 2.8),
        orientation=8,
        make="Maker",
        model="Maker One",
        **OPTIONS,
    )
    append_details(path, {Base.LensModel: "35mm", Base.DateTimeOriginal: "2024:01:02 03:04:05"})
    raw = read_raw(path)
    assert raw.camera == "Maker One"
    assert raw.orientation == 8
    Pillow.new("RGB", (4, 4)).save(tmp_path / "a.jpg", exif=raw.exif)
    with Pillow.open(tmp_path / "a.jpg") as image:
        exif = image.getexif()
    assert exif[Base.Model] == "Maker One"
    assert exif[Base.Orientation] == 1
    details = exif.get_ifd(IFD.Exif)
    assert details[Base.LensModel] == "35mm"
    assert details[Base.DateTimeOriginal] == "2024:01:02 03:04:05"
    exposure = read_exposure(tmp_path / "a.jpg")
    assert exposure.seconds == pytest.approx(1 / 50)
    assert exposure.iso == 3200
    assert exposure.f_number == pytest.approx(2.8)


def append_details(path: Path, details: dict[int, str]) -> None:
    """Hang an EXIF directory on a little-endian TIFF, in place of the tag of its model's name."""
    data = bytearray(path.read_bytes())
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in details.items():
        directory[tag] = value
    (start,) = struct.unpack_from("<I", data, 4)
    (entries,) = struct.unpack_from("<H", data, start)
    places = [start + 2 + 12 * entry for entry in range(entries)]
    (place,) = (at for at in places if struct.unpack_from("<H", data, at) == (50708,))
    struct.pack_into("<HHII", data, place, IFD.Exif, 4, 1, len(data))
    path.write_bytes(bytes(data) + directory.tobytes(len(data)))


def test_libraw_fills_in_what_exif_lacks() -> None:
    exif = Pillow.Exif()
    complete_exif(
        exif,
        fake_raw(
            shutter_speed=0.01,
            aperture=4.0,
            iso_speed=204_800.0,
            focal_length=1200.0,
            timestamp=datetime(2020, 12, 29, 14, 24),
        ),
    )
    kept = load_exif(clean_exif(exif) or b"")
    assert find_exposure(kept) == Exposure(pytest.approx(0.01), 204_800, pytest.approx(4))
    details = kept.get_ifd(IFD.Exif)
    assert details[Base.DateTimeOriginal] == "2020:12:29 14:24:00"
    assert details[Base.LensModel] == "50mm F1.2"
    assert details[Base.FocalLength] == 1200


def test_libraw_does_not_overrule_exif() -> None:
    """A 0 in EXIF is "unknown", and a second to LibRaw."""
    exif = Pillow.Exif()
    exif.get_ifd(IFD.Exif).update({Base.ExposureTime: 0.0, Base.LensModel: "own"})
    complete_exif(exif, fake_raw(shutter_speed=1.0, aperture=float("nan"), iso_speed=-5.0))
    assert find_exposure(exif) == Exposure(None, None, None)
    assert exif.get_ifd(IFD.Exif)[Base.LensModel] == "own"
    assert Base.DateTimeOriginal not in exif.get_ifd(IFD.Exif)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_exposure_of_a_picture(suffix: str, tmp_path: Path) -> None:
    exif = Pillow.Exif()
    exif.get_ifd(IFD.Exif).update(
        {Base.ExposureTime: 10.0, Base.FNumber: 5.6, Base.ISOSpeedRatings: 250}
    )
    path, black = tmp_path / f"a{suffix}", np.zeros((4, 4, 3), np.uint8)
    write_image(path, Picture(black, exif=exif.tobytes()))
    assert read_exposure(path) == Exposure(10, 250, pytest.approx(5.6))
    write_image(path, Picture(black))
    assert read_exposure(path) == Exposure(None, None, None)


@pytest.mark.parametrize("value", [0, -1.0, float("nan"), float("inf"), 1e30, (), "x", None])
def test_senseless_exposures_are_none(value: object) -> None:
    exif = Pillow.Exif()
    exif.get_ifd(IFD.Exif).update(
        dict.fromkeys((Base.ExposureTime, Base.FNumber, Base.ISOSpeedRatings), value)
    )
    assert find_exposure(exif) == Exposure(None, None, None)


def test_a_tag_with_too_many_values_is_read_in_silence(
    changed_tags: Callable[..., None], tmp_path: Path
) -> None:
    """Pillow warns of it, and a warning is an error here."""
    changed_tags({274: ("H", 3, (6, 6, 6)), 282: (5, 2, (72, 1, 72, 1))})
    write_dng(tmp_path / "a.dng", scene(), **OPTIONS)
    exif = read_raw(tmp_path / "a.dng").exif
    assert load_exif(exif or b"")[Base.Model] == "synthetic"


def test_damaged_directories_are_refused_in_one_line(tmp_path: Path) -> None:
    whole = BytesIO()
    write_dng(whole, scene(), exposure=Exposure(0.5, 100, 2), **OPTIONS)
    path, rng = tmp_path / "a.dng", np.random.default_rng(4)
    for _ in range(40):
        data = np.frombuffer(whole.getvalue(), np.uint8).copy()
        data[rng.integers(8, 400, 4)] = rng.integers(0, 256, 4)
        path.write_bytes(data.tobytes())
        is_raw(path)
        for read in (read_raw, read_rendered, read_exposure):
            try:
                read(path)
            except InputError as error:
                assert "\n" not in str(error)


def test_exposure_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"nothing of the kind")
    assert "not a picture" in refusal(read_exposure, tmp_path / "a.jpg")


def test_linear_dng_is_not_bayer_and_is_rendered(tmp_path: Path) -> None:
    """Three samples a pixel: no mosaic, but LibRaw renders it."""
    path = tmp_path / "a.dng"
    levels = np.zeros((30, 40, 3), np.uint16)
    levels[:15], levels[15:, :20] = 3000, 40_000
    write_linear_dng(path, levels)
    assert is_raw(path)
    with pytest.raises(NotBayerError, match="not a Bayer mosaic"):
        read_raw(path)
    picture = read_rendered(path)
    assert picture.pixels.shape == (30, 40, 3)
    assert picture.pixels.dtype == np.uint16
    assert picture.pixels[20, 5].min() > picture.pixels[5, 5].max() > picture.pixels[25, 30].max()


def write_linear_dng(path: Path, levels: np.ndarray) -> None:
    tags = [
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


@pytest.mark.parametrize(
    ("size", "colours"),
    [
        # X-Trans, of which LibRaw has its own kind; and a sensor without any red.
        (6, "GGRGGBGGBGGRBRGRBGGGBGGRGGRGGBRBGBRG"),
        (2, "GBBG"),
    ],
)
def test_other_mosaics_are_not_bayer(
    size: int, colours: str, changed_tags: Callable[..., None], tmp_path: Path
) -> None:
    codes = tuple("RGB".index(colour) for colour in colours)
    changed_tags({33421: ("H", 2, (size, size)), 33422: ("B", size * size, codes)})
    write_dng(tmp_path / "a.dng", scene(48, 60), **OPTIONS)
    with pytest.raises(NotBayerError):
        read_raw(tmp_path / "a.dng")


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


@pytest.mark.parametrize("kept", [100, 300, 1500, -1, -2000])
def test_cut_off_files_are_refused_in_silence(
    kept: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.dng"
    write_dng(path, scene(), **OPTIONS)
    path.write_bytes(path.read_bytes()[:kept])
    refusal(read_raw, path)
    refusal(read_rendered, path)
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", "")
    os.write(2, b"heard")
    assert capfd.readouterr().err == "heard"


def test_damage_that_is_only_mentioned_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def grumble(source: Any) -> Any:
        os.write(2, b"a.dng: Corrupt JPEG data: premature end of data segment\n")
        return imread(source)

    path, imread = tmp_path / "a.dng", rawpy.imread
    write_dng(path, scene(), **OPTIONS)
    monkeypatch.setattr(rawpy, "imread", grumble)
    assert "damaged" in refusal(read_raw, path)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "failure",
    [
        MemoryError(),
        rawpy.LibRawTooBigError(b"Image too\nbig"),
        rawpy.LibRawIOError(b"x"),
        rawpy.LibRawDataError("x"),
        rawpy.LibRawFileUnsupportedError(b"x"),
        RuntimeError(),
        ValueError,
    ],
)
def test_whatever_libraw_raises_is_one_line(
    failure: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(source: Any) -> None:
        raise failure

    write_dng(tmp_path / "a.dng", scene(), **OPTIONS)
    monkeypatch.setattr(rawpy, "imread", fail)
    refusal(read_raw, tmp_path / "a.dng")
    refusal(read_rendered, tmp_path / "a.dng")


def test_without_rawpy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_dng(tmp_path / "a.dng", scene(), exposure=Exposure(0.5), **OPTIONS)
    monkeypatch.setitem(sys.modules, "rawpy", None)
    assert is_raw(tmp_path / "a.dng")
    assert read_exposure(tmp_path / "a.dng").seconds == 0.5
    assert "pip install rawpy" in refusal(read_raw, tmp_path / "a.dng")


def test_nothing_is_imported_before_it_is_needed() -> None:
    code = (
        "import sys, enhance_cli.io.raw, enhance_cli.io.dng;"
        "sys.exit(bool({'rawpy', 'tifffile', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", READABLE)
def test_real_files_are_read(name: str, raw_folder: Path) -> None:
    path = raw_folder / name
    assert is_raw(path)
    if name == "not_bayer_coolscan.nef":
        refusal(read_raw, path)
        with pytest.raises(NotBayerError):
            read_raw(path)
        return
    raw = read_raw(path)
    assert raw.planes.max() <= 1
    assert 0.03 < raw.planes.mean() < 0.6
    assert min(raw.white_balance) == 1


def test_a_real_mosaic_of_another_order(raw_folder: Path) -> None:
    """PiDNG's begins with green over red: a row goes."""
    raw = read_raw(raw_folder / "pidng_10bit.dng")
    with rawpy.imread(str(raw_folder / "pidng_10bit.dng")) as file:
        stored = file.raw_image.copy()
    assert raw.planes.shape == (4, 239, 320)
    assert raw.bits == 10
    np.testing.assert_allclose(raw.planes[0] * 1023, stored[1:479:2, 0::2], atol=1e-3)
    np.testing.assert_allclose(raw.planes[2] * 1023, stored[2:480:2, 1::2], atol=1e-3)
    assert (raw.white_balance_source, raw.colour_source) == ("grey world", "none")
    assert raw.camera == ""


@pytest.mark.parametrize("name", ["colorchart.dng", "Blackmagic.dng"])
def test_agrees_with_libraw(name: str, raw_folder: Path) -> None:
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
        )
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


@pytest.mark.parametrize("name", CORRUPT)
def test_corrupt_files_are_refused_in_silence(
    name: str, raw_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = raw_folder / "corrupt" / name
    assert is_raw(path) == (name not in NOT_RAW)
    refusal(read_raw, path)
    refusal(read_rendered, path)
    assert capfd.readouterr().err == ""


def test_every_corrupt_file_is_in_the_list(raw_folder: Path) -> None:
    assert sorted(path.name for path in (raw_folder / "corrupt").iterdir()) == sorted(CORRUPT)


@pytest.mark.parametrize(
    ("name", "exposure", "model"),
    [
        ("Canon-R6-pruned.CR3", Exposure(0.25, 100, 25), "Canon EOS R6"),
        ("FujiFilm.raf", Exposure(0.004, 100, 8), None),
        ("Nikon.nef", Exposure(0.05, 200, 3.5), None),
    ],
)
def test_exif_of_other_containers(
    name: str, exposure: Exposure, model: str | None, raw_folder: Path
) -> None:
    """Found without LibRaw: these are cut off behind their metadata."""
    path = raw_folder / "corrupt" / name
    assert read_exposure(path) == exposure
    exif = read_raw_exif(path)
    assert exif[Base.Make]
    assert model is None or exif[Base.Model] == model


@pytest.mark.parametrize("magic", [b"IIU\0", b"IIRO", b"IIRS"])
def test_exif_of_tiffs_with_a_magic_of_their_own(magic: bytes, tmp_path: Path) -> None:
    """Panasonic's and Olympus's."""
    buffer = BytesIO()
    write_dng(buffer, scene(), exposure=Exposure(0.125, 400, 2), make="Maker", **OPTIONS)
    (tmp_path / "a").write_bytes(magic + buffer.getvalue()[4:])
    assert is_raw(tmp_path / "a")
    assert read_exposure(tmp_path / "a") == Exposure(0.125, 400, 2)
