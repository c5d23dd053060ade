"""The final file, assembled from the segments and the other streams of the source.

Packets are copied as they are: nothing is decoded or encoded here.
"""

import heapq
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from fractions import Fraction
from math import ceil, floor, lcm
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer, OutputContainer
from av.video.stream import VideoStream

from enhance_cli.errors import InputError
from enhance_cli.io.files import replacing
from enhance_cli.io.jobs import Kind
from enhance_cli.io.video.clock import Joiner, Window
from enhance_cli.io.video.copying import (
    MP4_LIKE,
    can_copy,
    copy_description,
    copy_stream,
    forget_metadata,
    has_foreign_keys,
    is_cover,
    is_for_program,
    kept_metadata,
    needs_tee,
    open_tee,
)
from enhance_cli.io.video.opening import opened, reason
from enhance_cli.io.video.probing import join_notices
from enhance_cli.io.video.program import copy_streams
from enhance_cli.io.video.sound import SoundConverter, find_encoder
from enhance_cli.io.video.timing import Timing, milliseconds_lose, read_timing, segment_packets
from enhance_cli.io.video.types import Clock, OutputPlan, Span
from enhance_cli.io.video.writing import check_written, tag, writing

LARGEST_TIMESCALE = 2**31 - 1

Timed = tuple[Fraction, "av.Packet[Any]"]


def assemble_file(
    plan: OutputPlan,
    segments: Sequence[Path],
    span: Span,
    notice: Callable[[str], None],
) -> None:
    """Put segments together with the other streams of the source, whole or not at all.

    Args:
        plan: what is decided about the output.
        segments: files that :func:`~enhance_cli.io.video.writing.write_file_segment` made, in
            order.
        span: the part of the source that they show. The other streams are cut alike, and times
            count from the start of the span where it has one.
        notice: called with each line that the user should know and the plan did not tell.

    Raises:
        InputError: if the source is gone or damaged.
        OutputError: if a segment is damaged, or the file cannot be written.
    """
    target = plan.target
    timing = read_timing(plan, segments)
    window = _window(plan, timing, span)
    if plan.container not in MP4_LIKE and milliseconds_lose(timing.times, plan.time_base):
        notice(
            "Matroska counts in milliseconds: frame times are rounded to them, use .mp4 to "
            "keep them exactly"
        )
    with replacing(target) as temporary, writing(target), ExitStack() as stack:
        source = None
        if plan.source.kind is Kind.VIDEO:
            source = stack.enter_context(opened(plan.source.path))
        first = stack.enter_context(av.open(f"file:{segments[0]}", "r"))
        with _open_output(plan, temporary, source) as output:
            video, copies = _add_streams(plan, timing, window, output, first, source)
            if source is not None:
                _copy_metadata(plan, window, source, output)
            if not plan.metadata:
                forget_metadata(output)
            if plan.note:
                output.metadata[_note_key(plan, output)] = plan.note
            place = [s.index for s in output.streams.video if not is_cover(s)].index(video.index)
            joiner = Joiner() if plan.source.clock is Clock.JOINED else None
            flows = [_video_packets(plan, segments, timing, window, video)]
            if source is not None:
                flows.append(_other_packets(plan, window, copies, source, joiner, notice))
            # They are nearly in the order of their times; the muxer sorts what is left.
            for _, packet in heapq.merge(*flows, key=lambda timed: timed[0]):
                output.mux(packet)
        for text in join_notices(plan.source):
            notice(text)
        if source is not None:
            _copy_the_rest(plan, window, source, temporary, notice)
        check_written(target, temporary, len(timing.times), place)


def _copy_the_rest(
    plan: OutputPlan,
    window: Window,
    source: InputContainer,
    output: Path,
    notice: Callable[[str], None],
) -> None:
    """Let the program copy the streams that PyAV cannot copy."""
    rest = [stream.index for stream in source.streams if is_for_program(plan, stream)]
    if not rest:
        return
    named = f"stream {', '.join(map(str, rest))}"
    if window.begin is not None or window.end is not None:
        notice(f"{named}: can only be copied with the whole video, left out")
    elif not copy_streams(
        plan.source.path,
        rest,
        output,
        plan.container,
        _muxer_options(plan, source),
        plan.source.late,
    ):
        notice(f"{named}: could not be copied, left out")


def _window(plan: OutputPlan, timing: Timing, span: Span) -> Window:
    begin = timing.times[0] * plan.time_base if span.start else None
    end = None if span.end is None else timing.end * plan.time_base
    return Window(begin, end, plan.source.late if begin is None else begin)


def _open_output(plan: OutputPlan, path: Path, source: InputContainer | None) -> OutputContainer:
    options = _muxer_options(plan, source)
    if source is not None and any(needs_tee(plan, stream) for stream in source.streams):
        return open_tee(path, plan.container, options)
    return av.open(f"file:{path}", "w", format=plan.container, container_options=options)


def _muxer_options(plan: OutputPlan, source: InputContainer | None) -> dict[str, str]:
    if plan.container not in MP4_LIKE:
        # By default, audio that begins before zero, as AAC does, would move all frames, and
        # Matroska would draw random identifiers; the same input shall give the same bytes.
        return {"avoid_negative_ts": "disabled", "fflags": "+bitexact"}
    flags = "+faststart"
    if source is not None:
        located = any(key.startswith("location") for key in source.metadata)
        covered = any(is_cover(stream) for stream in source.streams)
        # Without it, keys that are not Apple's are dropped; with it, covers are.
        if has_foreign_keys(source.metadata) or (located and not covered):
            flags += "+use_metadata_tags"
    scale = plan.time_base.denominator
    clocks = [scale]
    if source is not None:
        clocks += [s.rate for s in source.streams.audio if s.codec_context and s.rate]
    common = lcm(*clocks)  # The muxer writes beginnings other than zero in this unit.
    return {
        "movflags": flags,
        "video_track_timescale": str(scale),
        "movie_timescale": str(common if common <= LARGEST_TIMESCALE else scale),
    }


def _add_streams(
    plan: OutputPlan,
    timing: Timing,
    window: Window,
    output: OutputContainer,
    first: InputContainer,
    source: InputContainer | None,
) -> tuple[VideoStream, dict[int, Any]]:
    """Add the video stream, and the others in their order.

    Returns:
        The video stream; and by their index in the source the copies of the others, or converters.
    """
    if source is None:
        return _add_video(plan, timing, output, first), {}
    video = None
    copies: dict[int, Any] = {}
    for stream in source.streams:
        if stream.index == plan.source.stream:
            video = _add_video(plan, timing, output, first)
            copy_description(stream, video)
        elif can_copy(plan, stream):
            copies[stream.index] = copy_stream(output, stream)
        elif encoder := find_encoder(plan, stream):
            converter = SoundConverter(output, stream, encoder, window)
            copy_description(stream, converter.stream)
            copies[stream.index] = converter
    if video is None:
        raise InputError(f"{plan.source.path}: changed since it was first read, run it anew")
    return video, copies


def _add_video(
    plan: OutputPlan, timing: Timing, output: OutputContainer, first: InputContainer
) -> VideoStream:
    video = output.add_stream_from_template(first.streams.video[0], opaque=True)
    video.time_base = plan.time_base
    tag(video.codec_context, plan)
    video.codec_context.sample_aspect_ratio = plan.sample_aspect_ratio
    gaps = {later - earlier for earlier, later in zip(timing.times, timing.times[1:], strict=False)}
    steady = not gaps or max(gaps) - min(gaps) <= max(1, ceil(Fraction(1, 900) / plan.time_base))
    # Matroska writes the rate as the duration of each frame.
    video.codec_context.framerate = plan.rate if steady else Fraction(0)
    if plan.codec == "hevc" and plan.container in MP4_LIKE:
        video.codec_context.codec_tag = "hvc1"  # Some players know only this tag.
    if plan.source.display_matrix:
        matrix = list(plan.source.display_matrix)
        # Two of the numbers are a shift in pixels, along the axes of the frame as it is shown.
        scales = [plan.width / plan.source.width, plan.height / plan.source.height]
        if plan.source.quarter_turns % 2:
            scales.reverse()
        matrix[6:8] = [
            round(value * scale) for value, scale in zip(matrix[6:8], scales, strict=True)
        ]
        video.set_display_matrix(matrix)
    return video


def _note_key(plan: OutputPlan, output: OutputContainer) -> str:
    """The key for a note: MP4 and MOV have no own keys, and the first free one is taken."""
    if plan.container not in MP4_LIKE:
        return "ENHANCE"
    keys = ("comment", "description", "synopsis")
    return next((key for key in keys if key not in output.metadata), keys[-1])


def _copy_metadata(
    plan: OutputPlan, window: Window, source: InputContainer, output: OutputContainer
) -> None:
    output.metadata.update(kept_metadata(source.metadata))
    chapters = []
    for chapter in source.chapters():
        unit = chapter["time_base"] or Fraction(1, 1000)
        begin = Fraction(chapter["start"]) * unit
        end = Fraction(chapter["end"]) * unit
        clipped = _clip(begin, end, window)
        if clipped is not None:
            chapters.append(
                {**chapter, "start": floor(clipped[0] / unit), "end": floor(clipped[1] / unit)}
            )
    if chapters:
        output.set_chapters(chapters)  # type: ignore[arg-type]


def _clip(begin: Fraction, end: Fraction, window: Window) -> tuple[Fraction, Fraction] | None:
    """The part of a time span that is within the window, on the output's clock; else None."""
    if window.begin is not None:
        begin = max(begin, window.begin)
    if window.end is not None:
        end = min(end, window.end)
    return (begin - window.shift, end - window.shift) if begin < end else None


def _video_packets(
    plan: OutputPlan,
    segments: Sequence[Path],
    timing: Timing,
    window: Window,
    video: VideoStream,
) -> Iterator[Timed]:
    unit = plan.time_base
    shift = round(window.shift / unit)
    ends = dict(zip(timing.times, (*timing.times[1:], timing.end), strict=True))
    index = 0
    for segment in segments:
        for time, packet in segment_packets(plan, segment):
            decode_time = timing.decode_time(index)
            packet.pts, packet.dts = time - shift, decode_time - shift
            packet.duration = ends[time] - time
            packet.time_base = unit
            packet.stream = video
            yield (decode_time - shift) * unit, packet
            index += 1


def _other_packets(
    plan: OutputPlan,
    window: Window,
    copies: dict[int, Any],
    source: InputContainer,
    joiner: Joiner | None,
    notice: Callable[[str], None],
) -> Iterator[Timed]:
    streams = [
        source.streams[index]
        for index in copies
        if source.streams[index].type != "attachment"
        and not (plan.container == "matroska" and is_cover(source.streams[index]))
    ]
    if not streams:
        return
    time = Fraction(0)
    packets = joiner.demux(source) if joiner else source.demux(*streams)
    for packet in _readable(packets, window, notice):
        copy = copies.get(packet.stream.index)
        if copy is None:
            continue
        if isinstance(copy, SoundConverter):
            for converted in copy.convert(packet):
                yield time, converted
            continue
        if is_cover(packet.stream) and packet.size:
            packet.pts = packet.dts = 0
        elif not packet.size or (packet.dts is None and packet.pts is None):
            continue
        elif _cut(packet, window):
            known = packet.dts if packet.dts is not None else packet.pts
            time = Fraction(known or 0) * packet.time_base
        else:
            continue
        packet.stream = copy
        yield time, packet


def _readable(
    packets: "Iterator[av.Packet[Any]]", window: Window, notice: Callable[[str], None]
) -> "Iterator[av.Packet[Any]]":
    """The packets to the end, or to where the file is so damaged that no more can be read."""
    last = Fraction(0)
    try:
        for packet in packets:
            last = last if packet.dts is None else packet.dts * packet.time_base
            yield packet
    except av.FFmpegError as error:
        if window.end is None or last < window.end:
            seconds = float(last - window.shift)
            notice(f"sound and subtitles end at {seconds:.3f} s too ({reason(error)})")


def _cut(packet: "av.Packet[Any]", window: Window) -> bool:
    """Move a packet to the output's clock; False if it is outside the window.

    A subtitle that says how long it lasts is clipped to the window. Any other packet is kept as
    it is if it begins inside.
    """
    unit = packet.time_base
    time = packet.pts if packet.pts is not None else packet.dts
    assert time is not None
    begin = time * unit
    if packet.stream.type == "subtitle" and packet.duration:
        clipped = _clip(begin, begin + packet.duration * unit, window)
        if clipped is None:
            return False
        moved = ceil(clipped[0] / unit)
        packet.duration = floor(clipped[1] / unit) - moved
        packet.pts = packet.dts = moved
        return True
    if not window.holds(begin):
        return False
    shift = round(window.shift / unit)
    packet.pts = time - shift
    # Audio is decoded in the order in which it is heard; what demuxers guess may be off by a tick.
    known = None if packet.stream.type == "audio" else packet.dts
    packet.dts = packet.pts if known is None else known - shift
    return True
