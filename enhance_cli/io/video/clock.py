"""The times of frames in containers that do not tell them, or tell them wrongly.

Most files tell when each frame is shown. Three kinds of files need more care: raw streams have no
times at all, AVI tells only when a frame is decoded, and the clock of transport and program streams
starts anew where recordings are joined.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from typing import Any

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from enhance_cli.io.video.types import Clock

# FFmpeg's names of the formats that hold one stream of video and nothing else.
RAW_FORMATS = frozenset(
    {"h264", "hevc", "vvc", "m4v", "mpegvideo", "vc1", "cavsvideo", "dirac", "h263", "h261"}
)
# As in FFmpeg: a stream that falls back by more, or leaps ahead by more, has a new clock.
BACKWARD, FORWARD = Fraction(1, 10), 10
_PACKED_FRAMES = 32  # that are decoded to find packed ones


def clock_of(container: InputContainer) -> Clock:
    """Where the times of a file's frames come from, by its format."""
    name = container.format.name
    if name in RAW_FORMATS:
        return Clock.COUNTED
    if name == "avi":
        return Clock.DECODED
    return Clock.JOINED if name in ("mpegts", "mpeg") else Clock.SHOWN


@dataclass(frozen=True)
class Window:
    """The part of the source that is kept, in seconds on the clock of the file.

    Attributes:
        begin: what is before it is cut; None keeps everything from the beginning.
        end: what is at or after it is cut; None keeps everything to the end.
        shift: the seconds that are subtracted from all times.
    """

    begin: Fraction | None = None
    end: Fraction | None = None
    shift: Fraction = Fraction(0)

    def holds(self, time: Fraction) -> bool:
        """Whether what begins at a time, on the clock of the file, is kept."""
        return (self.begin is None or time >= self.begin) and (self.end is None or time < self.end)


class FrameClock:
    """Tells the time of each frame of a file, from the first one on.

    Args:
        clock: where the times come from.
        rate: how many frames are shown in a second.
        time_base: the seconds that one unit of time stands for.

    Attributes:
        last: the time of the last frame; None before the first one, or if it is not known.
    """

    def __init__(self, clock: Clock, rate: Fraction, time_base: Fraction) -> None:
        self._clock = clock
        self._step = 1 / (rate * time_base)
        self._count = 0
        self.last: int | None = None
        self._ahead = 0  # by how much the first frame is decoded later than it is shown

    def time(self, frame: av.VideoFrame) -> int | None:
        """The time of the next frame, in units of the time base; None if it is not known."""
        if self._clock is Clock.COUNTED:
            time: int | None = round(self._count * self._step)
        elif self._clock in (Clock.DECODED, Clock.PACKED):
            time = frame.dts
            if self._clock is Clock.PACKED and time is not None:
                if self._count == 0 and frame.pts is not None:
                    self._ahead = time - frame.pts
                time -= self._ahead
            if time is None:  # The frames that come out last have no packet of their own.
                time = frame.pts if self.last is None else self.last + round(self._step)
        else:
            time = frame.pts
        self._count += 1
        self.last = time
        return time

    def skip(self) -> int | None:
        """The time of a frame that did not come out of the decoder."""
        if self._clock is Clock.COUNTED:
            self.last = round(self._count * self._step)
        elif self.last is not None:
            self.last += round(self._step)
        self._count += 1
        return self.last


class Joiner:
    """Puts the parts of a joined recording on one clock, packet by packet.

    A part begins where the times of some stream fall back or leap ahead. It is moved to where the
    parts before it end, in all streams alike.

    Attributes:
        joins: how many times the clock started anew.
    """

    def __init__(self) -> None:
        self._offsets = [Fraction(0)]  # of each part, in seconds
        self._parts: dict[int, int] = {}  # the part that each stream is in
        self._ends: dict[int, Fraction] = {}  # where the last packet of each stream ends
        self._extra: dict[int, Fraction] = {}  # what keeps the packets of a stream from overlapping

    @property
    def joins(self) -> int:
        """How many times the clock started anew."""
        return len(self._offsets) - 1

    def demux(self, container: InputContainer) -> Iterator["av.Packet[Any]"]:
        """All packets of a file, with their times on one clock."""
        for packet in container.demux():
            if packet.dts is not None and packet.stream.type in ("video", "audio"):
                self._follow(packet)
            self._move(packet)
            yield packet

    def _follow(self, packet: "av.Packet[Any]") -> None:
        assert packet.dts is not None
        index, unit = packet.stream_index, packet.time_base
        raw = packet.dts * unit
        end = self._ends.get(index)
        if end is not None:
            time = raw + self._offset(index)
            if time < end - BACKWARD or time > max(self._ends.values()) + FORWARD:
                self._begin_part(index, raw, end)
        self._ends[index] = raw + self._offset(index) + (packet.duration or 0) * unit

    def _begin_part(self, index: int, raw: Fraction, end: Fraction) -> None:
        part = self._parts.get(index, 0) + 1
        self._parts[index] = part
        self._extra[index] = Fraction(0)
        if part == len(self._offsets):  # No other stream has come to this part before.
            last = max(self._ends.values())
            # Streams seldom end together. The first to come on goes on without a gap if it can.
            self._offsets.append((end if last - end <= BACKWARD else last) - raw)
        self._extra[index] = max(Fraction(0), end - (raw + self._offsets[part]))

    def _offset(self, index: int) -> Fraction:
        """What is added to the times of a stream; streams without a clock follow the others."""
        part = self._parts.get(index, 0 if index in self._ends else self.joins)
        return self._offsets[part] + self._extra.get(index, 0)

    def _move(self, packet: "av.Packet[Any]") -> None:
        offset = self._offset(packet.stream_index)
        if offset:
            ticks = round(offset / packet.time_base)
            packet.pts = None if packet.pts is None else packet.pts + ticks
            packet.dts = None if packet.dts is None else packet.dts + ticks


def count_joins(container: InputContainer) -> int:
    """How many times the clock of a file starts anew; all of it is read for this."""
    joiner = Joiner()
    for _ in joiner.demux(container):
        pass
    return joiner.joins


def is_packed(container: InputContainer, stream: VideoStream, first: av.VideoFrame) -> bool:
    """Whether two frames lie in one packet, as in AVI, in a file that was remuxed from it.

    The packets then tell in their order when frames are decoded, but decoders give them in another
    order. Some more frames are decoded to find out.

    Args:
        container: the file.
        stream: its video stream, from which the first frame was decoded.
        first: that frame.
    """
    times = [(first.pts, first.dts)]
    with suppress(av.FFmpegError):  # Reading the file tells what is damaged.
        for frame in islice(container.decode(stream), _PACKED_FRAMES):
            if isinstance(frame, av.VideoFrame) and frame.dts is not None:
                times.append((frame.pts, frame.dts))
    shown, decoded = zip(*times, strict=True)
    return None not in shown and not _rises(shown) and None not in decoded and _rises(decoded)


def _rises(times: Sequence[int]) -> bool:
    return all(before < after for before, after in zip(times, times[1:], strict=False))
