"""Animated pictures as sinks of frames."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from enhance_cli.errors import OutputError
from enhance_cli.io.files import replacing, replacing_folder
from enhance_cli.io.image import Picture, read_image, write_image
from enhance_cli.io.picture import round_to_8_bits
from enhance_cli.io.video.animated_files import (
    ANIMATIONS,
    AnimationFormat,
    Film,
    Patch,
    apng_delay,
)
from enhance_cli.io.video.folders import as_shown, plan_pictures
from enhance_cli.io.video.probing import join_notices
from enhance_cli.io.video.timing import last_duration
from enhance_cli.io.video.types import Frame, OutputPlan, Span, VideoInfo
from enhance_cli.sizes import FrameSize

DIGITS = 15  # of the times by which the pictures of a segment are named


class AnimatedSink:
    """An animated picture to be written; see :class:`~enhance_cli.io.video.types.FrameSink`.

    A segment is a folder of PNGs, each named by its time. Frames are turned as players show them.

    Args:
        info: the description of the input.
        target: the file; its suffix decides on the format, one of ``ANIMATIONS``.
        size: the size of the frames, before they are turned.

    Raises:
        OutputError: if the format cannot hold the size, or the folder cannot be written.
    """

    segment_suffix = ""

    def __init__(self, info: VideoInfo, target: Path, size: FrameSize) -> None:
        self._format = ANIMATIONS[target.suffix.lower()]
        plan = plan_pictures(info, target, target.parent, f"{self._format.name} files", size)
        if max(plan.width, plan.height) > self._format.max_side:
            raise OutputError(
                f"{target}: {plan.width}x{plan.height} pixels are too many, {self._format.name} "
                f"holds at most {self._format.max_side} a side: use .apng or .mp4"
            )
        told = (*plan.notices, *_losses(self._format, plan))
        self.plan: OutputPlan = replace(
            plan, depth=8, codec=self._format.name.lower(), notices=told
        )

    @contextmanager
    def segment(self, path: Path) -> Iterator["TimedPictures"]:
        """Write PNGs into a folder of their own in a ``with`` statement, whole or not at all.

        Raises:
            OutputError: if it cannot be written, for instance because the disk is full.
        """
        with replacing_folder(path) as temporary:
            yield TimedPictures(self.plan, temporary)

    def assemble(self, segments: Sequence[Path], span: Span, notice: Callable[[str], None]) -> None:
        """Put the PNGs of all segments into one file, whole or not at all.

        Raises:
            InputError: if a segment is damaged.
            OutputError: if the file cannot be written.
        """
        plan = self.plan
        paths = [path for segment in segments for path in sorted(segment.iterdir())]
        times = [int(path.stem) + plan.source.first for path in paths]
        ends = [*times[1:], times[-1] + last_duration(plan, times)]
        shown = _arrange(
            [(time - times[0]) * plan.time_base for time in (*times, ends[-1])], self._format
        )
        for text in (*join_notices(plan.source), *_time_notices(self._format, shown, len(paths))):
            notice(text)
        # What is transparent in a GIF shows the frame before, unless that is cleared as a whole.
        whole = plan.alpha and self._format.name == "GIF"
        chosen = [paths[place] for place in shown.places]
        patches = _patches(chosen, shown.seconds, alpha=plan.alpha, whole=whole)
        width, height = plan.width, plan.height
        if plan.source.quarter_turns % 2:
            width, height = height, width
        film = Film(width, height, plan.alpha, plan.source.plays, len(shown.places), patches)
        with replacing(plan.target) as temporary, temporary.open("wb") as file:
            self._format.write(file, film)


def _losses(format_: AnimationFormat, plan: OutputPlan) -> Iterator[str]:
    """What the format cannot hold of every frame."""
    if plan.source.depth > 8:
        yield f"{plan.source.depth}-bit samples are rounded to 8 bits"
    if format_.name == "GIF":
        seen = ", and every pixel is either seen or not" if plan.alpha else ""
        yield f"GIF holds 255 colours a frame{seen}: .webp and .apng hold all"


class TimedPictures:
    """Writes frames as PNGs of 8 bits that are named by their times.

    Args:
        plan: what is decided about the whole output.
        folder: the folder of the segment, which exists.
    """

    def __init__(self, plan: OutputPlan, folder: Path) -> None:
        self._source = plan.source
        self._folder = folder

    def write(self, frame: Frame) -> None:
        """Write one frame.

        Raises:
            OutputError: if it cannot be written.
        """
        pixels = as_shown(round_to_8_bits(frame.pixels), self._source)
        alpha = None
        if frame.alpha is not None:
            alpha = as_shown(round_to_8_bits(frame.alpha), self._source)
        name = f"{frame.time - self._source.first:0{DIGITS}}.png"
        write_image(self._folder / name, Picture(pixels, alpha))


@dataclass(frozen=True)
class _Shown:
    """Which frames are shown and how long.

    Attributes:
        places: the places of the frames among all.
        seconds: how long each of them stays.
        rounded: whether any of these times is another than it was.
        cut: whether a frame stays shorter, as the format holds no such time.
    """

    places: Sequence[int]
    seconds: Sequence[Fraction]
    rounded: bool
    cut: bool


def _arrange(times: Sequence[Fraction], format_: AnimationFormat) -> _Shown:
    """Choose frames and times that the format holds.

    Frames that follow too soon are left out, for browsers would show them longer than all others.

    Args:
        times: the seconds at which the frames appear, and the last one ends.
        format_: the format.
    """
    unit = format_.unit
    held = [time if unit is None else round(time / unit) * unit for time in times]
    places = [0]
    for place in range(1, len(times) - 1):
        if held[place] - held[places[-1]] >= format_.least:
            places.append(place)
    ends = [*(held[place] for place in places[1:]), held[-1]]
    stay = [end - held[place] for place, end in zip(places, ends, strict=True)]
    seconds = [min(max(each, format_.least), format_.most) for each in stay]
    if unit is None:
        seconds = [apng_delay(each) for each in seconds]
    cut = any(each > format_.most for each in stay)
    return _Shown(places, seconds, rounded=held != list(times), cut=cut)


def _time_notices(format_: AnimationFormat, shown: _Shown, count: int) -> Iterator[str]:
    """What the user should know of the times."""
    least = round(format_.least * 1000)
    if len(shown.places) < count:
        yield (
            f"{count - len(shown.places)} of {count} frames are left out: browsers show none in "
            f"{format_.name} for less than {least} ms"
        )
    if shown.rounded and format_.unit is not None:
        yield f"{format_.name} counts in {round(format_.unit * 1000)} ms: times are rounded to them"
    if shown.cut:
        yield f"frames stay for {float(format_.most):g} s at most in {format_.name}"


def _patches(
    paths: Sequence[Path], seconds: Sequence[Fraction], *, alpha: bool, whole: bool
) -> Iterator[Patch]:
    """What changes from frame to frame, or whole frames."""
    before: NDArray[np.uint8] | None = None
    for path, stays in zip(paths, seconds, strict=True):
        picture = read_image(path)
        pixels = round_to_8_bits(picture.pixels)
        if alpha:
            full = np.full(pixels.shape[:2], 255, np.uint8)
            covers = full if picture.alpha is None else round_to_8_bits(picture.alpha)
            pixels = np.dstack([pixels, covers])
        unchanged = np.zeros(pixels.shape[:2], np.bool_)
        top, bottom, left, right = 0, pixels.shape[0], 0, pixels.shape[1]
        if before is not None:
            unchanged = (pixels == before).all(2)
            if not whole:
                top, bottom = _extent(~unchanged.all(1))
                left, right = _extent(~unchanged.all(0))
        part = np.s_[top:bottom, left:right]
        yield Patch(np.ascontiguousarray(pixels[part]), left, top, unchanged[part], stays)
        before = pixels


def _extent(changed: NDArray[np.bool_]) -> tuple[int, int]:
    """The first and the last place that changed, from an even one on; one place if none did."""
    places = np.flatnonzero(changed)
    return (int(places[0]) // 2 * 2, int(places[-1]) + 1) if len(places) else (0, 1)
