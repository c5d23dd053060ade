"""Pixels in every format: what goes in comes out."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageCms, ImageFile, features
from pixels import noise

from enhance_cli.errors import OutputError, UsageError
from enhance_cli.io import reading
from enhance_cli.io.formats import FORMATS
from enhance_cli.io.image import (
    READABLE_SUFFIXES,
    WRITABLE_SUFFIXES,
    Picture,
    check_writable,
    find_images,
    picture_suffix,
    read_image,
    read_rgb8,
    write_image,
    write_notices,
)

LOSSLESS = [".png", ".tif", ".tiff", ".bmp", ".ppm", ".pnm"]
LOSSY = [".jpg", ".webp", ".avif"]


def smooth(height: int, width: int, channels: int = 3) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    planes = [(rows * 3 + columns * (plane + 1)) % 200 + 20 for plane in range(channels)]
    return np.stack(planes, axis=2).astype(np.uint8)


def same(one: Picture, other: Picture) -> None:
    np.testing.assert_array_equal(one.pixels, other.pixels, strict=True)
    if other.alpha is None:
        assert one.alpha is None
    else:
        assert one.alpha is not None
        np.testing.assert_array_equal(one.alpha, other.alpha, strict=True)


@pytest.mark.parametrize("suffix", LOSSLESS)
@pytest.mark.parametrize("channels", [1, 3])
def test_8_bits_without_loss(suffix: str, channels: int, tmp_path: Path) -> None:
    for size in ((1, 1), (5, 7), (300, 270)):
        path = tmp_path / f"{size[0]}{suffix}"
        picture = Picture(noise(*size, channels))
        write_image(path, picture)
        again = read_image(path)
        same(again, picture)
        assert (again.height, again.width, again.max_value) == (*size, 255)
        assert again.format == FORMATS[suffix].pillow


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("alpha", [False, True])
def test_depth_grey_and_alpha_stay(
    suffix: str, dtype: type, channels: int, alpha: bool, tmp_path: Path
) -> None:
    path = tmp_path / f"a{suffix}"
    picture = Picture(
        noise(6, 9, channels, dtype=dtype), noise(6, 9, dtype=dtype) if alpha else None
    )
    write_image(path, picture)
    again = read_image(path)
    same(again, picture)
    assert again.pixels.flags.writeable and again.pixels.flags.c_contiguous


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_dark_16_bit_picture_stays_16_bit(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"night{suffix}"
    picture = Picture(noise(20, 30, 3).astype(np.uint16))
    write_image(path, picture)
    same(read_image(path), picture)
    assert read_image(path).max_value == 65535


@pytest.mark.parametrize("suffix", LOSSY)
@pytest.mark.parametrize("channels", [1, 3])
def test_lossy_formats_come_close(suffix: str, channels: int, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    picture = Picture(smooth(40, 50, channels))
    write_image(path, picture)
    again = read_image(path)
    assert again.pixels.shape[2] == (channels if FORMATS[suffix].pillow == "JPEG" else 3)
    difference = np.abs(again.pixels.astype(int) - picture.pixels)
    assert difference.mean() < 4


@pytest.mark.parametrize("suffix", [".webp", ".avif"])
def test_lossy_formats_with_alpha(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    alpha = smooth(40, 50, 1)[..., 0]
    write_image(path, Picture(smooth(40, 50), alpha))
    again = read_image(path)
    assert again.alpha is not None
    assert np.abs(again.alpha.astype(int) - alpha).mean() < 3


def test_webp_of_quality_100_is_lossless(tmp_path: Path) -> None:
    picture = Picture(noise(20, 30, 3), noise(20, 30))
    write_image(tmp_path / "a.webp", picture, quality=100)
    same(read_image(tmp_path / "a.webp"), picture)


@pytest.mark.parametrize("quality", [1, 95, 100])
def test_jpeg_of_pure_noise(
    quality: int | None, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Pillow's own buffer is too small for noise: it fails, and libjpeg complains."""
    block = ImageFile.MAXBLOCK
    path = tmp_path / "a.jpg"
    write_image(path, Picture(noise(400, 700, 3)), quality)
    assert read_image(path).pixels.shape == (400, 700, 3)
    assert capfd.readouterr().err == ""
    assert block == ImageFile.MAXBLOCK


def test_jpeg_keeps_full_colour_resolution_and_quality_matters(tmp_path: Path) -> None:
    picture = Picture(smooth(64, 64))
    sizes = []
    for quality in (30, None, 100):
        path = tmp_path / f"{quality}.jpg"
        write_image(path, picture, quality)
        sizes.append(path.stat().st_size)
        with Pillow.open(path) as image:
            assert all(layer[1:3] == (1, 1) for layer in image.layer)
    assert sizes == sorted(sizes) and len(set(sizes)) == 3


@pytest.mark.parametrize("quality", [0, 101, -5])
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_quality_out_of_range(quality: int, suffix: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"quality {quality}: must be from 1 to 100"):
        write_image(tmp_path / f"a{suffix}", Picture(noise(2, 2, 3)), quality)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".bmp", ".avif", ".ppm"])
def test_16_bits_are_rounded_for_formats_of_8(suffix: str, tmp_path: Path) -> None:
    levels = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16, 1).repeat(3, axis=2)
    picture = Picture(levels)
    path = tmp_path / f"a{suffix}"
    assert any("rounded" in line for line in write_notices(path, picture))
    write_image(path, picture)
    again = read_image(path)
    assert again.pixels.dtype == np.uint8
    assert np.abs(again.pixels.astype(int) - (levels // 257)).mean() < 3


def test_rounding_goes_to_the_nearest() -> None:
    deep = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1)
    expected = np.round(deep / 257).astype(np.uint8)
    np.testing.assert_array_equal(reading.round_to_8_bits(deep), expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_transparency_is_placed_on_white(channels: int, dtype: type, tmp_path: Path) -> None:
    top = np.iinfo(dtype).max
    pixels = np.full((1, 3, channels), top // 5, dtype)
    alpha = np.array([[0, top, top // 5 * 2]], dtype)
    picture = Picture(pixels, alpha)
    path = tmp_path / "a.bmp"
    assert "BMP has no transparency: placed on white" in write_notices(path, picture)
    write_image(path, picture)
    np.testing.assert_array_equal(read_image(path).pixels[0, :, 0], [255, 51, 173])


def test_notices() -> None:
    plain = Picture(noise(2, 2, 3))
    assert all(write_notices(Path(f"a{suffix}"), plain) == [] for suffix in WRITABLE_SUFFIXES)
    rich = Picture(
        noise(2, 2, 3, dtype=np.uint16), noise(2, 2, dtype=np.uint16), b"profile", b"exif"
    )
    assert write_notices(Path("a.png"), rich) == []
    assert write_notices(Path("a.tif"), rich) == []
    assert len(write_notices(Path("a.webp"), rich)) == 1
    assert len(write_notices(Path("a.jpg"), rich)) == 2
    assert len(write_notices(Path("a.bmp"), rich)) == 4


@pytest.mark.parametrize("suffix", [".png", ".gif", ".tif", ".bmp"])
def test_palette_becomes_rgb(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    image = Pillow.fromarray(smooth(9, 8)).quantize(16)
    image.save(path)
    picture = read_image(path)
    np.testing.assert_array_equal(picture.pixels, np.asarray(image.convert("RGB")))
    assert picture.alpha is None


@pytest.mark.parametrize("transparency", [3, bytes([0, 100, 255, 7])])
def test_palette_with_transparency(transparency: int | bytes, tmp_path: Path) -> None:
    image = Pillow.fromarray(np.arange(4, dtype=np.uint8).reshape(2, 2))
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120])
    image.save(tmp_path / "a.png", transparency=transparency)
    picture = read_image(tmp_path / "a.png")
    expected = [255, 255, 255, 0] if transparency == 3 else list(transparency)
    assert picture.alpha is not None
    assert picture.alpha.ravel().tolist() == expected
    assert picture.pixels[0, 1].tolist() == [40, 50, 60]


def test_gif_with_transparency(tmp_path: Path) -> None:
    image = Pillow.fromarray(np.arange(4, dtype=np.uint8).reshape(2, 2))
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120])
    image.save(tmp_path / "a.gif", transparency=2)
    picture = read_image(tmp_path / "a.gif")
    assert picture.alpha is not None
    assert picture.alpha.ravel().tolist() == [255, 255, 0, 255]


def test_one_transparent_colour_of_grey_rgb_and_two_levels(tmp_path: Path) -> None:
    """The tRNS chunk of PNG."""
    path = tmp_path / "a.png"
    grey = np.array([[1, 2, 3]], np.uint8)
    Pillow.fromarray(grey).save(path, transparency=2)
    same(read_image(path), Picture(grey[..., None], np.array([[255, 0, 255]], np.uint8)))
    colour = np.array([[[1, 2, 3], [1, 2, 4]]], np.uint8)
    Pillow.fromarray(colour).save(path, transparency=(1, 2, 4))
    same(read_image(path), Picture(colour, np.array([[255, 0]], np.uint8)))
    two = np.array([[0, 255]], np.uint8)
    Pillow.fromarray(two).convert("1").save(path, transparency=0)
    same(read_image(path), Picture(two[..., None], np.array([[0, 255]], np.uint8)))
    deep = np.array([[1, 2, 3]], np.uint16)
    Pillow.fromarray(deep).save(path, transparency=3)
    same(read_image(path), Picture(deep[..., None], np.array([[65535, 65535, 0]], np.uint16)))


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".gif", ".pbm"])
def test_two_levels_become_grey(suffix: str, tmp_path: Path) -> None:
    levels = (noise(6, 11, 1)[..., 0] > 127).astype(np.uint8) * 255
    Pillow.fromarray(levels).convert("1").save(tmp_path / f"a{suffix}")
    picture = read_image(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(picture.pixels[..., 0], levels)


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_cmyk_without_profile_is_as_pillow_has_it(suffix: str, tmp_path: Path) -> None:
    image = Pillow.fromarray(smooth(16, 16)).convert("CMYK")
    image.save(tmp_path / f"a{suffix}")
    picture = read_image(tmp_path / f"a{suffix}")
    assert picture.icc_profile is None
    with Pillow.open(tmp_path / f"a{suffix}") as stored:
        np.testing.assert_array_equal(picture.pixels, np.asarray(stored.convert("RGB")))


def test_lab_becomes_srgb(tmp_path: Path) -> None:
    colours = Pillow.fromarray(np.array([[[255, 0, 0], [0, 128, 0], [128, 128, 128]]], np.uint8))
    lab = ImageCms.profileToProfile(
        colours, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert lab is not None
    lab.save(tmp_path / "a.tif")
    difference = read_image(tmp_path / "a.tif").pixels.astype(int) - np.asarray(colours)
    assert np.abs(difference).max() <= 6  # 8 bits of LAB are coarse


def test_16_bit_cmyk_and_lab(tmp_path: Path) -> None:
    pyvips = pytest.importorskip("pyvips")
    colours = pyvips.Image.new_from_array(
        np.array([[[255, 0, 0], [0, 128, 0], [128, 128, 128]]], np.uint8)
    ).copy(interpretation="srgb")
    colours.colourspace("labs").tiffsave(str(tmp_path / "lab.tif"))
    cmyk = colours.icc_transform("cmyk", input_profile="srgb", depth=16)
    cmyk.tiffsave(str(tmp_path / "cmyk.tif"))
    cmyk.tiffsave(str(tmp_path / "bare.tif"), keep="none")
    for name, tolerance in (("lab", 3), ("cmyk", 60), ("bare", 60)):
        picture = read_image(tmp_path / f"{name}.tif")
        assert picture.icc_profile is None
        assert picture.pixels.dtype == np.uint16, name
        difference = picture.pixels / 257 - colours.numpy()
        assert np.abs(difference).max() <= tolerance, name


@pytest.mark.parametrize("depth", [8, 16])
def test_premultiplied_tiff_is_made_straight(depth: int, tmp_path: Path) -> None:
    pyvips = pytest.importorskip("pyvips")
    dtype = np.dtype(f"uint{depth}").type
    pixels = noise(5, 5, 3, dtype=dtype)
    alpha = np.full((5, 5), np.iinfo(dtype).max // 2 + 1, dtype)
    planes = np.dstack([pixels, alpha])
    pyvips.Image.new_from_array(planes).copy(
        interpretation="srgb" if depth == 8 else "rgb16"
    ).tiffsave(str(tmp_path / "a.tif"), premultiply=True)
    picture = read_image(tmp_path / "a.tif")
    assert np.abs(picture.pixels.astype(int) - pixels).max() <= 2


def test_other_16_bit_files(tmp_path: Path) -> None:
    deep = noise(6, 5, dtype=np.uint16)
    Pillow.fromarray(deep).save(tmp_path / "a.jp2", irreversible=False)
    same(read_image(tmp_path / "a.jp2"), Picture(deep[..., None]))
    Pillow.fromarray(deep.astype(">u2")).save(tmp_path / "motorola.tif")
    same(read_image(tmp_path / "motorola.tif"), Picture(deep[..., None]))


def test_multi_page_tiff_and_mpo_give_their_first(tmp_path: Path) -> None:
    pages = [Pillow.fromarray(smooth(8, 8)), Pillow.fromarray(noise(8, 8, 3))]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels, smooth(8, 8))
    pages[0].save(tmp_path / "a.mpo", format="MPO", save_all=True, append_images=pages[1:])
    picture = read_image(tmp_path / "a.mpo")
    assert picture.format == "MPO"
    assert np.abs(picture.pixels.astype(int) - smooth(8, 8)).mean() < 30


def test_content_decides_on_the_format_and_not_the_suffix(tmp_path: Path) -> None:
    picture = Picture(noise(5, 5, 3, dtype=np.uint16))
    write_image(tmp_path / "a.png", picture)
    same(read_image((tmp_path / "a.png").rename(tmp_path / "a.jpg")), picture)


@pytest.mark.parametrize("name", ["ü ß 写真", "two words", "a[1]", "x,y=1", "-o", "a\nb"])
@pytest.mark.parametrize(("suffix", "dtype"), [(".jpg", np.uint8), (".tif", np.uint16)])
def test_any_file_name(name: str, suffix: str, dtype: type, tmp_path: Path) -> None:
    path = tmp_path / name / f"{name}{suffix}"
    write_image(path, Picture(noise(4, 3, 3, dtype=dtype)))
    assert read_image(path).pixels.shape == (4, 3, 3)


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes only on Linux")
def test_a_file_name_that_is_not_unicode(tmp_path: Path) -> None:
    path = tmp_path / "caf\udce9.png"
    picture = Picture(noise(4, 3, 3, dtype=np.uint16))
    write_image(path, picture)
    same(read_image(path), picture)


def test_reading_again_sees_the_new_file(tmp_path: Path) -> None:
    """libvips keeps a cache of files by name."""
    for value in (1, 2):
        picture = Picture(np.full((3, 3, 3), value, np.uint16))
        write_image(tmp_path / "a.png", picture)
        same(read_image(tmp_path / "a.png"), picture)


def test_read_rgb8(tmp_path: Path) -> None:
    grey = noise(4, 3, 1, dtype=np.uint16)
    write_image(tmp_path / "a.png", Picture(grey, noise(4, 3, dtype=np.uint16)))
    pixels = read_rgb8(tmp_path / "a.png")
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, np.round(grey / 257).repeat(3, axis=2))
    colour = noise(4, 3, 3)
    write_image(tmp_path / "b.png", Picture(colour))
    np.testing.assert_array_equal(read_rgb8(tmp_path / "b.png"), colour)


def test_find_images(tmp_path: Path) -> None:
    for name in (
        "b.PNG",
        "a.jpg",
        "c.TiFf",
        ".hidden.png",
        "._a.jpg",
        "notes.txt",
        "none",
        "inner/d.webp",
        "inner/deep/e.bmp",
        ".cache/f.png",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "folder.png").mkdir()

    def names(recursive: bool) -> list[str]:
        return [path.relative_to(tmp_path).as_posix() for path in find_images(tmp_path, recursive)]

    assert names(False) == ["a.jpg", "b.PNG", "c.TiFf"]
    assert names(True) == ["a.jpg", "b.PNG", "c.TiFf", "inner/d.webp", "inner/deep/e.bmp"]
    assert find_images(tmp_path / "absent") == []


def test_what_can_be_written_can_be_read() -> None:
    assert WRITABLE_SUFFIXES <= READABLE_SUFFIXES
    assert features.check("avif") and features.check("webp") and features.check("jpg_2000")


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("a.png", ".png"),
        ("a.JPG", ".JPG"),
        ("a.tif", ".tif"),
        ("a.webp", ".webp"),
        ("a.bmp", ".bmp"),
        ("a.ppm", ".ppm"),
        ("a.gif", ".png"),
        ("a.jp2", ".png"),
        ("a", ".png"),
    ],
)
def test_output_suffix(name: str, suffix: str) -> None:
    assert picture_suffix(Path(name)) == suffix


def test_check_writable_of_every_format(tmp_path: Path) -> None:
    for suffix in WRITABLE_SUFFIXES:
        check_writable(tmp_path / "new" / f"a{suffix}", 16_000, 16_000, depth=16, alpha=True)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("suffix", "limit"), [(".jpg", 65_500), (".webp", 16_383), (".avif", 32_768)]
)
def test_size_limits(suffix: str, limit: int, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    write_image(path, Picture(np.zeros((limit, 2, 1), np.uint8)))
    assert read_image(path).height == limit
    for size in ((limit + 1, 1), (1, limit + 1)):
        with pytest.raises(OutputError, match=rf"at most {limit} pixels a side: use \.png"):
            check_writable(path, *size, depth=8, alpha=False)


def test_area_limits(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="AVIF holds at most 268435456 pixels"):
        check_writable(tmp_path / "a.avif", 20_000, 20_000, depth=8, alpha=False)
    with pytest.raises(OutputError, match="BMP holds at most"):
        check_writable(tmp_path / "a.bmp", 40_000, 40_000, depth=8, alpha=False)
    check_writable(tmp_path / "a.tif", 100_000, 100_000, depth=16, alpha=True)


def test_a_tiff_that_needs_more_than_4_gigabytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("enhance_cli.io.writing.CLASSIC_TIFF_BYTES", 100)
    picture = Picture(noise(300, 20, 3, dtype=np.uint16))
    write_image(tmp_path / "a.tif", picture)
    assert (tmp_path / "a.tif").read_bytes()[2:4] == b"+\0"
    same(read_image(tmp_path / "a.tif"), picture)


def test_all_pictures_of_the_development_data(shared_data: Path) -> None:
    photos = find_images(shared_data / "photos", recursive=True)[::40]
    paths = [*find_images(shared_data / "photos_val"), *photos, *find_images(shared_data / "dark")]
    assert len(paths) > 20
    for path in paths:
        with Pillow.open(path) as image:
            np.testing.assert_array_equal(read_rgb8(path), np.asarray(image.convert("RGB")))
