"""Frames into the segments of a video."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
from av.container import OutputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from enhance_cli.errors import OutputError
from enhance_cli.io.files import replacing
from enhance_cli.io.video.colour import MATRICES, PRIMARIES, RANGES, TRANSFERS, FromRgb, code
from enhance_cli.io.video.probing import reason
from enhance_cli.io.video.types import Frame, OutputPlan


def configure(context: av.VideoCodecContext, plan: OutputPlan) -> None:
    """Set an encoder up."""
    context.width, context.height = plan.width, plan.height
    context.pix_fmt = plan.pixel_format
    context.time_base = plan.time_base
    context.framerate = plan.rate
    context.sample_aspect_ratio = plan.source.sample_aspect_ratio
    context.thread_count = plan.threads
    context.options = dict(plan.encoder_options)
    tag(context, plan)
    if plan.encoder == "libsvtav1":
        os.environ.setdefault("SVT_LOG", "1")  # it writes its banner past FFmpeg's log


def tag(context: av.VideoCodecContext, plan: OutputPlan) -> None:
    """Say what the samples mean."""
    context.color_range = code(RANGES, plan.colour.range)
    context.colorspace = code(MATRICES, plan.colour.matrix)
    context.color_primaries = code(PRIMARIES, plan.colour.primaries)
    context.color_trc = code(TRANSFERS, plan.colour.transfer)


class FileSegmentWriter:
    """Encodes frames as they come."""

    def __init__(self, container: OutputContainer, plan: OutputPlan) -> None:
        self._container = container
        self._plan = plan
        stream = container.add_stream(plan.encoder, rate=plan.rate)
        assert isinstance(stream, VideoStream)
        configure(stream.codec_context, plan)
        stream.time_base = plan.time_base
        self._stream = stream
        self._converter = FromRgb(plan.width, plan.height, plan.pixel_format, plan.colour)
        self._last: int | None = None  # decoding time
        self.count = 0

    def write(self, frame: Frame) -> None:
        """Encode one frame; times must rise.

        Raises:
            ValueError: if it has another size than planned.
        """
        if frame.pixels.shape != (self._plan.height, self._plan.width, 3):
            raise ValueError(
                f"frame of shape {frame.pixels.shape}, planned were "
                f"{self._plan.width}x{self._plan.height} pixels"
            )
        picture = self._converter.convert(frame.pixels)
        # From the first frame of the video, since NUT holds no times below zero.
        picture.pts = frame.time - self._plan.source.first
        picture.time_base = self._plan.time_base
        picture.duration = frame.duration
        self._mux(self._stream.encode(picture))
        self.count += 1

    def finish(self) -> None:
        """Encode what the encoder still holds."""
        self._mux(self._stream.encode(None))

    def _mux(self, packets: "list[av.Packet[Any]]") -> None:
        for packet in packets:
            # x265 gives any decoding time to the frames of a very short video; only those of
            # the assembled file count, which are made from the frames' times.
            if packet.pts is not None and packet.dts is not None:
                packet.dts = min(packet.dts, packet.pts)
                if self._last is not None and packet.dts <= self._last:
                    packet.dts = self._last + 1
                self._last = packet.dts
            self._container.mux(packet)


@contextmanager
def write_file_segment(plan: OutputPlan, path: Path) -> Iterator[FileSegmentWriter]:
    """See :func:`enhance_cli.io.video.write_segment`."""
    with (
        replacing(path) as temporary,
        writing(path),
        av.open(
            f"file:{temporary}",
            "w",
            format="nut",
            container_options={"avoid_negative_ts": "disabled"},
        ) as container,
    ):
        writer = FileSegmentWriter(container, plan)
        yield writer
        writer.finish()
        container.close()
        check_written(path, temporary, writer.count)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """FFmpeg's errors as ours; a full disk stays an OSError, of which ``replacing`` speaks."""
    try:
        yield
    except OSError:
        raise
    except av.FFmpegError as error:
        raise OutputError(f"{path}: cannot write ({reason(error)})") from error


def check_written(path: Path, temporary: Path, frames: int, place: int = 0) -> None:
    """Count the frames of a file that was closed, for FFmpeg overlooks a disk that fills up then.

    Args:
        path: named to the user.
        temporary: the file.
        frames: that it should have.
        place: of the stream among those of the file that are videos and no covers.

    Raises:
        OutputError: if some are missing.
    """
    found = 0
    try:
        with av.open(f"file:{temporary}", "r", metadata_errors="replace") as container:
            streams = [
                stream
                for stream in container.streams.video
                if not stream.disposition & Disposition.attached_pic
            ]
            stream = streams[place]
            found = sum(packet.size > 0 for packet in container.demux(stream))
    except (av.FFmpegError, IndexError):
        pass
    if found != frames:
        raise OutputError(
            f"{path}: cannot write, the disk may be full ({found} of {frames} "
            "frames arrived): make room and run it again"
        )
