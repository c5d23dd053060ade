"""Camera RAW files: recognised by content, whatever their name; refused in one line."""

import os
import struct
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from contextlib import nullcontext
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import rawpy
import tifffile
from mosaics import OPTIONS, refusal, scene
from PIL import Image as Pillow

from enhance_cli.errors import InputError
from enhance_cli.io.dng import write_dng
from enhance_cli.io.raw import (
    Exposure,
    NotBayerError,
    is_raw,
    read_exposure,
    read_raw,
    read_rendered,
)

SIZES = SimpleNamespace(raw_width=800, raw_height=600)
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


def test_too_few_bytes_for_the_pixels_are_refused(tmp_path: Path) -> None:
    """LibRaw decodes what is missing to zeros; here the strips are said to be compressed."""
    path = tmp_path / "a.dng"
    write_dng(path, np.zeros((600, 800), np.uint16), **OPTIONS)
    with tifffile.TiffFile(path, mode="r+") as file:
        offset = file.pages.first.dataoffsets[0]
    with path.open("r+b") as file:
        file.truncate(offset + 100)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rawpy.imread", lambda _: nullcontext(SimpleNamespace(sizes=SIZES)))
        for read in (read_raw, read_rendered):
            assert "cannot hold its 800x600 pixels" in refusal(read, path)


def test_jpeg_xl_inside_dng_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.dng"
    write_dng(path, scene(), **OPTIONS)
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages.first.tags["Compression"].overwrite(52546)
    for read in (read_raw, read_rendered):
        assert "JPEG XL inside DNG is not supported" in refusal(read, path)


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
