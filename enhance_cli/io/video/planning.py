"""The codec, container and samples of a video file, decided and tried before any work."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import av

from enhance_cli.errors import OutputError, UnknownNameError, UsageError
from enhance_cli.io.jobs import Kind
from enhance_cli.io.video.colour import bits, is_rgb
from enhance_cli.io.video.copying import left_out
from enhance_cli.io.video.types import Colour, EncodeOptions, OutputPlan, StaticHdr, VideoInfo
from enhance_cli.io.video.writing import configure

X26X_PRESETS = (
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
    "veryslow",
    "placebo",
)


@dataclass(frozen=True)
class Codec:
    """A codec, and what its encoder takes.

    Attributes:
        encoder: FFmpeg's name of the encoder.
        crf: the constant rate factor if the user chooses none; None if nothing is lost.
        max_crf: the largest constant rate factor.
        presets: the names of the presets, from which the user may choose.
        preset: the preset if the user chooses none.
        preset_option: FFmpeg's name of the option that takes the preset.
        even: whether the sides of a frame must be even where chroma is halved along them.
    """

    encoder: str
    crf: float | None = None
    max_crf: int = 0
    presets: tuple[str, ...] = ()
    preset: str = ""
    preset_option: str = "preset"
    even: bool = False


CODECS = {
    "h264": Codec("libx264", 18, 51, X26X_PRESETS, "medium", even=True),
    "hevc": Codec("libx265", 20, 51, X26X_PRESETS, "medium", even=True),
    "vp9": Codec("libvpx-vp9", 24, 63, tuple(map(str, range(9))), "3", "cpu-used"),
    "av1": Codec("libsvtav1", 24, 63, tuple(map(str, range(14))), "7", even=True),
    "ffv1": Codec("ffv1"),
}
# FFmpeg's name of the container for each suffix, and the codecs that the containers hold.
CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
HELD = {
    "mp4": ("h264", "hevc", "vp9", "av1"),
    "mov": ("h264", "hevc"),
    "matroska": ("h264", "hevc", "vp9", "av1", "ffv1"),
    "webm": ("vp9", "av1"),
}

# Most players of H.264 show no larger frames (level 5.1 and 5.2).
H264_WIDTH, H264_PIXELS = 4096, 4096 * 2304


def plan_file(info: VideoInfo, target: Path, scale: int, options: EncodeOptions) -> OutputPlan:
    """Decide on everything about a video file, and open its encoder to see that it works.

    Args:
        info: the description of the input.
        target: the file; its suffix decides on the container.
        scale: by how much each side of a frame is larger than in the input.
        options: what the user chose.

    Raises:
        UsageError: if an option is unknown or does not fit the codec.
        OutputError: if the container cannot hold the codec, or the codec the frames.
    """
    container = CONTAINERS.get(target.suffix.lower())
    if container is None:
        raise OutputError(
            f"{target}: cannot write {target.suffix} videos, use "
            f"{', '.join(sorted(CONTAINERS))}, or no suffix for a folder of PNGs"
        )
    width, height = info.width * scale, info.height * scale
    name = _codec_name(info, target, container, width, height, options)
    codec = CODECS[name]
    notices = list(info.notices)
    pixel_format = _pixel_format(info, target, name, width, height, options, notices)
    aspect = info.sample_aspect_ratio
    if aspect != 1 and name in ("vp9", "av1") and container in ("webm", "matroska"):
        notices.append(
            f"{name} in {target.suffix[1:]} is written with square pixels, not "
            f"{aspect.numerator}:{aspect.denominator}: use .mp4 to keep them"
        )
    plan = OutputPlan(
        source=info,
        target=target,
        container=container,
        width=width,
        height=height,
        scale=scale,
        codec=name,
        encoder=codec.encoder,
        encoder_options=tuple(_encoder_options(info, name, options, notices)),
        pixel_format=pixel_format,
        depth=bits(pixel_format),
        colour=_output_colour(info, pixel_format),
        time_base=info.time_base,
        rate=info.rate,
        threads=options.threads,
    )
    _try_encoder(plan)
    if info.kind is Kind.VIDEO:
        notices += left_out(plan)
    return replace(plan, notices=tuple(notices))


def _codec_name(
    info: VideoInfo,
    target: Path,
    container: str,
    width: int,
    height: int,
    options: EncodeOptions,
) -> str:
    name = options.codec or _default_codec(info, container, width, height, options)
    if name not in CODECS:
        raise UnknownNameError("codec", name, CODECS)
    if name not in HELD[container]:
        suffix = ".webm" if name in HELD["webm"] and container == "mov" else ".mkv"
        raise UsageError(
            f"codec {name}: {target.suffix} cannot hold it, use "
            f"{' or '.join(HELD[container])}, or a {suffix} output"
        )
    if CODECS[name].encoder not in av.codecs_available:
        raise OutputError(
            f"{target}: the encoder {CODECS[name].encoder} is not in this PyAV, "
            "choose another codec"
        )
    return name


def _default_codec(
    info: VideoInfo, container: str, width: int, height: int, options: EncodeOptions
) -> str:
    deep = info.depth > 8 or info.hdr is not None
    if options.pixel_format:
        with suppress(ValueError):  # An unknown name is refused once the codec is known.
            deep = bits(options.pixel_format) > 8
    if container == "webm":
        return "av1" if deep else "vp9"
    large = max(width, height) > H264_WIDTH or width * height > H264_PIXELS
    return "hevc" if deep or large else "h264"


def _output_colour(info: VideoInfo, pixel_format: str) -> Colour:
    return replace(info.colour, range="pc", matrix="gbr") if is_rgb(pixel_format) else info.colour


def _offered(name: str) -> list[str]:
    formats = av.Codec(CODECS[name].encoder, "w").video_formats or []
    return [known.name for known in formats]


def _pixel_format(
    info: VideoInfo,
    target: Path,
    name: str,
    width: int,
    height: int,
    options: EncodeOptions,
    notices: list[str],
) -> str:
    offered = _offered(name)
    chosen = options.pixel_format
    if chosen is not None:
        if chosen not in offered:
            raise UnknownNameError(f"pixel format of {name}", chosen, offered)
        if CODECS[name].even and not _fits(chosen, width, height):
            raise UsageError(
                f"pixel format {chosen}: {name} needs even sizes for it, not "
                f"{width}x{height}, use yuv444p"
            )
    else:
        chosen = _closest(info, name, width, height, offered, notices)
    depth = bits(chosen)
    if info.hdr and depth < 10:
        raise OutputError(
            f"{target}: HDR ({info.hdr}) needs 10 bits, {name} in {chosen} has {depth}; use "
            "codec hevc or av1, or pixel format yuv420p10le"
        )
    if depth < info.depth:
        notices.append(f"{info.depth}-bit samples are rounded to {depth} bits")
    return chosen


def _closest(
    info: VideoInfo,
    name: str,
    width: int,
    height: int,
    offered: Sequence[str],
    notices: list[str],
) -> str:
    """The pixel format nearest to the source's that the encoder offers for this size."""
    rgb = is_rgb(info.pixel_format)
    if name == "ffv1" and rgb:
        return next(
            f for f in ("bgr0", "gbrp10le", "gbrp12le", "gbrp16le") if bits(f) >= info.depth
        )
    wanted = "420" if rgb else _chroma(info.pixel_format)
    order = [wanted] + [other for other in ("422", "444", "420") if other > wanted]
    order += [other for other in ("422", "420") if other < wanted]
    depths = [d for d in (8, 10, 12, 16) if d >= info.depth]
    # Few players show 12 bits, so only a source of 12 bits is written with them.
    depths += [d for d in ((12, 10, 8) if info.depth == 12 else (10, 12, 8)) if d < info.depth]
    for depth in depths:
        for chroma in order:
            candidate = f"yuv{chroma}p" + (f"{depth}le" if depth > 8 else "")
            if candidate in offered and (not CODECS[name].even or _fits(candidate, width, height)):
                if chroma != wanted:
                    notices.append(
                        f"{width}x{height} as {name} is written as {candidate}, for "
                        f"it has no {wanted[0]}:{wanted[1]}:{wanted[2]} of this size"
                    )
                return candidate
    raise OutputError(
        f"{info.path}: {name} cannot hold {width}x{height} pixels, its sizes are "
        "even: choose another codec"
    )


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


def _encoder_options(
    info: VideoInfo, name: str, options: EncodeOptions, notices: list[str]
) -> Iterator[tuple[str, str]]:
    codec = CODECS[name]
    if options.crf is not None and (codec.crf is None or not 0 <= options.crf <= codec.max_crf):
        rule = f"from 0 to {codec.max_crf}" if codec.crf else "left out, it has no loss"
        raise UsageError(f"crf {options.crf:g}: must be {rule} for {name}")
    if options.preset is not None and options.preset not in codec.presets:
        if not codec.presets:
            raise UsageError(f"preset {options.preset}: {name} has none, leave it out")
        raise UnknownNameError(f"preset of {name}", options.preset, codec.presets)
    if codec.crf is not None:
        crf = codec.crf if options.crf is None else options.crf
        yield "crf", f"{crf:g}"
        yield codec.preset_option, options.preset or codec.preset
    threads = options.threads
    if name == "h264" and info.static_hdr:
        yield "x264-params", ":".join(_x26x_hdr(info.static_hdr, "mastering-display", "cll"))
    elif name == "hevc":
        parameters = ["log-level=error"]
        if threads:
            parameters += [f"pools={threads}", f"frame-threads={min(threads, 4)}"]
        if info.static_hdr:
            parameters += _x26x_hdr(info.static_hdr, "master-display", "max-cll")
        yield "x265-params", ":".join(parameters)
    elif name == "av1":
        parameters = [f"lp={threads}"] if threads else []
        if info.static_hdr:
            parameters += _svt_hdr(info.static_hdr)
        if parameters:
            yield "svtav1-params", ":".join(parameters)
    elif name == "vp9":
        yield "b", "0"  # With a bit rate, crf would only be a limit.
        yield "row-mt", "1"
        if info.static_hdr:
            notices.append("vp9 cannot carry the HDR mastering metadata: left out")
    elif name == "ffv1":
        yield "level", "3"
        yield "slicecrc", "1"


def _x26x_hdr(hdr: StaticHdr, display: str, light: str) -> list[str]:
    """The parameters of x264 and x265 for static HDR metadata.

    Coordinates are in 1/50000 and luminance in 1/10000 cd/m2, in the order G, B, R, white.
    """
    parameters = []
    if hdr.primaries and hdr.luminance:
        r, g, b, white = (
            f"({round(hdr.primaries[i] * 50000)},{round(hdr.primaries[i + 1] * 50000)})"
            for i in (0, 2, 4, 6)
        )
        low, high = (round(value * 10000) for value in hdr.luminance)
        parameters.append(f"{display}=G{g}B{b}R{r}WP{white}L({high},{low})")
    if hdr.light:
        parameters.append(f"{light}={hdr.light[0]},{hdr.light[1]}")
    return parameters


def _svt_hdr(hdr: StaticHdr) -> list[str]:
    parameters = []
    if hdr.primaries and hdr.luminance:
        r, g, b, white = (
            f"({float(hdr.primaries[i]):.5f},{float(hdr.primaries[i + 1]):.5f})"
            for i in (0, 2, 4, 6)
        )
        low, high = (float(value) for value in hdr.luminance)
        parameters.append(f"mastering-display=G{g}B{b}R{r}WP{white}L({high:.4f},{low:.4f})")
    if hdr.light:
        parameters.append(f"content-light={hdr.light[0]},{hdr.light[1]}")
    return parameters


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
