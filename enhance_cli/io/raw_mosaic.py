"""Turns the levels that a sensor's pixels hold into light: black is 0 and white is 1."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from enhance_cli.errors import InputError
from enhance_cli.io.bad_pixels import fill, repair_alone
from enhance_cli.io.black_levels import (
    BlackLevels,
    find_black_levels,
    find_residue,
    read_masked,
)
from enhance_cli.io.dng_tags import LINEAR_RAW, DngTags
from enhance_cli.io.line_noise import remove_line_noise
from enhance_cli.io.opcodes import Sensor, apply_opcodes, find_bad_pixels
from enhance_cli.io.raw_files import PHOTOMETRIC
from enhance_cli.io.remosaic import BAYER

BlackRule = Literal["auto", "file"]
WhiteBalanceRule = Literal["camera", "auto", "daylight"]
BLACK_RULES: dict[str, BlackRule] = {"auto": "auto", "file": "file"}
WHITE_BALANCE_RULES: dict[str, WhiteBalanceRule] = {
    "camera": "camera",
    "auto": "auto",
    "daylight": "daylight",
}
Notice = Callable[[str], None]


@dataclass(frozen=True)
class RawSettings:
    """How a RAW file is read, besides what it says itself.

    Attributes:
        black: "file" takes the file's black level, and "auto" corrects it where it is clearly
            wrong. A number is the level itself.
        white_balance: "camera" takes the gains that the camera set, "daylight" its gains for
            daylight, and "auto" estimates them from the picture. Where a file does not tell, the
            next of these that is known is taken. Three numbers are the gains of red, green and
            blue themselves.
        repair: whether pixels that stand out alone, as hot and dead ones do, get the value of
            their neighbours, and noise that whole rows or columns share is removed.
    """

    black: BlackRule | float = "file"
    white_balance: WhiteBalanceRule | tuple[float, float, float] = "camera"
    repair: bool = False


AS_STORED = RawSettings()


@dataclass(frozen=True)
class Mosaic:
    """The visible area of a sensor.

    Attributes:
        values: float32 (H, W). 1 is the white level; noise below black is negative. Nothing is
            clipped.
        colours: uint8 (p, p), the colours 0, 1 and 2 (red, green and blue) of the block that
            repeats from the first pixel on.
    """

    values: NDArray[np.float32]
    colours: NDArray[np.uint8]


def read_mosaic(
    path: Path,
    raw: Any,
    tags: DngTags,
    gains: tuple[float, float, float] | None,
    settings: RawSettings,
    notice: Notice,
) -> Mosaic:
    """Read the mosaic of an open file.

    Args:
        path: the file's name, for messages.
        raw: rawpy's ``RawPy`` object of a file that :func:`is_mosaic`, :func:`is_linear` or
            :func:`is_monochrome` knows.
        tags: what a DNG file says about its data.
        gains: the white balance by the camera; None if it did not tell.
        settings: what is done to the mosaic besides.
        notice: is called with a line on each thing that the user should know.

    Raises:
        InputError: if the levels make no sense.
    """
    pattern, visible = _layout(raw)
    if min(visible.shape) < 2:
        raise InputError(
            f"{path}: {visible.shape[1]}x{visible.shape[0]} pixels, at least 2x2 are needed"
        )
    grey, linear = is_monochrome(raw), is_linear(raw, tags)
    names = ["G" if grey else chr(raw.color_desc[place]) for place in pattern.flat]
    colours = np.array(["RGB".index(name) for name in names], np.uint8).reshape(pattern.shape)
    by_libraw = np.array(raw.black_level_per_channel, np.float32)[pattern]
    blacks = find_black_levels(tags, by_libraw, *visible.shape)
    if not isinstance(settings.black, str):
        blacks = BlackLevels.of_tile(np.full(pattern.shape, settings.black))
    spans = _spans(path, raw, pattern, blacks.of_block(len(pattern)))
    values = visible.astype(np.float32)
    blacks.subtract_from(values)
    for y, x in np.ndindex(pattern.shape):
        part = values[y :: len(pattern), x :: len(pattern)]
        part /= spans[y, x]
    if values.max() <= 0 or values.max() == values.min():
        raise InputError(nothing_in(path))
    sensor = Sensor(colours, (raw.sizes.top_margin, raw.sizes.left_margin), linear)
    bad = find_bad_pixels(tags, visible, sensor)
    if bad.any():
        fill(values, colours, bad)
    if settings.repair and not linear:
        repair_alone(values, colours)
        remove_line_noise(values, len(colours))
    if settings.black == "auto" and not grey:
        border = np.empty((0, 0)) if linear else read_masked(raw, tags)
        masked = (border.astype(np.float32) - blacks.mean) / spans.mean()
        residue = find_residue(values, colours, masked, gains, 1 / float(spans.mean()))
        if residue is not None:
            values -= np.float32(residue.value)
            notice(
                f"black level {blacks.mean:.5g} by the file, "
                f"{blacks.mean + residue.value * spans.mean():.5g} by its {residue.source}, which "
                "is used; --black file keeps the file's"
            )
    if left_out := apply_opcodes(tags, values, sensor):
        notice(f"not applied of what the DNG file prescribes: {', '.join(left_out)}")
    return Mosaic(values, colours)


def is_mosaic(raw: Any) -> bool:
    """Whether each pixel of an open file has one of red, green and blue: Bayer or X-Trans."""
    pattern = raw.raw_pattern
    if pattern is None or raw.num_colors != 3:
        return False
    letters = "".join(chr(raw.color_desc[place]) for place in np.asarray(pattern).flat)
    if pattern.shape == (6, 6):
        return letters.count("G") == 20 and letters.count("R") == letters.count("B") == 8
    # The greens of Bayer's block lie on a diagonal.
    return pattern.shape == (2, 2) and letters in ("RGGB", "GRBG", "GBRG", "BGGR")


def is_linear(raw: Any, tags: DngTags) -> bool:
    """Whether an open file is a DNG with all three colours at each pixel, as after demosaicing."""
    kind = tags.numbers(PHOTOMETRIC)
    return kind == (LINEAR_RAW,) and raw.raw_type.name == "Stack" and raw.num_colors == 3


def is_monochrome(raw: Any) -> bool:
    """Whether the sensor of an open file sees no colours."""
    return bool(raw.num_colors == 1 and raw.raw_image_visible.ndim == 2)


def _layout(raw: Any) -> tuple[NDArray[Any], NDArray[np.uint16]]:
    """LibRaw's numbers of the channels in the block that repeats, and the levels (H, W)."""
    visible = raw.raw_image_visible
    if is_monochrome(raw):
        return np.zeros((1, 1), int), visible
    if visible.ndim == 2:
        return np.asarray(raw.raw_pattern), visible
    # Of three colours at each pixel we take that of Bayer's mosaic, of the order RGGB.
    height, width = visible.shape[:2]
    taken = np.tile(BAYER, (height // 2 + 1, width // 2 + 1))[:height, :width, None]
    return BAYER.astype(int), np.take_along_axis(visible, taken.astype(int), axis=2)[:, :, 0]


def nothing_in(path: Path) -> str:
    """What a user is told whose file holds no picture."""
    return (
        f"{path}: every pixel has the same level, or none is above black, as in damaged files; "
        "get a fresh copy, or expose longer"
    )


def _spans(
    path: Path, raw: Any, pattern: NDArray[Any], blacks: NDArray[np.float32]
) -> NDArray[np.float32]:
    """White less black at each place of the block that repeats."""
    white = float(raw.white_level)
    whites = np.full(pattern.shape, white, np.float32)
    # Some files give the levels of the channels on another scale than the stored values.
    if by_channel := raw.camera_white_level_per_channel:
        own = np.array(by_channel, np.float32)[pattern]
        whites = np.where((own > blacks) & (own > white / 2) & (own <= white), own, whites)
    spans: NDArray[np.float32] = whites - blacks
    if spans.min() <= 0:
        raise InputError(
            f"{path}: its white level {whites.min():g} is not above its black level "
            f"{blacks.max():g}, get a fresh copy or give another with --black"
        )
    return spans
