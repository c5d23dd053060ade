"""Videos in and out: the one place to open, plan and write them from.

A video is a file, which may be an animated picture, or a folder of numbered pictures. A source
yields its frames as full-range R'G'B'; a sink takes frames, encodes them in segments, and assembles
these with everything else that the source holds. Whether a path is a file or a folder, its job says
(:class:`Kind`).

PyAV is imported when the first video file is opened: a machine that only trains or enhances
pictures need not have it.
"""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from enhance_cli.defaults import FRAME_RATE
from enhance_cli.errors import EnhanceError, InputError, OutputError
from enhance_cli.io.image import place_on_white
from enhance_cli.io.jobs import Kind
from enhance_cli.io.picture import round_to_8_bits
from enhance_cli.io.video.animated import AnimatedSource, may_be_animated
from enhance_cli.io.video.damage import Damage
from enhance_cli.io.video.folders import FolderSink, FolderSource, numbered_pictures
from enhance_cli.io.video.jobs import VIDEO_SUFFIXES, is_animation_name, plan_video_jobs
from enhance_cli.io.video.scanning import Deinterlace, find_deinterlace
from enhance_cli.io.video.types import (
    WHOLE,
    EncodeOptions,
    Frame,
    FrameSink,
    FrameSource,
    OutputPlan,
    Pixels,
    SegmentWriter,
    Span,
    VideoInfo,
    check_seconds,
    exact_seconds,
)
from enhance_cli.sizes import FrameSize

__all__ = [
    "VIDEO_SUFFIXES",
    "WHOLE",
    "Damage",
    "Deinterlace",
    "EncodeOptions",
    "Frame",
    "FrameSink",
    "FrameSource",
    "Kind",
    "OutputPlan",
    "Pixels",
    "SegmentWriter",
    "Span",
    "VideoInfo",
    "check_seconds",
    "exact_seconds",
    "find_deinterlace",
    "is_animation_name",
    "numbered_pictures",
    "open_source",
    "plan_sink",
    "plan_video_jobs",
    "probe",
    "read_rgb8_frames",
]


def open_source(
    path: Path,
    kind: Kind = Kind.VIDEO,
    *,
    rate: Fraction | None = None,
    threads: int = 0,
    deinterlace: Deinterlace = "no",
    damage: Damage | None = None,
) -> FrameSource:
    """Open a video or an animated picture for reading, decode its first frame and describe it.

    Args:
        path: the file or folder.
        kind: which of the two it is. An animated picture is a file, and known by its content.
        rate: how many frames a folder of pictures shows in a second, 25 by default. A file
            tells this itself.
        threads: the number of threads of the decoder; 0 lets it choose.
        deinterlace: what becomes of the interlaced frames of a file.
        damage: where the damage in a file is noted, which is then repaired; with None it is
            refused.

    Raises:
        InputError: if it is no video that can be decoded, or PyAV is missing.
        UsageError: if the rate is not positive.
    """
    if kind is Kind.FRAMES:
        return FolderSource(path, rate or FRAME_RATE)
    if may_be_animated(path):
        return AnimatedSource(path)
    _need_pyav(path, InputError)
    from enhance_cli.io.video.files import FileSource

    return FileSource(path, threads=threads, deinterlace=deinterlace, damage=damage)


def probe(path: Path) -> VideoInfo:
    """Describe a video file; its first frame is decoded for it.

    Raises:
        InputError: if it is no video that can be decoded, or PyAV is missing.
    """
    return open_source(path).info


def read_rgb8_frames(path: Path) -> Iterator[NDArray[np.uint8]]:
    """The frames of a video file, (H, W, 3) with 8 bits each; deeper ones are rounded, and
    transparency is placed on white.

    Raises:
        InputError: if it is no video that can be decoded, a frame is damaged, or PyAV is missing.
    """
    for frame in open_source(path).frames():
        seen = frame.pixels
        if frame.alpha is not None:
            seen = place_on_white(seen, frame.alpha)
        yield round_to_8_bits(seen)


def plan_sink(
    info: VideoInfo, target: Path, kind: Kind, size: FrameSize, options: EncodeOptions
) -> FrameSink:
    """Decide on everything about an output, and check before any work that it can be made.

    Args:
        info: the description of the input.
        target: the file or folder to be written.
        kind: which of the two it is.
        size: the size of the frames, before players turn them.
        options: what the user chose about the encoding. Folders and animated pictures have no
            use for it.

    Raises:
        UsageError: if an option is unknown or does not fit the codec.
        OutputError: if the container cannot hold the codec, the codec cannot hold the frames, a
            folder cannot be written, or PyAV is missing.
    """
    if kind is Kind.FRAMES:
        return FolderSink(info, target, size)
    _need_pyav(target, OutputError)
    if is_animation_name(target):
        from enhance_cli.io.video.animating import AnimatedSink

        return AnimatedSink(info, target, size)
    from enhance_cli.io.video.files import FileSink

    return FileSink(info, target, size, options)


def _need_pyav(path: Path, error: type[EnhanceError]) -> None:
    try:
        import av  # noqa: F401
    except ImportError as missing:
        raise error(f"{path}: videos need PyAV, run: pip install av") from missing
