"""Orientation, EXIF, colour profiles and resolution."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageCms, ImageOps, PngImagePlugin
from PIL.ExifTags import IFD, Base
from pixels import noise

from enhance_cli.io.image import Picture, read_image, write_image
from enhance_cli.io.metadata import clean_exif, find_orientation, load_exif

HOLD_EXIF = [".png", ".jpg", ".tif", ".webp", ".avif"]
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def camera_exif(orientation: int = 1, thumbnail: bool = False) -> bytes:
    exif = Pillow.Exif()
    exif[Base.Make] = "Maker"
    exif[Base.Model] = "Modell 1"
    exif[Base.Orientation] = orientation
    exif[Base.DateTime] = "2024:01:02 03:04:05"
    exif[Base.Artist] = "Jörg Müller".encode()
    exif[Base.ImageWidth] = 999
    exif.get_ifd(IFD.Exif).update(
        {
            Base.ExposureTime: 0.004,
            Base.ISOSpeedRatings: 6400,
            Base.ExifImageWidth: 999,
            Base.ExifImageHeight: 777,
            Base.MakerNote: b"NOTE" * 5,
            IFD.Interop: {1: "R98"},
        }
    )
    exif.get_ifd(IFD.GPSInfo).update({1: "N", 2: (50.0, 5.0, 3.25), 3: "E", 4: (8.0, 5.0, 1.0)})
    data = exif.tobytes()
    if thumbnail:  # a second directory, where the first one points to
        exif[Base.ImageDescription] = "x" * 3000
        data = exif.tobytes()
    return data


def check_camera_exif(data: bytes | None, height: int, width: int) -> None:
    assert data is not None
    exif = load_exif(data)
    assert exif[Base.Make] == "Maker"
    assert exif[Base.Model] == "Modell 1"
    assert exif[Base.DateTime] == "2024:01:02 03:04:05"
    assert exif[Base.Artist].encode("latin-1").decode() == "Jörg Müller"
    assert find_orientation(exif) == 1
    assert exif[Base.ImageWidth] == width
    details, place = exif.get_ifd(IFD.Exif), exif.get_ifd(IFD.GPSInfo)
    assert float(details[Base.ExposureTime]) == pytest.approx(0.004)
    assert details[Base.ISOSpeedRatings] == 6400
    assert details[Base.MakerNote] == b"NOTE" * 5
    assert (details[Base.ExifImageWidth], details[Base.ExifImageHeight]) == (width, height)
    assert place[1] == "N"
    assert tuple(map(float, place[2])) == (50.0, 5.0, 3.25)


@pytest.mark.parametrize("suffix", HOLD_EXIF)
@pytest.mark.parametrize(("dtype", "channels"), [(np.uint8, 3), (np.uint16, 1), (np.uint16, 3)])
def test_exif_and_profile_survive(suffix: str, dtype: type, channels: int, tmp_path: Path) -> None:
    Pillow.fromarray(noise(8, 8, 3)).save(tmp_path / "in.jpg", exif=camera_exif(), icc_profile=SRGB)
    source = read_image(tmp_path / "in.jpg")
    assert source.icc_profile == SRGB
    enlarged = Picture(
        noise(32, 48, channels, dtype=dtype), icc_profile=source.icc_profile, exif=source.exif
    )
    path = tmp_path / f"out{suffix}"
    write_image(path, enlarged)
    again = read_image(path)
    check_camera_exif(again.exif, 32, 48)
    if channels == 3:
        assert again.icc_profile == SRGB
    write_image(tmp_path / "back.jpg", again)
    check_camera_exif(read_image(tmp_path / "back.jpg").exif, 32, 48)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("alpha", [False, True])
def test_exif_in_grey_tiff_with_alpha(dtype: type, alpha: bool, tmp_path: Path) -> None:
    """Grey with alpha of 16 bits is a TIFF that Pillow does not open."""
    path = tmp_path / "a.tif"
    exif = clean_exif(load_exif(camera_exif()))
    transparency = noise(6, 5, dtype=dtype) if alpha else None
    picture = Picture(noise(6, 5, 1, dtype=dtype), transparency, exif=exif, dpi=(300.0, 300.0))
    write_image(path, picture)
    again = read_image(path)
    np.testing.assert_array_equal(again.pixels, picture.pixels)
    check_camera_exif(again.exif, 6, 5)


@pytest.mark.parametrize(
    ("orientation", "suffix"),
    [*((value, ".jpg") for value in range(1, 9)), (6, ".png"), (6, ".tif"), (6, ".webp")],
)
def test_orientation_of_8_bits(orientation: int, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    exif = Pillow.Exif()
    exif[Base.Orientation] = orientation
    exif[Base.Make] = "Maker"
    options = {"lossless": True} if suffix == ".webp" else {}
    Pillow.fromarray(noise(4, 7, 3)).save(path, exif=exif, **options)
    picture = read_image(path)
    with Pillow.open(path) as image:
        np.testing.assert_array_equal(picture.pixels, np.asarray(ImageOps.exif_transpose(image)))
    assert picture.pixels.shape == ((4, 7, 3) if orientation < 5 else (7, 4, 3))
    assert picture.exif is not None
    assert find_orientation(load_exif(picture.exif)) == 1


@pytest.mark.parametrize(
    ("orientation", "suffix", "planes"),
    [
        *((value, ".tif", 4) for value in range(1, 9)),
        (6, ".png", 3),
        (7, ".png", 2),
        (8, ".tif", 2),
    ],
)
def test_orientation_of_16_bits_and_alpha(
    orientation: int, suffix: str, planes: int, tmp_path: Path
) -> None:
    pyvips = pytest.importorskip("pyvips")
    stored = noise(4, 7, planes, dtype=np.uint16)
    image = pyvips.Image.new_from_array(stored).copy(
        interpretation="grey16" if planes == 2 else "rgb16"
    )
    image.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    image.write_to_file(str(tmp_path / f"a{suffix}"))
    picture = read_image(tmp_path / f"a{suffix}")
    turned = [
        np.asarray(ImageOps.exif_transpose(oriented(stored[..., plane] >> 8, orientation)))
        for plane in range(planes)
    ]
    ours = [*picture.pixels.transpose(2, 0, 1)]
    if picture.alpha is not None:
        ours.append(picture.alpha)
    assert len(ours) == planes
    for one, expected in zip(ours, turned, strict=True):
        np.testing.assert_array_equal(one >> 8, expected)


def oriented(plane: np.ndarray, orientation: int) -> Pillow.Image:
    image = Pillow.fromarray(plane.astype(np.uint8))
    image.getexif()[Base.Orientation] = orientation
    return image


@pytest.mark.parametrize("value", [0, 9, 300])
def test_orientations_that_mean_nothing(value: int, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Pillow.fromarray(noise(4, 7, 3)).save(path, exif=camera_exif(value))
    picture = read_image(path)
    assert picture.pixels.shape == (4, 7, 3)
    assert find_orientation(load_exif(picture.exif or b"")) == 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_exif_behind_the_pixels_of_a_png(dtype: type, tmp_path: Path) -> None:
    """Where ExifTool puts it."""
    path = tmp_path / "a.png"
    write_image(path, Picture(noise(4, 7, 3, dtype=dtype)))
    whole = path.read_bytes()
    with path.open("wb") as file:
        file.write(whole[:-12])
        PngImagePlugin.putchunk(file, b"eXIf", camera_exif(6)[6:])
        file.write(whole[-12:])
    picture = read_image(path)
    assert picture.pixels.shape == (7, 4, 3)
    assert picture.pixels.dtype == dtype
    assert load_exif(picture.exif or b"")[Base.Make] == "Maker"


def test_thumbnail_is_dropped(tmp_path: Path) -> None:
    thumbnail = Pillow.Exif()
    thumbnail[Base.Make] = "Maker"
    data = bytearray(thumbnail.tobytes())
    # One entry: 6 bytes of name, 8 of header, 2 of count, 12 of entry; then the next directory.
    assert data[28:32] == bytes(4)
    data[28:32] = len(data[6:]).to_bytes(4, "big")
    data += b"\0\1" + b"\1\0\0\3\0\0\0\1\0\xa0\0\0" + bytes(4) + b"\xff\xd8thumbnail\xff\xd9"
    Pillow.fromarray(noise(4, 4, 3)).save(tmp_path / "a.jpg", exif=bytes(data))
    with Pillow.open(tmp_path / "a.jpg") as image:
        assert image.getexif().get_ifd(IFD.IFD1) == {Base.ImageWidth: 160}
    exif = read_image(tmp_path / "a.jpg").exif
    assert exif is not None
    assert b"thumbnail" not in exif
    assert load_exif(exif).get_ifd(IFD.IFD1) == {}
    assert load_exif(exif)[Base.Make] == "Maker"


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0nonsense",
        b"Exif\0\0II*\0\xff\xff\xff\x7f",
        b"Exif\0\0MM\0*\0\0\0\x08\0\x09",
        camera_exif()[:60],
        b"Exif\0\0",
    ],
)
def test_broken_exif_does_not_matter(exif: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    Pillow.fromarray(noise(4, 7, 3)).save(path, exif=exif)
    picture = read_image(path)
    assert picture.pixels.shape == (4, 7, 3)
    write_image(tmp_path / f"b{suffix}", picture)


def test_too_long_exif_for_jpeg_loses_its_maker_note(tmp_path: Path) -> None:
    exif = load_exif(camera_exif())
    exif.get_ifd(IFD.Exif)[Base.MakerNote] = bytes(70_000)
    write_image(tmp_path / "a.jpg", Picture(noise(4, 4, 3), exif=exif.tobytes()))
    kept = load_exif(read_image(tmp_path / "a.jpg").exif or b"")
    assert kept[Base.Make] == "Maker"
    assert Base.MakerNote not in kept.get_ifd(IFD.Exif)
    exif[Base.ImageDescription] = "x" * 70_000
    write_image(tmp_path / "a.jpg", Picture(noise(4, 4, 3), exif=exif.tobytes()))
    assert read_image(tmp_path / "a.jpg").exif is None


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_plain_file_has_no_exif(suffix: str, tmp_path: Path) -> None:
    write_image(tmp_path / f"a{suffix}", Picture(noise(4, 4, 3)))
    assert read_image(tmp_path / f"a{suffix}").exif is None


def test_exif_of_big_tiff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("enhance_cli.io.writing.CLASSIC_TIFF_BYTES", 0)
    exif = clean_exif(load_exif(camera_exif()))
    write_image(tmp_path / "a.tif", Picture(noise(5, 6, 3, dtype=np.uint16), exif=exif))
    picture = read_image(tmp_path / "a.tif")
    check_camera_exif(picture.exif, 5, 6)
    write_image(tmp_path / "a.jpg", picture)
    check_camera_exif(read_image(tmp_path / "a.jpg").exif, 5, 6)


@pytest.mark.parametrize(
    ("suffix", "dtype"),
    [
        (".png", np.uint8),
        (".png", np.uint16),
        (".tif", np.uint8),
        (".tif", np.uint16),
        (".jpg", np.uint8),
        (".bmp", np.uint8),
    ],
)
def test_resolution(suffix: str, dtype: type, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    write_image(path, Picture(noise(4, 4, 3, dtype=dtype), dpi=(300.0, 150.0)))
    assert read_image(path).dpi == pytest.approx((300, 150), abs=0.1)


@pytest.mark.parametrize("dpi", [(0.0, 0.0), (1e9, 72.0)])
def test_senseless_resolution_is_dropped(dpi: tuple[float, float], tmp_path: Path) -> None:
    Pillow.fromarray(noise(4, 4, 3)).save(tmp_path / "a.tif", dpi=dpi)
    assert read_image(tmp_path / "a.tif").dpi is None


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_profile_of_another_colour_space_is_dropped(
    suffix: str, dtype: type, tmp_path: Path
) -> None:
    path = tmp_path / f"a{suffix}"
    write_image(path, Picture(noise(4, 4, 1, dtype=dtype), icc_profile=SRGB))
    with Pillow.open(path) as image:
        assert "icc_profile" not in image.info
    Pillow.fromarray(noise(4, 4, dtype=dtype)).save(path, icc_profile=SRGB)
    picture = read_image(path)
    assert picture.icc_profile is None
    assert picture.pixels.shape == (4, 4, 1)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
@pytest.mark.parametrize(
    "profile", [b"not a profile", SRGB.replace(b"RGB ", b"R\xe9B "), SRGB[:200]]
)
def test_broken_profile_is_dropped(profile: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    Pillow.fromarray(noise(4, 4, 3)).save(path, icc_profile=profile)
    assert read_image(path).icc_profile is None


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_grey_profile_of_grey_stays(suffix: str, dtype: type, tmp_path: Path) -> None:
    profile = grey_profile()
    path = tmp_path / f"a{suffix}"
    write_image(path, Picture(noise(4, 4, 1, dtype=dtype), icc_profile=profile))
    assert read_image(path).icc_profile == profile


@pytest.mark.parametrize("suffix", [".webp", ".avif"])
def test_grey_profile_is_not_written_where_grey_becomes_rgb(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    write_image(path, Picture(noise(4, 4, 1), icc_profile=grey_profile()))
    with Pillow.open(path) as image:
        assert "icc_profile" not in image.info


def grey_profile() -> bytes:
    """The least that ICC.1 asks of one: D50 and a tone curve of gamma 1."""
    curve = b"curv" + bytes(8)
    white = b"XYZ " + bytes(4) + bytes.fromhex("0000f6d6000100000000d32d")
    head = bytearray(128)
    head[8:12] = b"\2\x10\0\0"
    head[12:24] = b"mntrGRAYXYZ "
    head[36:40] = b"acsp"
    head[68:80] = white[8:]
    table = b"\0\0\0\2" + b"".join(
        name + at.to_bytes(4, "big") + size.to_bytes(4, "big")
        for name, at, size in ((b"kTRC", 156, 12), (b"wtpt", 168, 20))
    )
    profile = head + table + curve + white
    profile[:4] = len(profile).to_bytes(4, "big")
    return bytes(profile)


def test_cmyk_goes_through_its_profile(tmp_path: Path) -> None:
    pyvips = pytest.importorskip("pyvips")
    colours = np.array([[[200, 30, 40]] * 16, [[30, 120, 60]] * 16], np.uint8).repeat(8, axis=0)
    cmyk = pyvips.Image.new_from_array(colours).copy(interpretation="srgb").icc_transform("cmyk")
    for name in ("a.jpg", "a.tif"):
        cmyk.write_to_file(str(tmp_path / name))
        with Pillow.open(tmp_path / name) as image:
            assert image.mode == "CMYK"
            assert image.info["icc_profile"]
        picture = read_image(tmp_path / name)
        assert picture.icc_profile is None
        assert np.abs(picture.pixels[[2, 13], 8].astype(int) - colours[[2, 13], 8]).max() < 30
