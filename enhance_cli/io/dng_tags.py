"""The tags by which a DNG file describes its sensor data, as they stand in the file.

LibRaw reads most of them, but rounds some and leaves out others.
"""

import warnings
from collections.abc import Iterable, Iterator
from io import BytesIO
from math import isfinite
from pathlib import Path
from typing import IO, Any

from enhance_cli.errors import InputError
from enhance_cli.io.raw_files import COLOUR_FILTER_ARRAY, DNG_VERSION, PHOTOMETRIC, SUB_IFDS
from enhance_cli.io.tiff import NEW_SUBFILE_TYPE, find_tiff_pages, read_directory

LINEAR_RAW = 34892  # the value of PHOTOMETRIC for sensor data that have all colours at each pixel
DEFAULT_CROP_ORIGIN, DEFAULT_CROP_SIZE = 50719, 50720
_IMAGE_WIDTH, _IMAGE_LENGTH, _COMPRESSION = 256, 257, 259
_JPEG_XL = 52546  # the value of the compression, since DNG 1.7


class DngTags:
    """The tags of the directory of a DNG file that describes the sensor data.

    It has none for any other file, and for one whose directories are broken.

    Args:
        tags: the values by the numbers of the tags, as Pillow gives them.
    """

    def __init__(self, tags: dict[int, Any] | None = None) -> None:
        self._tags = tags or {}

    def numbers(self, tag: int) -> tuple[float, ...]:
        """The values of a tag, or nothing if it is absent or one of them is no number."""
        value = self._tags.get(tag, ())
        try:
            values = tuple(float(part) for part in _listed(value))
        except (TypeError, ValueError, ZeroDivisionError, OverflowError):
            return ()
        return values if all(map(isfinite, values)) else ()

    def data(self, tag: int) -> bytes:
        """The bytes of a tag, which are none if it is absent or holds something else."""
        value = self._tags.get(tag, b"")
        return value if isinstance(value, bytes) else b""


def read_dng_tags(source: Path | BytesIO) -> DngTags:
    """Read the tags of a DNG file's sensor data.

    Args:
        source: a file of any kind, or the bytes of one.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if isinstance(source, Path):
                if not source.is_file():  # opening a pipe would wait for ever
                    return DngTags()
                with source.open("rb") as file:
                    return _find(file)
            return _find(source)
    except Exception:  # Directories are broken in every way there is; LibRaw has the last word.
        return DngTags()


def check_compression(path: Path, tags: DngTags) -> None:
    """Refuse a file whose data have a compression that LibRaw does not read.

    Raises:
        InputError: if they have.
    """
    if tags.numbers(_COMPRESSION) == (_JPEG_XL,):
        raise InputError(
            f"{path}: JPEG XL inside DNG is not supported, save it as a DNG with lossless "
            "compression"
        )


def _find(file: IO[bytes]) -> DngTags:
    pages = [dict(page.tags) for page in find_tiff_pages(file)]
    if not pages or DNG_VERSION not in pages[0]:
        return DngTags()
    found = [tags for tags in (*pages, *_inner(file, pages)) if _is_sensor_data(tags)]
    # Like LibRaw we take the largest, for some files hold a second, smaller exposure.
    return DngTags(max(found, key=_pixels, default=None))


def _inner(file: IO[bytes], pages: Iterable[dict[int, Any]]) -> Iterator[dict[int, Any]]:
    for tags in pages:
        for place in _listed(tags.get(SUB_IFDS, ())):
            yield read_directory(file, place)


def _is_sensor_data(tags: dict[int, Any]) -> bool:
    kind = tags.get(PHOTOMETRIC)
    return kind in (COLOUR_FILTER_ARRAY, LINEAR_RAW) and not tags.get(NEW_SUBFILE_TYPE, 0)


def _pixels(tags: dict[int, Any]) -> int:
    return int(tags.get(_IMAGE_WIDTH, 0)) * int(tags.get(_IMAGE_LENGTH, 0))


def _listed(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, tuple | list | bytes) else (value,)
