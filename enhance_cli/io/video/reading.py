"""The frames of video files."""

from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
from av.video.stream import VideoStream

from enhance_cli.errors import InputError
from enhance_cli.io.video.clock import count_joins
from enhance_cli.io.video.colour import ToRgb
from enhance_cli.io.video.damage import Damage
from enhance_cli.io.video.decoding import (
    DamageError,
    Decoded,
    Decoder,
    bears_exactness,
    set_up,
    tells_at_once,
)
from enhance_cli.io.video.deinterlacing import Deinterlacer, Timed, look_at
from enhance_cli.io.video.opening import is_cut_off, opened
from enhance_cli.io.video.probing import probe_file
from enhance_cli.io.video.program import hint, read_frame_times
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
        damage: where damage is noted. What cannot be decoded is replaced by the frame before it, or
            at the beginning by the one after it, and a file that is cut off ends there. With None
            both are refused.

    Raises:
        InputError: if it is no video that can be decoded.
    """

    def __init__(
        self,
        path: Path,
        *,
        threads: int = 0,
        deinterlace: Deinterlace = "no",
        damage: Damage | None = None,
    ) -> None:
        self.info: VideoInfo = probe_file(path)
        self._file = self.info  # as it is before anything is deinterlaced
        self._threads = threads
        self._damage = damage
        self._exact: bool | None = None
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
            for _, _, frame in self._decode(None, WHOLE):
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
        for number, time, frame in self._whole_frames(start, span):
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

    def _whole_frames(self, start: Fraction | None, span: Span) -> Iterator[Timed]:
        """The frames from one at or before the start on, deinterlaced if that is asked for."""
        if self._deinterlacer is None:
            return self._decode_from(start, span)
        if start is not None:
            # Frames that are made of several must have those before them as in the whole video.
            start = start / self._deinterlacer.ticks - _RUN_UP / self._file.time_base
        return self._deinterlacer.run(self._decode_from(start, span))

    def _ticks(self, seconds: float) -> Fraction:
        """A time of the user's on the clock of the video, in units of its time base."""
        return self.info.first + exact_seconds(seconds) / self.info.time_base

    def _decode_from(self, start: Fraction | None, span: Span) -> Iterator[Timed]:
        """The frames from one at or before the start on; damage outside the span is not refused."""
        if start is not None and self._can_seek():
            frames = self._decode(int(start), span)
            try:
                first = next(frames, None)
            except InputError:  # What follows a jump need not decode; reading from the first may.
                first = None
            if first is not None and first[1] <= start:
                yield first
                yield from frames
                return
            frames.close()
        yield from self._decode(None, span)

    def _can_seek(self) -> bool:
        """Whether the frames after a jump have the times that they have without one."""
        if self.info.clock is not Clock.JOINED:
            return self.info.clock is Clock.SHOWN
        with opened(self.info.path) as container:
            return not count_joins(container)

    def _decode(self, seek: int | None, span: Span) -> Generator[Timed, None, None]:
        """All frames, or those from a jump on; damaged ones are noted and replaced, or refused.

        None come after a jump to damage, for what takes its place is in frames before it.
        """
        count = 0
        last: int | None = None
        before: av.VideoFrame | None = None
        known: Iterator[int] | None = None  # from the program, once packets fail to tell
        early: list[Decoded] = []  # damaged ones that have no frame before them
        for decoded in self._decoded(seek):
            number = count if seek is None else None
            if decoded.damage and decoded.frame is None and decoded.time == last:
                self._note(number, decoded, span)
                continue
            count += 1
            time = decoded.time
            if not decoded.damage:
                if known is None and (time is None or (last is not None and time <= last)):
                    known = self._times_after(last, started=seek is None)
                time = time if known is None else next(known, time)
            last = self._checked_time(number, time, last)
            if decoded.damage:
                self._note(number, decoded, span)
            if decoded.damage and before is None and seek is not None:
                return
            if decoded.frame is None and before is None:
                early.append(decoded)
                continue
            frame = before = decoded.frame or before
            assert frame is not None
            for place, item in enumerate(early):
                frame.duration = item.duration
                yield place, item.time or 0, frame
            early.clear()
            frame.duration = decoded.duration
            yield number, last, frame

    def _decoded(self, seek: int | None) -> Iterator[Decoded]:
        """The frames as they are decoded: with all threads to the first damage, then with one.

        With several threads damage is told late, and frames that others are working on are lost.
        """
        last: int | None = None
        if tells_at_once(self._file.codec):
            try:
                for decoded in self._opened(seek, self._threads, careful=False):
                    last = decoded.time
                    yield decoded
                return
            except DamageError:
                pass
        for decoded in self._opened(seek, 1, careful=True):
            if last is None or decoded.time is None or decoded.time > last:
                yield decoded

    def _opened(self, seek: int | None, threads: int, *, careful: bool) -> Iterator[Decoded]:
        with opened(self.info.path) as container:
            stream = container.streams[self.info.stream]
            assert isinstance(stream, VideoStream)
            set_up(stream, threads, exact=self._is_exact())
            if seek is not None:
                try:
                    container.seek(seek, stream=stream)
                except av.FFmpegError:
                    return
            file = self._file
            decoder = Decoder(file.path, container, stream, file.clock, file.rate, seek)
            time, count = file.first, 0
            for decoded in decoder.carefully() if careful else decoder.quickly():
                time, count = decoded.time or time, count + 1
                yield decoded
            if decoder.broken or is_cut_off(file.path, stream):
                why = decoder.broken or "the file is cut off there"
                if self._damage is None:
                    raise self._refusal(count if seek is None else None, time, why)
                self._damage.end = self._seconds(time)

    def _times_after(self, last: int | None, *, started: bool) -> Iterator[int]:
        """The times of the frames after one, or of all from the first on, as the program tells.

        There are none where the program does not know the one before either.
        """
        file = self._file
        times = read_frame_times(file.path, file.stream, file.time_base)
        if last is None:
            return iter(times if started else ())
        return iter(times[times.index(last) + 1 :] if last in times else ())

    def _is_exact(self) -> bool:
        """Whether the decoder shall reject what is not complete."""
        if self._exact is None:
            self._exact = self._file.codec != "mjpeg"
            if not self._exact:
                with opened(self.info.path) as container:
                    stream = container.streams[self.info.stream]
                    assert isinstance(stream, VideoStream)
                    self._exact = bears_exactness(container, stream)
        return self._exact

    def _note(self, number: int | None, decoded: Decoded, span: Span) -> None:
        time = self._file.first if decoded.time is None else decoded.time
        seconds = self._seconds(time)
        if self._damage is not None:
            self._damage.frames[seconds] = decoded.frame is not None
        elif span.holds(seconds):
            raise self._refusal(number, time, decoded.damage)

    def _refusal(self, number: int | None, time: int, why: str) -> InputError:
        at = "" if number is None else f"frame {number}, "
        return InputError(
            f"{self.info.path}: damaged at {at}{float(self._seconds(time)):.3f} s ({why}); get a "
            "fresh copy, or cut the part before it with --end"
        )

    def _seconds(self, time: int) -> Fraction:
        return (time - self._file.first) * self._file.time_base

    def _checked_time(self, number: int | None, time: int | None, last: int | None) -> int:
        named = "a frame" if number is None else f"frame {number}"
        if time is None:
            raise InputError(f"{self.info.path}: {named} has no time, remux it to Matroska{hint()}")
        if last is not None and time <= last:
            raise InputError(
                f"{self.info.path}: {named} does not come after the one before it "
                f"({float(self._seconds(time)):.3f} s), remux the video{hint()}"
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
