"""Folders of numbered pictures as sources and sinks of frames."""

import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from enhance_cli.errors import InputError, UsageError
from enhance_cli.io.files import replacing_folder
from enhance_cli.io.image import Picture, check_writable, find_images, read_image, write_image
from enhance_cli.io.jobs import Kind
from enhance_cli.io.video.types import (
    SRGB,
    WHOLE,
    Clock,
    Frame,
    OutputPlan,
    Pixels,
    Span,
    VideoInfo,
    exact_seconds,
)
from enhance_cli.sizes import FrameSize

NUMBER = re.compile(r"\d+")
DIGITS = 6  # in the names of pictures that are made of a video file


class FolderSource:
    """A folder of numbered pictures; see :class:`~enhance_cli.io.video.types.FrameSource`.

    The time of a frame is its place in the folder, counted from 0.

    Args:
        folder: the folder.
        rate: how many pictures are shown in a second.

    Raises:
        InputError: if there are no pictures, one has no number, a number is missing, or the
            first picture cannot be read.
        UsageError: if the rate is not positive.
    """

    def __init__(self, folder: Path, rate: Fraction) -> None:
        self.info: VideoInfo = _describe(folder, rate)

    def frames(self, span: Span = WHOLE, skip: int = 0) -> Iterator[Frame]:
        """The frames of a part of the folder, read one by one.

        Args:
            span: the part that is read.
            skip: how many frames of that part are left out at its beginning.

        Raises:
            InputError: if the span holds no picture; while iterating, if a picture cannot be
                read, or has another size or depth than the first.
        """
        count, rate = len(self.info.names), self.info.rate
        begin = ceil(exact_seconds(span.start) * rate) if span.start else 0
        stop = count if span.end is None else min(count, ceil(exact_seconds(span.end) * rate))
        if begin >= stop:
            raise InputError(
                f"{self.info.path}: no picture between start {span.start or 0} and end "
                f"{span.end}, it has {count} at {rate} a second"
            )
        return self._read_all(range(begin + skip, stop))

    def _read_all(self, places: range) -> Iterator[Frame]:
        for place in places:
            pixels, alpha = self._read(self.info.path / self.info.names[place])
            yield Frame(pixels, place, 1, alpha)

    def _read(self, path: Path) -> tuple[Pixels, Pixels | None]:
        picture = read_image(path)
        info = self.info
        if (picture.width, picture.height) != (info.width, info.height):
            raise InputError(
                f"{path}: {picture.width}x{picture.height} pixels, the frames before "
                f"it have {info.width}x{info.height}: make them all alike"
            )
        depth = picture.pixels.dtype.itemsize * 8
        if depth != info.depth:
            raise InputError(
                f"{path}: {depth}-bit, the frames before it have {info.depth} bits: "
                "make them all alike"
            )
        return np.repeat(picture.pixels, 3 // picture.pixels.shape[2], axis=2), picture.alpha


def _describe(folder: Path, rate: Fraction) -> VideoInfo:
    """Describe a folder by its names and its first picture, which stands for all."""
    if rate <= 0:
        raise UsageError(f"rate {rate}: must be more than 0 frames a second")
    paths = numbered_pictures(folder)
    first = read_image(paths[0])
    depth = first.pixels.dtype.itemsize * 8
    return VideoInfo(
        path=folder,
        width=first.width,
        height=first.height,
        depth=depth,
        pixel_format=_pixel_format(depth),
        colour=SRGB,
        hdr=None,
        sample_aspect_ratio=Fraction(1),
        rotation=0,
        time_base=1 / rate,
        rate=rate,
        frames=len(paths),
        seconds=float(len(paths) / rate),
        kind=Kind.FRAMES,
        names=tuple(path.name for path in paths),
        codec="png",
        alpha=first.alpha is not None,
    )


def _pixel_format(depth: int) -> str:
    return "rgb24" if depth == 8 else "rgb48le"


def numbered_pictures(folder: Path) -> list[Path]:
    """The pictures of a folder, in the order of the numbers in their names.

    Raises:
        InputError: if there are no pictures, one has no number, two have the same number, or a
            number between the first and the last is missing.
    """
    paths = find_images(folder)
    if not paths:
        raise InputError(f"{folder}: no pictures in this folder, name one with numbered pictures")
    by_number: dict[int, Path] = {}
    for path, number in zip(paths, _frame_numbers(paths), strict=True):
        if number in by_number:
            raise InputError(
                f"{path}: has the number {number} as {by_number[number].name} does, "
                "move one of them away"
            )
        by_number[number] = path
    ordered = sorted(by_number)
    for before, after in zip(ordered, ordered[1:], strict=False):
        if after != before + 1:
            raise InputError(
                f"{folder}: frame {before + 1} is missing between "
                f"{by_number[before].name} and {by_number[after].name}, number them "
                "without gaps"
            )
    return [by_number[number] for number in ordered]


def _frame_numbers(paths: Sequence[Path]) -> list[int]:
    """The number of each picture: the last in its name that is not the same in all names.

    Names end with the same number where something was done to all pictures, as in
    ``frame_0001_x2.png``.

    Raises:
        InputError: if a name has no number.
    """
    numbers = [[int(digits) for digits in NUMBER.findall(path.stem)] for path in paths]
    for path, found in zip(paths, numbers, strict=True):
        if not found:
            raise InputError(
                f"{path}: has no number, the frames of a video are numbered: rename "
                "it or move it away"
            )
    for place in range(1, min(map(len, numbers)) + 1):
        if len({found[-place] for found in numbers}) > 1:
            return [found[-place] for found in numbers]
    return [found[-1] for found in numbers]


class FolderSink:
    """A folder of PNGs to be written; see :class:`~enhance_cli.io.video.types.FrameSink`.

    PNGs cannot say how they are to be turned, so the frames are turned as players show them.

    Args:
        info: the description of the input.
        target: the folder.
        size: the size of the frames, before they are turned.

    Raises:
        OutputError: if the folder cannot be written.
    """

    segment_suffix = ""

    def __init__(self, info: VideoInfo, target: Path, size: FrameSize) -> None:
        self.plan: OutputPlan = plan_pictures(info, target, target, "PNGs", size)

    @contextmanager
    def segment(self, path: Path) -> Iterator["FolderSegmentWriter"]:
        """Write PNGs into a folder of their own in a ``with`` statement, whole or not at all.

        Raises:
            OutputError: if it cannot be written, for instance because the disk is full.
        """
        with replacing_folder(path) as temporary:
            yield FolderSegmentWriter(self.plan, temporary)

    def assemble(self, segments: Sequence[Path], span: Span, notice: Callable[[str], None]) -> None:
        """Put the PNGs of all segments into the output folder, all or none of them.

        Pictures keep the names of those that they were made from; frames of a video file are
        numbered from 0. If the folder exists already, pictures of the same names are replaced.

        Raises:
            OutputError: if the folder cannot be written.
        """
        sources = [path for segment in segments for path in sorted(segment.iterdir())]
        if self.plan.source.names:
            order = {Path(name).stem: place for place, name in enumerate(self.plan.source.names)}
            sources.sort(key=lambda path: order[path.stem])
            names = [path.name for path in sources]
        else:
            names = [f"{number:0{DIGITS}}.png" for number in range(len(sources))]
        if self.plan.source.clock is Clock.JOINED:
            from enhance_cli.io.video.probing import join_notices  # It needs PyAV.

            for text in join_notices(self.plan.source):
                notice(text)
        with replacing_folder(self.plan.target) as temporary:
            for source, name in zip(sources, names, strict=True):
                _link_or_copy(source, temporary / name)


def plan_pictures(
    info: VideoInfo, target: Path, folder: Path, name: str, size: FrameSize
) -> OutputPlan:
    """Decide on an output that is made of pictures.

    Args:
        info: the description of the input.
        target: the output.
        folder: where it is written.
        name: what the user knows such outputs as, in the plural.
        size: the size of the frames, before they are turned.

    Raises:
        OutputError: if the folder cannot be written.
    """
    width, height = size.rounded()
    shown = (height, width) if info.quarter_turns % 2 else (width, height)
    depth = 8 if info.depth == 8 else 16
    check_writable(folder / "0.png", shown[1], shown[0], depth=depth, alpha=info.alpha)
    return OutputPlan(
        source=info,
        target=target,
        container="",
        width=width,
        height=height,
        sample_aspect_ratio=size.aspect,
        codec="png",
        encoder="",
        encoder_options=(),
        pixel_format=_pixel_format(depth),
        depth=depth,
        colour=info.colour,
        time_base=info.time_base,
        rate=info.rate,
        notices=(*info.notices, *_losses(info, size.aspect, name)),
        alpha=info.alpha,
    )


def _losses(info: VideoInfo, aspect: Fraction, name: str) -> Iterator[str]:
    """What a video file holds and pictures cannot."""
    if info.kind is Kind.FRAMES:
        return
    left = sorted({stream.kind for stream in info.streams if stream.index != info.stream})
    if left:
        yield f"{name} hold only pictures: {', '.join(left)} left out"
    if info.hdr:
        yield f"{name} do not say that their values are HDR ({info.hdr})"
    if aspect != 1:
        yield (
            f"{name} have square pixels: the pixel aspect ratio {aspect} is lost, name a --size to "
            "keep the shape"
        )


class FolderSegmentWriter:
    """Writes frames as PNGs.

    Args:
        plan: what is decided about the whole output.
        folder: the folder of the segment, which exists.
    """

    def __init__(self, plan: OutputPlan, folder: Path) -> None:
        self._plan = plan
        self._folder = folder
        self._count = 0

    def write(self, frame: Frame) -> None:
        """Write one frame.

        Raises:
            OutputError: if it cannot be written.
        """
        names = self._plan.source.names
        name = Path(names[frame.time]).stem if names else f"{self._count:0{DIGITS}}"
        pixels = as_shown(frame.pixels, self._plan.source)
        alpha = None if frame.alpha is None else as_shown(frame.alpha, self._plan.source)
        write_image(self._folder / f"{name}.png", Picture(pixels, alpha))
        self._count += 1


def as_shown(pixels: Pixels, info: VideoInfo) -> Any:
    """Turn and mirror a frame as players do."""
    if not info.mirrored:
        return np.ascontiguousarray(np.rot90(pixels, info.quarter_turns))
    # A pixel (x, y) is shown at (a x + c y, b x + d y), but for a shift.
    a, b, _, c, d = info.display_matrix[:5]
    if abs(b) > abs(a):
        pixels, a, d = pixels.swapaxes(0, 1), c, b
    return np.ascontiguousarray(pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # The target is on another disk, or its file system has no links.
        shutil.copyfile(source, target)
