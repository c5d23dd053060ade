"""Exposures, from EXIF or from what LibRaw knows, and the EXIF of camera RAW files."""

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
from enhance_cli.io.metadata import DIRECTORIES, find_exif, find_tiff_exif
from enhance_cli.io.raw_files import is_raw, open_libraw

ISO_OVERFLOW = 65_535  # of a 16-bit tag: the true value is in one of the longer ones
LONGER_ISO_TAGS = (Base.RecommendedExposureIndex, Base.ISOSpeed, Base.StandardOutputSensitivity)
EXPOSURE_TAGS = (Base.ExposureTime, Base.FNumber, Base.ISOSpeedRatings)
# Beyond these it is not an exposure but a damaged file; of seconds, 12 days.
MAX_SECONDS, MAX_F_NUMBER, MAX_ISO, MAX_FOCAL_LENGTH = 1e6, 1e3, 1e9, 1e5
MIN_VALUE = 1e-7  # shutters of a microsecond are the shortest

TIFF_LIKE = {b"IIU\0": b"II*\0", b"IIRO": b"II*\0", b"IIRS": b"II*\0", b"MMOR": b"MM\0*"}
HEAD = 2**20  # bytes: cameras write their metadata first


@dataclass(frozen=True)
class Exposure:
    """How a photograph was exposed; each is None where the file does not say.

    Attributes:
        seconds: the shutter was open.
        iso: sensitivity.
        f_number: focal length over the aperture's diameter.
    """

    seconds: float | None = None
    iso: float | None = None
    f_number: float | None = None


def read_exposure(path: Path) -> Exposure:
    """The exposure that a camera RAW, JPEG, TIFF, PNG or another picture with EXIF tells.

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
    """The exposure in EXIF, or in the first directory of a TIFF; None for senseless values."""
    seconds = _plausible(_find(exif, Base.ExposureTime), MAX_SECONDS)
    f_number = _plausible(_find(exif, Base.FNumber), MAX_F_NUMBER)
    iso = _plausible(_find(exif, Base.ISOSpeedRatings), MAX_ISO)
    if iso == ISO_OVERFLOW:
        longer = (_plausible(_find(exif, tag), MAX_ISO) for tag in LONGER_ISO_TAGS)
        iso = max(iso, *(value or 0.0 for value in longer))
    return Exposure(seconds, iso, f_number)


def read_raw_exif(path: Path) -> Pillow.Exif:
    """The EXIF of a camera RAW file, as far as it can be found without LibRaw.

    Most RAW files are TIFFs, or TIFFs but for their first four bytes (Panasonic, Olympus);
    Fuji's hold a JPEG with EXIF, and Canon's CR3 a TIFF for each directory.

    Returns:
        EXIF that may be empty.
    """
    try:
        if not path.is_file():  # opening a pipe would wait for ever
            return Pillow.Exif()
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _load_directories(_find_raw_exif(file))
    except Exception:  # as of others' metadata: the picture matters more
        return Pillow.Exif()


def complete_exif(exif: Pillow.Exif, raw: Any) -> None:
    """Fill in, from an open ``RawPy``, what EXIF says nothing about."""
    try:
        other, lens = raw.other, raw.lens
    except (ValueError, OverflowError, OSError):  # a date beyond the calendar
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
    if other.timestamp.year > 1980:  # 1970 where the file does not say
        found[Base.DateTimeOriginal] = other.timestamp.strftime("%Y:%m:%d %H:%M:%S")
    details = exif.get_ifd(IFD.Exif)
    for tag, value in found.items():
        # Some files say 0 for "unknown", of which LibRaw makes a second by the APEX formula.
        if value and _find(exif, tag) is None:
            details[tag] = value


def find_camera(exif: Pillow.Exif) -> str:
    """Make and model, the make once; or the DNG's own name of the camera; or nothing."""
    make, model, unique = (
        " ".join(str(exif.get(tag, "")).replace("\0", " ").split())
        for tag in (Base.Make, Base.Model, Base.UniqueCameraModel)
    )
    if make and model.lower().startswith(make.lower()):
        return model
    return f"{make} {model}".strip() or unique


def _load_directories(exif: Pillow.Exif) -> Pillow.Exif:
    """Read now what Pillow reads when first asked for: the file is closed by then."""
    try:
        for directory in (*DIRECTORIES, IFD.Interop):
            exif.get_ifd(directory)
        dict(exif)  # the values too, which Pillow may warn of
    except Exception:  # EXIF is broken in every way there is, and the picture matters more
        return Pillow.Exif()
    return exif


def _find(exif: Pillow.Exif, tag: int) -> Any:
    try:
        return exif.get_ifd(IFD.Exif).get(tag, exif.get(tag))
    except Exception:  # as above
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
