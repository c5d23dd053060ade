"""The description of a video file, from its header and its first frame."""

import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.sidedata.sidedata import Type as SideData
from av.stream import Disposition
from av.video.stream import VideoStream

from enhance_cli.errors import InputError
from enhance_cli.io.video.clock import clock_of, count_joins, is_packed
from enhance_cli.io.video.colour import (
    CONVERTIBLE,
    HDR_TRANSFERS,
    MATRICES,
    PRIMARIES,
    RANGES,
    TRANSFERS,
    UNKNOWN,
    bits,
    complete,
    has_alpha,
    is_rgb,
)
from enhance_cli.io.video.decoding import Decoded, Decoder, set_up
from enhance_cli.io.video.opening import opened
from enhance_cli.io.video.program import hint, read_frame_times
from enhance_cli.io.video.types import (
    FRAME_LIMIT,
    Clock,
    Colour,
    StaticHdr,
    StreamInfo,
    VideoInfo,
)

LATE = 10  # seconds; a file that starts later counts from another clock than its own
FAST = 240  # frames a second; a higher rate is a sign that the header was guessed


def find_stream(path: Path, container: InputContainer) -> VideoStream:
    """Choose the video stream to work on: the default one, else the largest, never a cover.

    Raises:
        InputError: if there is none, or no decoder for it.
    """
    streams = [
        stream
        for stream in container.streams.video
        if not stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails)
    ]
    if not streams:
        held = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
        held = "only a cover picture" if container.streams.video else f"only {held}"
        raise InputError(f"{path}: no video stream, the file holds {held}; name a video")
    known = [stream for stream in streams if stream.codec_context is not None]
    if not known:
        raise InputError(f"{path}: no decoder for its video stream, convert it to H.264 first")
    return max(known, key=lambda s: (bool(s.disposition & Disposition.default), s.width * s.height))


def probe_file(path: Path) -> VideoInfo:
    """Describe a video file; its first frame is decoded for it.

    Raises:
        InputError: if it is no video that can be decoded.
    """
    with opened(path) as container:
        if container.format.name.endswith("_pipe") or container.format.name == "image2":
            raise InputError(
                f"{path}: a picture, not a video: use enhance superres, or name a "
                "folder of numbered pictures"
            )
        stream = find_stream(path, container)
        # With more threads, frames after the first would be decoded as well.
        set_up(stream, 1, exact=False)
        return describe(path, container, stream, _first_frame(path, container, stream))


def _first_frame(path: Path, container: InputContainer, stream: VideoStream) -> Decoded:
    """The first frame that decodes, with the time of the first one."""
    clock = clock_of(container)
    decoder = Decoder(path, container, stream, clock, _rate(stream, clock))
    time, failed, why = None, 0, ""
    for decoded in decoder.carefully():
        time = decoded.time if time is None else time
        if decoded.frame is not None:
            return decoded._replace(time=time)
        failed, why = failed + 1, decoded.damage
    if decoder.broken:
        raise InputError(f"{path}: cannot be read ({decoder.broken}), get a fresh copy")
    if failed:
        raise InputError(f"{path}: none of its {failed} frames decodes ({why}), get a fresh copy")
    raise InputError(f"{path}: its video stream has no frames that decode, get a fresh copy")


def join_notices(info: VideoInfo) -> Iterator[str]:
    """Tell how often the clock of a joined recording starts anew; all of it is read for this.

    Raises:
        InputError: if the file is gone.
    """
    if info.clock is not Clock.JOINED:
        return
    with opened(info.path) as container:
        joins = count_joins(container)
    if joins:
        times = "once" if joins == 1 else f"{joins} times"
        yield f"its clock starts anew {times}: the parts follow each other"


def describe(
    path: Path, container: InputContainer, stream: VideoStream, decoded: Decoded
) -> VideoInfo:
    """Describe a video file from its header and its first frame.

    Args:
        path: the file.
        container: the file, opened.
        stream: the video stream to work on.
        decoded: the first frame of that stream that decodes, and the time of the first one.

    Raises:
        InputError: if such frames are too large, have no times, or cannot be converted.
    """
    frame, first = decoded.frame, decoded.time
    assert frame is not None
    pixel_format = frame.format.name
    if frame.width * frame.height > FRAME_LIMIT:
        raise InputError(
            f"{path}: {frame.width}x{frame.height} pixels are more than "
            f"{FRAME_LIMIT:,}, make it smaller"
        )
    if bits(pixel_format) > 16:
        raise InputError(
            f"{path}: floating-point samples ({pixel_format}), convert it to 16-bit "
            "pictures or a 10-bit video first"
        )
    colour = _colour(path, frame)
    hdr = HDR_TRANSFERS.get(colour.transfer)
    side_data = _side_data(frame)
    matrix = _display_matrix(side_data.get(SideData.DISPLAYMATRIX))
    time_base = stream.time_base or Fraction(1, 1000)
    clock = clock_of(container)
    if (
        clock is Clock.SHOWN
        and stream.codec_context.name == "mpeg4"
        and is_packed(container, stream, frame)
    ):
        clock = Clock.PACKED
    rate = _rate(stream, clock)
    if first is None:
        times = read_frame_times(path, stream.index, time_base)
        if not times:
            raise InputError(f"{path}: its frames have no times, remux it to Matroska{hint()}")
        first = times[0]
    late = _late(container)
    seconds = _seconds(container, stream)
    return VideoInfo(
        path=path,
        width=frame.width,
        height=frame.height,
        depth=_depth(pixel_format),
        pixel_format=pixel_format,
        colour=colour,
        hdr=hdr,
        sample_aspect_ratio=_aspect(stream),
        rotation=int(frame.rotation) if matrix else 0,
        time_base=time_base,
        rate=rate,
        frames=stream.frames or (round(seconds * rate) if seconds else None),
        seconds=seconds,
        streams=tuple(_stream_info(other) for other in container.streams),
        notices=(*_notices(stream, frame, set(side_data)), *_late_notices(late)),
        first=first,
        stream=stream.index,
        codec=stream.codec_context.name,
        display_matrix=matrix,
        static_hdr=_static_hdr(side_data) if hdr else None,
        clock=clock,
        late=late,
    )


def _side_data(frame: av.VideoFrame) -> dict[SideData, bytes]:
    try:
        every: Any = frame.side_data  # The stub says wrongly that it yields strings.
    except ValueError:  # PyAV cannot list kinds newer than itself, like EXIF of motion JPEG.
        return {}
    return {data.type: bytes(data) for data in every}


def _colour(path: Path, frame: av.VideoFrame) -> Colour:
    pixel_format = frame.format.name
    rgb = is_rgb(pixel_format)
    full = rgb or pixel_format.startswith("yuvj") or frame.color_range == 2
    told = Colour(
        RANGES[2 if full else 1],
        MATRICES.get(frame.colorspace, UNKNOWN),
        PRIMARIES.get(frame.color_primaries, UNKNOWN),
        TRANSFERS.get(frame.color_trc, UNKNOWN),
    )
    colour = complete(told, frame.width, frame.height, rgb)
    dynamic = _side_data(frame).keys() & {SideData.DOVI_METADATA, SideData.DOVI_RPU_BUFFER}
    if dynamic and told.transfer not in HDR_TRANSFERS and told.matrix != "bt709":
        raise InputError(
            f"{path}: Dolby Vision without a standard picture below it (profile 5), "
            "convert it to HDR10 first"
        )
    if colour.matrix not in CONVERTIBLE:
        raise InputError(
            f"{path}: colours in {colour.matrix} cannot be converted, convert the "
            "video to BT.709 or BT.2020 first"
        )
    return Colour(
        "tv" if rgb else colour.range,
        colour.matrix,
        colour.primaries,
        colour.transfer,
        colour.assumed,
    )


def _depth(pixel_format: str) -> int:
    return next((depth for depth in (8, 10, 12) if bits(pixel_format) <= depth), 16)


def _display_matrix(data: bytes | None) -> tuple[int, ...]:
    if data is None or len(data) < 36:
        return ()
    matrix = struct.unpack("=9i", data[:36])
    return () if matrix[:6] == (1 << 16, 0, 0, 0, 1 << 16, 0) else matrix


def _aspect(stream: VideoStream) -> Fraction:
    aspect = stream.sample_aspect_ratio
    return aspect if aspect and aspect > 0 else Fraction(1)


def _rate(stream: VideoStream, clock: Clock) -> Fraction:
    average, guessed = stream.average_rate, stream.guessed_rate
    # The average of a raw stream is what FFmpeg assumes; its frames may tell better.
    if not average or (guessed and (average > FAST > guessed or clock is Clock.COUNTED)):
        average = guessed
    return average if average and average > 0 else Fraction(25)


def _late(container: InputContainer) -> Fraction:
    """The seconds at which a file starts, 0 if that is soon enough to be left as it is."""
    start = Fraction(container.start_time or 0, av.time_base)
    return start if start > LATE else Fraction(0)


def _late_notices(late: Fraction) -> Iterator[str]:
    if late:
        yield f"its clock starts at {float(late):.3f} s: the result starts at 0"


def _seconds(container: InputContainer, stream: VideoStream) -> float | None:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration else None


def _stream_info(stream: Any) -> StreamInfo:
    return StreamInfo(stream.index, stream.type, codec_name(stream), stream.language)


def codec_name(stream: Any) -> str:
    """FFmpeg's name for the codec of a stream; ``"unknown"`` if it knows none."""
    if stream.codec_context is not None:
        return str(stream.codec_context.codec.canonical_name)
    if stream.type == "data":
        return str(stream.name or UNKNOWN)
    if stream.type == "attachment":
        return str(stream.mimetype or UNKNOWN)
    return UNKNOWN


def _static_hdr(side_data: dict[SideData, bytes]) -> StaticHdr | None:
    primaries: tuple[Fraction, ...] = ()
    luminance: tuple[Fraction, ...] = ()
    light: tuple[int, ...] = ()
    mastering = side_data.get(SideData.MASTERING_DISPLAY_METADATA)
    if mastering and len(mastering) >= 88:  # It holds ten fractions and two flags.
        *numbers, has_primaries, has_luminance = struct.unpack("=22i", mastering[:88])
        values = [Fraction(a, b or 1) for a, b in zip(numbers[::2], numbers[1::2], strict=True)]
        primaries = tuple(values[:8]) if has_primaries else ()
        luminance = tuple(values[8:10]) if has_luminance else ()
    content = side_data.get(SideData.CONTENT_LIGHT_LEVEL)
    if content and len(content) >= 8:
        light = struct.unpack("=2I", content[:8])
    return StaticHdr(primaries, luminance, light) if primaries or luminance or light else None


def _is_transparent(stream: VideoStream, frame: av.VideoFrame) -> bool:
    """Whether a video has transparency, which decoders of WebM pass over."""
    return has_alpha(frame.format.name) or stream.metadata.get("alpha_mode") == "1"


def _notices(stream: VideoStream, frame: av.VideoFrame, found: set[SideData]) -> Iterator[str]:
    others = [
        other.index
        for other in stream.container.streams
        if other.type == "video"
        and other.index != stream.index
        and not other.disposition & Disposition.attached_pic
    ]
    if others:
        listed = ", ".join(map(str, others))
        yield f"several video streams: stream {stream.index} is enlarged, {listed} only copied"
    if _is_transparent(stream, frame):
        yield "its transparency is left out"
    if SideData.A53_CC in found:
        yield "its closed captions are left out"
    if SideData.SPHERICAL in found:
        yield "its 360 degree mark is left out, so players show the result flat"
    if found & {SideData.DOVI_METADATA, SideData.DOVI_RPU_BUFFER}:
        yield "its Dolby Vision metadata is left out, the standard picture below it is kept"
    if SideData.DYNAMIC_HDR_PLUS in found:
        yield "its HDR10+ metadata changes from frame to frame and is left out"
    if SideData.DYNAMIC_HDR_VIVID in found:
        yield "its HDR Vivid metadata is left out"
