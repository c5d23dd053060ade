"""What is refused, and that nothing is left behind."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow
from pixels import noise

from enhance_cli.errors import InputError, OutputError
from enhance_cli.io import libraries, pillow_reading
from enhance_cli.io.image import (
    WRITABLE_SUFFIXES,
    Picture,
    check_writable,
    read_image,
    write_image,
)


def refused(path: Path, *words: str) -> str:
    with pytest.raises(InputError) as caught:
        read_image(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message.removeprefix(str(path))
    for word in words:
        assert word in message
    return message


def test_absent(tmp_path: Path) -> None:
    refused(tmp_path / "absent.png", "no such file")
    refused(tmp_path / "no" / "folder.png", "no such file")


def test_folder(tmp_path: Path) -> None:
    refused(tmp_path, "is a folder")


def test_names_that_no_file_can_have(tmp_path: Path) -> None:
    refused(tmp_path / ("x" * 300 + ".png"), "cannot be opened")
    refused(tmp_path / "a\0b.png", "cannot be opened")


def test_empty(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    refused(tmp_path / "a.png", "empty file")


@pytest.mark.parametrize("content", [b"no picture at all", bytes(100), b"<svg></svg>", b"%!PS"])
def test_not_a_picture(content: bytes, tmp_path: Path) -> None:
    for suffix in sorted(WRITABLE_SUFFIXES | {".gif", ".jp2"}):
        (tmp_path / f"a{suffix}").write_bytes(content)
        refused(tmp_path / f"a{suffix}", "not a picture")


@pytest.mark.parametrize("content", [b"II*\0", b"MM\0*\0\0\0\x08", b"II+\0" + bytes(50)])
def test_not_a_tiff_behind_its_signature(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(content)
    refused(tmp_path / "a.tif", "damaged")


@pytest.mark.parametrize("kept", [0.05, 0.98])
@pytest.mark.parametrize(
    ("suffix", "dtype"),
    [
        *(
            (suffix, np.uint8)
            for suffix in (".png", ".jpg", ".tif", ".webp", ".bmp", ".avif", ".ppm", ".gif", ".jp2")
        ),
        (".png", np.uint16),
        (".tif", np.uint16),
    ],
)
def test_cut_off(
    suffix: str, dtype: type, kept: float, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"a{suffix}"
    if suffix in WRITABLE_SUFFIXES:
        write_image(path, Picture(noise(60, 70, 3, dtype=dtype)))
    else:
        Pillow.fromarray(noise(60, 70, 3)).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    refused(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("a.png", np.uint8),
        ("a.png", np.uint16),
        ("tiles.tif", np.uint8),
        ("tiles.tif", np.uint16),
        ("strips.tif", np.uint16),
    ],
)
def test_damaged_inside(name: str, dtype: type, tmp_path: Path) -> None:
    path = tmp_path / name
    # TIFF has no checksums that are always looked at: what is hit must not be a valid code.
    pixels = noise(60, 70, 3, dtype=dtype) & 0x3F
    if name == "strips.tif":
        Pillow.fromarray(pixels[..., 0]).save(path, compression="tiff_adobe_deflate")
    else:
        write_image(path, Picture(pixels))
    data = bytearray(path.read_bytes())
    place = len(data) // 2 if name == "a.png" else 24
    data[place : place + 40] = b"\xff" * 40
    path.write_bytes(data)
    refused(path, "damaged")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_permission(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", Picture(noise(2, 2, 3)))
    (tmp_path / "a.png").chmod(0)
    refused(tmp_path / "a.png", "may not be read", "permissions")


def test_permission_as_the_system_tells_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_image(tmp_path / "a.png", Picture(noise(2, 2, 3)))

    def refuse(*_args: object, **_options: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    refused(tmp_path / "a.png", "may not be read", "permissions")


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".avif"])
def test_animations(suffix: str, tmp_path: Path) -> None:
    frames = [Pillow.fromarray(noise(8, 8 + step, 3)[:, :8]) for step in range(3)]
    path = tmp_path / f"a{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    refused(path, "animated", "save the one you want")
    frames[0].save(path, save_all=True)
    assert read_image(path).pixels.shape == (8, 8, 3)


@pytest.mark.parametrize(
    ("dtype", "words"),
    [
        (np.int32, "32-bit integer"),
        (np.float32, "floating-point"),
    ],
)
def test_deeper_than_16_bits(dtype: type, words: str, tmp_path: Path) -> None:
    Pillow.fromarray(noise(4, 5).astype(dtype)).save(tmp_path / "a.tif")
    refused(tmp_path / "a.tif", words, "convert it to a 16-bit")


@pytest.mark.parametrize("format_", ["float", "short", "uint", "double"])
@pytest.mark.parametrize("bands", [1, 3])
def test_samples_that_only_libvips_knows(format_: str, bands: int, tmp_path: Path) -> None:
    pyvips = pytest.importorskip("pyvips")
    image = pyvips.Image.new_from_array(noise(4, 5, bands)).cast(format_)
    image.tiffsave(str(tmp_path / "a.tif"))
    refused(tmp_path / "a.tif", "convert it to a 16-bit")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_too_many_channels(dtype: type, tmp_path: Path) -> None:
    pixels = noise(4, 5, 6, dtype=dtype)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="minisblack", planarconfig="contig")
    refused(tmp_path / "a.tif", "convert it to")


@pytest.mark.parametrize(
    "header", [b"P6 2 1 65535\n", b"P6 2 1 1023\n", b"P5 2 1 65535\n", b"P5 2 1 300\n"]
)
def test_deep_ppm_is_refused_and_not_reduced(header: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.ppm").write_bytes(header + bytes(12))
    refused(tmp_path / "a.ppm", "16-bit PPM", "PNG or TIFF")


def test_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for suffix, dtype in (
        (".png", np.uint8),
        (".png", np.uint16),
        (".tif", np.uint16),
        (".jpg", np.uint8),
        (".webp", np.uint8),
    ):
        path = tmp_path / f"a{suffix}"
        write_image(path, Picture(noise(10, 20, 3, dtype=dtype)))
        monkeypatch.setattr(pillow_reading, "PIXEL_LIMIT", 198)
        refused(path, "more than 198 pixels", "cut it into parts")
        monkeypatch.setattr(pillow_reading, "PIXEL_LIMIT", 200)
        assert read_image(path).pixels.size == 600
    write_image(
        path := tmp_path / "la.tif",
        Picture(noise(10, 20, 1, dtype=np.uint16), noise(10, 20, dtype=np.uint16)),
    )
    monkeypatch.setattr(pillow_reading, "PIXEL_LIMIT", 198)
    refused(path, "more than 198 pixels")


def test_large_photos_do_not_warn(tmp_path: Path) -> None:
    """Pillow warns of more than 89 megapixels and refuses twice that."""
    before = Pillow.MAX_IMAGE_PIXELS
    Pillow.new("1", (20_000, 10_000)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").pixels.shape == (10_000, 20_000, 1)
    assert before == Pillow.MAX_IMAGE_PIXELS
    (tmp_path / "b.ppm").write_bytes(b"P5 40000 40000 255\n")
    refused(tmp_path / "b.ppm", "more than 1,000,000,000 pixels")
    assert before == Pillow.MAX_IMAGE_PIXELS


def test_too_little_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_image(tmp_path / "a.png", Picture(noise(2, 2, 3)))

    def fail(*_args: object) -> None:
        raise MemoryError

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fail)
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", fail)
    refused(tmp_path / "a.png", "memory")


def test_without_libvips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_image(tmp_path / "a.png", Picture(noise(2, 2, 3, dtype=np.uint16)))
    write_image(tmp_path / "b.png", Picture(noise(2, 2, 3)))
    monkeypatch.setitem(__import__("sys").modules, "pyvips", None)
    refused(tmp_path / "a.png", "pip install 'pyvips[binary]'")
    assert read_image(tmp_path / "b.png").pixels.shape == (2, 2, 3)
    with pytest.raises(OutputError, match="need libvips"):
        write_image(tmp_path / "c.tif", Picture(noise(2, 2, 3)))
    with pytest.raises(OutputError, match="need libvips"):
        libraries.import_pyvips(tmp_path, OutputError)


@pytest.mark.parametrize("name", ["a.gif", "a.jp2", "a.xyz", "a", "a.png.bak", ".png"])
def test_suffixes_that_cannot_be_written(name: str, tmp_path: Path) -> None:
    calls: list[Callable[[], object]] = [
        lambda: check_writable(tmp_path / name, 1, 1, depth=8, alpha=False),
        lambda: write_image(tmp_path / name, Picture(noise(1, 1, 3))),
    ]
    for call in calls:
        with pytest.raises(OutputError, match=r"use \.png or \.tif.*\.jpg.*\.webp"):
            call()
    assert not list(tmp_path.iterdir())


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").touch()
    for path, words in (
        (tmp_path / "folder.png", "is a folder"),
        (tmp_path / ("x" * 300 + ".png"), "no file can have this name"),
        (tmp_path / "file" / "a.png", "is not a folder"),
        (tmp_path / "file" / "b" / "a.png", "is not a folder"),
    ):
        with pytest.raises(OutputError, match=words):
            check_writable(path, 1, 1, depth=8, alpha=False)
        with pytest.raises(OutputError, match=words):
            write_image(path, Picture(noise(1, 1, 3)))


def test_folder_that_may_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(OutputError, match="may not be written"):
        check_writable(tmp_path / "new" / "a.png", 1, 1, depth=8, alpha=False)


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "No space left on device"), ValueError("encoder"), KeyboardInterrupt()],
)
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_failure_leaves_the_old_file_and_nothing_else(
    error: BaseException, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"a{suffix}"
    write_image(path, Picture(noise(5, 5, 3)))
    before = path.read_bytes()

    def fail(target: Path, _data: object) -> None:
        with target.open("wb") as file:
            file.write(b"half")
        raise error

    def refuse(*_args: object, **_options: object) -> None:
        raise error

    if isinstance(error, ValueError):
        monkeypatch.setattr(Pillow.Image, "save", refuse)
    else:
        monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(
        KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else OutputError, match=None
    ):
        write_image(path, Picture(noise(6, 6, 3)))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a Linux device that is always full")
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_full_disk_while_libvips_writes(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"a{suffix}"
    real_open = Path.open
    monkeypatch.setattr(Path, "open", lambda *args: real_open(Path("/dev/full"), "wb"))
    with pytest.raises(OutputError, match="cannot write"):
        write_image(path, Picture(noise(50, 50, 3, dtype=np.uint16)))
    assert not list(tmp_path.iterdir())


def test_a_preview_is_not_taken_for_the_picture(tmp_path: Path) -> None:
    """Camera RAW files are TIFFs whose first picture is a thumbnail: it must not be enlarged."""
    path = tmp_path / "raw.nef"
    Pillow.fromarray(noise(8, 8, 3)).save(path, "TIFF", tiffinfo={254: 1})
    with pytest.raises(InputError, match="reduced preview"):
        read_image(path)
