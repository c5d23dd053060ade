"""Reads camera RAW files, either as a Bayer mosaic or as a finished picture.

A digital camera's sensor measures one colour at each pixel, in a repeating block of 2x2 pixels
(one red, two green, one blue) that is called a Bayer mosaic. :func:`read_raw` gives this mosaic
with everything that is needed to make a picture of it; :func:`read_rendered` gives the picture
that LibRaw makes.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from enhance_cli.errors import InputError
from enhance_cli.io.dng_tags import DngTags, check_compression, read_dng_tags
from enhance_cli.io.exposure import (
    Exposure,
    complete_exif,
    find_camera,
    find_exposure,
    read_exposure,
    read_raw_exif,
)
from enhance_cli.io.finding import RAW_SUFFIXES
from enhance_cli.io.metadata import clean_exif
from enhance_cli.io.picture import Picture
from enhance_cli.io.raw_area import Margins, cut_blocks, find_area
from enhance_cli.io.raw_files import DNG_VERSION, is_raw, open_libraw
from enhance_cli.io.raw_mosaic import (
    AS_STORED,
    BLACK_RULES,
    WHITE_BALANCE_RULES,
    Mosaic,
    Notice,
    RawSettings,
    WhiteBalanceRule,
    is_linear,
    is_monochrome,
    is_mosaic,
    nothing_in,
    read_mosaic,
)
from enhance_cli.io.remosaic import BAYER, to_bayer

__all__ = [
    "AS_STORED",
    "BLACK_RULES",
    "RAW_SUFFIXES",
    "WHITE_BALANCE_RULES",
    "WhiteBalanceRule",
    "Exposure",
    "NotBayerError",
    "RawImage",
    "RawSettings",
    "find_raw_size",
    "is_raw",
    "read_exposure",
    "read_raw",
    "read_rendered",
]

WhiteBalanceSource = Literal["camera", "daylight", "grey world", "given"]
ColourSource = Literal["file", "camera table", "none"]

RED = 0
PIXEL_LIMIT = 10**9
# LibRaw has its own numbers for the eight orientations; the values are those of EXIF.
ORIENTATIONS = {0: 1, 1: 2, 2: 4, 3: 3, 4: 5, 5: 8, 6: 6, 7: 7}
# White-balance gains that differ by more than this factor come from a damaged file.
GAIN_LIMIT = 100.0
# The widest pixels of a camera were twice as wide as high.
ASPECT_LIMIT = 4.0
# A gain that is estimated from the picture may differ from that of green by this factor.
GREY_WORLD_LIMIT = 4.0
# Pixels above this share of the white level may be clipped and do not count in the estimate.
SATURATED = 0.95
# The matrix from linear sRGB to XYZ under the white point D65, from IEC 61966-2-1.
SRGB_TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)


class NotBayerError(InputError):
    """LibRaw can decode the file, but its sensor does not see red, green and blue."""


@dataclass(frozen=True)
class RawImage:
    """A Bayer mosaic as four linear planes, in the sensor's orientation.

    Attributes:
        planes: float32 (4, h, w), the blocks of 2x2 pixels that hold the picture. The planes hold
            red, the green of the red rows, blue, and the green of the blue rows. Each value is
            (value - black) / (white - black) with the levels of its channel: the white level
            becomes 1, and noise below the black level is negative. Nothing is clipped.
        white_balance: the gains of red, green and blue that make a grey card grey. The smallest
            of them is 1.
        white_balance_source: "camera" if the gains are those that the camera set, "daylight" if
            they are the camera's gains for daylight, "grey world" if they were estimated from
            the planes, "given" if they were given.
        camera_to_srgb: float32 (3, 3), the matrix that takes a column of white-balanced camera
            RGB to linear sRGB. Each row sums to 1, so that grey stays grey.
        colour_source: "file" if the matrix is the file's own, "camera table" if it comes from
            LibRaw's table of cameras, "none" if neither is known and it is the identity.
        orientation: EXIF's number from 1 to 8 that says how to turn the picture upright.
        exposure: what the file tells about shutter, sensitivity and aperture.
        camera: the make and model, or an empty text.
        exif: EXIF in Pillow's byte form, with the orientation set to 1 and without a thumbnail,
            or None.
        bits: the number of bits that the white level fills.
        margins: how many rows and columns the blocks have beyond the picture: at the top, left,
            bottom and right. They are 0 or 1.
        pixel_aspect: how many times as wide as high the sensor's pixels are.
        grey: whether the sensor sees no colours; all four planes then hold light as such.
    """

    planes: NDArray[np.float32]
    white_balance: tuple[float, float, float]
    camera_to_srgb: NDArray[np.float32]
    orientation: int = 1
    exposure: Exposure = Exposure()
    camera: str = ""
    exif: bytes | None = None
    bits: int = 16
    white_balance_source: WhiteBalanceSource = "camera"
    colour_source: ColourSource = "file"
    margins: Margins = (0, 0, 0, 0)
    pixel_aspect: float = 1.0
    grey: bool = False

    def __post_init__(self) -> None:
        assert self.planes.ndim == 3 and self.planes.shape[0] == 4, self.planes.shape
        assert self.planes.dtype == np.float32, self.planes.dtype
        assert self.camera_to_srgb.shape == (3, 3), self.camera_to_srgb.shape
        assert self.orientation in range(1, 9), self.orientation


def read_raw(
    path: Path,
    settings: RawSettings = AS_STORED,
    notice: Notice = lambda _: None,
) -> RawImage:
    """Read a camera RAW file as a Bayer mosaic.

    Of the mosaic of X-Trans the Bayer one is estimated, and of a linear DNG, which has all colours
    at each pixel, those of the mosaic are taken. A monochrome sensor's pixels stand as they are.

    The picture is what the camera shows (:func:`enhance_cli.io.raw_area.find_area`). The mosaic
    holds it in whole blocks of 2x2 pixels that begin with red. ``margins`` tells which of their
    rows and columns do not belong to it.

    Args:
        path: the file.
        settings: how it is read besides what the file says; by default nothing is added.
        notice: is called with a line on each thing that the user should know.

    Raises:
        NotBayerError: if LibRaw decodes the file to something else, a scan or a sensor of other
            colours. :func:`read_rendered` reads these.
        InputError: if the file cannot be decoded, holds no picture, or has levels that make no
            sense.
    """
    exif, tags = read_raw_exif(path), read_dng_tags(path)
    check_compression(path, tags)
    with open_libraw(path) as raw:
        _check_size(path, raw)
        grey = is_monochrome(raw)
        if not (grey or is_mosaic(raw) or is_linear(raw, tags)):
            raise NotBayerError(
                f"{path}: no sensor of red, green and blue, convert it to a 16-bit TIFF"
            )
        gains = _usable_gains(raw.camera_whitebalance)
        mosaic = read_mosaic(path, raw, tags, gains, settings, notice)
        planes, margins = _pack(raw, tags, mosaic, gains)
        white_balance, white_balance_source = _white_balance(raw, planes, settings)
        camera_to_srgb, colour_source = _colour_matrix(raw)
        if grey:  # There are no colours to balance or to turn into others.
            white_balance, white_balance_source = (1.0, 1.0, 1.0), "camera"
            camera_to_srgb, colour_source = np.eye(3, dtype=np.float32), "file"
        orientation = ORIENTATIONS.get(raw.sizes.flip, 1)
        bits = int(raw.white_level).bit_length()
        aspect = float(raw.sizes.pixel_aspect)
        complete_exif(exif, raw)
    return RawImage(
        planes,
        white_balance,
        camera_to_srgb,
        orientation,
        find_exposure(exif),
        find_camera(exif),
        clean_exif(exif),
        bits,
        white_balance_source,
        colour_source,
        margins,
        aspect if 1 / ASPECT_LIMIT <= aspect <= ASPECT_LIMIT else 1.0,
        grey,
    )


def find_raw_size(path: Path) -> tuple[int, int]:
    """The height and width of the picture in a RAW file as it stands upright, without decoding it.

    Raises:
        InputError: if LibRaw does not know the file.
    """
    with open_libraw(path) as raw:  # It decodes when it is asked for pixels.
        sizes = raw.sizes
        turned = ORIENTATIONS.get(sizes.flip, 1) > 4
        return (sizes.width, sizes.height) if turned else (sizes.height, sizes.width)


def read_rendered(path: Path) -> Picture:
    """Read a RAW file as the picture that LibRaw renders: demosaiced, 16-bit sRGB, upright.

    LibRaw uses the camera's white balance where the file has one, and does not brighten.

    Raises:
        InputError: if the file cannot be decoded or holds no picture.
    """
    exif = read_raw_exif(path)
    check_compression(path, read_dng_tags(path))
    with open_libraw(path) as raw:
        _check_size(path, raw)
        stored = raw.raw_image_visible
        if stored.max() == stored.min():
            raise InputError(nothing_in(path))
        rendered = np.array(
            raw.postprocess(no_auto_bright=True, output_bps=16, **_rendering(raw, exif)),
            np.uint16,
        )
        complete_exif(exif, raw)
    pixels = rendered.reshape(*rendered.shape[:2], -1)
    if pixels.shape[2] not in (1, 3):
        raise InputError(f"{path}: {pixels.shape[2]} colours, convert it to a 16-bit TIFF")
    return Picture(pixels, exif=clean_exif(exif), format="TIFF")


def _rendering(raw: Any, exif: Pillow.Exif) -> dict[str, Any]:
    """LibRaw's options for white balance and tone curve that suit a file."""
    without_matrix = raw.raw_type.name == "Stack" and _colour_matrix(raw)[1] == "none"
    if without_matrix and DNG_VERSION not in exif:
        # A film scanner stores RGB that is ready for display, with its 8 bits spread over 16 by
        # a curve. LibRaw would take it for linear light and its white level for one of 16 bits.
        white = int(raw.white_level)
        return {
            "user_wb": [1.0] * 4,
            "gamma": (1, 1),
            "user_sat": max(white, int(raw.tone_curve[white])),
        }
    return {"use_camera_wb": True, "gamma": (2.4, 12.92)}  # the curve of sRGB


def _check_size(path: Path, raw: Any) -> None:
    sizes = raw.sizes
    if sizes.raw_height * sizes.raw_width > PIXEL_LIMIT:
        raise InputError(f"{path}: more than {PIXEL_LIMIT:,} pixels, cut it into parts")


def _pack(
    raw: Any, tags: DngTags, mosaic: Mosaic, gains: tuple[float, float, float] | None
) -> tuple[NDArray[np.float32], Margins]:
    """The planes (4, h, w) of :class:`RawImage`, and its margins."""
    values, first = mosaic.values, (0, 0)
    if mosaic.colours.shape == BAYER.shape:
        (top,), (left,) = np.nonzero(mosaic.colours == RED)
        first = int(top), int(left)
    elif mosaic.colours.size > 1:
        values = to_bayer(values, mosaic.colours, gains)
    blocks, margins = cut_blocks(values, find_area(raw, tags), first)
    planes = [blocks[y::2, x::2] for y, x in ((0, 0), (0, 1), (1, 1), (1, 0))]
    return np.stack(planes), margins


def _white_balance(
    raw: Any, planes: NDArray[np.float32], settings: RawSettings
) -> tuple[tuple[float, float, float], WhiteBalanceSource]:
    rule = settings.white_balance
    if not isinstance(rule, str):
        assert min(rule) > 0, rule
        red, green, blue = (gain / min(rule) for gain in rule)
        return (red, green, blue), "given"
    if rule == "camera" and (gains := _usable_gains(raw.camera_whitebalance)):
        return gains, "camera"
    daylight = _usable_gains(raw.daylight_whitebalance)
    # LibRaw gives three ones for a camera that it does not know.
    if rule != "auto" and daylight and daylight != (1.0, 1.0, 1.0):
        return daylight, "daylight"
    return _grey_world(planes), "grey world"


def _usable_gains(gains: list[float]) -> tuple[float, float, float] | None:
    rgb = np.array(gains[:3], float)
    if not np.isfinite(rgb).all() or rgb.min() <= 0 or rgb.max() > GAIN_LIMIT * rgb.min():
        return None
    red, green, blue = (rgb / rgb.min()).tolist()
    return red, green, blue


def _grey_world(planes: NDArray[np.float32]) -> tuple[float, float, float]:
    """The gains that make the mean of all blocks without a saturated pixel grey."""
    exposed = (planes < SATURATED).all(axis=0)
    means = planes[:, exposed if exposed.any() else ...].reshape(4, -1).mean(axis=1, dtype=float)
    red, green, blue = means[0], (means[1] + means[3]) / 2, means[2]
    limits = 1 / GREY_WORLD_LIMIT, GREY_WORLD_LIMIT
    floor = 1e-6  # a mean below the black level would give a negative gain
    gains = [
        float(np.clip(max(green, floor) / max(mean, floor), *limits)) for mean in (red, green, blue)
    ]
    first, second, third = (gain / min(gains) for gain in gains)
    return first, second, third


def _colour_matrix(raw: Any) -> tuple[NDArray[np.float32], ColourSource]:
    """The file's own colour matrix, or that of LibRaw's table of cameras, or the identity."""
    matrix = _neutral(np.array(raw.color_matrix, float)[:, :3])
    if matrix is not None:
        return matrix, "file"
    xyz_to_camera = np.array(raw.rgb_xyz_matrix, float)[:3]
    matrix = srgb_matrix(xyz_to_camera)
    if matrix is not None:
        return matrix, "camera table"
    return np.eye(3, dtype=np.float32), "none"


def srgb_matrix(xyz_to_camera: NDArray[np.floating[Any]]) -> NDArray[np.float32] | None:
    """Compute the matrix from camera RGB to linear sRGB as LibRaw's ``cam_xyz_coeff`` does.

    Args:
        xyz_to_camera: (3, 3), the matrix from XYZ under the white point D65 to camera RGB, which
            a DNG file calls ColorMatrix.

    Returns:
        A float32 matrix (3, 3) for camera RGB in which white is (1, 1, 1), with rows that sum to
        1; or None if the given matrix cannot be used.
    """
    srgb_to_camera = np.asarray(xyz_to_camera, float) @ SRGB_TO_XYZ
    sums = srgb_to_camera.sum(axis=1, keepdims=True)
    if not np.isfinite(srgb_to_camera).all() or (np.abs(sums) < 1e-5).any():
        return None
    try:
        return _neutral(np.linalg.inv(srgb_to_camera / sums))
    except np.linalg.LinAlgError:
        return None


def _neutral(matrix: NDArray[np.floating[Any]]) -> NDArray[np.float32] | None:
    """The matrix with each row divided by its sum, or None if it cannot be a colour matrix."""
    sums = matrix.sum(axis=1, keepdims=True)
    if not np.isfinite(matrix).all() or (sums < 0.1).any() or np.linalg.matrix_rank(matrix) < 3:
        return None
    neutral: NDArray[np.float32] = (matrix / sums).astype(np.float32)
    return neutral
