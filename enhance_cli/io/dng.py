"""Writes Bayer mosaics as DNG files.

Tests and examples use it, and so does the ``synthetic-dark`` benchmark, which makes mosaics of
photographs and lets LibRaw read them.
"""

from collections.abc import Iterable
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from enhance_cli.errors import OutputError
from enhance_cli.io.exposure import ISO_OVERFLOW, Exposure
from enhance_cli.io.files import replacing

BAYER_ORDERS = ("RGGB", "GRBG", "GBRG", "BGGR")

D65 = 21  # EXIF's number for daylight of 6500 K
RECOMMENDED_EXPOSURE_INDEX = 2  # EXIF's SensitivityType, which says what the long ISO tag holds
MAX_LONG = 2**32 - 1
RATIONAL, SIGNED_RATIONAL = 5, 10  # TIFF's numbers; tifffile takes such values as flat pairs

# A tag as tifffile takes it: number, type, count of values, values, and whether to write it once.
Tag = tuple[int, int | str, int, Any, bool]


def write_dng(
    path: Path | BinaryIO,
    mosaic: NDArray[np.uint16],
    *,
    white: int,
    as_shot_neutral: tuple[float, float, float],
    color_matrix: NDArray[np.floating[Any]],
    pattern: str = "RGGB",
    black: float | tuple[float, float, float, float] = 0,
    exposure: Exposure | None = None,
    orientation: int = 1,
    make: str = "enhance",
    model: str = "synthetic",
) -> None:
    """Write a mosaic as an uncompressed DNG 1.4 file of 16-bit samples.

    The tags are those of chapter 4 of the DNG specification 1.4. The exposure is written into the
    first directory, as TIFF/EP does. The file appears whole or not at all.

    Args:
        path: a file that is replaced if it exists, or an open binary file.
        mosaic: uint16 (H, W), the levels of the sensor. The sides may be odd, but LibRaw opens
            no file with a side of fewer than 22 pixels.
        white: the level at which the sensor saturates, 1 to 65535.
        as_shot_neutral: red, green and blue of a grey card in the camera's colours, which are
            the inverses of the white-balance gains.
        color_matrix: (3, 3), the matrix from XYZ under the white point D65 to camera RGB.
        pattern: the colours of the first block, upper row first, one of ``BAYER_ORDERS``.
        black: the level without light, or four levels in the order of ``pattern``. LibRaw reads
            whole levels only.
        exposure: values that are None are left out. An ISO above 65535 goes into the longer tag
            as well.
        orientation: EXIF's number from 1 to 8.
        make: the maker of the camera, in ASCII.
        model: the model of the camera, in ASCII.

    Raises:
        OutputError: if the file cannot be written, or tifffile is not installed.
    """
    blacks = np.broadcast_to(np.asarray(black, float), 4)
    neutral = np.asarray(as_shot_neutral, float)
    matrix = np.asarray(color_matrix, float)
    assert mosaic.ndim == 2 and min(mosaic.shape) >= 2, mosaic.shape
    assert mosaic.dtype == np.uint16, mosaic.dtype
    assert pattern in BAYER_ORDERS, pattern
    assert blacks.min() >= 0 and blacks.max() < white <= 65_535, (black, white)
    assert neutral.shape == (3,) and np.isfinite(neutral).all() and neutral.min() > 0, neutral
    assert matrix.shape == (3, 3) and np.isfinite(matrix).all(), matrix
    assert orientation in range(1, 9), orientation
    tags = [
        (271, "s", 0, make, True),
        (272, "s", 0, model, True),
        (274, "H", 1, orientation, True),
        (33421, "H", 2, (2, 2), True),  # CFARepeatPatternDim
        (33422, "B", 4, tuple("RGB".index(colour) for colour in pattern), True),  # CFAPattern
        (50706, "B", 4, (1, 4, 0, 0), True),  # DNGVersion
        (50707, "B", 4, (1, 1, 0, 0), True),  # DNGBackwardVersion
        (50708, "s", 0, f"{make} {model}", True),  # UniqueCameraModel
        (50710, "B", 3, (0, 1, 2), True),  # CFAPlaneColor
        (50711, "H", 1, 1, True),  # CFALayout, rectangular
        (50713, "H", 2, (2, 2), True),  # BlackLevelRepeatDim
        _rationals(50714, blacks),  # BlackLevel
        (50717, "I", 1, white, True),  # WhiteLevel
        _rationals(50721, matrix.ravel(), signed=True),  # ColorMatrix1
        _rationals(50728, neutral),  # AsShotNeutral
        (50778, "H", 1, D65, True),  # CalibrationIlluminant1
        *_exposure_tags(exposure or Exposure()),
    ]
    data = _encode(mosaic, tags)
    if isinstance(path, Path):
        with replacing(path) as temporary:
            temporary.write_bytes(data)
    else:
        path.write(data)


def _encode(mosaic: NDArray[np.uint16], tags: list[Tag]) -> bytes:
    try:
        import tifffile
    except ImportError as missing:
        raise OutputError("DNG files need tifffile, run: pip install tifffile") from missing
    file = BytesIO()
    tifffile.imwrite(
        file,
        mosaic,
        photometric="cfa",
        planarconfig="contig",
        byteorder="<",
        subfiletype=0,
        software=False,
        metadata=None,
        extratags=tags,
    )
    return file.getvalue()


def _exposure_tags(exposure: Exposure) -> list[Tag]:
    tags = []
    if exposure.seconds is not None:
        tags.append(_rationals(33434, [exposure.seconds]))
    if exposure.f_number is not None:
        tags.append(_rationals(33437, [exposure.f_number]))
    if exposure.iso is not None:
        iso = min(round(exposure.iso), MAX_LONG)
        tags.append((34855, "H", 1, min(iso, ISO_OVERFLOW), True))
        if iso > ISO_OVERFLOW:
            tags.append((34864, "H", 1, RECOMMENDED_EXPOSURE_INDEX, True))  # SensitivityType
            tags.append((34866, "I", 1, iso, True))  # RecommendedExposureIndex
    return tags


def _rationals(code: int, values: Iterable[float], signed: bool = False) -> Tag:
    pairs = [part for value in values for part in _fraction(value)]
    return code, SIGNED_RATIONAL if signed else RATIONAL, len(pairs) // 2, tuple(pairs), True


def _fraction(value: float) -> tuple[int, int]:
    """A number as numerator and denominator.

    Below 1 the inverse is approximated, so that short exposures keep their relative precision.
    """
    if 0 < abs(value) < 1:
        inverse = Fraction(1 / value).limit_denominator(1000)
        sign = 1 if inverse > 0 else -1
        return sign * inverse.denominator, abs(inverse.numerator)
    fraction = Fraction(value).limit_denominator(10_000)
    return fraction.numerator, fraction.denominator
