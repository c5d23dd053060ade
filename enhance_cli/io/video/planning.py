"""The codec, container and samples of a video file, decided and tried before any work."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import av

from enhance_cli.errors import OutputError, UnknownNameError, UsageError
from enhance_cli.io.jobs import Kind
from enhance_cli.io.video.codecs import ALIASES, CODECS, encoder_options, offered_formats
from enhance_cli.io.video.colour import bits, is_rgb
from enhance_cli.io.video.copying import MP4_LIKE, stream_notices
from enhance_cli.io.video.sound import DEFAULT, check_audio
from enhance_cli.io.video.types import Colour, EncodeOptions, OutputPlan, VideoInfo
from enhance_cli.io.video.writing import configure
from enhance_cli.sizes import FrameSize

# FFmpeg's name of the container for each suffix.
CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}

# Their 4:2:2 is a property of the format more than a wish for fine colours.
CAMERA_CODECS = frozenset({"mjpeg", "dvvideo"})

# Most players of H.264 show no larger frames (level 5.1 and 5.2).
H264_WIDTH, H264_PIXELS = 4096, 4096 * 2304


@dataclass(frozen=True)
class _Wanted:
    """The output that is planned.

    Attributes:
        info: the description of the input.
        target: the file.
        container: FFmpeg's name of its format.
        width, height: the size of its frames in pixels.
        options: what the user chose.
    """

    info: VideoInfo
    target: Path
    container: str
    width: int
    height: int
    options: EncodeOptions


def plan_file(info: VideoInfo, target: Path, size: FrameSize, options: EncodeOptions) -> OutputPlan:
    """Decide on everything about a video file, and open its encoder to see that it works.

    Args:
        info: the description of the input.
        target: the file; its suffix decides on the container.
        size: the size of the frames.
        options: what the user chose.

    Raises:
        UsageError: if an option is unknown or does not fit the codec.
        OutputError: if the container cannot hold the codec, or the codec the frames.
    """
    container = CONTAINERS.get(target.suffix.lower())
    if container is None:
        raise OutputError(
            f"{target}: cannot write {target.suffix} videos, use "
            f"{', '.join(sorted(CONTAINERS))}, .gif, .webp or .apng for an animated picture, or "
            "no suffix for a folder of PNGs"
        )
    check_audio(options.audio)
    wanted = _Wanted(info, target, container, *size.rounded(), options)
    name = _codec_name(wanted)
    if size.resampled and CODECS[name].even:
        wanted = _evened(wanted, name, size)
    pixel_format = _pixel_format(wanted, name)
    plan = OutputPlan(
        source=info,
        target=target,
        container=container,
        width=wanted.width,
        height=wanted.height,
        sample_aspect_ratio=size.aspect,
        codec=name,
        encoder=CODECS[name].encoder,
        encoder_options=tuple(encoder_options(name, options, info.static_hdr)),
        pixel_format=pixel_format,
        depth=bits(pixel_format),
        colour=_output_colour(info, pixel_format),
        time_base=info.time_base,
        rate=info.rate,
        threads=options.threads,
        audio=options.audio or DEFAULT,
        note=options.note,
        metadata=options.metadata,
    )
    _try_encoder(plan)
    return replace(plan, notices=tuple(_notices(plan, options)))


def _evened(wanted: _Wanted, name: str, size: FrameSize) -> _Wanted:
    """The output with even sides, if the pixel format that those have needs them."""
    width, height = size.rounded(2)
    even = replace(wanted, width=width, height=height)
    return wanted if _fits(_pixel_format(even, name), wanted.width, wanted.height) else even


def _codec_name(wanted: _Wanted) -> str:
    name = wanted.options.codec or _default_codec(wanted)
    name = ALIASES.get(name, name)
    held = [known for known, codec in CODECS.items() if wanted.container in codec.containers]
    if name not in CODECS:
        raise UnknownNameError("codec", name, CODECS)
    if name not in held:
        webm = "webm" in CODECS[name].containers and wanted.container == "mov"
        raise UsageError(
            f"codec {name}: {wanted.target.suffix} cannot hold it, use "
            f"{' or '.join(held)}, or a {'.webm' if webm else '.mkv'} output"
        )
    if CODECS[name].encoder not in av.codecs_available:
        raise OutputError(
            f"{wanted.target}: the encoder {CODECS[name].encoder} is not in this PyAV, "
            "choose another codec"
        )
    return name


def _default_codec(wanted: _Wanted) -> str:
    deep = wanted.info.depth > 8 or wanted.info.hdr is not None
    if wanted.options.pixel_format:
        with suppress(ValueError):  # An unknown name is refused once the codec is known.
            deep = bits(wanted.options.pixel_format) > 8
    if wanted.container == "webm":
        return "av1" if deep else "vp9"
    width, height = wanted.width, wanted.height
    large = max(width, height) > H264_WIDTH or width * height > H264_PIXELS
    return "hevc" if deep or large else "h264"


def _output_colour(info: VideoInfo, pixel_format: str) -> Colour:
    return replace(info.colour, range="pc", matrix="gbr") if is_rgb(pixel_format) else info.colour


def _pixel_format(wanted: _Wanted, name: str) -> str:
    """The pixel format that the user chose, else the nearest to the source's."""
    chosen = wanted.options.pixel_format
    if chosen is None:
        chosen = _closest(wanted, name)
    else:
        offered = offered_formats(name)
        if chosen not in offered:
            raise UnknownNameError(f"pixel format of {name}", chosen, offered)
        if CODECS[name].even and not _fits(chosen, wanted.width, wanted.height):
            raise UsageError(
                f"pixel format {chosen}: {name} needs even sizes for it, not "
                f"{wanted.width}x{wanted.height}, use yuv444p"
            )
    hdr, depth = wanted.info.hdr, bits(chosen)
    if hdr and depth < 10:
        raise OutputError(
            f"{wanted.target}: HDR ({hdr}) needs 10 bits, {name} in {chosen} has {depth}; use "
            "codec hevc or av1, or pixel format yuv420p10le"
        )
    return chosen


def _closest(wanted: _Wanted, name: str) -> str:
    """The pixel format nearest to the source's that the encoder offers for this size."""
    info, width, height = wanted.info, wanted.width, wanted.height
    if name == "ffv1" and is_rgb(info.pixel_format):
        return next(
            f for f in ("bgr0", "gbrp10le", "gbrp12le", "gbrp16le") if bits(f) >= info.depth
        )
    own = _source_chroma(info, name)
    order = [own] + [other for other in ("422", "444", "420") if other > own]
    order += [other for other in ("422", "420") if other < own]
    depths = [d for d in (8, 10, 12, 16) if d >= info.depth]
    # Few players show 12 bits, so only a source of 12 bits is written with them.
    depths += [d for d in ((12, 10, 8) if info.depth == 12 else (10, 12, 8)) if d < info.depth]
    offered = offered_formats(name)
    for depth in depths:
        for chroma in order:
            candidate = f"yuv{chroma}p" + (f"{depth}le" if depth > 8 else "")
            if candidate in offered and (not CODECS[name].even or _fits(candidate, width, height)):
                return candidate
    raise OutputError(
        f"{info.path}: {name} cannot hold {width}x{height} pixels, its sizes are "
        "even: choose another codec"
    )


def _source_chroma(info: VideoInfo, name: str) -> str:
    """The sampling of chroma that a result should have.

    That is the source's. But R'G'B' is written as 4:2:0, and so are recordings of cameras whose
    codec has no other: only few players show more in H.264 and the like.
    """
    by_habit = info.codec in CAMERA_CODECS and CODECS[name].crf is not None
    return "420" if is_rgb(info.pixel_format) or by_habit else _chroma(info.pixel_format)


def _chroma(pixel_format: str) -> str:
    """The coarsest sampling that keeps the chroma of a Y'CbCr format: "420", "422" or "444"."""
    kind = av.VideoFormat(pixel_format)
    if len(kind.components) < 3:
        return "420"
    across = kind.chroma_width(64) < 64
    down = kind.chroma_height(64) < 64
    return {(True, True): "420", (True, False): "422"}.get((across, down), "444")


def _fits(pixel_format: str, width: int, height: int) -> bool:
    """Whether the sides are even where the chroma of the format is halved along them."""
    kind = av.VideoFormat(pixel_format)
    if is_rgb(pixel_format) or len(kind.components) < 3:
        return True
    return not (
        (width % 2 and kind.chroma_width(64) < 64) or (height % 2 and kind.chroma_height(64) < 64)
    )


def _notices(plan: OutputPlan, options: EncodeOptions) -> Iterator[str]:
    """What the user should know about the output, and first about the input."""
    info = plan.source
    yield from info.notices
    if info.alpha:
        yield "its transparency is placed on white: .webp, .apng and .gif keep it"
    if options.pixel_format is None and not is_rgb(plan.pixel_format):
        yield from _chroma_notices(plan)
    if plan.depth < info.depth:
        yield f"{info.depth}-bit samples are rounded to {plan.depth} bits"
    aspect, suffix = plan.sample_aspect_ratio, plan.target.suffix[1:]
    # These codecs do not hold it themselves, and PyAV cannot set it for the container.
    if aspect != 1 and plan.codec in ("vp9", "av1", "ffv1") and plan.container not in MP4_LIKE:
        advice = "another codec" if plan.codec == "ffv1" else ".mp4"
        yield (
            f"{plan.codec} in {suffix} is written with square pixels, not "
            f"{aspect.numerator}:{aspect.denominator}: use {advice} to keep them"
        )
    if plan.codec == "vp9" and info.static_hdr:
        yield "vp9 cannot carry the HDR mastering metadata: left out"
    if info.kind is Kind.VIDEO:
        yield from stream_notices(plan)


def _chroma_notices(plan: OutputPlan) -> Iterator[str]:
    """What the user should know about the sampling of chroma, which nobody chose."""
    info, written = plan.source, _chroma(plan.pixel_format)
    own = _source_chroma(info, plan.codec)
    if written != own:
        yield (
            f"{plan.width}x{plan.height} as {plan.codec} is written as {plan.pixel_format}, for "
            f"it has no {':'.join(own)} of this size"
        )
    elif not is_rgb(info.pixel_format) and (given := _chroma(info.pixel_format)) != own:
        yield (
            f"its {':'.join(given)} colour becomes 4:2:0, which every player shows: "
            f"--pixel-format yuv{given}p keeps it"
        )
    elif written != "420" and plan.codec == "h264" != info.codec:
        yield (
            f"keeps the {':'.join(own)} colour of the input, which phones and browsers seldom "
            "show: --pixel-format yuv420p suits them"
        )


def _try_encoder(plan: OutputPlan) -> None:
    """Open the encoder once, since it knows limits of its own."""
    context = av.CodecContext.create(plan.encoder, "w")
    assert isinstance(context, av.VideoCodecContext)
    configure(context, plan)
    try:
        context.open()
    except (av.FFmpegError, ValueError) as error:
        raise OutputError(
            f"{plan.target}: {plan.codec} cannot encode {plan.width}x{plan.height} in "
            f"{plan.pixel_format} with these options, choose another codec"
        ) from error
