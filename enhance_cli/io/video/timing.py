"""The times at which the frames of all segments are decoded and shown."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from pathlib import Path
from typing import Any

import av

from enhance_cli.errors import OutputError
from enhance_cli.io.jobs import Kind
from enhance_cli.io.video.clock import FORWARD
from enhance_cli.io.video.opening import opened
from enhance_cli.io.video.types import Clock, OutputPlan


@dataclass(frozen=True)
class Timing:
    """The times of all frames, in the time base of the plan.

    Attributes:
        times: when the frames are shown, in rising order.
        delay: how many frames the decoder must be ahead of the frame that is shown.
        last_duration: how long the last frame is shown.
    """

    times: tuple[int, ...]
    delay: int
    last_duration: int

    @property
    def end(self) -> int:
        """The time at which the last frame ends."""
        return self.times[-1] + self.last_duration

    def decode_time(self, index: int) -> int:
        """When the packet at a place is decoded: when the frame ``delay`` places before is shown.

        Times of frames before the first are continued backwards at the shortest step.
        """
        if index >= self.delay:
            return self.times[index - self.delay]
        pairs = zip(self.times, self.times[1:], strict=False)
        step = min((after - before for before, after in pairs), default=1)
        return self.times[0] - (self.delay - index) * step


def read_timing(plan: OutputPlan, segments: Sequence[Path]) -> Timing:
    """Read the times of all frames from the packets of the segments.

    Raises:
        OutputError: if the segments are damaged, overlap, hold no frame, or were encoded with
            different settings.
        InputError: if the source is gone or damaged.
    """
    _check_alike(plan, segments)
    order = [time for segment in segments for time, _ in segment_packets(plan, segment)]
    if not order:
        raise OutputError(f"{plan.target}: there are no frames to assemble, run it anew")
    times = sorted(order)
    ranks = {time: rank for rank, time in enumerate(times)}
    if len(ranks) != len(times):
        raise OutputError(f"{plan.target}: its parts overlap, remove them and run it anew")
    delay = max(index - ranks[time] for index, time in enumerate(order))
    return Timing(tuple(times), delay, last_duration(plan, times))


def _check_alike(plan: OutputPlan, segments: Sequence[Path]) -> None:
    """Refuse segments of different encoder settings, which one stream cannot hold."""
    headers = set()
    for segment in segments:
        with suppress(av.FFmpegError, IndexError), av.open(f"file:{segment}", "r") as container:
            headers.add(container.streams.video[0].codec_context.extradata)
    if len(headers) > 1:
        raise OutputError(
            f"{plan.target}: its parts were made with different settings or "
            "versions, remove them and run it anew"
        )


def segment_packets(plan: OutputPlan, segment: Path) -> Iterator[tuple[int, "av.Packet[Any]"]]:
    """The packets of a segment, each with the time of its frame in the plan's time base.

    Raises:
        OutputError: if the segment is damaged or gone.
    """
    try:
        with av.open(f"file:{segment}", "r") as container:
            for packet in container.demux(container.streams.video[0]):
                if packet.pts is not None and packet.size:
                    time = packet.pts * packet.time_base / plan.time_base
                    yield round(time) + plan.source.first, packet
    except (av.FFmpegError, IndexError) as error:
        raise OutputError(
            f"{segment}: a part of the output is damaged or gone, remove it and run it anew"
        ) from error


def last_duration(plan: OutputPlan, times: Sequence[int]) -> int:
    """How long the last frame is shown.

    It ends with the next frame of the source if there is one. Else the source may tell the
    duration, and else it is that of the frame before.
    """
    last = times[-1]
    if plan.source.durations:
        return plan.source.durations[plan.source.starts.index(last)]
    known, following = 0, None
    if plan.source.kind is Kind.VIDEO and plan.source.clock in (Clock.SHOWN, Clock.JOINED):
        with opened(plan.source.path) as source:
            stream = source.streams[plan.source.stream]
            assert stream.time_base is not None
            with suppress(av.FFmpegError):  # Damage behind the last frame does not matter.
                # Film frames that are restored from telecine count in finer units than the file.
                finer = stream.time_base / plan.time_base
                source.seek(floor(last / finer), stream=stream)
                for packet in source.demux(stream):
                    time = None if packet.pts is None else packet.pts * finer
                    if time == last:
                        known = round((packet.duration or 0) * finer)
                    elif time is not None and time > last:
                        following = min(round(time), following or round(time))
                        if packet.dts is None or packet.dts * finer >= following:
                            break
    if following is not None and (following - last) * plan.time_base < FORWARD:
        return following - last
    if known * plan.time_base > Fraction(1, 500):  # Formats fill in less where they know none.
        return known
    before = last - times[-2] if len(times) > 1 else 0
    return before or max(1, round(1 / (plan.rate * plan.time_base)))


def milliseconds_lose(times: Sequence[int], time_base: Fraction) -> bool:
    """Whether some time is not a whole number of milliseconds."""
    return any((time * time_base * 1000).denominator != 1 for time in times)
