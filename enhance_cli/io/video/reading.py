"""Frames out of video files."""

from collections.abc import Generator, Iterator
from fractions import Fraction
from math import isfinite
from pathlib import Path
from types import TracebackType
from typing import Self

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from enhance_cli.errors import InputError, UsageError
from enhance_cli.io.video.colour import ToRgb
from enhance_cli.io.video.probing import (
    check_encryption,
    is_cut_off,
    opened,
    probe_file,
    reason,
)
from enhance_cli.io.video.types import Frame, Pixels, VideoInfo


def check_range(start: float | None, end: float | None) -> None:
    """Raises UsageError unless 0 <= start < end, where given."""
    for name, value in (("start", start), ("end", end)):
        if value is not None and (not isfinite(value) or value < 0):
            raise UsageError(f"{name} {value}: must be a number of seconds from 0 on")
    if end is not None and (start or 0) >= end:
        raise UsageError(f"start {start or 0} and end {end}: the end must come after the start")


def exact_seconds(value: float) -> Fraction:
    """The fraction that a user means by a decimal: 0.1 is a tenth."""
    return Fraction(str(value))


class FileReader:
    """See :func:`enhance_cli.io.video.open_frames`."""

    def __init__(
        self,
        path: Path,
        *,
        start: float | None = None,
        end: float | None = None,
        skip: int = 0,
        threads: int = 0,
    ) -> None:
        check_range(start, end)
        self.info: VideoInfo = probe_file(path)
        self._start = self._ticks(start) if start else None
        self._end = None if end is None else self._ticks(end)
        self._skip = skip
        self._threads = threads
        self._converter: ToRgb | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return  # the file is closed with the iterator that reads it

    def __iter__(self) -> Iterator[Frame]:
        """The selected frames from the first on, each time anew.

        Raises:
            InputError: see :func:`enhance_cli.io.video.open_frames`.
        """
        selected = 0
        for number, frame in self._decode_from_start():
            time = frame.pts
            assert time is not None
            if self._end is not None and time >= self._end:
                break
            if self._start is not None and time < self._start:
                continue
            selected += 1
            if selected > self._skip:
                self._check_size(number, frame)
                duration = frame.duration or 0  # before converting, which takes the times away
                yield Frame(self._to_rgb(frame), time, duration)
        if not selected:
            length = f" of {self.info.seconds:.2f} s" if self.info.seconds else ""
            raise InputError(
                f"{self.info.path}: no frame between the start and end that were "
                f"given, choose them within the video{length}"
            )

    def _ticks(self, seconds: float) -> Fraction:
        """Time in units of the time base."""
        return self.info.first + exact_seconds(seconds) / self.info.time_base

    def _decode_from_start(self) -> Iterator[tuple[int | None, av.VideoFrame]]:
        """Frames from one at or before the start on; numbers are None after a jump."""
        if self._start is not None:
            frames = self._decode(int(self._start))
            try:
                first = next(frames, None)
            except InputError:  # it may be what follows a jump that does not decode
                first = None
            if first is not None and first[1].pts is not None and first[1].pts <= self._start:
                yield first
                yield from frames
                return
            frames.close()
        yield from self._decode(None)

    def _decode(self, seek: int | None) -> Generator[tuple[int | None, av.VideoFrame], None, None]:
        with opened(self.info.path) as container:
            stream = container.streams[self.info.stream]
            assert isinstance(stream, VideoStream)
            stream.codec_context.thread_count = self._threads
            stream.codec_context.thread_type = "AUTO"
            if seek is not None:
                try:
                    container.seek(seek, stream=stream)
                except av.FFmpegError:
                    return
            last: int | None = None
            for count, frame in enumerate(self._decoded(container, stream, seek)):
                number = count if seek is None else None
                self._check_time(number, frame, last)
                last = frame.pts
                yield number, frame

    def _decoded(
        self, container: InputContainer, stream: VideoStream, seek: int | None
    ) -> Iterator[av.VideoFrame]:
        count, time = 0, None
        try:
            for packet in container.demux(stream):
                check_encryption(self.info.path, packet, stream)
                for frame in packet.decode():
                    if frame.is_corrupt:
                        if seek is not None and (frame.pts or 0) < seek:
                            continue  # it leans on frames before the jump
                        raise self._damaged(count, frame.pts, "its data is not complete")
                    time = frame.pts
                    yield frame
                    count += 1
        except av.FFmpegError as error:
            raise self._damaged(count, time, reason(error)) from error
        if is_cut_off(self.info.path, stream):
            raise self._damaged(count, time, "the file is cut off there")

    def _damaged(self, count: int, time: int | None, why: str) -> InputError:
        at = "" if time is None else f", {self._seconds(time):.3f} s"
        return InputError(
            f"{self.info.path}: damaged around frame {count}{at} ({why}); get a fresh copy, or "
            "cut the part before it with --end"
        )

    def _seconds(self, time: int) -> float:
        return float((time - self.info.first) * self.info.time_base)

    def _check_time(self, number: int | None, frame: av.VideoFrame, last: int | None) -> None:
        named = "a frame" if number is None else f"frame {number}"
        if frame.pts is None:
            raise InputError(f"{self.info.path}: {named} has no time, remux it to Matroska")
        if last is not None and frame.pts <= last:
            raise InputError(
                f"{self.info.path}: {named} does not come after the one before it "
                f"({self._seconds(frame.pts):.3f} s), remux the video"
            )

    def _check_size(self, number: int | None, frame: av.VideoFrame) -> None:
        expected = self.info.width, self.info.height
        if (frame.width, frame.height) != expected:
            at = "" if number is None else f" at frame {number}"
            raise InputError(
                f"{self.info.path}: the size changes from {expected[0]}x{expected[1]} to "
                f"{frame.width}x{frame.height}{at} "
                f"({self._seconds(frame.pts or 0):.3f} s), split the video there"
            )

    def _to_rgb(self, frame: av.VideoFrame) -> Pixels:
        name = frame.format.name
        if self._converter is None or self._converter.pixel_format != name:
            self._converter = ToRgb(
                frame.width,
                frame.height,
                name,
                self.info.colour,
                centred=self.info.codec == "mjpeg",
            )
        return self._converter.convert(frame)
