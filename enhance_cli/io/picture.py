"""A still picture in memory."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enhance_cli.io.captions import Captions

Samples = NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True)
class Picture:
    """A still picture that stands upright, with all that is needed to show it as it was meant.

    Attributes:
        pixels: (H, W, C) uint8 or uint16; C is 1 for grey and 3 for RGB. Black is 0 and white is
            ``max_value``, whatever values occur. Colours are not multiplied by alpha.
        alpha: (H, W) of the same type, where 0 is transparent; None for an opaque picture.
        icc_profile: colour profile for C channels; None means sRGB, or a plain grey.
        exif: EXIF in Pillow's byte form, or None. Its orientation is 1 and it has no thumbnail.
        format: Pillow's name of the format that the picture was read from.
        dpi: pixels per inch across and down, or None if the file did not say.
        density: where the file tells only the ratio of the pixels' sides, the numbers of pixels
            across and down on the same length; else None.
        captions: XMP, IPTC and texts.
    """

    pixels: Samples
    alpha: Samples | None = None
    icc_profile: bytes | None = None
    exif: bytes | None = None
    format: str = "PNG"
    dpi: tuple[float, float] | None = None
    density: tuple[int, int] | None = None
    captions: Captions = Captions()

    def __post_init__(self) -> None:
        assert self.pixels.dtype in (np.uint8, np.uint16), self.pixels.dtype
        assert self.pixels.ndim == 3 and self.pixels.shape[2] in (1, 3), self.pixels.shape
        if self.alpha is not None:
            assert self.alpha.dtype == self.pixels.dtype, self.alpha.dtype
            assert self.alpha.shape == self.pixels.shape[:2], self.alpha.shape

    def without_metadata(self) -> "Picture":
        """The same picture without EXIF and captions; its colour profile stays."""
        return replace(self, exif=None, captions=Captions())

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def max_value(self) -> int:
        """The level of white, 255 or 65535."""
        return int(np.iinfo(self.pixels.dtype).max)


def round_to_8_bits(samples: Samples) -> NDArray[np.uint8]:
    """Round 16-bit levels to the nearest of 8 bits; uint8 is returned as it is, without a copy."""
    if samples.dtype == np.uint8:
        return samples.astype(np.uint8, copy=False)
    return ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)
