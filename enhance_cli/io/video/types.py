"""The types of the video layer: what is known of a video, its frames, and what is made of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

VIDEO_SUFFIXES = frozenset(
    {
        ".mp4",
        ".m4v",
        ".mov",
        ".mkv",
        ".webm",
        ".avi",
        ".mpg",
        ".mpeg",
        ".ts",
        ".mts",
        ".m2ts",
        ".wmv",
        ".flv",
        ".3gp",
        ".ogv",
        ".vob",
        ".mxf",
        ".nut",
        ".gif",
        ".y4m",
    }
)
DEFAULT_RATE = Fraction(25)  # of pictures in a folder, which say nothing about it

Pixels = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True)
class StreamInfo:
    """One of the streams of a file.

    Attributes:
        index: in the file.
        kind: ``"video"``, ``"audio"``, ``"subtitle"``, ``"data"`` or ``"attachment"``.
        codec: its short name, ``"unknown"`` where no decoder knows it.
        language: three letters, or None.
    """

    index: int
    kind: str
    codec: str
    language: str | None


@dataclass(frozen=True)
class Colour:
    """What the samples of a video mean, in FFmpeg's names; ``"unknown"`` is left open.

    Attributes:
        range: ``"tv"`` (16 to 235) or ``"pc"`` (0 to 255).
        matrix: from R'G'B' to Y'CbCr, ``"gbr"`` for none.
        primaries: of R, G and B.
        transfer: from light to code values.
        assumed: whether any of them was not in the file but guessed from the size.
    """

    range: str
    matrix: str
    primaries: str
    transfer: str
    assumed: bool = False


@dataclass(frozen=True)
class StaticHdr:
    """Static metadata of high dynamic range (SMPTE ST 2086, CTA-861.3).

    Attributes:
        primaries: x and y of R, G, B and white, eight in all; empty where unknown.
        luminance: darkest and brightest of the mastering display, cd/m2; empty where unknown.
        light: brightest pixel and brightest average of a frame, cd/m2; empty where unknown.
    """

    primaries: tuple[Fraction, ...] = ()
    luminance: tuple[Fraction, ...] = ()
    light: tuple[int, ...] = ()


@dataclass(frozen=True)
class VideoInfo:
    """What is known of a video before it is decoded.

    Attributes:
        path: of the file or folder.
        width, height: pixels of the frames that a reader yields.
        depth: bits of a sample in the file: 8, 10, 12 or 16.
        pixel_format: of the file, in FFmpeg's names.
        colour: see :class:`Colour`.
        hdr: ``"pq"``, ``"hlg"`` or None.
        sample_aspect_ratio: width of a pixel by its height.
        rotation: counter-clockwise degrees that players still apply; the frames are not turned.
        time_base: seconds that a time counts.
        rate: average frames a second.
        frames: estimated number, where the file tells.
        seconds: duration, where the file tells.
        streams: all of the file.
        names: of the files, for a folder of pictures.
        notices: what is worth saying to the user.
        first: time of the first frame.
        stream: index of the video stream.
        codec: of the video stream.
        display_matrix: nine numbers as the file holds them; empty where there is none.
        static_hdr: where there is any.
    """

    path: Path
    width: int
    height: int
    depth: int
    pixel_format: str
    colour: Colour
    hdr: str | None
    sample_aspect_ratio: Fraction
    rotation: int
    time_base: Fraction
    rate: Fraction
    frames: int | None
    seconds: float | None
    streams: tuple[StreamInfo, ...] = ()
    names: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    first: int = 0
    stream: int = 0
    codec: str = ""
    display_matrix: tuple[int, ...] = ()
    static_hdr: StaticHdr | None = None


@dataclass(frozen=True)
class Frame:
    """A picture and its time.

    Attributes:
        pixels: (H, W, 3) full-range gamma-encoded R'G'B'; uint16 spans 0 to 65535.
        time: of its beginning, in the time base of the video.
        duration: in the same unit; 0 where unknown.
    """

    pixels: Pixels
    time: int
    duration: int


@dataclass(frozen=True)
class EncodeOptions:
    """What a user may choose; None is left to :func:`plan_output`.

    Attributes:
        codec: ``"h264"``, ``"hevc"``, ``"vp9"``, ``"av1"`` or ``"ffv1"``.
        crf: constant rate factor of the codec, smaller is better.
        preset: of the encoder: a word for h264 and hevc, a number for vp9 and av1.
        pixel_format: in FFmpeg's names, e.g. ``"yuv420p"``.
        rate: frames a second of a video made from a folder.
        threads: of the encoder; 0 is its own choice.
    """

    codec: str | None = None
    crf: float | None = None
    preset: str | None = None
    pixel_format: str | None = None
    rate: Fraction | None = None
    threads: int = 0


@dataclass(frozen=True)
class OutputPlan:
    """Everything decided about an output.

    Attributes:
        source: what is known of the input.
        target: file or folder.
        container: FFmpeg's name of the format, ``""`` for a folder of PNGs.
        width, height: pixels of the frames to be written.
        scale: of the output to the input.
        codec: name as in :class:`EncodeOptions`.
        encoder: FFmpeg's name.
        encoder_options: for it.
        pixel_format: that is encoded.
        depth: bits of a sample in it.
        colour: tags of the output.
        time_base: of the frames' times.
        rate: average frames a second.
        threads: of the encoder; 0 is its own choice.
        notices: what is worth saying to the user.
    """

    source: VideoInfo
    target: Path
    container: str
    width: int
    height: int
    scale: int
    codec: str
    encoder: str
    encoder_options: tuple[tuple[str, str], ...]
    pixel_format: str
    depth: int
    colour: Colour
    time_base: Fraction
    rate: Fraction
    threads: int = 0
    notices: tuple[str, ...] = ()

    @property
    def is_folder(self) -> bool:
        """Whether the output is a folder of PNGs."""
        return not self.container


class FrameReader(Protocol):
    """Frames of a video, in the order of their times; a context manager."""

    @property
    def info(self) -> VideoInfo: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def __iter__(self) -> Iterator[Frame]: ...


class SegmentWriter(Protocol):
    """Takes the frames of one segment."""

    def write(self, frame: Frame) -> None: ...
