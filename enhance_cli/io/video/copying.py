"""The other streams of a source: which of them an output can hold, and their copies in it."""

import re
from contextlib import suppress
from io import BytesIO
from os import devnull
from pathlib import Path
from typing import Any

import av
from av.container import OutputContainer
from av.stream import Discard, Disposition

from enhance_cli.io.video.opening import opened
from enhance_cli.io.video.probing import codec_name
from enhance_cli.io.video.program import can_copy_stream, find_program
from enhance_cli.io.video.sound import find_encoder
from enhance_cli.io.video.types import OutputPlan

MP4_LIKE = ("mp4", "mov")
PICTURE_TYPES = {"mjpeg": ("cover.jpg", "image/jpeg"), "png": ("cover.png", "image/png")}
_FOR_PROGRAM = ("audio", "subtitle")  # kinds of streams
# The beginnings of metadata keys that the muxers write anew, or that hold of the old file only.
STALE_KEYS = (
    "major_brand",
    "minor_version",
    "compatible_brands",
    "encoder",
    "duration",
    "bps",
    "number_of_frames",
    "number_of_bytes",
    "_statistics",
)


def stream_notices(plan: OutputPlan) -> list[str]:
    """Name the streams of the source that the output cannot hold as they are, a line each.

    Raises:
        InputError: if the source cannot be opened any more.
    """
    notices = []
    with opened(plan.source.path) as source:
        for stream in source.streams:
            if (
                stream.index == plan.source.stream
                or can_copy(plan, stream)
                or is_for_program(plan, stream)
                or _is_written_anew(plan, stream)
                or _is_unwanted(plan, stream)
            ):
                continue
            held = stream.type == "attachment" or stream.codec_context is not None
            why = f"{plan.target.suffix[1:]} cannot hold it" if held else "cannot be copied"
            if _only_tee_holds(plan, stream):
                why = "cannot be copied beside chapters"
            advice = "; use an .mkv output" if held and plan.container != "matroska" else ""
            if stream.type in _FOR_PROGRAM and not held and find_program() is None:
                advice = "; run: pip install imageio-ffmpeg, which may copy it"
            encoder = find_encoder(plan, stream)
            done = f"converted to {encoder.removeprefix('lib')}" if encoder else "left out"
            notices.append(
                f"stream {stream.index} ({_kind(stream)}, {codec_name(stream)}): "
                f"{why}, {done}{advice}"
            )
    return notices


def _kind(stream: Any) -> str:
    return "cover picture" if is_cover(stream) else str(stream.type)


def is_cover(stream: Any) -> bool:
    """Whether a stream is a cover picture, which players show in place of a video."""
    return stream.type == "video" and bool(stream.disposition & Disposition.attached_pic)


def _is_written_anew(plan: OutputPlan, stream: Any) -> bool:
    """Whether an MP4 keeps chapters or a time code in this stream; they are copied as metadata."""
    if stream.type != "data":
        return False
    # FFmpeg reads the titles of chapters itself, and asks nobody else to.
    chapters = bool(stream.container.chapters()) and stream.discard == Discard.all
    return chapters or ("timecode" in stream.metadata and plan.container in MP4_LIKE)


def _is_unwanted(plan: OutputPlan, stream: Any) -> bool:
    """Whether a stream holds measurements, such as places, and metadata are to be left out."""
    return stream.type == "data" and not plan.metadata


def forget_metadata(output: OutputContainer) -> None:
    """Take away what an output, of which nothing is written yet, tells of itself.

    Languages of streams stay, and the names of attached files.
    """
    output.metadata.clear()
    for stream in output.streams:
        if stream.type != "attachment":
            language = stream.metadata.get("language")
            stream.metadata.clear()
            if language:
                stream.metadata["language"] = language


def can_copy(plan: OutputPlan, stream: Any) -> bool:
    """Whether the output can hold a stream as it is."""
    if _is_unwanted(plan, stream):
        return False
    if stream.type == "attachment":
        return plan.container == "matroska"
    if stream.codec_context is None:  # It is data, or no decoder knows it.
        return stream.type == "data" and not _is_written_anew(plan, stream) and _holds(plan, stream)
    if is_cover(stream) and plan.container == "matroska":
        return codec_name(stream) in PICTURE_TYPES
    if is_cover(stream) and (
        plan.container not in MP4_LIKE or has_foreign_keys(stream.container.metadata)
    ):
        return False
    return _holds(plan, stream) or needs_tee(plan, stream)


def is_for_program(plan: OutputPlan, stream: Any) -> bool:
    """Whether a stream that PyAV cannot copy, for it has no decoder, is copied by the program."""
    return (
        stream.type in _FOR_PROGRAM
        and stream.codec_context is None
        and can_copy_stream(plan.source.path, stream.index, plan.container)
    )


def copy_stream(output: OutputContainer, stream: Any) -> Any:
    """Add a copy of a stream, which the output can hold, to it.

    Returns:
        The stream that packets are copied to.

    Raises:
        InputError: if the source cannot be opened again, which a cover in Matroska needs.
    """
    if stream.type == "attachment":
        return output.add_attachment(
            stream.name or "attachment", stream.mimetype or "application/octet-stream", stream.data
        )
    if is_cover(stream) and output.format.name not in MP4_LIKE:
        return _attach_cover(output, stream)
    copy = output.add_stream_from_template(stream, opaque=True)
    copy_description(stream, copy)
    return copy


def _holds(plan: OutputPlan, stream: Any, *, tee: bool = False) -> bool:
    """Whether the container can hold a stream.

    A file with this stream alone is begun to find out, since FFmpeg's tables of codecs promise
    too much.
    """
    if tee:
        trial = open_tee(Path(devnull), plan.container, {})
    else:
        trial = av.open(BytesIO(), "w", format=plan.container)
    try:
        trial.add_stream_from_template(stream, opaque=True)
        trial.start_encoding()
    except (ValueError, av.FFmpegError):
        return False
    finally:
        with suppress(av.FFmpegError):  # Some containers cannot end without a packet.
            trial.close()
    return True


def needs_tee(plan: OutputPlan, stream: Any) -> bool:
    """Whether a stream is copied by way of :func:`open_tee`, which loses chapters."""
    return _only_tee_holds(plan, stream) and not stream.container.chapters()


def _only_tee_holds(plan: OutputPlan, stream: Any) -> bool:
    """Whether a stream can be copied only by way of :func:`open_tee`.

    Matroska holds the sound of AVI and WMV under the number that it has there, but FFmpeg does
    not tell this when it is asked, so PyAV refuses such streams.
    """
    return (
        plan.container == "matroska"
        and stream.type == "audio"
        and stream.codec_context is not None
        and not _holds(plan, stream)
        and _holds(plan, stream, tee=True)
    )


def open_tee(path: Path, container: str, options: dict[str, str]) -> OutputContainer:
    """Open an output by way of FFmpeg's "tee", which takes all codecs that the muxer takes.

    Args:
        path: the file.
        container: FFmpeg's name of its format.
        options: those of the muxer.
    """
    words = ":".join([f"f={container}", *(f"{name}={value}" for name, value in options.items())])
    place = re.sub(r"([\\'|\[\]\s])", r"\\\1", f"file:{path}")
    return av.open(f"[{words}]{place}", "w", format="tee")


def _attach_cover(output: OutputContainer, stream: Any) -> Any | None:
    """Attach a cover picture to a Matroska file, which keeps no covers as streams."""
    name, kind = PICTURE_TYPES.get(codec_name(stream), ("", ""))
    if not name:
        return None
    with opened(Path(stream.container.name.removeprefix("file:"))) as source:
        for packet in source.demux(source.streams[stream.index]):
            if packet.size:
                return output.add_attachment(
                    stream.metadata.get("filename", name), kind, bytes(packet)
                )
    return None


def copy_description(stream: Any, copy: Any) -> None:
    """Give a copied stream the metadata and the role, like default or forced, of the original."""
    copy.metadata.update(kept_metadata(stream.metadata))
    # FFmpeg also takes a lone cover beside chapters for their thumbnails, which it cannot write.
    copy.disposition = Disposition.attached_pic if is_cover(stream) else stream.disposition


def has_foreign_keys(metadata: dict[str, str]) -> bool:
    """Whether there are keys that an MP4 holds only in the place where a cover would be."""
    return any("." in key for key in metadata)


def kept_metadata(metadata: dict[str, str]) -> dict[str, str]:
    """The metadata that holds of the output as well as of the source."""
    return {key: value for key, value in metadata.items() if not key.lower().startswith(STALE_KEYS)}
