"""Writes linear DNG files: pictures that have all colours at each pixel, before any rendering."""

import warnings
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import TiffImagePlugin, TiffTags
from PIL.ExifTags import Base

from enhance_cli.errors import OutputError
from enhance_cli.io.captions import Captions, orient_xmp
from enhance_cli.io.dng import D65
from enhance_cli.io.dng_tags import LINEAR_RAW
from enhance_cli.io.exposure import find_camera
from enhance_cli.io.files import replacing
from enhance_cli.io.formats import check_folder
from enhance_cli.io.metadata import load_exif, resize_exif
from enhance_cli.io.picture import Picture
from enhance_cli.io.raw import SRGB_TO_XYZ, srgb_matrix
from enhance_cli.io.raw_files import DNG_VERSION, PHOTOMETRIC, open_libraw
from enhance_cli.io.tiff import NEW_SUBFILE_TYPE, Directory, describe, find_tiff_pages

_WHITE_LEVEL, _DEFAULT_SCALE, _AS_SHOT_NEUTRAL = 50717, 50718, 50728
_UNIQUE_CAMERA_MODEL, _COLOR_MATRIX, _CALIBRATION_ILLUMINANT = 50708, 50721, 50778
# What a DNG file says about the colours of its sensor, by chapter 4 of the DNG specification 1.4,
# with TIFF's types: the name of the camera, the matrices, and the illuminants that they are for.
_COLOUR_TYPES = {
    _UNIQUE_CAMERA_MODEL: TiffTags.ASCII,
    _COLOR_MATRIX: TiffTags.SIGNED_RATIONAL,
    50722: TiffTags.SIGNED_RATIONAL,  # ColorMatrix2
    50723: TiffTags.SIGNED_RATIONAL,  # CameraCalibration1
    50724: TiffTags.SIGNED_RATIONAL,  # CameraCalibration2
    50727: TiffTags.RATIONAL,  # AnalogBalance
    50730: TiffTags.SIGNED_RATIONAL,  # BaselineExposure
    _CALIBRATION_ILLUMINANT: TiffTags.SHORT,
    50779: TiffTags.SHORT,  # CalibrationIlluminant2
    50964: TiffTags.SIGNED_RATIONAL,  # ForwardMatrix1
    50965: TiffTags.SIGNED_RATIONAL,  # ForwardMatrix2
}
_MATRIX_VALUES = 9
_TAG_TYPES = {
    **_COLOUR_TYPES,
    NEW_SUBFILE_TYPE: TiffTags.LONG,
    Base.ImageWidth: TiffTags.LONG,
    Base.ImageLength: TiffTags.LONG,
    Base.StripOffsets: TiffTags.LONG,
    Base.StripByteCounts: TiffTags.LONG,
    Base.RowsPerStrip: TiffTags.LONG,
    DNG_VERSION: TiffTags.BYTE,
    DNG_VERSION + 1: TiffTags.BYTE,
    _WHITE_LEVEL: TiffTags.LONG,
    _DEFAULT_SCALE: TiffTags.RATIONAL,
    _AS_SHOT_NEUTRAL: TiffTags.RATIONAL,
}
_LARGEST_LEVEL = 65_535
# Levels of 16 bits lie close enough for a picture that is darker than white by this factor.
_LARGEST_FACTOR = 4096
_MOST_BYTES = 2**32 - 2**26  # a TIFF ends at 4 GB, and the metadata need some of it
_ROWS = 256  # that become levels at a time
_CLOSE = 1e-3  # of matrices that are the same but for rounding


@dataclass(frozen=True)
class SensorPicture:
    """What a sensor would have recorded had it seen all colours at each pixel, and no noise.

    Attributes:
        light: float32 (H, W, 3), linear camera RGB in the sensor's orientation, before the white
            balance. 1 is the level at which the sensor saturates.
        gains: of red, green and blue for the white balance.
        colours: the tags of :func:`read_colours`.
        orientation: EXIF's number from 1 to 8 that says how to turn the picture upright.
        pixel_aspect: how many times as wide as high the pixels are.
        exif: EXIF in Pillow's byte form, or None.
        captions: XMP and IPTC.
    """

    light: NDArray[np.float32]
    gains: tuple[float, float, float]
    colours: dict[int, Any]
    orientation: int = 1
    pixel_aspect: float = 1.0
    exif: bytes | None = None
    captions: Captions = Captions()


def read_colours(
    path: Path, gains: tuple[float, float, float], camera_to_srgb: NDArray[np.float32]
) -> dict[int, Any]:
    """The tags by which a DNG file describes the colours of a sensor.

    They are those of the RAW file itself if it is a DNG. Otherwise the matrix is that of LibRaw's
    table of cameras, if it is the one in use, or follows from the one in use, as if the light of
    the white balance had been daylight of 6500 K.

    Args:
        path: a RAW file.
        gains: of red, green and blue for the white balance.
        camera_to_srgb: (3, 3), from white-balanced linear camera RGB to linear sRGB.

    Returns:
        The values by the numbers of the tags.

    Raises:
        InputError: if the file cannot be opened.
    """
    tags = _read_own_colours(path)
    if tags:
        return tags
    with open_libraw(path) as raw:
        matrix = np.array(raw.rgb_xyz_matrix, float)[:3]
    found = srgb_matrix(matrix)
    if found is None or not np.allclose(found, camera_to_srgb, atol=_CLOSE):
        matrix = (
            np.linalg.inv(SRGB_TO_XYZ @ camera_to_srgb.astype(float)) / np.array(gains)[:, None]
        )
    return {_COLOR_MATRIX: tuple(matrix.ravel().tolist()), _CALIBRATION_ILLUMINANT: D65}


def _read_own_colours(path: Path) -> dict[int, Any]:
    """These tags of a DNG file; none for any other file, and for one without a usable matrix."""
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tags = next(iter(find_tiff_pages(file))).tags
        matrix = [float(value) for value in tags[_COLOR_MATRIX]]
    except Exception:  # Directories are broken in every way there is.
        return {}
    if DNG_VERSION not in tags or len(matrix) != _MATRIX_VALUES or not all(map(isfinite, matrix)):
        return {}
    return {tag: tags[tag] for tag in _COLOUR_TYPES if tag in tags}


def check_dng(path: Path, height: int, width: int) -> None:
    """Check, before any work is done, that a linear DNG file of this size can be written.

    Raises:
        OutputError: if it is too large, or the folder cannot be written.
    """
    if height * width * 6 > _MOST_BYTES:
        raise OutputError(
            f"{path}: {width}x{height} pixels are too many, DNG holds at most 4 GB: use --size half"
        )
    check_folder(path)


def write_linear_dng(path: Path, picture: SensorPicture) -> None:
    """Write a linear DNG file of 16-bit samples without compression, whole or not at all.

    Levels are proportional to light. A picture far darker than white has its levels spread over
    all 16 bits, and the tag WhiteLevel tells which level above these would be white. Rounding is
    dithered with the same noise each time, so that smooth parts show no bands.

    Args:
        path: where to write. An existing file is replaced, and missing folders are made.
        picture: what to write. Light below 0 and above 1 is cut off.

    Raises:
        OutputError: if the file cannot be written.
    """
    brightest = float(picture.light.max())
    factor = min(max(1 / max(brightest, 1e-9), 1), _LARGEST_FACTOR)
    white = int(_LARGEST_LEVEL * factor)
    directory = _make_directory(picture, white)
    random = np.random.default_rng(0)
    with replacing(path) as temporary, temporary.open("wb") as file:
        directory.save(file)
        for start in range(0, len(picture.light), _ROWS):
            levels = picture.light[start : start + _ROWS] * np.float32(white)
            levels += random.random(levels.shape, np.float32)
            file.write(levels.clip(0, _LARGEST_LEVEL).astype("<u2").tobytes())


def _make_directory(picture: SensorPicture, white: int) -> Directory:
    """The only directory of the file; the pixels follow it as one strip."""
    height, width = picture.light.shape[:2]
    exif = picture.exif and resize_exif(picture.exif, height, width)
    camera = find_camera(load_exif(exif)) if exif else ""
    gains = np.array(picture.gains)
    aspect = picture.pixel_aspect
    tags: dict[int, Any] = {
        NEW_SUBFILE_TYPE: 0,
        Base.ImageWidth: width,
        Base.ImageLength: height,
        Base.BitsPerSample: (16, 16, 16),
        Base.Compression: 1,
        PHOTOMETRIC: LINEAR_RAW,
        Base.StripOffsets: 0,  # from the end of the directory
        Base.Orientation: picture.orientation,
        Base.SamplesPerPixel: 3,
        Base.RowsPerStrip: height,
        Base.StripByteCounts: height * width * 6,
        Base.PlanarConfiguration: 1,
        DNG_VERSION: bytes([1, 4, 0, 0]),
        DNG_VERSION + 1: bytes([1, 1, 0, 0]),  # the oldest version that reads it
        _UNIQUE_CAMERA_MODEL: camera or "unknown",
        _WHITE_LEVEL: (white, white, white),
        _DEFAULT_SCALE: (max(aspect, 1.0), max(1 / aspect, 1.0)),
        _AS_SHOT_NEUTRAL: tuple((gains.min() / gains).tolist()),
        **picture.colours,
    }
    directory = TiffImagePlugin.ImageFileDirectory_v2(b"II*\0\0\0\0\0")
    directory.tagtype.update(_TAG_TYPES)
    for tag, value in tags.items():
        directory[tag] = value
    xmp = picture.captions.xmp
    captions = Captions(xmp and orient_xmp(xmp, picture.orientation), picture.captions.iptc)
    thumbnail = np.zeros((1, 1, 3), np.uint8)  # only what is said about it is used
    describe(directory, Picture(thumbnail, exif=exif, captions=captions))
    return directory
