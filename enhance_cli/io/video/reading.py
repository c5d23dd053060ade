"""The frames of video files."""

from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from enhance_cli.errors import InputError
from enhance_cli.io.video.clock import FrameClock, Joiner, count_joins
from enhance_cli.io.video.colour import ToRgb
from enhance_cli.io.video.deinterlacing import Deinterlacer, Timed, look_at
from enhance_cli.io.video.probing import (
    check_encryption,
    is_cut_off,
    opened,
    probe_file,
    reason,
)
from enhance_cli.io.video.scanning import Deinterlace
from enhance_cli.io.video.types import WHOLE, Clock, Frame, Pixels, Span, VideoInfo, exact_seconds

# Frames before the start of a span that are decoded with it, for those that are made of several.
_RUN_UP = 2  # seconds


class FileSource:
    """A video file; see :class:`~enhance_cli.io.video.types.FrameSource`.

    Args:
        path: the file.
        threads: the number of threads of the decoder; 0 lets it choose.
        deinterlace: what becomes of interlaced frames.

    Raises:
        InputError: if it is no video that can be decoded.
    """

    def __init__(self, path: Path, *, threads: int = 0, deinterlace: Deinterlace = "no") -> None:
        self.info: VideoInfo = probe_file(path)
        self._file = self.info  # as it is before anything is deinterlaced
        self._threads = threads
        self._converter: ToRgb | None = None
        self._deinterlacer: Deinterlacer | None = None
        if deinterlace != "no":
            self._look(deinterlace)

    def _look(self, deinterlace: Deinterlace) -> None:
        """Look whether frames are interlaced, and describe what becomes of them."""
        scanning = look_at(self._file, self._decodable())
        if scanning.is_changed(deinterlace):
            self._deinterlacer = Deinterlacer(self._file, scanning, deinterlace)
            self.info = self._deinterlacer.describe()
        if told := scanning.tell(deinterlace, self._file.rate):
            self.info = replace(self.info, notices=(*self.info.notices, told))

    def _decodable(self) -> Iterator[av.VideoFrame]:
        """The frames from the first on to the first damage."""
        with suppress(InputError):
            for _, _, frame in self._decode(None):
                yield frame

    def frames(self, span: Span = WHOLE, skip: int = 0) -> Iterator[Frame]:
        """The frames of a part of the file, decoded one by one from the first on.

        The file is open while the iterator is used, and closed with it.

        Args:
            span: the part that is read.
            skip: how many frames of that part are left out at its beginning.

        Raises:
            InputError: while iterating, if a frame is damaged or has another size than the
                first, or the span holds no frame.
        """
        start = self._ticks(span.start) if span.start else None
        end = None if span.end is None else self._ticks(span.end)
        selected = 0
        for number, time, frame in self._whole_frames(start):
            if end is not None and time >= end:
                break
            if start is not None and time < start:
                continue
            selected += 1
            if selected > skip:
                self._check_size(number, time, frame)
                duration = frame.duration or 0  # Converting the frame takes its times away.
                yield Frame(self._to_rgb(frame), time, duration)
        if not selected:
            length = f" of {self.info.seconds:.2f} s" if self.info.seconds else ""
            raise InputError(
                f"{self.info.path}: no frame between the start and end that were "
                f"given, choose them within the video{length}"
            )

    def _whole_frames(self, start: Fraction | None) -> Iterator[Timed]:
        """The frames from one at or before the start on, deinterlaced if that is asked for."""
        if self._deinterlacer is None:
            return self._decode_from(start)
        if start is not None:
            # Frames that are made of several must have those before them as in the whole video.
            start = start / self._deinterlacer.ticks - _RUN_UP / self._file.time_base
        return self._deinterlacer.run(self._decode_from(start))

    def _ticks(self, seconds: float) -> Fraction:
        """A time of the user's on the clock of the video, in units of its time base."""
        return self.info.first + exact_seconds(seconds) / self.info.time_base

    def _decode_from(self, start: Fraction | None) -> Iterator[Timed]:
        """The frames from one at or before the start on."""
        if start is not None and self._can_seek():
            frames = self._decode(int(start))
            try:
                first = next(frames, None)
            except InputError:  # What follows a jump need not decode; reading from the first may.
                first = None
            if first is not None and first[1] <= start:
                yield first
                yield from frames
                return
            frames.close()
        yield from self._decode(None)

    def _can_seek(self) -> bool:
        """Whether the frames after a jump have the times that they have without one."""
        if self.info.clock is not Clock.JOINED:
            return self.info.clock is Clock.SHOWN
        with opened(self.info.path) as container:
            return not count_joins(container)

    def _decode(self, seek: int | None) -> Generator[Timed, None, None]:
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
            clock = FrameClock(self._file.clock, self._file.rate, self._file.time_base)
            last: int | None = None
            for count, frame in enumerate(self._decoded(container, stream, seek)):
                number = count if seek is None else None
                last = self._checked_time(number, clock.time(frame), last)
                yield number, last, frame

    def _decoded(
        self, container: InputContainer, stream: VideoStream, seek: int | None
    ) -> Iterator[av.VideoFrame]:
        count, time = 0, None
        try:
            for packet in self._packets(container, stream):
                check_encryption(self.info.path, packet, stream)
                for frame in packet.decode():
                    if frame.is_corrupt:
                        if seek is not None and (frame.pts or 0) < seek:
                            continue  # It is predicted from frames before the jump.
                        raise self._damaged(count, frame.pts, "its data is not complete")
                    time = frame.pts
                    yield frame
                    count += 1
        except av.FFmpegError as error:
            raise self._damaged(count, time, reason(error)) from error
        if is_cut_off(self.info.path, stream):
            raise self._damaged(count, time, "the file is cut off there")

    def _packets(
        self, container: InputContainer, stream: VideoStream
    ) -> Iterator["av.Packet[VideoStream]"]:
        if self.info.clock is not Clock.JOINED:
            yield from container.demux(stream)
            return
        for packet in Joiner().demux(container):
            if packet.stream_index == stream.index:
                yield packet

    def _damaged(self, count: int, time: int | None, why: str) -> InputError:
        at = "" if time is None else f", {self._seconds(time):.3f} s"
        return InputError(
            f"{self.info.path}: damaged around frame {count}{at} ({why}); get a fresh copy, or "
            "cut the part before it with --end"
        )

    def _seconds(self, time: int) -> float:
        return float((time - self._file.first) * self._file.time_base)

    def _checked_time(self, number: int | None, time: int | None, last: int | None) -> int:
        named = "a frame" if number is None else f"frame {number}"
        if time is None:
            raise InputError(f"{self.info.path}: {named} has no time, remux it to Matroska")
        if last is not None and time <= last:
            raise InputError(
                f"{self.info.path}: {named} does not come after the one before it "
                f"({self._seconds(time):.3f} s), remux the video"
            )
        return time

    def _check_size(self, number: int | None, time: int, frame: av.VideoFrame) -> None:
        expected = self.info.width, self.info.height
        if (frame.width, frame.height) != expected:
            at = "" if number is None else f" at frame {number}"
            seconds = float((time - self.info.first) * self.info.time_base)
            raise InputError(
                f"{self.info.path}: the size changes from {expected[0]}x{expected[1]} to "
                f"{frame.width}x{frame.height}{at} "
                f"({seconds:.3f} s), split the video there"
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
