"""The types of the video layer: what is known of a video, its frames, and what is made of it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from itertools import accumulate
from math import isfinite
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from enhance_cli.errors import UsageError
from enhance_cli.io.jobs import Kind

FRAME_LIMIT = 2**28  # pixels of a frame; a file of a few bytes can ask for any size

Pixels = NDArray[np.uint8] | NDArray[np.uint16]


def exact_seconds(value: float) -> Fraction:
    """The fraction that a user means by a decimal number: 0.1 is one tenth."""
    return Fraction(str(value))


def check_seconds(name: str, value: float | None) -> None:
    """Check a time that the user gave.

    Args:
        name: the option, without its dashes.
        value: the time in seconds, None if the option was not used.

    Raises:
        UsageError: if the time is negative or no finite number.
    """
    if value is not None and not (isfinite(value) and value >= 0):
        raise UsageError(f"--{name} {value}: must be a number of seconds from 0 on")


@dataclass(frozen=True)
class Span:
    """The part of a video that is worked on, in seconds from its first frame.

    Attributes:
        start: frames before it are left out; None or 0 is the beginning.
        end: frames at this time and later are left out; None keeps all to the end.

    Raises:
        UsageError: if a time is negative or no number, or the span is empty.
    """

    start: float | None = None
    end: float | None = None

    def __post_init__(self) -> None:
        check_seconds("start", self.start)
        check_seconds("end", self.end)
        if self.end is not None and self.end <= (self.start or 0):
            raise UsageError(f"--end {self.end:g}: must be after --start {self.start or 0:g}")

    def holds(self, seconds: Fraction) -> bool:
        """Whether a time, in seconds from the first frame, is in the part."""
        begins = seconds >= exact_seconds(self.start or 0)
        return begins and (self.end is None or seconds < exact_seconds(self.end))


WHOLE = Span()


class Clock(Enum):
    """Where the times of a file's frames come from."""

    SHOWN = "shown"  # Each frame tells when it is shown.
    DECODED = "decoded"  # It tells when it is decoded, in the order in which frames are shown.
    PACKED = "packed"  # As DECODED, but the first frame tells when it is shown.
    COUNTED = "counted"  # Frames follow each other at a steady rate.
    JOINED = "joined"  # As SHOWN, but the clock may start anew.


@dataclass(frozen=True)
class StreamInfo:
    """One of the streams of a file.

    Attributes:
        index: the place of the stream in the file, counted from 0.
        kind: ``"video"``, ``"audio"``, ``"subtitle"``, ``"data"`` or ``"attachment"``.
        codec: the short name of the codec, ``"unknown"`` if no decoder knows it.
        language: a code of three letters, or None if the file gives none.
    """

    index: int
    kind: str
    codec: str
    language: str | None


@dataclass(frozen=True)
class Colour:
    """What the samples of a video mean, in FFmpeg's names; ``"unknown"`` is not decided.

    Attributes:
        range: ``"tv"`` if 8-bit luma spans 16 to 235, ``"pc"`` if it spans 0 to 255.
        matrix: the matrix from R'G'B' to Y'CbCr; ``"gbr"`` if the samples are R'G'B' themselves.
        primaries: the colours of pure red, green and blue.
        transfer: the curve from light to code values.
        assumed: whether any of them was not in the file but guessed from the size of the frames.
    """

    range: str
    matrix: str
    primaries: str
    transfer: str
    assumed: bool = False


SRGB = Colour("tv", "bt709", "bt709", "bt709")  # the tags of videos that are made of pictures


@dataclass(frozen=True)
class StaticHdr:
    """Metadata of high dynamic range that holds for a whole video (SMPTE ST 2086, CTA-861.3).

    Each attribute is empty if the file does not give it.

    Attributes:
        primaries: the x and y of red, green, blue and white on the mastering display, eight
            numbers.
        luminance: the darkest and the brightest level of the mastering display, in cd/m2.
        light: the brightest pixel and the brightest average of a frame, in cd/m2.
    """

    primaries: tuple[Fraction, ...] = ()
    luminance: tuple[Fraction, ...] = ()
    light: tuple[int, ...] = ()


@dataclass(frozen=True)
class VideoInfo:
    """The description of a video: what is known of it once its first frame is decoded.

    Attributes:
        path: the file or folder.
        width, height: the size in pixels of the frames that a source yields.
        depth: bits of a sample in the file: 8, 10, 12 or 16.
        pixel_format: the layout of the samples in the file, in FFmpeg's names.
        colour: what the samples mean.
        hdr: ``"pq"`` or ``"hlg"`` for a video of high dynamic range, else None.
        sample_aspect_ratio: the width of a pixel divided by its height.
        rotation: the counter-clockwise degrees by which players turn the frames when they show
            them. The frames that a source yields are not turned.
        time_base: the seconds that one unit of time stands for.
        rate: the average number of frames in a second.
        frames: the number of frames, roughly, if the file tells it.
        seconds: the duration, if the file tells it.
        kind: whether it is a video file, an animated picture or a folder of numbered pictures.
        streams: all streams of the file.
        names: the names of the pictures in a folder, in the order of their numbers.
        notices: what the user should know about the video, a line each.
        first: the time of the first frame.
        stream: the index of the video stream.
        codec: the codec of the video stream.
        display_matrix: the nine numbers, as the file holds them, by which players turn the
            frames; empty if there are none.
        static_hdr: the metadata of high dynamic range, if there is any.
        clock: where the times of the frames come from.
        late: the seconds by which all times are moved towards 0, because the file starts late.
        alpha: whether frames come with their transparency.
        durations: how long each frame of an animated picture stays, in units of the time base.
        plays: how many times an animated picture is shown; 0 is for ever.
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
    kind: Kind = Kind.VIDEO
    streams: tuple[StreamInfo, ...] = ()
    names: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    first: int = 0
    stream: int = 0
    codec: str = ""
    display_matrix: tuple[int, ...] = ()
    static_hdr: StaticHdr | None = None
    clock: Clock = Clock.SHOWN
    late: Fraction = Fraction(0)
    alpha: bool = False
    durations: tuple[int, ...] = ()
    plays: int = 0

    @property
    def starts(self) -> tuple[int, ...]:
        """When each frame of an animated picture appears, in units of the time base."""
        return tuple(accumulate(self.durations[:-1], initial=0)) if self.durations else ()

    @property
    def quarter_turns(self) -> int:
        """How many times players turn the frames by 90 degrees counter-clockwise, 0 to 3."""
        return round(self.rotation / 90) % 4

    @property
    def mirrored(self) -> bool:
        """Whether players show the frames as in a mirror."""
        a, b, _, c, d = self.display_matrix[:5] or (1, 0, 0, 0, 1)
        return a * d < b * c


@dataclass(frozen=True)
class Frame:
    """One picture of a video and when it is shown.

    Attributes:
        pixels: (H, W, 3) full-range gamma-encoded R'G'B', uint8 or uint16; uint16 spans 0 to
            65535 whatever the depth of the video.
        time: when the frame appears, in the time base of the video.
        duration: how long it stays, in the same unit; 0 if unknown.
        alpha: (H, W) of the same type as the pixels, where 0 is transparent; None if nothing is.
            Colours are not multiplied by it.
    """

    pixels: Pixels
    time: int
    duration: int
    alpha: Pixels | None = None


@dataclass(frozen=True)
class EncodeOptions:
    """What a user may choose about the encoding; None leaves the choice to the program.

    Attributes:
        codec: ``"h264"``, ``"hevc"``, ``"vp9"``, ``"av1"`` or ``"ffv1"``.
        crf: the constant rate factor of the codec: smaller means better and larger files.
        preset: how much effort the encoder makes: a word for h264 and hevc, a number for vp9
            and av1.
        pixel_format: the layout of the samples, in FFmpeg's names, e.g. ``"yuv420p"``.
        threads: the number of threads of the encoder; 0 lets the encoder choose.
        audio: what becomes of sound that the output cannot hold as it is: ``"aac"``, or
            ``"copy"`` and ``"flac"`` for a codec without loss. All other sound is copied.
        note: what the metadata of the file tells of its making; empty for nothing.
        metadata: whether the output keeps what the input tells of itself.
    """

    codec: str | None = None
    crf: float | None = None
    preset: str | None = None
    pixel_format: str | None = None
    threads: int = 0
    audio: str | None = None
    note: str = ""
    metadata: bool = True


@dataclass(frozen=True)
class OutputPlan:
    """Everything that is decided about an output before any work.

    Attributes:
        source: the description of the input.
        target: the file or folder to be written.
        container: FFmpeg's name of the file format; empty for a folder of PNGs.
        width, height: the size in pixels of the frames to be written.
        sample_aspect_ratio: the width of a pixel divided by its height.
        codec: the name as in :class:`EncodeOptions`.
        encoder: FFmpeg's name of the encoder.
        encoder_options: pairs of a name and a value, for the encoder.
        pixel_format: the layout of the samples that are encoded.
        depth: bits of a sample in that layout.
        colour: what the samples mean.
        time_base: the seconds that one unit of the frames' times stands for.
        rate: the average number of frames in a second.
        threads: the number of threads of the encoder; 0 lets the encoder choose.
        notices: what the user should know about the output, a line each.
        audio: what becomes of sound that the output cannot hold as it is: ``"aac"``, or
            ``"copy"`` and ``"flac"`` for a codec without loss. All other sound is copied.
        alpha: whether transparency is written.
        note, metadata: as in :class:`EncodeOptions`.
    """

    source: VideoInfo
    target: Path
    container: str
    width: int
    height: int
    sample_aspect_ratio: Fraction
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
    audio: str = "copy"
    alpha: bool = False
    note: str = ""
    metadata: bool = True


class FrameSource(Protocol):
    """A video to be read, a file or a folder of numbered pictures.

    It is described once, when the source is opened.
    """

    @property
    def info(self) -> VideoInfo:
        """The description of the video."""
        ...

    def frames(self, span: Span = WHOLE, skip: int = 0) -> Iterator[Frame]:
        """The frames of a part of the video, in the order of their times, decoded one by one.

        Args:
            span: the part that is read.
            skip: how many frames of that part are left out at its beginning, to resume after
                them.

        Raises:
            InputError: if the span holds no frame; while iterating, if a frame is damaged or
                has another size than the first.
        """
        ...


class SegmentWriter(Protocol):
    """Takes the frames of one segment of an output."""

    def write(self, frame: Frame) -> None:
        """Write the next frame.

        Raises:
            OutputError: if it cannot be written, for instance because the disk is full.
        """
        ...


class FrameSink(Protocol):
    """A video to be written, a file or a folder of numbered pictures.

    Its frames are written in segments, so that a run that is interrupted can be resumed. The
    segments are then assembled, with what else the source holds, to the output.
    """

    @property
    def plan(self) -> OutputPlan:
        """What is decided about the output."""
        ...

    @property
    def segment_suffix(self) -> str:
        """The suffix of a segment's file; empty where a segment is a folder."""
        ...

    def segment(self, path: Path) -> AbstractContextManager[SegmentWriter]:
        """Write one segment in a ``with`` statement; it appears whole or not at all.

        Args:
            path: the place of the segment; what is there is replaced.

        Raises:
            OutputError: if it cannot be written, for instance because the disk is full.
        """
        ...

    def assemble(self, segments: Sequence[Path], span: Span, notice: Callable[[str], None]) -> None:
        """Put segments together with the other streams of the source; whole or not at all.

        Args:
            segments: the segments, in order.
            span: the part of the source that they show. The other streams are cut alike, and
                times count from the start of the span where it has one.
            notice: called with each line that the user should know and the plan did not tell.

        Raises:
            InputError: if the source is gone or damaged.
            OutputError: if the output cannot be written, for instance because the disk is full.
        """
        ...
