"""The codecs that video files are encoded with, and the options of their encoders."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import av

from enhance_cli.errors import UnknownNameError, UsageError
from enhance_cli.io.video.types import EncodeOptions, StaticHdr

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
        containers: FFmpeg's names of the file formats that hold the codec.
        crf: the constant rate factor if the user chooses none; None if nothing is lost.
        max_crf: the largest constant rate factor.
        presets: the names of the presets, from which the user may choose.
        preset: the preset if the user chooses none.
        preset_option: FFmpeg's name of the option that takes the preset.
        even: whether the sides of a frame must be even where chroma is halved along them.
    """

    encoder: str
    containers: tuple[str, ...]
    crf: float | None = None
    max_crf: int = 0
    presets: tuple[str, ...] = ()
    preset: str = ""
    preset_option: str = "preset"
    even: bool = False


CODECS = {
    "h264": Codec("libx264", ("mp4", "mov", "matroska"), 18, 51, X26X_PRESETS, "medium", even=True),
    "hevc": Codec("libx265", ("mp4", "mov", "matroska"), 20, 51, X26X_PRESETS, "medium", even=True),
    "vp9": Codec(
        "libvpx-vp9",
        ("mp4", "matroska", "webm"),
        24,
        63,
        tuple(map(str, range(9))),
        "3",
        "cpu-used",
    ),
    "av1": Codec(
        "libsvtav1", ("mp4", "matroska", "webm"), 24, 63, tuple(map(str, range(14))), "7", even=True
    ),
    "ffv1": Codec("ffv1", ("matroska",)),
}

ALIASES = {"h265": "hevc"}  # names that people know a codec by


def offered_formats(name: str) -> list[str]:
    """The pixel formats, in FFmpeg's names, that the encoder of a codec takes."""
    formats = av.Codec(CODECS[name].encoder, "w").video_formats or []
    return [known.name for known in formats]


def encoder_options(
    name: str, options: EncodeOptions, hdr: StaticHdr | None
) -> Iterator[tuple[str, str]]:
    """The options of the encoder of a codec, pairs of a name and a value.

    Args:
        name: the codec, one of ``CODECS``.
        options: what the user chose.
        hdr: the metadata of high dynamic range that the video shall carry.

    Raises:
        UsageError: if the constant rate factor or the preset is none of the codec's.
    """
    codec = CODECS[name]
    _check_options(name, codec, options)
    if codec.crf is not None:
        crf = codec.crf if options.crf is None else options.crf
        yield "crf", f"{crf:g}"
        yield codec.preset_option, options.preset or codec.preset
    threads = options.threads
    if name == "h264":
        # Its functions for AVX-512 that weigh blocks by their future (mbtree) read memory that was
        # never written, so that the same frames gave different bytes. This option avoids them.
        parameters = ["cpu-independent=1"]
        if hdr:
            parameters += _x26x_hdr(hdr, "mastering-display", "cll")
        yield "x264-params", ":".join(parameters)
    elif name == "hevc":
        parameters = ["log-level=error"]
        if threads:
            parameters += [f"pools={threads}", f"frame-threads={min(threads, 4)}"]
        if hdr:
            parameters += _x26x_hdr(hdr, "master-display", "max-cll")
        yield "x265-params", ":".join(parameters)
    elif name == "av1":
        parameters = [f"lp={threads}"] if threads else []
        if hdr:
            parameters += _svt_hdr(hdr)
        if parameters:
            yield "svtav1-params", ":".join(parameters)
    elif name == "vp9":
        yield "b", "0"  # With a bit rate, crf would only be a limit.
        yield "row-mt", "1"
    elif name == "ffv1":
        yield "level", "3"
        yield "slicecrc", "1"


def _check_options(name: str, codec: Codec, options: EncodeOptions) -> None:
    if options.crf is not None and (codec.crf is None or not 0 <= options.crf <= codec.max_crf):
        rule = f"from 0 to {codec.max_crf}" if codec.crf else "left out, it has no loss"
        raise UsageError(f"crf {options.crf:g}: must be {rule} for {name}")
    if options.preset is not None and options.preset not in codec.presets:
        if not codec.presets:
            raise UsageError(f"preset {options.preset}: {name} has none, leave it out")
        raise UnknownNameError(f"preset of {name}", options.preset, codec.presets)


def _x26x_hdr(hdr: StaticHdr, display: str, light: str) -> Iterator[str]:
    """For x264 and x265, which count in 1/50000 of a coordinate and 1/10000 cd/m2."""
    return _hdr_parameters(
        hdr,
        display,
        light,
        lambda value: str(round(value * 50000)),
        lambda value: str(round(value * 10000)),
    )


def _svt_hdr(hdr: StaticHdr) -> Iterator[str]:
    """For SVT-AV1, which takes coordinates and cd/m2 as decimal numbers."""
    return _hdr_parameters(
        hdr,
        "mastering-display",
        "content-light",
        lambda value: f"{float(value):.5f}",
        lambda value: f"{float(value):.4f}",
    )


def _hdr_parameters(
    hdr: StaticHdr,
    display: str,
    light: str,
    coordinate: Callable[[Fraction], str],
    level: Callable[[Fraction], str],
) -> Iterator[str]:
    """The parameters of an encoder for static HDR metadata, in the order G, B, R, white."""
    if hdr.primaries and hdr.luminance:
        places = [coordinate(value) for value in hdr.primaries]
        r, g, b, white = (f"({x},{y})" for x, y in zip(places[::2], places[1::2], strict=True))
        low, high = map(level, hdr.luminance)
        yield f"{display}=G{g}B{b}R{r}WP{white}L({high},{low})"
    if hdr.light:
        yield f"{light}={hdr.light[0]},{hdr.light[1]}"
