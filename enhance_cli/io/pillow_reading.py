"""Decode pictures with Pillow: whatever has 8 bits."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image as Pillow
from PIL import ImageFile, UnidentifiedImageError

from enhance_cli.errors import InputError
from enhance_cli.io.jpeg import close_jpeg, lacks_scans
from enhance_cli.io.libraries import pillow_setting, prepare_pillow
from enhance_cli.io.metadata import find_exif, to_srgb
from enhance_cli.io.picture import Samples

# Pillow knows more formats, but some of them are programs (EPS) and others have no signature.
READABLE_FORMATS = (
    "PNG",
    "JPEG",
    "MPO",
    "TIFF",
    "WEBP",
    "BMP",
    "GIF",
    "AVIF",
    "HEIF",
    "JPEG2000",
    "PPM",
)
ANIMATED_FORMATS = frozenset({"PNG", "WEBP", "GIF", "AVIF"})
TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
PIXEL_LIMIT = 10**9  # a file of a few kilobytes can ask for any amount of memory

# What Pillow's modes are converted to. The modes that are left out cannot be read.
PLAIN_MODES = {"1": "L", "L": "L", "P": "RGB", "RGB": "RGB", "RGBX": "RGB"}
ALPHA_MODES = {
    "1": "LA",
    "L": "LA",
    "LA": "LA",
    "La": "LA",
    "P": "RGBA",
    "PA": "RGBA",
    "RGB": "RGBA",
    "RGBA": "RGBA",
    "RGBa": "RGBA",
}
CONVERTED_MODES = frozenset({"CMYK", "LAB", "YCbCr", "HSV"})


@contextmanager
def patient_pillow() -> Iterator[None]:
    """Silence Pillow's warnings, and let it refuse only pictures above ``PIXEL_LIMIT``."""
    # Pillow warns above its setting, and refuses above twice of it.
    with pillow_setting(Pillow, "MAX_IMAGE_PIXELS", PIXEL_LIMIT // 2), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def decoding(path: Path) -> Iterator[None]:
    """Turn whatever a decoder raises in a ``with`` statement into an error that names the file.

    Raises:
        InputError: if the body raises anything.
    """
    try:
        yield
    except Pillow.DecompressionBombError as error:
        raise InputError(_too_many_pixels(path)) from error
    except MemoryError as error:
        raise InputError(f"{path}: too large for the memory of this machine") from error
    except InputError:
        raise
    except Exception as error:  # Pillow's decoders raise whatever their damaged input leads to.
        if "unsupported" in str(error).lower():
            raise InputError(
                f"{path}: not supported ({_one_line(error)}), convert it to PNG"
            ) from error
        raise InputError(
            f"{path}: damaged or cut off ({_one_line(error)}), get a fresh copy"
        ) from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def too_few_bytes(path: Path, width: object, height: object) -> str:
    """The message on a file that is too small for its pixels."""
    return (
        f"{path}: damaged or cut off, the file is too small for {width}x{height} pixels, get a "
        "fresh copy"
    )


def check_area(path: Path, width: int, height: int) -> None:
    """Check that a picture has no more pixels than ``PIXEL_LIMIT``.

    Raises:
        InputError: if it has more.
    """
    if width * height > PIXEL_LIMIT:
        raise InputError(_too_many_pixels(path))


def _too_many_pixels(path: Path) -> str:
    return f"{path}: more than {PIXEL_LIMIT:,} pixels, cut it into parts"


def identify(path: Path, file: IO[bytes]) -> ImageFile.ImageFile | None:
    """Read the header; None means a TIFF of a kind that only libvips knows."""
    prepare_pillow()
    known = [name for name in READABLE_FORMATS if name in Pillow.OPEN]
    with decoding(path):
        try:
            return Pillow.open(file, formats=known)
        except UnidentifiedImageError as error:
            file.seek(0)
            if file.read(4) in TIFF_SIGNATURES:
                return None
            raise InputError(
                f"{path}: not a picture that can be read, or damaged; convert it to PNG or JPEG"
            ) from error


def check_kind(path: Path, image: ImageFile.ImageFile) -> None:
    """Check that a picture is a single one whose samples can be read.

    Raises:
        InputError: if not.
    """
    if image.format in ANIMATED_FORMATS and getattr(image, "is_animated", False):
        raise InputError(
            f"{path}: animated {image.format} of several frames: use enhance video, or save the "
            "one you want as PNG"
        )
    depth = {"I": "32-bit integer", "F": "floating-point"}.get(image.mode)
    codec = str(image.tile[0].args) if image.tile else ""
    if image.format == "PPM" and (image.mode == "I" or _ppm_maximum(image) > 255):
        depth = "16-bit PPM"
    elif "I;12" in codec:
        depth = "12-bit"
    if depth and not (image.format == "TIFF" and ";16" in codec):
        raise InputError(f"{path}: {depth} samples, convert it to a 16-bit PNG or TIFF")


def _ppm_maximum(image: ImageFile.ImageFile) -> int:
    args = image.tile[0].args if image.tile else None
    return int(args[-1]) if isinstance(args, tuple) and isinstance(args[-1], int) else 255


def is_deep(image: ImageFile.ImageFile) -> bool:
    """Whether Pillow would reduce 16 bits to 8, or mix them up."""
    return image.format in ("PNG", "TIFF") and any(";16" in str(tile.args) for tile in image.tile)


def decode_with_pillow(
    path: Path, file: IO[bytes], image: ImageFile.ImageFile, notice: Callable[[str], None]
) -> tuple[Samples, bytes | None, Pillow.Exif]:
    """Decode with Pillow: 8 bits, or grey JPEG 2000 of more, which it scales to 16 bits.

    Returns:
        The planes, the colour profile for them, and the EXIF.
    """
    with decoding(path):
        image = _load(path, file, image, notice)
        exif = find_exif(image)  # after loading: a TIFF is then turned already, and says so
        profile = None if image.mode in CONVERTED_MODES else image.info.get("icc_profile")
        planes = np.asarray(_in_plain_mode(path, image))
    return planes.astype(planes.dtype.newbyteorder("="), copy=False), profile, exif


def _load(
    path: Path, file: IO[bytes], image: ImageFile.ImageFile, notice: Callable[[str], None]
) -> ImageFile.ImageFile:
    """Decode the pixels; of a JPEG the two bytes that mark its end may be missing."""
    depth = {"L;2": 2, "L;4": 4}.get(str(image.tile[0].args)) if image.tile else None
    try:
        image.load()
    except OSError:
        if image.format != "JPEG":
            raise
        file.seek(0)
        closed = close_jpeg(file.read())
        if closed is None:
            raise
        image = closed
        notice("the end of the file is missing, but all pixels are there")
    if image.info.get("progressive"):
        file.seek(0)
        if lacks_scans(file.read()):
            notice("the file ends before its last scans: its finest detail is missing")
    if depth and isinstance(image.info.get("transparency"), int):
        # Pillow scales the levels of 2 and 4 bits to 8, but not the one that is transparent.
        image.info["transparency"] = image.info["transparency"] * 255 // (2**depth - 1)
    return image


def _in_plain_mode(path: Path, image: Pillow.Image) -> Pillow.Image:
    """Convert a picture to the mode L, LA, RGB, RGBA or I;16."""
    if image.mode.startswith("I;16"):
        return image
    if image.mode in CONVERTED_MODES:
        return to_srgb(image)
    modes = ALPHA_MODES if image.has_transparency_data else PLAIN_MODES
    if image.mode not in modes:
        raise InputError(f"{path}: colour mode {image.mode!r}, convert it to RGB")
    return image if image.mode == modes[image.mode] else image.convert(modes[image.mode])
