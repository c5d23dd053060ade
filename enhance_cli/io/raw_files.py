"""Tells which files are camera RAW files, and opens them with LibRaw.

LibRaw is reached through the package rawpy, which is imported when the first file is opened.
"""

import os
import re
import struct
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO, Any

from enhance_cli.errors import EnhanceError, InputError
from enhance_cli.io.files import open_input
from enhance_cli.io.finding import RAW_SUFFIXES

# Bytes by which files are recognised, each with its place from the beginning of the file.
RAW_SIGNATURES = (
    (0, b"FUJIFILMCCD-RAW"),
    (0, b"FOVb"),
    (0, b"\0MRM"),
    (0, b"IIU\0"),
    (0, b"IIRO"),
    (0, b"IIRS"),
    (0, b"MMOR"),
    (4, b"ftypcrx "),
    (6, b"HEAPCCDR"),
    (8, b"CR\2"),
)
PICTURE_SIGNATURES = (
    (0, b"\xff\xd8\xff"),
    (0, b"\x89PNG"),
    (0, b"GIF8"),
    (8, b"WEBP"),
    (4, b"ftypavi"),
    (4, b"ftyphei"),
    (4, b"ftypmif1"),
    (4, b"jP  "),
    (0, b"\xff\x4f\xff\x51"),
)
# The first four bytes of a TIFF file, and the byte order of ``struct`` that they announce.
TIFF_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
PHOTOMETRIC, SUB_IFDS, DNG_VERSION = 262, 330, 50706  # numbers of TIFF tags
COLOUR_FILTER_ARRAY = 32803  # the value of PHOTOMETRIC for a mosaic
# A directory with more entries is damaged; the limit keeps it from making us read for ever.
ENTRY_LIMIT = 1024
# No compression of sensor data holds more: even lens caps have noise.
PIXELS_IN_A_BYTE = 256

# What LibRaw prints when it decodes around damage without raising an error.
_DAMAGE = re.compile(rb"unexpected end|premature end|corrupt", re.IGNORECASE)
_stderr_lock = threading.RLock()


def is_raw(path: Path) -> bool:
    """Whether a file is a camera RAW file, which LibRaw opens and not the reader of pictures.

    A DNG file, or any other that holds the mosaic of a sensor, is one whatever its name is. A
    file with the suffix of a camera's format is one unless it begins like a JPEG, a PNG or
    another picture. For a file that cannot be opened the answer is no, and the reader of pictures
    will say what is wrong with it.
    """
    try:
        if not path.is_file():  # opening a pipe would wait for ever
            return False
        with path.open("rb") as file:
            head = file.read(32)
            if not head or _has(head, PICTURE_SIGNATURES):
                return False
            return (
                path.suffix.lower() in RAW_SUFFIXES
                or _has(head, RAW_SIGNATURES)
                or _holds_mosaic(file, head)
            )
    except (OSError, ValueError, struct.error):
        return False


def _has(head: bytes, signatures: tuple[tuple[int, bytes], ...]) -> bool:
    return any(head.startswith(signature, at) for at, signature in signatures)


def _holds_mosaic(file: IO[bytes], head: bytes) -> bool:
    """Whether a file is a TIFF that declares itself a DNG, or that holds a mosaic."""
    order = TIFF_ORDERS.get(head[:4])
    if order is None:
        return False
    first = _read_directory(file, order, struct.unpack_from(order + "I", head, 4)[0])
    if DNG_VERSION in first or first.get(PHOTOMETRIC, (0,))[0] == COLOUR_FILTER_ARRAY:
        return True
    inner = (_read_directory(file, order, at) for at in first.get(SUB_IFDS, ()))
    return any(tags.get(PHOTOMETRIC, (0,))[0] == COLOUR_FILTER_ARRAY for tags in inner)


def _read_directory(file: IO[bytes], order: str, at: int) -> dict[int, tuple[int, ...]]:
    """The tags of a TIFF directory by which a mosaic is known, with at most 16 values each."""
    file.seek(at)
    (entries,) = struct.unpack(order + "H", file.read(2))
    table = file.read(12 * min(entries, ENTRY_LIMIT))
    tags = {}
    for start in range(0, len(table) - 11, 12):
        tag, kind, count = struct.unpack_from(order + "HHI", table, start)
        if tag not in (PHOTOMETRIC, SUB_IFDS, DNG_VERSION):
            continue
        letter = {3: "H", 4: "I", 13: "I"}.get(kind, "B")
        count = min(count, 16)
        values = table[start + 8 : start + 12]
        if count * struct.calcsize(letter) > 4:
            file.seek(struct.unpack(order + "I", values)[0])
            values = file.read(count * struct.calcsize(letter))
        tags[tag] = struct.unpack_from(f"{order}{count}{letter}", values) or (0,)
    return tags


@contextmanager
def open_libraw(path: Path) -> Iterator[Any]:
    """Open a RAW file and yield rawpy's ``RawPy`` object.

    Whatever LibRaw raises inside the block becomes an error of one line. LibRaw also prints
    complaints to the standard error of the process. They are caught, and a file whose damage
    LibRaw only mentioned is refused at the end of the block.

    Raises:
        InputError: if the file cannot be opened or decoded, or rawpy is not installed.
    """
    rawpy = _import_rawpy(path)
    # LibRaw gives no reason if a file cannot be opened.
    with open_input(path, "a camera RAW file"):
        pass
    try:
        with _caught_stderr() as said, _imread(rawpy, path) as raw:
            _check_bytes(path, raw.sizes.raw_width, raw.sizes.raw_height)
            yield raw
    except EnhanceError:
        raise
    except MemoryError as error:
        raise InputError(f"{path}: too large for the memory of this machine") from error
    except rawpy.LibRawFileUnsupportedError as error:
        raise InputError(
            f"{path}: no camera RAW file of a kind that is supported, give a DNG or a picture"
        ) from error
    except Exception as error:  # rawpy's own types, and what numpy makes of odd sizes
        raise InputError(
            f"{path}: cannot be decoded as camera RAW ({_reason(error)}), get a fresh copy"
        ) from error
    if _DAMAGE.search(said):
        raise InputError(f"{path}: damaged or cut off, get a fresh copy")


def _check_bytes(path: Path, width: int, height: int) -> None:
    """Refuse a file that has too few bytes for its pixels, which LibRaw would make up."""
    size = path.stat().st_size
    if size * PIXELS_IN_A_BYTE < width * height:
        raise InputError(
            f"{path}: {size:,} bytes cannot hold its {width}x{height} pixels, most of the file is "
            "missing; get a whole copy"
        )


def _import_rawpy(path: Path) -> Any:
    try:
        import rawpy
    except (ImportError, OSError) as missing:
        raise InputError(f"{path}: camera RAW needs LibRaw, run: pip install rawpy") from missing
    return rawpy


def _imread(rawpy: Any, path: Path) -> Any:
    try:
        return rawpy.imread(str(path))
    except UnicodeEncodeError:  # the file's name is not UTF-8, and rawpy encodes it
        return rawpy.imread(BytesIO(path.read_bytes()))


def _reason(error: Exception) -> str:
    text = error.args[0] if error.args else ""
    text = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(error)
    return " ".join(text.split()) or type(error).__name__


@contextmanager
def _caught_stderr() -> Iterator[bytearray]:
    """Catch what C code prints to standard error during the block.

    The array that is yielded is filled when the block ends. The descriptor belongs to the whole
    process, so other threads that want to catch it wait meanwhile.
    """
    said = bytearray()
    with _stderr_lock, tempfile.TemporaryFile() as caught:
        if sys.stderr is not None:
            sys.stderr.flush()
        try:
            before = os.dup(2)
        except OSError:  # standard error is closed, so nothing can appear there
            yield said
            return
        os.dup2(caught.fileno(), 2)
        try:
            yield said
        finally:
            os.dup2(before, 2)
            os.close(before)
            caught.seek(0)
            said += caught.read()
