"""Pixels are read as the file says, whatever its layout, and odd metadata is no obstacle."""

import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow
from PIL.PngImagePlugin import putchunk
from pixels import noise, save_png

from enhance_cli.errors import InputError
from enhance_cli.io.image import Picture, is_compressed, read_image, write_image


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("channels", [2, 3, 4])
def test_planar_tiff(channels: int, compression: str | None, dtype: type, tmp_path: Path) -> None:
    planes = noise(channels, 9, 7, dtype=dtype)
    tifffile.imwrite(
        tmp_path / "a.tif",
        planes,
        photometric="rgb" if channels > 2 else "minisblack",
        planarconfig="separate",
        extrasamples=None if channels == 3 else ["unassalpha"],
        compression=compression,
    )
    picture = read_image(tmp_path / "a.tif")
    colours = 3 if channels > 2 else 1
    np.testing.assert_array_equal(picture.pixels, planes[:colours].transpose(1, 2, 0), strict=True)
    if channels == 3:
        assert picture.alpha is None
    else:
        np.testing.assert_array_equal(picture.alpha, planes[-1], strict=True)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_planar_cmyk_is_read_as_chunky_cmyk(dtype: type, tmp_path: Path) -> None:
    ink = noise(4, 9, 7, dtype=dtype)
    for name, stored in (("contig", ink.transpose(1, 2, 0)), ("separate", ink)):
        tifffile.imwrite(
            tmp_path / name, stored, photometric="separated", planarconfig=name, extrasamples=()
        )
    chunky, planar = (read_image(tmp_path / name) for name in ("contig", "separate"))
    np.testing.assert_array_equal(planar.pixels, chunky.pixels, strict=True)
    assert planar.pixels.dtype == dtype


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_channels_that_are_no_alpha_are_left_out(planar: str, dtype: type, tmp_path: Path) -> None:
    for kinds, alpha in (([0], None), ([0, 2], 4)):
        stored = noise(6, 5, 3 + len(kinds), dtype=dtype)
        tifffile.imwrite(
            tmp_path / "a.tif",
            stored if planar == "contig" else stored.transpose(2, 0, 1),
            photometric="rgb",
            planarconfig=planar,
            extrasamples=kinds,
        )
        notices: list[str] = []
        picture = read_image(tmp_path / "a.tif", notices.append)
        np.testing.assert_array_equal(picture.pixels, stored[..., :3], strict=True)
        assert len(notices) == 1 and "neither colour nor alpha" in notices[0]
        if alpha is None:
            assert picture.alpha is None
        else:
            np.testing.assert_array_equal(picture.alpha, stored[..., alpha], strict=True)


@pytest.mark.parametrize("depth", [8, 16])
def test_icclab(depth: int, tmp_path: Path) -> None:
    """sRGB's red and a middle grey in CIELAB with white D50, as colorimetry has them."""
    lab = np.array([[[54.29, 80.80, 69.89], [53.59, 0, 0]]])
    unit, dtype = (1, np.uint8) if depth == 8 else (256, np.uint16)
    coded = np.stack([lab[..., 0] * 2.55, lab[..., 1] + 128, lab[..., 2] + 128], axis=2) * unit
    tifffile.imwrite(tmp_path / "a.tif", coded.round().astype(dtype), photometric="icclab")
    picture = read_image(tmp_path / "a.tif")
    assert picture.pixels.dtype == dtype
    levels = picture.pixels / (1 if depth == 8 else 257)
    assert np.abs(levels - [[[255, 0, 0], [128, 128, 128]]]).max() < (8 if depth == 8 else 2)


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_transparent_level_of_grey_png_of_every_depth(depth: int, tmp_path: Path) -> None:
    levels = np.arange(2 ** min(depth, 3))
    bits = "".join(f"{level:0{depth}b}" for level in levels)
    row = int(bits.ljust(-len(bits) // 8 * -8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")
    save_png(
        tmp_path / "a.png",
        struct.pack(">IIBBBBB", len(levels), 1, depth, 0, 0, 0, 0),
        [(b"tRNS", struct.pack(">H", 1))],
        b"\0" + row,
    )
    picture = read_image(tmp_path / "a.png")
    assert picture.alpha is not None
    assert picture.alpha[0].tolist() == [0 if level == 1 else 255 for level in levels]
    assert picture.pixels[0, :, 0].tolist() == (levels * 255 // (2**depth - 1)).tolist()


@pytest.mark.parametrize(
    "chunk",
    [
        (b"pHYs", bytes(5)),
        (b"gAMA", b"\0"),
        (b"tEXt", b"Comment\0text", b"wrong"),
        (b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2_000_000))),
        (b"iCCP", b"name\0\7nonsense"),
        (b"sRGB", b""),
    ],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_damaged_metadata_of_png_is_left_out(
    chunk: tuple[bytes, ...], dtype: type, tmp_path: Path
) -> None:
    path = tmp_path / "a.png"
    picture = Picture(noise(4, 7, 3, dtype=dtype))
    write_image(path, picture)
    data = path.read_bytes()
    added = BytesIO()
    putchunk(added, *chunk[:2])
    odd = added.getvalue()[: -4 if len(chunk) > 2 else None] + (b"bad!" if len(chunk) > 2 else b"")
    path.write_bytes(data[:33] + odd + data[33:])
    notices: list[str] = []
    np.testing.assert_array_equal(read_image(path, notices.append).pixels, picture.pixels)
    assert notices == [f"damaged and left out: the PNG chunks {chunk[0].decode()}"]


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_without_its_end(progressive: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Pillow.fromarray(noise(64, 64, 3)).save(path, progressive=progressive)
    whole, pixels = path.read_bytes(), read_image(path).pixels
    path.write_bytes(whole[:-2])
    notices: list[str] = []
    np.testing.assert_array_equal(read_image(path, notices.append).pixels, pixels)
    assert "all pixels are there" in notices[0]
    path.write_bytes(whole[:-60])
    with pytest.raises(InputError, match="damaged or cut off"):
        read_image(path)


def test_a_progressive_jpeg_without_its_last_scan(tmp_path: Path) -> None:
    whole, path = tmp_path / "whole.jpg", tmp_path / "a.jpg"
    Pillow.fromarray(noise(64, 64, 3)).save(whole, progressive=True)
    notices: list[str] = []
    read_image(whole, notices.append)
    assert notices == []
    data = whole.read_bytes()
    path.write_bytes(data[: data.rindex(b"\xff\xda")] + b"\xff\xd9")
    read_image(path, notices.append)
    assert notices == ["the file ends before its last scans: its finest detail is missing"]


def test_gain_maps_are_named(tmp_path: Path) -> None:
    image = Pillow.fromarray(noise(16, 16, 3))
    xmp = b'<x:xmpmeta xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0"/>'
    image.save(tmp_path / "a.jpg", xmp=xmp)
    image.save(tmp_path / "b.avif")
    # The entry (infe) of an item of this kind, in a box that readers pass over.
    entry = struct.pack(">I4sIHH4s", 20, b"infe", 2 << 24, 9, 0, b"tmap")
    with (tmp_path / "b.avif").open("ab") as file:
        file.write(struct.pack(">I4s", 8 + len(entry), b"free") + entry)
    for name in ("a.jpg", "b.avif"):
        notices: list[str] = []
        read_image(tmp_path / name, notices.append)
        assert any("gain map" in line for line in notices), name


def test_a_compression_that_cannot_be_read_is_not_called_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise(2, 8, 8), planarconfig="separate", extrasamples=["unassalpha"])
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages[0].tags["Compression"].overwrite(5)  # LZW
    with pytest.raises(InputError, match="stored apart with this compression are not supported"):
        read_image(path)


def test_unsupported_is_not_called_damaged(tmp_path: Path) -> None:
    """A BMP whose colours have four bits."""
    header = struct.pack("<IiiHHIIiiII4I", 56, 2, 2, 1, 16, 3, 8, 0, 0, 0, 0, 0xF00, 0xF0, 0xF, 0)
    data = b"BM" + struct.pack("<IHHI", 14 + 56 + 8, 0, 0, 14 + 56) + header + bytes(8)
    (tmp_path / "a.bmp").write_bytes(data)
    with pytest.raises(InputError, match="not supported .*BMP"):
        read_image(tmp_path / "a.bmp")


def bomb(path: Path) -> None:
    """A small file that declares 12000x12000 pixels."""
    side = 12_000
    if path.suffix == ".png":
        save_png(path, struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0), [], bytes(1000))
    elif path.suffix == ".bmp":
        Pillow.new("RGB", (8, 8)).save(path)
        data = bytearray(path.read_bytes())
        data[18:26] = struct.pack("<ii", side, side)
        path.write_bytes(data)
    elif path.suffix == ".ppm":
        path.write_bytes(b"P6 12000 12000 255\n" + bytes(100))
    elif path.suffix == ".jpg":
        Pillow.new("RGB", (8, 8)).save(path)
        data = bytearray(path.read_bytes())
        place = data.index(b"\xff\xc0") + 5
        data[place : place + 4] = struct.pack(">HH", side, side)
        path.write_bytes(data)
    else:
        compression = {"raw.tif": None, "zlib.tif": "zlib", "tiles.tif": "zlib"}[path.name]
        tile = (16, 16) if path.name == "tiles.tif" else None
        tifffile.imwrite(path, noise(16, 16, 3), compression=compression, tile=tile)
        with tifffile.TiffFile(path, mode="r+b") as file:
            for name in ("ImageWidth", "ImageLength", *(() if tile else ("RowsPerStrip",))):
                file.pages[0].tags[name].overwrite(side, dtype="I")


@pytest.mark.parametrize(
    "name", ["a.png", "a.jpg", "a.bmp", "a.ppm", "raw.tif", "zlib.tif", "tiles.tif"]
)
def test_bombs_are_refused_before_memory_is_taken(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb(tmp_path / name)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda _: pytest.fail("decoded"))
    monkeypatch.setattr(
        "enhance_cli.io.reading.decode_with_vips", lambda *_: pytest.fail("decoded")
    )
    with pytest.raises(InputError, match="too small for 12000x12000 pixels"):
        read_image(tmp_path / name)


def test_how_much_a_file_was_compressed(tmp_path: Path) -> None:
    """JPEG tells it by its tables; WebP and AVIF with losses count, whatever they keep."""
    picture = Pillow.fromarray(noise(16, 16, 3))
    for quality in (30, 50, 75, 90, 95):
        picture.save(tmp_path / "a.jpg", quality=quality)
        assert not is_compressed(tmp_path / "a.jpg", below=quality)
        assert is_compressed(tmp_path / "a.jpg", below=quality + 1)
    profile = bytes(5000)  # before the pixels of a WebP
    for name, options, expected in (
        ("a.png", {}, False),
        ("a.tif", {"compression": "jpeg"}, False),
        ("a.webp", {}, True),
        ("a.webp", {"lossless": True}, False),
        ("a.webp", {"lossless": True, "icc_profile": profile}, False),
        ("a.webp", {"icc_profile": profile, "exif": b"Exif"}, True),
        ("a.avif", {}, True),
        ("a.mpo", {"append_images": [picture], "save_all": True, "quality": 50}, True),
    ):
        picture.save(tmp_path / name, **options)
        assert is_compressed(tmp_path / name, below=92) == expected, (name, options)
        told = expected and name == "a.mpo"
        assert is_compressed(tmp_path / name, below=92, untold=False) == told, (name, options)
    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    save_png(tmp_path / "odd.png", header, [(b"pHYs", b"short")], b"\0\1")
    assert not is_compressed(tmp_path / "odd.png", below=92)  # Pillow alone would refuse it.
    with pytest.raises(InputError, match="not a picture"):
        is_compressed(Path(__file__), below=92)
