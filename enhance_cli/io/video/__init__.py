"""Videos in and out: the one place to open, plan, encode and assemble from.

A video is decoded to frames of full-range R'G'B', encoded again in segments, and assembled with
everything else of its source. The libraries are imported when first needed: a machine that only
trains or enhances pictures need not have PyAV.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from enhance_cli.errors import EnhanceError, InputError, OutputError
from enhance_cli.io.video.types import (
    DEFAULT_RATE,
    VIDEO_SUFFIXES,
    Colour,
    EncodeOptions,
    Frame,
    FrameReader,
    OutputPlan,
    Pixels,
    SegmentWriter,
    StaticHdr,
    StreamInfo,
    VideoInfo,
)

__all__ = [
    "VIDEO_SUFFIXES",
    "Colour",
    "EncodeOptions",
    "Frame",
    "FrameReader",
    "OutputPlan",
    "Pixels",
    "SegmentWriter",
    "StaticHdr",
    "StreamInfo",
    "VideoInfo",
    "assemble",
    "open_frames",
    "output_suffix",
    "plan_output",
    "probe",
    "read_rgb8_frames",
    "segment_suffix",
    "write_segment",
]


def output_suffix(source: Path) -> str:
    """The suffix of a result: that of its input for MP4, MOV, Matroska and WebM, else ``.mkv``.

    Matroska holds nearly every kind of audio and subtitles that the other formats come with. A
    folder gives a folder.
    """
    if source.is_dir():
        return ""
    suffix = source.suffix.lower()
    return source.suffix if suffix in {".mp4", ".m4v", ".mov", ".mkv", ".webm"} else ".mkv"


def probe(path: Path, *, rate: Fraction | None = None) -> VideoInfo:
    """What a file, or a folder of numbered pictures, holds; decodes its first frame.

    Args:
        path: of the file or folder.
        rate: frames a second of a folder, 25 unless given.

    Raises:
        InputError: if it is no video that can be decoded.
    """
    if path.is_dir():
        from enhance_cli.io.video.frame_folders import probe_folder

        return probe_folder(path, rate or DEFAULT_RATE)
    _need_pyav(path, InputError)
    from enhance_cli.io.video.probing import probe_file

    return probe_file(path)


def open_frames(
    path: Path,
    *,
    start: float | None = None,
    end: float | None = None,
    skip: int = 0,
    rate: Fraction | None = None,
    threads: int = 0,
) -> FrameReader:
    """The frames with start <= time < end, less the first ``skip`` of them.

    Args:
        path: of a file, or a folder of numbered pictures.
        start, end: seconds from the first frame.
        skip: number of selected frames to leave out, for resuming.
        rate: frames a second of a folder, 25 unless given.
        threads: of the decoder; 0 is its own choice.

    Raises:
        InputError: if it is no video that can be decoded; while iterating, where a frame is
            damaged, changes its size, or none is selected.
    """
    if path.is_dir():
        from enhance_cli.io.video.frame_folders import FolderReader

        return FolderReader(path, rate or DEFAULT_RATE, start=start, end=end, skip=skip)
    _need_pyav(path, InputError)
    from enhance_cli.io.video.reading import FileReader

    return FileReader(path, start=start, end=end, skip=skip, threads=threads)


def read_rgb8_frames(path: Path) -> Iterator[NDArray[np.uint8]]:
    """The frames of a video file, (H, W, 3) of 8 bits; deeper ones are rounded.

    Raises:
        InputError: if it is no video that can be decoded, or a frame is damaged.
    """
    with open_frames(path) as reader:
        for frame in reader:
            deep = frame.pixels.dtype == np.uint16
            pixels = (frame.pixels.astype(np.uint32) + 128) // 257 if deep else frame.pixels
            yield pixels.astype(np.uint8, copy=False)


def plan_output(
    info: VideoInfo, target: Path, scale: int, options: EncodeOptions, *, folder: bool = False
) -> OutputPlan:
    """Decide on the output, and check before any work that it can be made.

    Args:
        info: of the input.
        target: with the suffix of a video, a file; with none or an existing folder, a folder
            of PNGs.
        scale: output pixels of an input pixel along one side.
        options: of the user.
        folder: whether the target is one, whatever its name looks like.

    Raises:
        UsageError: if an option is unknown or does not fit the codec.
        OutputError: if the container cannot hold the codec, or the codec the frames.
    """
    from enhance_cli.io.video.frame_folders import plan_folder, wants_folder

    if folder or wants_folder(target):
        return plan_folder(info, target, scale)
    _need_pyav(target, OutputError)
    from enhance_cli.io.video.planning import plan_file

    return plan_file(info, target, scale, options)


def segment_suffix(plan: OutputPlan) -> str:
    """Of the intermediate files; ``""`` for folders of PNGs.

    NUT keeps any time exactly, where Matroska would round to milliseconds.
    """
    return "" if plan.is_folder else ".nut"


def write_segment(plan: OutputPlan, path: Path) -> AbstractContextManager[SegmentWriter]:
    """Encode some frames to an intermediate file or folder, whole or not at all.

    Args:
        plan: of the whole output.
        path: of this segment; what is there is replaced.

    Raises:
        OutputError: if it cannot be written, also where the disk is full.
    """
    if plan.is_folder:
        from enhance_cli.io.video.frame_folders import write_folder_segment

        return write_folder_segment(plan, path)
    _need_pyav(path, OutputError)
    from enhance_cli.io.video.writing import write_file_segment

    return write_file_segment(plan, path)


def assemble(
    plan: OutputPlan,
    segments: Sequence[Path],
    target: Path,
    *,
    start: float | None = None,
    end: float | None = None,
    notice: Callable[[str], None],
) -> None:
    """Put the segments together with the other streams of the source, whole or not at all.

    Args:
        plan: with which the segments were written.
        segments: in order.
        target: file or folder; an existing file is replaced.
        start, end: as given to :func:`open_frames`: the other streams are cut alike, and the
            times of a video with a start count from it.
        notice: called with what is worth saying and was not among the plan's notices.

    Raises:
        InputError: if the source is gone or damaged.
        OutputError: if it cannot be written, also where the disk is full.
    """
    if plan.is_folder:
        from enhance_cli.io.video.frame_folders import assemble_folder

        assemble_folder(plan, segments, target)
        return
    _need_pyav(target, OutputError)
    from enhance_cli.io.video.assembling import assemble_file

    assemble_file(plan, segments, target, start=start, end=end, notice=notice)


def _need_pyav(path: Path, error: type[EnhanceError]) -> None:
    try:
        import av  # noqa: F401
    except ImportError as missing:
        raise error(f"{path}: videos need PyAV, run: pip install av") from missing
