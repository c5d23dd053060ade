"""Integer levels, as files hold them, and values in [0, 1], as networks take them.

A level of 8 bits is an integer from 0 to 255 (``torch.uint8``), one of 16 bits an integer from
0 to 65535 (``torch.uint16``); the largest level is white. There is one rule in each direction:

    value = level / top
    level = round(top * clamp(value, 0, 1))

``top`` is the largest level, and a number halfway between two levels goes to the even one.

Files are read into arrays of pixels, (H, W, C), and networks take tensors of planes, (C, H, W).
``to_planes`` and ``to_pixels`` go from one order of axes to the other.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Rows of a picture that are rounded together. A strip of so many rows stays in the processor's
# cache: that takes a third of the time, and no temporary is as large as the picture.
_STRIP = 64

_TYPES = {np.dtype(np.uint8): torch.uint8, np.dtype(np.uint16): torch.uint16}


def level_type(pixels: NDArray[Any]) -> torch.dtype:
    """The tensor type that holds the levels of an array: ``torch.uint8`` or ``torch.uint16``."""
    return _TYPES[pixels.dtype]


def to_values(levels: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Turn levels into values in [0, 1].

    Args:
        levels: uint8 or uint16 of any shape. Floating point numbers are taken for values
            already, and are returned as they are.
        dtype: floating point type of the result.

    Returns:
        A tensor of the same shape and the same order in memory.
    """
    if levels.is_floating_point():
        return levels
    return levels.to(dtype).div_(torch.iinfo(levels.dtype).max)


def to_levels(values: Tensor, dtype: torch.dtype = torch.uint8) -> Tensor:
    """Turn values into the nearest levels; what lies outside [0, 1] is clamped.

    Args:
        values: floating point numbers of any shape.
        dtype: type of the result, ``torch.uint8`` or ``torch.uint16``. A floating point type
            leaves the values as they are, neither clamped nor rounded.
    """
    if dtype.is_floating_point:
        return values.to(dtype)
    top = torch.iinfo(dtype).max
    # By way of int32, since older releases of torch cannot turn floats into uint16 directly.
    return values.clamp(0, 1).mul_(top).round_().to(torch.int32).to(dtype)


def quantise(values: Tensor) -> Tensor:
    """Round values to the 256 that an 8-bit file can hold; they stay floating point numbers."""
    return values.clamp(0, 1).mul_(255).round_().div_(255)


def to_planes(pixels: NDArray[Any]) -> Tensor:
    """Turn pixels (..., H, W, C) into planes (..., C, H, W) of the same type.

    The tensor shares the array's memory, unless the array may not be written to.
    """
    writable = pixels if pixels.flags.writeable else pixels.copy()
    return torch.from_numpy(writable).movedim(-1, -3)


def to_pixels(planes: Tensor, dtype: torch.dtype = torch.uint8) -> NDArray[Any]:
    """Turn the planes of a picture into pixels, as files are written from.

    Args:
        planes: (C, H, W), either levels of type ``dtype`` or floating point values, on any
            device.
        dtype: type of the result.

    Returns:
        An array (H, W, C) that is contiguous in memory.
    """
    if planes.dtype == dtype:
        levels = planes.movedim(0, -1).cpu().contiguous()
    else:
        levels = torch.empty((*planes.shape[1:], len(planes)), dtype=dtype)
        for row in range(0, len(levels), _STRIP):
            strip = to_levels(planes[:, row : row + _STRIP], dtype)
            levels[row : row + _STRIP] = strip.movedim(0, -1)
    pixels: NDArray[Any] = levels.numpy()
    return pixels
