"""The other streams of a source: which of them an output can hold, and their copies in it."""

from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer, OutputContainer
from av.stream import Disposition

from enhance_cli.io.video.probing import codec_name, opened
from enhance_cli.io.video.types import OutputPlan

MP4_LIKE = ("mp4", "mov")
PICTURE_TYPES = {"mjpeg": ("cover.jpg", "image/jpeg"), "png": ("cover.png", "image/png")}
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


def left_out(plan: OutputPlan) -> list[str]:
    """Name the streams of the source that the output cannot hold, a line each.

    Raises:
        InputError: if the source cannot be opened any more.
    """
    notices = []
    with (
        opened(plan.source.path) as source,
        av.open(BytesIO(), "w", format=plan.container) as output,
    ):
        for stream in source.streams:
            if stream.index != plan.source.stream and not copy_stream(plan, output, stream):
                if _is_written_anew(plan, source, stream):
                    continue
                held = stream.type == "attachment" or stream.codec_context is not None
                why = f"{plan.target.suffix[1:]} cannot hold it" if held else "cannot be copied"
                advice = "; use an .mkv output" if held and plan.container != "matroska" else ""
                notices.append(
                    f"stream {stream.index} ({_kind(stream)}, {codec_name(stream)}): "
                    f"{why}, left out{advice}"
                )
    return notices


def _kind(stream: Any) -> str:
    return "cover picture" if is_cover(stream) else str(stream.type)


def is_cover(stream: Any) -> bool:
    """Whether a stream is a cover picture, which players show in place of a video."""
    return stream.type == "video" and bool(stream.disposition & Disposition.attached_pic)


def _is_written_anew(plan: OutputPlan, source: InputContainer, stream: Any) -> bool:
    """Whether an MP4 keeps chapters or a time code in this stream; they are copied as metadata."""
    if stream.type != "data":
        return False
    chapters = codec_name(stream) == "bin_data" and bool(source.chapters())
    return chapters or ("timecode" in stream.metadata and plan.container in MP4_LIKE)


def copy_stream(plan: OutputPlan, output: OutputContainer, stream: Any) -> Any | None:
    """Add a copy of a stream to the output.

    Returns:
        The stream that packets are copied to, or None if the container cannot hold it.

    Raises:
        InputError: if the source cannot be opened again, which a cover in Matroska needs.
    """
    if stream.type == "attachment":
        if plan.container != "matroska":
            return None
        return output.add_attachment(
            stream.name or "attachment", stream.mimetype or "application/octet-stream", stream.data
        )
    if stream.codec_context is None:  # It is data, or no decoder knows it.
        return None
    if is_cover(stream) and plan.container == "matroska":
        return _attach_cover(output, stream)
    if is_cover(stream) and plan.container not in MP4_LIKE:
        return None
    if not _holds(plan, stream):
        return None
    copy = output.add_stream_from_template(stream, opaque=True)
    copy_description(stream, copy)
    return copy


def _holds(plan: OutputPlan, stream: Any) -> bool:
    """Whether the container can hold a stream.

    A file with this stream alone is begun to find out, since FFmpeg's tables of codecs promise
    too much.
    """
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
    copy.disposition = stream.disposition


def kept_metadata(metadata: dict[str, str]) -> dict[str, str]:
    """The metadata that holds of the output as well as of the source."""
    return {key: value for key, value in metadata.items() if not key.lower().startswith(STALE_KEYS)}
