"""Conversion between the samples of a video, mostly Y'CbCr, and R'G'B'.

libswscale does the conversion. Measured against the formulas of BT.709, BT.601 and BT.2020, its
results are exact to rounding at 8 bits. Deeper samples it scales as if white were 255 times a
power of two, which is corrected here.
"""

from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.filter import Graph
from numpy.typing import NDArray

from enhance_cli.io.video.types import Colour, Pixels

# The code points of ISO/IEC 23091-2, with FFmpeg's names.
MATRICES = {
    0: "gbr",
    1: "bt709",
    2: "unknown",
    4: "fcc",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "ycgco",
    9: "bt2020nc",
    10: "bt2020c",
    11: "smpte2085",
    12: "chroma-derived-nc",
    13: "chroma-derived-c",
    14: "ictcp",
}
PRIMARIES = {
    1: "bt709",
    2: "unknown",
    4: "bt470m",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "film",
    9: "bt2020",
    10: "smpte428",
    11: "smpte431",
    12: "smpte432",
    22: "ebu3213",
}
TRANSFERS = {
    1: "bt709",
    2: "unknown",
    4: "gamma22",
    5: "gamma28",
    6: "smpte170m",
    7: "smpte240m",
    8: "linear",
    9: "log100",
    10: "log316",
    11: "iec61966-2-4",
    12: "bt1361e",
    13: "iec61966-2-1",
    14: "bt2020-10",
    15: "bt2020-12",
    16: "smpte2084",
    17: "smpte428",
    18: "arib-std-b67",
}
RANGES = {1: "tv", 2: "pc"}
UNKNOWN = "unknown"

# The matrices that libswscale can convert.
CONVERTIBLE = frozenset({"bt709", "fcc", "bt470bg", "smpte170m", "smpte240m", "bt2020nc"})
HDR_TRANSFERS = {"smpte2084": "pq", "arib-std-b67": "hlg"}

_FLAGS = "bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"
_TICK = Fraction(1, 1)


def complete(colour: Colour, width: int, height: int, rgb: bool) -> Colour:
    """Fill in what a file does not say about its colours, guessed from the size as players do.

    Args:
        colour: what the file says, with ``"unknown"`` where it is silent.
        width, height: the size of the source in pixels, before it is enlarged.
        rgb: whether the samples are R'G'B', for which BT.709 will be written.

    Returns:
        The completed description; ``assumed`` says whether anything was guessed.
    """
    matrix, primaries, transfer = colour.matrix, colour.primaries, colour.transfer
    if rgb or matrix == "gbr":
        matrix = "bt709"
    elif matrix == UNKNOWN and primaries == "bt2020":
        matrix = "bt2020nc"
    elif matrix == UNKNOWN:
        matrix = "bt709" if height >= 720 or width >= 1280 else "smpte170m"
    if primaries == UNKNOWN:
        primaries = _guess_primaries(matrix, height)
    if transfer == UNKNOWN:
        transfer = {
            "smpte170m": "smpte170m",
            "bt470bg": "smpte170m",
            "bt2020nc": "bt2020-10",
            "smpte240m": "smpte240m",
        }.get(matrix, "bt709")
    assumed = not rgb and UNKNOWN in (colour.matrix, colour.primaries, colour.transfer)
    return Colour(colour.range, matrix, primaries, transfer, assumed)


def _guess_primaries(matrix: str, height: int) -> str:
    if matrix == "bt2020nc":
        return "bt2020"
    if matrix in ("smpte170m", "bt470bg", "fcc", "smpte240m"):
        return "bt470bg" if height in (576, 288) or matrix == "bt470bg" else "smpte170m"
    return "bt709"


def code(names: dict[int, str], name: str) -> int:
    """The code point of a name in one of the tables above; 2 stands for unknown."""
    return next((number for number, known in names.items() if known == name), 2)


def is_rgb(pixel_format: str) -> bool:
    """Whether samples are R'G'B' or indices into a palette of R'G'B'."""
    kind = av.VideoFormat(pixel_format)
    return bool(kind.is_rgb) or kind.has_palette or pixel_format == "pal8"


def bits(pixel_format: str) -> int:
    """The number of bits of a sample, the largest of all components."""
    return max(component.bits for component in av.VideoFormat(pixel_format).components)


def has_alpha(pixel_format: str) -> bool:
    """Whether one of the components is transparency."""
    return any(component.is_alpha for component in av.VideoFormat(pixel_format).components)


class Converter:
    """Converts frames of one size from one pixel format to another.

    Args:
        width, height: the size of the frames in pixels.
        source, target: the pixel formats, in FFmpeg's names.
        scale: the options of FFmpeg's filter ``scale``, which does the conversion.
    """

    def __init__(self, width: int, height: int, source: str, target: str, scale: str) -> None:
        self._graph = Graph()
        self._graph.threads = 1
        nodes = [
            self._graph.add_buffer(
                width=width, height=height, format=av.VideoFormat(source), time_base=_TICK
            ),
            self._graph.add("scale", scale),
            self._graph.add("format", target),
            self._graph.add("buffersink"),
        ]
        self._graph.link_nodes(*nodes).configure()
        self._count = 0

    def convert(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Convert a frame. It loses its times, and so does the frame that is passed in."""
        frame.pts, frame.time_base = self._count, _TICK
        self._count += 1
        self._graph.vpush(frame)
        return self._graph.vpull()


class ToRgb:
    """Converts decoded frames to arrays of R'G'B'.

    Args:
        width, height: the size of the frames in pixels.
        pixel_format: the layout of their samples, in FFmpeg's names.
        colour: what the samples mean; the matrix must be among those that can be converted.
        centred: whether halved chroma lies between the columns, as in JPEG, and not on the even
            ones.
    """

    def __init__(
        self, width: int, height: int, pixel_format: str, colour: Colour, centred: bool = False
    ) -> None:
        self.pixel_format = pixel_format
        self._bits = bits(pixel_format)
        self._rgb = is_rgb(pixel_format)
        self._limited = colour.range == "tv" and not self._rgb
        scale = f"out_range=pc:flags={_FLAGS}"
        if not self._rgb:
            place = "center" if centred else "left"
            scale += f":in_color_matrix={colour.matrix}:in_range={colour.range}"
            scale += f":in_chroma_loc={place}"
        target = "gbrp" if self._bits <= 8 else "gbrp16le"
        self._converter = Converter(width, height, pixel_format, target, scale)

    def convert(self, frame: av.VideoFrame) -> Pixels:
        """The frame as an array (H, W, 3): uint8 if the samples have at most 8 bits, else uint16.

        Values span the whole range of the type.
        """
        planes = self._converter.convert(frame).planes
        dtype = np.uint8 if self._bits <= 8 else np.uint16
        pixels = np.empty((frame.height, frame.width, 3), dtype)
        for channel, plane in zip((1, 2, 0), planes, strict=True):
            rows = np.frombuffer(memoryview(plane), dtype).reshape(plane.height, -1)
            pixels[..., channel] = rows[:, : plane.width]
        exact = self._bits <= 8 or (self._bits == 16 and self._rgb)
        return pixels if exact else self._stretch(pixels)

    def _stretch(self, pixels: NDArray[np.uint16]) -> NDArray[np.uint16]:
        """Stretch samples so that white becomes 65535.

        libswscale's white is 255 x 256 for limited range, and for full range the largest code of
        the source followed by zero bits.
        """
        shift = 8 if self._limited else self._bits
        white = (1 << shift) - 1 << 16 - shift
        np.minimum(pixels, white, out=pixels)
        pixels += pixels >> shift
        return pixels


class FromRgb:
    """Converts arrays of R'G'B' to frames for an encoder.

    Args:
        width, height: the size of the frames in pixels.
        pixel_format: the layout of their samples, in FFmpeg's names.
        colour: what their samples shall mean.
    """

    def __init__(self, width: int, height: int, pixel_format: str, colour: Colour) -> None:
        self._size = width, height
        self._pixel_format = pixel_format
        self._colour = colour
        self._rgb = is_rgb(pixel_format)
        self._converters: dict[str, Converter] = {}

    def convert(self, pixels: Pixels) -> av.VideoFrame:
        """A frame without times, made from an array (H, W, 3) of uint8 or uint16."""
        deep = pixels.dtype == np.uint16
        source = "rgb48le" if deep else "rgb24"
        if deep and not self._rgb:
            pixels = pixels - (pixels >> 8)
        packed: Any = np.ascontiguousarray(pixels)
        frame = av.VideoFrame.from_ndarray(packed, source)
        if source not in self._converters:
            self._converters[source] = self._converter(source)
        converted = self._converters[source].convert(frame)
        converted.color_range = code(RANGES, self._colour.range)
        if not self._rgb:
            converted.colorspace = code(MATRICES, self._colour.matrix)
        return converted

    def _converter(self, source: str) -> Converter:
        scale = f"in_range=pc:flags={_FLAGS}"
        if not self._rgb:
            scale += f":out_color_matrix={self._colour.matrix}:out_range={self._colour.range}"
            scale += ":out_chroma_loc=left"
        return Converter(*self._size, source, self._pixel_format, scale)
