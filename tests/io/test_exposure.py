"""EXIF and exposure of camera RAW files and of pictures."""

import struct
from collections.abc import Callable
from datetime import datetime
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from mosaics import OPTIONS, refusal, scene
from PIL import Image as Pillow
from PIL import TiffImagePlugin
from PIL.ExifTags import IFD, Base

from enhance_cli.io.dng import write_dng
from enhance_cli.io.exposure import complete_exif, find_exposure, read_raw_exif
from enhance_cli.io.image import Picture, write_image
from enhance_cli.io.metadata import clean_exif, load_exif
from enhance_cli.io.raw import (
    Exposure,
    is_raw,
    read_exposure,
    read_raw,
)


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


def test_exposure_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"nothing of the kind")
    assert "not a picture" in refusal(read_exposure, tmp_path / "a.jpg")


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
