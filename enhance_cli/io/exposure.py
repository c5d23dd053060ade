"""Finds how a photograph was exposed, and reads the EXIF data of camera RAW files.

Shutter time, sensitivity and aperture come from EXIF where a file has it, and otherwise from what
LibRaw knows about the file.
"""

import struct
import warnings
from dataclasses import dataclass
from io import BytesIO
from math import isfinite
from pathlib import Path
from typing import IO, Any

from PIL import Image as Pillow
from PIL import UnidentifiedImageError
from PIL.ExifTags import IFD, Base

from enhance_cli.errors import InputError
from enhance_cli.io.captions import Captions, find_captions
from enhance_cli.io.metadata import DIRECTORIES, find_exif
from enhance_cli.io.raw_files import is_raw, open_libraw
from enhance_cli.io.tiff import find_tiff_exif

# The ISO tag has 16 bits. When it holds its largest value, the sensitivity may be higher, and a
# longer tag tells it.
ISO_OVERFLOW = 65_535
LONGER_ISO_TAGS = (Base.RecommendedExposureIndex, Base.ISOSpeed, Base.StandardOutputSensitivity)
EXPOSURE_TAGS = (Base.ExposureTime, Base.FNumber, Base.ISOSpeedRatings)
# Values beyond these come from a damaged file. A million seconds are 12 days, and the shortest
# shutters open for a microsecond.
MAX_SECONDS, MAX_F_NUMBER, MAX_ISO, MAX_FOCAL_LENGTH = 1e6, 1e3, 1e9, 1e5
MIN_VALUE = 1e-7

# Olympus and Panasonic write TIFF files with first bytes of their own; those of TIFF beside them.
TIFF_LIKE = {b"IIU\0": b"II*\0", b"IIRO": b"II*\0", b"IIRS": b"II*\0", b"MMOR": b"MM\0*"}
HEAD = 2**20  # cameras write their metadata within the first megabyte


@dataclass(frozen=True)
class Exposure:
    """How a photograph was exposed. A value is None if the file does not tell it.

    Attributes:
        seconds: how long the shutter was open.
        iso: the sensitivity of the sensor as an ISO number.
        f_number: the focal length divided by the diameter of the aperture.
    """

    seconds: float | None = None
    iso: float | None = None
    f_number: float | None = None


def read_exposure(path: Path) -> Exposure:
    """Read the exposure from a camera RAW file or from a picture with EXIF data.

    Raises:
        InputError: if the file cannot be opened, or is neither a RAW file nor a picture.
    """
    if not is_raw(path):
        return find_exposure(_read_picture_exif(path))
    exif = read_raw_exif(path)
    if not any(_find(exif, tag) is not None for tag in EXPOSURE_TAGS):
        with open_libraw(path) as raw:
            complete_exif(exif, raw)
    return find_exposure(exif)


def find_exposure(exif: Pillow.Exif) -> Exposure:
    """Find the exposure in EXIF data or in the first directory of a TIFF.

    Values that no camera can have count as missing and become None.
    """
    seconds = _plausible(_find(exif, Base.ExposureTime), MAX_SECONDS)
    f_number = _plausible(_find(exif, Base.FNumber), MAX_F_NUMBER)
    iso = _plausible(_find(exif, Base.ISOSpeedRatings), MAX_ISO)
    if iso == ISO_OVERFLOW:
        longer = (_plausible(_find(exif, tag), MAX_ISO) for tag in LONGER_ISO_TAGS)
        iso = max(iso, *(value or 0.0 for value in longer))
    return Exposure(seconds, iso, f_number)


def read_raw_exif(path: Path) -> Pillow.Exif:
    """Read the EXIF data of a camera RAW file, as far as it can be found without LibRaw.

    Most RAW files are TIFF files; those of Panasonic and Olympus differ from one in their first
    four bytes only. Fuji's files hold a JPEG with EXIF data, and Canon's CR3 files hold a small
    TIFF for each directory of tags.

    Returns:
        The EXIF data, which is empty if none was found.
    """
    try:
        if not path.is_file():  # opening a pipe would wait for ever
            return Pillow.Exif()
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _load_directories(_find_raw_exif(file))
    except Exception:  # broken metadata must not keep anyone from the picture
        return Pillow.Exif()


def read_raw_captions(path: Path) -> Captions:
    """Read the XMP and IPTC of a camera RAW file that is a TIFF or nearly one, as DNG files are."""
    return find_captions(None, read_raw_exif(path), {})


def complete_exif(exif: Pillow.Exif, raw: Any) -> None:
    """Fill in what the EXIF data lacks from an open ``RawPy`` object."""
    try:
        other, lens = raw.other, raw.lens
    except (ValueError, OverflowError, OSError):  # rawpy cannot represent the file's date
        return
    found: dict[int, Any] = {
        Base.ExposureTime: _plausible(other.shutter_speed, MAX_SECONDS),
        Base.FNumber: _plausible(other.aperture, MAX_F_NUMBER),
        Base.FocalLength: _plausible(other.focal_length, MAX_FOCAL_LENGTH),
        Base.LensMake: lens.make,
        Base.LensModel: lens.model,
    }
    if iso := _plausible(other.iso_speed, MAX_ISO):
        found[Base.ISOSpeedRatings] = min(round(iso), ISO_OVERFLOW)
        if iso > ISO_OVERFLOW:
            found[Base.RecommendedExposureIndex] = round(iso)
    if other.timestamp.year > 1980:  # LibRaw says 1970 if the file holds no date
        found[Base.DateTimeOriginal] = other.timestamp.strftime("%Y:%m:%d %H:%M:%S")
    details = exif.get_ifd(IFD.Exif)
    for tag, value in found.items():
        # Some files write 0 for an unknown exposure. The APEX formula makes one second of it, so
        # LibRaw's value is used only where EXIF has no such tag at all.
        if value and _find(exif, tag) is None:
            details[tag] = value


def find_camera(exif: Pillow.Exif) -> str:
    """The make and model of the camera, the name that a DNG file gives it, or an empty text.

    Many cameras repeat the make in their model; it is given once.
    """
    make, model, unique = (
        " ".join(str(exif.get(tag, "")).replace("\0", " ").split())
        for tag in (Base.Make, Base.Model, Base.UniqueCameraModel)
    )
    if make and model.lower().startswith(make.lower()):
        return model
    return f"{make} {model}".strip() or unique


def _load_directories(exif: Pillow.Exif) -> Pillow.Exif:
    """Read every directory of EXIF data at once.

    Pillow reads them when they are first asked for, and then the file would be closed.
    """
    try:
        for directory in (*DIRECTORIES, IFD.Interop):
            exif.get_ifd(directory)
        dict(exif)  # this reads the values, and Pillow may warn about them
    except Exception:  # EXIF data is broken in every way there is; the picture matters more
        return Pillow.Exif()
    return exif


def _find(exif: Pillow.Exif, tag: int) -> Any:
    try:
        return exif.get_ifd(IFD.Exif).get(tag, exif.get(tag))
    except Exception:  # broken as above
        return None


def _plausible(value: Any, limit: float) -> float | None:
    if isinstance(value, tuple) and value:
        value = value[0]
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return number if isfinite(number) and MIN_VALUE <= number <= limit else None


def _read_picture_exif(path: Path) -> Pillow.Exif:
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"{path}: not a regular file, a picture is needed")
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                with Pillow.open(file) as image:
                    return _load_directories(find_exif(image))
            except UnidentifiedImageError:
                exif = find_tiff_exif(file)
                if not exif:
                    raise
                return _load_directories(exif)
    except (UnidentifiedImageError, Pillow.DecompressionBombError, SyntaxError) as error:
        raise InputError(
            f"{path}: not a picture that can be read, give a RAW file, JPEG, TIFF or PNG"
        ) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise InputError(f"{path}: cannot be read ({reason}), check the file") from error


def _find_raw_exif(file: IO[bytes]) -> Pillow.Exif:
    head = file.read(HEAD)
    if head.startswith(b"FUJIFILMCCD-RAW"):
        return _fuji_exif(file, head)
    if head.startswith(b"ftypcrx ", 4):
        return _cr3_exif(head)
    if head[:4] in TIFF_LIKE:
        return find_tiff_exif(BytesIO(TIFF_LIKE[head[:4]] + head[4:]))
    return find_tiff_exif(file)


def _fuji_exif(file: IO[bytes], head: bytes) -> Pillow.Exif:
    start, size = struct.unpack_from(">II", head, 84)
    file.seek(start)
    with Pillow.open(BytesIO(file.read(min(size, HEAD))), formats=["JPEG"]) as preview:
        return find_exif(preview)


def _cr3_exif(head: bytes) -> Pillow.Exif:
    exif = _boxed_tiff(head, b"CMT1")
    exif.get_ifd(IFD.Exif).update(_boxed_tiff(head, b"CMT2"))
    return exif


def _boxed_tiff(head: bytes, name: bytes) -> Pillow.Exif:
    start = head.find(name)
    if start < 4:
        return Pillow.Exif()
    size = int.from_bytes(head[start - 4 : start], "big")
    return find_tiff_exif(BytesIO(head[start + 4 : start - 4 + size]))
