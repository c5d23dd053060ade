"""Dark files: camera RAW files and ordinary pictures, read to be brightened, and their results."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from enhance_cli.colour import srgb_to_linear
from enhance_cli.engine.brighten import DarkImage
from enhance_cli.errors import InputError, UsageError
from enhance_cli.io.captions import Captions
from enhance_cli.io.colour_tags import BT709, make_profile
from enhance_cli.io.exposure import read_raw_captions
from enhance_cli.io.image import (
    READABLE_SUFFIXES,
    Picture,
    find_images,
    find_size,
    picture_suffix,
    read_image,
)
from enhance_cli.io.isolation import decode
from enhance_cli.io.linear_dng import SensorPicture, read_colours
from enhance_cli.io.metadata import srgb_profile, turn_upright
from enhance_cli.io.raw import (
    AS_STORED,
    BLACK_RULES,
    GAIN_LIMIT,
    RAW_SUFFIXES,
    WHITE_BALANCE_RULES,
    Exposure,
    NotBayerError,
    RawImage,
    RawSettings,
    find_raw_size,
    is_raw,
    read_exposure,
    read_raw,
    read_rendered,
)
from enhance_cli.levels import to_levels, to_pixels, to_planes, to_values
from enhance_cli.resize import resample


@dataclass(frozen=True)
class DarkFile:
    """A file that is to be brightened, with all that its result takes over from it.

    Attributes:
        image: the light that the camera recorded.
        exposure: exposure time, sensitivity and aperture, as far as the file tells them.
        exif: the metadata block that the result gets.
        captions: XMP and IPTC of a RAW file, which the result gets.
        bits: 8 or 16, the depth of the result unless the user asks for another.
        orientation: the EXIF orientation, 1 to 8, that has not been applied to ``image`` yet.
        picture: the file's own picture; None for a RAW file.
        margins: rows and columns of a RAW file's mosaic beyond the picture, as in ``RawImage``.
        pixel_aspect: how many times as wide as high the pixels of ``image`` are.
        monochrome: whether a RAW file's sensor sees no colours.
    """

    image: DarkImage
    exposure: Exposure
    exif: bytes | None
    bits: int = 8
    orientation: int = 1
    picture: Picture | None = None
    margins: tuple[int, int, int, int] = (0, 0, 0, 0)
    pixel_aspect: float = 1.0
    monochrome: bool = False
    captions: Captions = Captions()

    @property
    def is_grey(self) -> bool:
        """Whether the file's own picture, or its sensor, is without colour."""
        return self.monochrome or (self.picture is not None and self.picture.pixels.shape[2] == 1)

    @property
    def has_alpha(self) -> bool:
        """Whether the file's own picture has transparency."""
        return self.picture is not None and self.picture.alpha is not None

    def result_size(self, scale: int, *, half: bool) -> tuple[int, int]:
        """Height and width in pixels of the upright result.

        Args:
            scale: how many times larger than its input the network's output is; for RAW files
                the input is the packed mosaic, half as high and wide as the sensor.
            half: whether the result is to be half as high and wide as the full one.
        """
        height, width = self.image.planes.shape[-2:]
        if self.image.is_raw:
            height, width = self._picture_size(1 if half else scale)
        elif half:
            height, width = max(height // 2, 1), max(width // 2, 1)
        height, width = self._square(height, width)
        return (width, height) if self.orientation > 4 else (height, width)

    @property
    def has_profile(self) -> bool:
        """Whether the file's own picture has a colour profile."""
        return self.picture is not None and self.picture.icc_profile is not None

    def _picture_size(self, scale: int) -> tuple[int, int]:
        """Height and width of the picture within blocks of ``scale`` x ``scale`` pixels."""
        top, left, bottom, right = self.margins
        height, width = self.image.planes.shape[-2:]
        rows, columns = 2 * height - top - bottom, 2 * width - left - right
        return rows * scale // 2, columns * scale // 2

    def _square(self, height: int, width: int) -> tuple[int, int]:
        """The size that a picture has when its pixels are made square; no side gets shorter."""
        return (
            round(height * max(1 / self.pixel_aspect, 1)),
            round(width * max(self.pixel_aspect, 1)),
        )

    def _cut(self, planes: Tensor) -> Tensor:
        """Cut a network's output down to the picture."""
        if not self.image.is_raw:
            return planes
        scale = planes.shape[-1] // self.image.planes.shape[-1]
        height, width = self._picture_size(scale)
        top, left = (margin * scale // 2 for margin in self.margins[:2])
        return planes[:, top : top + height, left : left + width]

    def finish_light(self, planes: Tensor, path: Path) -> SensorPicture:
        """Turn a network's output back into what the sensor of a RAW file would have recorded.

        Args:
            planes: (C, H, W), white-balanced linear camera RGB or grey, where 1 is the level at
                which the sensor saturates.
            path: the RAW file.

        Raises:
            InputError: if the file cannot be opened.
        """
        gains, matrix = self.image.gains, self.image.camera_to_srgb.numpy()
        light = self._cut(planes).movedim(0, -1) / torch.tensor(gains)
        return SensorPicture(
            light.numpy(),
            gains,
            decode(read_colours, path, gains=gains, camera_to_srgb=matrix),
            self.orientation,
            self.pixel_aspect,
            self.exif,
            self.captions,
        )

    def finish(self, planes: Tensor, *, linear: bool = False) -> Picture:
        """Cut and turn a network's output, and add what belongs to the file.

        Args:
            planes: (C, H, W) levels, uint8 or uint16.
            linear: whether levels are proportional to light; the profile of the result says so.
        """
        planes = self._cut(planes)
        if self.pixel_aspect != 1:
            square = resample(to_values(planes), *self._square(*planes.shape[-2:]))
            planes = to_levels(square, planes.dtype)
        pixels = turn_upright(to_pixels(planes, planes.dtype), self.orientation)
        old = self.picture
        same_colours = old is not None and self.is_grey == (pixels.shape[2] == 1)
        profile = old.icc_profile if old is not None and same_colours else None
        if linear:
            profile = make_profile(BT709, 1.0, pixels.shape[2])
        elif profile is None and pixels.shape[2] == 3:
            profile = srgb_profile()
        if old is None:
            return Picture(pixels, exif=self.exif, icc_profile=profile, captions=self.captions)
        alpha = None if old.alpha is None else _fit_alpha(old.alpha, pixels)
        return replace(old, pixels=pixels, alpha=alpha, icc_profile=profile)


def find_dark_files(folder: Path, recursive: bool = False) -> list[Path]:
    """RAW files and pictures in a folder, sorted by path.

    They are known by their suffixes. The suffix ``.raw`` says little, so there the content counts.
    """
    found = find_images(folder, recursive, READABLE_SUFFIXES | RAW_SUFFIXES | {".raw"})
    return [path for path in found if path.suffix.lower() != ".raw" or is_raw(path)]


def find_dark_size(path: Path) -> tuple[int, int, bool]:
    """Height and width of a picture or of a RAW file's, and whether it is RAW, without decoding.

    Raises:
        InputError: if the file cannot be read.
    """
    if is_raw(path):
        return *find_raw_size(path), True
    return *find_size(path), False


def result_suffix(source: Path) -> str:
    """The suffix of a result: ``.png`` for RAW files, else as of :func:`picture_suffix`."""
    return ".png" if source.suffix.lower() in RAW_SUFFIXES else picture_suffix(source)


def parse_raw_settings(black: str, white_balance: str) -> RawSettings:
    """How RAW files are read by the options ``--black`` and ``--wb``.

    Raises:
        UsageError: if one of them is none of its choices.
    """
    settings = RawSettings(repair=True)
    if black in BLACK_RULES:
        settings = replace(settings, black=BLACK_RULES[black])
    elif (level := _numbers(black)) and len(level) == 1:
        settings = replace(settings, black=level[0])
    else:
        raise UsageError(f"--black {black}: must be auto, file or a level of at least 0, like 512")
    if white_balance in WHITE_BALANCE_RULES:
        return replace(settings, white_balance=WHITE_BALANCE_RULES[white_balance])
    gains = _numbers(white_balance)
    if len(gains) != 3 or min(gains) == 0 or max(gains) > GAIN_LIMIT * min(gains):
        raise UsageError(
            f"--wb {white_balance}: must be camera, auto, daylight or the gains of red, green and "
            "blue, like 2,1,1.5"
        )
    red, green, blue = gains
    return replace(settings, white_balance=(red, green, blue))


def _numbers(text: str) -> tuple[float, ...]:
    """The numbers from 0 on that a text lists with commas, or nothing."""
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        return ()
    return numbers if all(0 <= number < inf for number in numbers) else ()


def read_dark_file(
    path: Path, notice: Callable[[str], None], settings: RawSettings = AS_STORED
) -> DarkFile:
    """Read a RAW file or a picture.

    Args:
        path: the file; its content, not its name, says which kind it is.
        notice: is called with a line on each thing that the user should know.
        settings: how a RAW file is read.

    Raises:
        InputError: if the file cannot be read.
    """
    if is_raw(path):
        captions = read_raw_captions(path)
        try:
            raw = decode(read_raw, path, settings=settings, notice=notice)
            _tell_sources(raw, settings, notice)
            return _from_raw(raw, captions)
        except NotBayerError:
            picture = replace(decode(read_rendered, path), captions=captions)
            notice(
                "no sensor of red, green and blue: LibRaw's rendering goes through the sRGB model"
            )
            return _from_picture(picture, _exposure_or_none(path), bits=8)
    if path.suffix.lower() == ".raw" and path.is_file():
        raise InputError(
            f"{path}: .raw of this kind is not supported, give another RAW format or a picture"
        )
    picture = decode(read_image, path, notice=notice)
    return _from_picture(picture, _exposure_or_none(path), picture.pixels.dtype.itemsize * 8)


def _exposure_or_none(path: Path) -> Exposure:
    try:
        return read_exposure(path)
    except InputError:
        return Exposure()


def _tell_sources(raw: RawImage, settings: RawSettings, notice: Callable[[str], None]) -> None:
    """Tell what had to come from elsewhere than from the file, or than the user wanted."""
    wanted, source = settings.white_balance, raw.white_balance_source
    if wanted == "daylight" != source:
        notice(f"no white balance for daylight is known of this camera, taken from: {source}")
    elif wanted == "camera" != source:
        notice(f"no white balance in the file, taken from: {source}")
    if raw.pixel_aspect != 1:
        notice(
            f"the sensor's pixels are {raw.pixel_aspect:.4g} times as wide as high, the result is "
            "stretched to square ones"
        )
    if raw.colour_source == "none":
        notice("no colour matrix in the file, the sensor's colours are taken for sRGB")


def _from_raw(raw: RawImage, captions: Captions) -> DarkFile:
    image = DarkImage(
        torch.from_numpy(raw.planes), raw.white_balance, torch.from_numpy(raw.camera_to_srgb)
    )
    return DarkFile(
        image,
        raw.exposure,
        raw.exif,
        orientation=raw.orientation,
        margins=raw.margins,
        pixel_aspect=raw.pixel_aspect,
        monochrome=raw.grey,
        captions=captions,
    )


def _from_picture(picture: Picture, exposure: Exposure, bits: int) -> DarkFile:
    planes = to_values(to_planes(picture.pixels))
    if picture.alpha is not None and picture.alpha.any():
        # Pixels that cannot be seen have arbitrary colours, which must neither count when the
        # ratio is estimated nor bleed into their neighbours.
        seen = picture.alpha > 0
        values = planes.movedim(0, -1).numpy()  # the same memory
        values[~seen] = values[seen].mean(axis=0)
    linear = srgb_to_linear(planes.expand(3, -1, -1))
    return DarkFile(DarkImage(linear), exposure, picture.exif, bits, picture=picture)


def _fit_alpha(alpha: NDArray[Any], pixels: NDArray[Any]) -> NDArray[Any]:
    """Bring alpha to the depth and size of a result, which may be half as high and wide."""
    values = alpha * np.float32(np.iinfo(pixels.dtype).max / np.iinfo(alpha.dtype).max)
    if values.shape != pixels.shape[:2]:
        values = functional.avg_pool2d(
            torch.from_numpy(values)[None], [min(2, side) for side in values.shape]
        )[0].numpy()
    return values.round().astype(pixels.dtype)
