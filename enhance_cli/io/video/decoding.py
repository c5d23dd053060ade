"""Frames decoded packet by packet, so that damage is found and its place is known.

A frame is damaged if the decoder rejects its packet, if it comes out with the decoder's mark that
data was missing or wrong, or if it never comes out because it builds on a packet that was rejected.
Not every decoder notices damage: those of HEVC, VP9 and DV often do not. That of motion JPEG does
if it is asked to be exact, and that of FFV1 tells of wrong checksums in its log alone. The marks of
transport streams on packets do not count: they also stand where recordings were joined.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from heapq import heappop, heappush
from math import inf
from pathlib import Path
from typing import Any, NamedTuple

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from enhance_cli.io.video.clock import FrameClock, Joiner
from enhance_cli.io.video.opening import check_encryption, reason
from enhance_cli.io.video.types import Clock

# A frame that has not come out after so many further packets is lost: H.264 and HEVC keep 16 back.
_LATEST = 17
# Each packet of these gives one frame; those of others may give none, such as a field of H.264.
_ONE_EACH = frozenset({"hevc", "av1"})
_LOGGING = "ffv1"  # tells of damage in its log only
_TRIED = 10  # packets of motion JPEG
_LATE = "it comes too late"
_MISSING = "nothing comes out of the decoder"
_INCOMPLETE = "its data is not complete"
_CHECKSUM = "a checksum is wrong"


class Decoded(NamedTuple):
    """A frame as the decoder gives it.

    Attributes:
        time: when it is shown, in units of the stream's time base; None if it is not known. That of
            the frame before stands for a damaged frame whose own time is not known.
        duration: how long it is shown, in the same unit; 0 if unknown.
        frame: the frame, None if it could not be decoded.
        damage: why it is damaged; empty if it is not.
    """

    time: int | None
    duration: int
    frame: av.VideoFrame | None
    damage: str = ""


class DamageError(Exception):
    """Something is damaged, and where it is is not yet known."""


@dataclass(eq=False)
class _Sent:
    """A packet that was given to the decoder, and what has come of it.

    Attributes:
        place: how many packets were sent before it.
        time, duration: of its frame.
        frame: its frame, once it has come out.
        damage: why its frame is damaged, empty if it is not known to be.
        doubt: why it would be damaged if it did not come out.
    """

    place: int
    time: int
    duration: int
    frame: av.VideoFrame | None = None
    damage: str = ""
    doubt: str = ""


class Decoder:
    """Decodes one stream of an open file, once.

    Args:
        path: the file.
        container: the file, opened and at the place where decoding begins.
        stream: the stream; nothing of it is decoded yet.
        clock: where the times of its frames come from.
        rate: how many frames are shown in a second.
        seek: the time to which the file was wound, if it was: frames before it that are not
            complete are predicted from frames that were not read, and are left out.

    Attributes:
        broken: why the file could not be read on, empty if it could be read to its end.
    """

    def __init__(
        self,
        path: Path,
        container: InputContainer,
        stream: VideoStream,
        clock: Clock,
        rate: Fraction,
        seek: int | None = None,
    ) -> None:
        self._path, self._container, self._stream = path, container, stream
        self._kind, self._seek = clock, seek
        unit = stream.time_base or Fraction(1, 1000)
        self._clock, self._step = FrameClock(clock, rate, unit), 1 / (rate * unit)
        self._context = stream.codec_context
        told = clock in (Clock.SHOWN, Clock.JOINED)
        self._one_each = told and self._context.codec.canonical_name in _ONE_EACH
        self.broken = ""

    def quickly(self) -> Iterator[Decoded]:
        """Decode with any number of threads.

        Raises:
            DamageError: at the first damage. The frames before it were given out, most of them.
        """
        waiting: list[int] = []  # the times of packets whose frames have not come out
        last = inf  # Frames before the first one may build on some that were not read.
        for packet in self._packets():
            if self._one_each and packet.pts is not None and not packet.is_discard:
                heappush(waiting, packet.pts)
            frames, damage = self._decode(packet)
            for frame in frames:
                if frame.is_corrupt:
                    if not self._is_before(frame.pts):
                        raise DamageError
                    continue
                time = self._clock.time(frame)
                while waiting and time is not None and waiting[0] <= time:
                    if last < heappop(waiting) < time:
                        raise DamageError
                last = last if time is None else time
                yield Decoded(time, frame.duration or 0, frame)
            if damage:
                raise DamageError
        if any(time > last for time in waiting):
            raise DamageError

    def carefully(self) -> Iterator[Decoded]:
        """Decode and name what is damaged; the decoder must have one thread.

        Frames come in the order of their times, those that could not be decoded among them.
        """
        if self._kind in (Clock.SHOWN, Clock.JOINED):
            return self._by_times()
        return self._by_order()

    def _is_before(self, time: int | None) -> bool:
        return self._seek is not None and (time or 0) < self._seek

    def _packets(self) -> Iterator["av.Packet[VideoStream]"]:
        try:
            if self._kind is not Clock.JOINED:
                packets: Iterator[Any] = self._container.demux(self._stream)
            else:
                packets = Joiner().demux(self._container)
            for packet in packets:
                # The index in the packet itself is 0 in those that empty the decoders.
                if packet.stream.index == self._stream.index:
                    check_encryption(self._path, packet, self._stream)
                    yield packet
        except av.FFmpegError as error:
            self.broken = reason(error)
            last: Any = av.Packet()  # Without data it empties the decoder.
            last.stream = self._stream
            yield last

    def _decode(self, packet: "av.Packet[VideoStream]") -> tuple[list[av.VideoFrame], str]:
        """The frames that come out for a packet, and what is damaged in it, empty for nothing."""
        try:
            if self._context.name != _LOGGING:
                return packet.decode(), ""
            with _logged() as logs:
                frames = packet.decode()
            return frames, _CHECKSUM if any("CRC mismatch" in text for *_, text in logs) else ""
        except MemoryError:
            raise
        except av.FFmpegError as error:
            return [], reason(error)

    def _by_times(self) -> Iterator[Decoded]:
        """Each packet tells the time of its frame, so it is known what does not come out.

        After damage decoders may give out frames in another order than that of their times.
        """
        waiting: list[_Sent] = []
        rejected: _Sent | None = None  # the last one, until a frame of a later one comes out
        last: int | None = None
        for place, packet in enumerate(self._packets()):
            sent = _Sent(place, packet.pts or 0, packet.duration or 0)
            if packet.size and packet.pts is not None and not packet.is_discard:
                waiting.append(sent)
            frames, damage = self._decode(packet)
            if damage and not frames:
                sent.damage, rejected = damage, sent
            elif rejected is not None:
                sent.doubt = rejected.damage
            elif self._one_each and last is not None:
                sent.doubt = _MISSING
            if damage and not packet.size:  # What is left in the decoder does not come out.
                for other in waiting:
                    other.doubt = damage
            for frame in frames:
                if frame.pts is None:
                    yield Decoded(None, 0, frame)
                    continue
                own = _find(waiting, frame.pts, place)
                if frame.is_corrupt and self._is_before(own.time):
                    waiting.remove(own)
                    continue
                own.frame = frame
                own.damage = own.damage or damage or (_INCOMPLETE if frame.is_corrupt else "")
                if rejected is not None and own.place > rejected.place:
                    rejected = None
            for due in _take_due(waiting, place if packet.size else None):
                why = due.damage or ("" if due.frame else due.doubt)
                if last is not None and due.time <= last:  # Its time is damaged, too.
                    if due.damage or due.frame:
                        yield Decoded(last, 0, None, why or _LATE)
                elif why or due.frame:
                    last = due.time
                    duration = due.frame.duration if due.frame else due.duration
                    yield Decoded(due.time, duration or 0, due.frame, why)

    def _by_order(self) -> Iterator[Decoded]:
        """Packets do not tell the times of frames, but frames come out in the order of times."""
        sent = shown = lag = 0
        first: int | None = None
        rejected: int | None = None  # the place of the last such packet, while it may matter
        damage = ""
        for packet in self._packets():
            first = packet.dts if first is None else first
            frames, why = self._decode(packet)
            if why and not frames:
                lag = sent - shown if rejected is None else lag
                rejected, damage = sent, why
            for frame in frames:
                if rejected is not None:
                    lag = lag if shown else self._context.reorder_depth
                    for time in self._missing(sent - lag - shown, frame, first):
                        shown += 1
                        yield Decoded(time, 0, None, damage)
                shown += 1
                why = why or (_INCOMPLETE if frame.is_corrupt else "")
                yield Decoded(self._clock.time(frame), frame.duration or 0, frame, why)
            sent += packet.size > 0
            if rejected is not None and sent - rejected > _LATEST:
                rejected = None
        if rejected is not None:
            for time in self._missing(sent - shown, None, first):
                yield Decoded(time, 0, None, damage)

    def _missing(
        self, count: int, frame: av.VideoFrame | None, first: int | None
    ) -> Iterator[int | None]:
        """The times of the frames that are missing before a frame, or at the end.

        Args:
            count: how many packets gave no frame. AVI tells better by the frame's own time.
            frame: the frame, None at the end.
            first: the time at which the first packet is decoded.
        """
        if self._kind is Clock.COUNTED or frame is None or frame.dts is None:
            for _ in range(count):
                yield self._clock.skip()
            return
        last = self._clock.last
        if last is None:
            last = round((first or 0) + (self._context.reorder_depth - 1) * self._step)
        for place in range(1, round((frame.dts - last) / self._step)):
            yield last + round(place * self._step)


def _find(waiting: list[_Sent], time: int, place: int) -> _Sent:
    """The packet of a frame, among those that were sent."""
    for sent in waiting:
        if sent.time == time and sent.frame is None:
            return sent
    waiting.append(_Sent(place, time, 0))
    return waiting[-1]


def _take_due(waiting: list[_Sent], place: int | None) -> Iterator[_Sent]:
    """Take out those packets, by time, of which it is known whether their frame comes out.

    Args:
        waiting: the packets.
        place: the place of the last packet; None if no more follow.
    """
    waiting.sort(key=lambda sent: sent.time)
    while waiting and (
        waiting[0].frame is not None or place is None or place - waiting[0].place >= _LATEST
    ):
        yield waiting.pop(0)


def set_up(stream: VideoStream, threads: int, *, exact: bool) -> None:
    """Set up the decoder of a stream of which nothing is decoded yet.

    Args:
        stream: the stream.
        threads: the number of threads; 0 lets the decoder choose.
        exact: whether it rejects motion JPEG that breaks off, of which it shows the beginning else.
    """
    stream.codec_context.thread_count = threads
    stream.codec_context.thread_type = "AUTO"
    if exact and stream.codec_context.name == "mjpeg":
        stream.codec_context.options = {"err_detect": "explode"}


def tells_at_once(codec: str) -> bool:
    """Whether a decoder tells of damage with several threads too; the log of FFV1 would not."""
    return codec != _LOGGING


def bears_exactness(container: InputContainer, stream: VideoStream) -> bool:
    """Whether an exact decoder takes most of the first frames.

    Some cameras end each picture too early, which is no damage then.
    """
    set_up(stream, 1, exact=True)
    good = bad = 0
    for packet in container.demux(stream):
        try:
            good += len(packet.decode())
        except av.FFmpegError:
            bad += 1
        if good + bad >= _TRIED:
            break
    return good >= bad


@contextmanager
def _logged() -> Iterator[list[Any]]:
    """Gather what FFmpeg logs in this thread in a ``with`` statement."""
    before = av.logging.get_level()
    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture() as logs:
            yield logs
    finally:
        av.logging.set_level(before)
