"""Bayer mosaics to DNG files: for tests and examples, and for mosaics made of photographs."""

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

D65 = 21  # of EXIF's LightSource
RECOMMENDED_EXPOSURE_INDEX = 2  # of EXIF's SensitivityType: what the long ISO tag holds
MAX_LONG = 2**32 - 1
RATIONAL, SIGNED_RATIONAL = 5, 10  # tifffile takes them as flat pairs

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
    """Write a mosaic as a DNG 1.4 of 16-bit samples, uncompressed, whole or not at all.

    Tags are those of the DNG specification 1.4, chapter 4; exposures are in the first directory
    as TIFF/EP has them.

    Args:
        path: a file that is replaced if it exists, or an open binary file.
        mosaic: (H, W), levels as the sensor gives them; sizes may be odd. LibRaw opens none
            with a side of fewer than 22 pixels.
        white: the level of saturation, 1 to 65535.
        as_shot_neutral: R, G, B of a neutral in the camera's colours: the gains' inverses.
        color_matrix: (3, 3), XYZ under D65 to camera RGB.
        pattern: the colours of the first block, its upper row first; of ``BAYER_ORDERS``.
        black: level of no light, or one for each position of ``pattern``; LibRaw reads whole
            levels only.
        exposure: what is None in it is left out; ISO above 65535 goes into the longer tag too.
        orientation: of EXIF, 1 to 8.
        make: of the camera, ASCII.
        model: of the camera, ASCII.

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
    """Numerator and denominator, of relative precision below 1 too: exposures are short."""
    if 0 < abs(value) < 1:
        inverse = Fraction(1 / value).limit_denominator(1000)
        sign = 1 if inverse > 0 else -1
        return sign * inverse.denominator, abs(inverse.numerator)
    fraction = Fraction(value).limit_denominator(10_000)
    return fraction.numerator, fraction.denominator
