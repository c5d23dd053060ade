"""The metadata of pictures: EXIF, orientation and colour profiles."""

import struct
from collections.abc import Callable, Mapping
from functools import cache
from io import BytesIO
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageCms
from PIL.ExifTags import IFD, Base

# The tags of the first directory that describe the picture. In a TIFF the same directory also
# says how the file stores it.
DESCRIPTIVE_TAGS = frozenset(
    {
        Base.ImageWidth,
        Base.ImageLength,
        Base.DocumentName,
        Base.ImageDescription,
        Base.Make,
        Base.Model,
        Base.Orientation,
        Base.XResolution,
        Base.YResolution,
        Base.ResolutionUnit,
        Base.Software,
        Base.DateTime,
        Base.Artist,
        Base.HostComputer,
        Base.Rating,
        Base.RatingPercent,
        Base.ExposureTime,
        Base.FNumber,
        Base.Copyright,
        Base.ISOSpeedRatings,
        Base.DateTimeOriginal,
        Base.FocalLength,
        Base.ImageHistory,
        Base.XPTitle,
        Base.XPComment,
        Base.XPAuthor,
        Base.XPKeywords,
        Base.XPSubject,
    }
)
# Every TIFF has these tags. If there are no others, there is no EXIF worth keeping.
GEOMETRY_TAGS = frozenset(
    {
        Base.ImageWidth,
        Base.ImageLength,
        Base.Orientation,
        Base.XResolution,
        Base.YResolution,
        Base.ResolutionUnit,
    }
)
DIRECTORIES = (IFD.Exif, IFD.GPSInfo)

# How a stored array is turned upright, by its EXIF orientation.
TURNS: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: stored[::-1].swapaxes(0, 1),
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
    8: lambda stored: stored.swapaxes(0, 1)[::-1],
}


def find_exif(image: Pillow.Image) -> Pillow.Exif:
    """The EXIF of an open file; it is empty if there is none or it cannot be read.

    In a PNG it may come after the pixels, which are then loaded to find it.
    """
    try:
        return image.getexif()
    except Exception:  # EXIF is broken in every way there is, and the picture matters more
        return Pillow.Exif()


def find_orientation(exif: Pillow.Exif) -> int:
    """The EXIF orientation, 1 to 8; without a valid tag it is 1, which means upright."""
    orientation = exif.get(Base.Orientation)
    return orientation if isinstance(orientation, int) and orientation in TURNS else 1


def find_dpi(image: Pillow.Image) -> tuple[float, float] | None:
    """Pixels per inch across and down, as far as an open file tells them sensibly."""
    try:
        across, down = (float(value) for value in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    plausible = all(isfinite(value) and 1 <= value <= 65_535 for value in (across, down))
    return (across, down) if plausible else None


def find_density(image: Pillow.Image) -> tuple[int, int] | None:
    """The ratio of the pixels' sides, if the file tells it without a unit and it is not 1."""
    info = image.info
    unitless = info.get("aspect")  # of PNG
    if image.format in ("JPEG", "MPO") and info.get("jfif_unit") == 0:
        unitless = info.get("jfif_density")
    elif image.format == "TIFF" and "dpi" not in info:
        unitless = info.get("resolution")
    try:
        across, down = (round(float(value)) for value in unitless or ())
    except (TypeError, ValueError, OverflowError, ZeroDivisionError):
        return None
    return (across, down) if across != down and min(across, down) > 0 else None


def turn_upright(stored: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turn an array (H, W) or (H, W, C) upright; the result is contiguous and writable."""
    return np.require(TURNS[orientation](stored), requirements=["C", "W"])


def clean_exif(exif: Pillow.Exif) -> bytes | None:
    """EXIF for a picture that was turned upright, without the camera's thumbnail.

    Returns:
        EXIF in Pillow's byte form, ``b"Exif\\0\\0"`` and a TIFF structure; or None if nothing is
        left or it is broken.
    """
    try:
        clean = Pillow.Exif()
        clean.endian = exif.endian  # maker notes keep their byte order
        for tag in DESCRIPTIVE_TAGS & set(exif):
            clean[tag] = as_stored(exif[tag])
        if Base.Orientation in clean:
            clean[Base.Orientation] = 1
        for directory in DIRECTORIES:
            entries = {tag: as_stored(value) for tag, value in exif.get_ifd(directory).items()}
            if entries.pop(IFD.Interop, None) and (inner := exif.get_ifd(IFD.Interop)):
                entries[IFD.Interop] = inner  # in place of its offset in the old file
            if entries:
                clean.get_ifd(directory).update(entries)
        told = set(clean) - GEOMETRY_TAGS or any(map(clean.get_ifd, DIRECTORIES))
        return clean.tobytes() if told else None
    except Exception:  # as above
        return None


def resize_exif(data: bytes, height: int, width: int, *, orientation: bool = True) -> bytes:
    """Change the size of the picture in the tags that state it.

    Args:
        data: EXIF from :func:`clean_exif`.
        height: new height in pixels.
        width: new width in pixels.
        orientation: whether the tag of the orientation is kept.
    """
    exif = load_exif(data)
    sizes = {
        Base.ImageWidth: width,
        Base.ImageLength: height,
        Base.ExifImageWidth: width,
        Base.ExifImageHeight: height,
    }
    for tag, size in sizes.items():
        for tags in (exif, exif.get_ifd(IFD.Exif)):
            if tag in tags:
                tags[tag] = size
    if not orientation and Base.Orientation in exif:
        del exif[Base.Orientation]
    return _dump_exif(exif)


def shorten_exif(data: bytes, limit: int) -> bytes | None:
    """Fit EXIF into ``limit`` bytes, without its maker note if need be; None if it cannot be."""
    if len(data) > limit:
        exif = load_exif(data)
        exif.get_ifd(IFD.Exif).pop(IFD.MakerNote, None)
        data = _dump_exif(exif)
    return data if len(data) <= limit else None


def load_exif(data: bytes) -> Pillow.Exif:
    """Parse EXIF in Pillow's byte form."""
    exif = Pillow.Exif()
    exif.load(data)
    for directory in DIRECTORIES:
        exif.get_ifd(directory)  # Pillow reads them when first asked for
    return exif


def note_step(data: bytes | None, software: str, record: str) -> bytes:
    """Note in EXIF a step in the making of a picture.

    The tag Software tells it for people, and ImageHistory gets a line with its record, below the
    lines of earlier steps. What the tag Software held before becomes such a line, unless it was
    ours.

    Args:
        data: EXIF in Pillow's byte form, or None for a picture without.
        software: the text for people.
        record: the record, one line of ASCII.
    """
    exif = load_exif(data) if data else Pillow.Exif()
    lines = str(exif.get(Base.ImageHistory, "")).rstrip("\0\n").splitlines()
    before = str(exif.get(Base.Software, "")).strip("\0 ")
    if before and not lines and not before.startswith("enhance "):
        lines.append(before)
    history = "\n".join([*lines, record])
    return note_texts(data, {Base.Software: software, Base.ImageHistory: history})


def note_texts(data: bytes | None, texts: Mapping[int, str]) -> bytes:
    """Put texts into EXIF.

    Args:
        data: EXIF in Pillow's byte form, or None for a picture without.
        texts: the texts by the tags that they go to.
    """
    exif = load_exif(data) if data else Pillow.Exif()
    for tag, text in texts.items():
        exif[tag] = text if text.isascii() else text.encode()
    return _dump_exif(exif)


@cache
def srgb_profile() -> bytes:
    """A small ICC profile of sRGB, always of the same bytes."""
    made = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    made[24:36] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)  # the date of its making
    made[84:100] = bytes(16)  # the checksum, which covers the date
    return bytes(made)


def usable_profile(profile: bytes | None, channels: int) -> bytes | None:
    """Give a colour profile back if it is for that number of channels, 1 or 3; else None."""
    return profile if _colour_space(profile) == {1: "GRAY", 3: "RGB"}[channels] else None


def srgb_converter(profile: bytes | None) -> Callable[[Pillow.Image], Pillow.Image] | None:
    """A function that converts RGB pictures of a colour profile to sRGB.

    Returns:
        None if there is nothing to convert, or the profile is damaged or not for RGB.
    """
    if usable_profile(profile, 3) is None or profile == srgb_profile():
        return None
    assert profile is not None
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(source).lower():
            return None
        transform = ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            "RGB",
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except ImageCms.PyCMSError:
        return None
    return transform.apply


def to_srgb(image: Pillow.Image) -> Pillow.Image:
    """Convert a loaded CMYK, LAB or YCbCr picture to sRGB, by its profile if it has one.

    Raises:
        ValueError: if Pillow has no way from this mode to RGB.
    """
    profile = image.info.get("icc_profile")
    if image.mode == "LAB":
        source = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    elif profile and image.mode == "CMYK" and _colour_space(profile) == "CMYK":
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
    else:
        return image.convert("RGB")
    try:
        converted = ImageCms.profileToProfile(
            image,
            source,
            ImageCms.createProfile("sRGB"),
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except ImageCms.PyCMSError:  # a profile made for printing alone, or a damaged one
        return image.convert("RGB")
    assert converted is not None
    return converted


def _colour_space(profile: bytes | None) -> str | None:
    if not profile:
        return None
    try:
        return ImageCms.ImageCmsProfile(BytesIO(profile)).profile.xcolor_space.strip()
    except (OSError, ValueError, ImageCms.PyCMSError):
        return None


def _dump_exif(exif: Pillow.Exif) -> bytes:
    """EXIF in Pillow's byte form, with all texts just as they were read."""
    for tags in (exif, *(exif.get_ifd(directory) for directory in DIRECTORIES)):
        for tag, value in list(tags.items()):
            tags[tag] = as_stored(value)
    return exif.tobytes()


def as_stored(value: Any) -> Any:
    """Text in the bytes that it was read from: Pillow would write ``?`` for other than ASCII."""
    return value.encode("latin-1") if isinstance(value, str) and not value.isascii() else value
