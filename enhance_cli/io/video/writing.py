"""The segments of a video file, encoded from frames."""

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
from enhance_cli.io.video.opening import reason
from enhance_cli.io.video.types import Frame, OutputPlan


def configure(context: av.VideoCodecContext, plan: OutputPlan) -> None:
    """Set up an encoder as planned."""
    context.width, context.height = plan.width, plan.height
    context.pix_fmt = plan.pixel_format
    context.time_base = plan.time_base
    context.framerate = plan.rate
    context.sample_aspect_ratio = plan.sample_aspect_ratio
    context.thread_count = plan.threads
    # PyAV's own choice, slices, makes x264's files larger, and other ones at every run.
    context.thread_type = "AUTO"
    context.options = dict(plan.encoder_options)
    tag(context, plan)
    if plan.encoder == "libsvtav1":
        os.environ.setdefault("SVT_LOG", "1")  # It writes its banner past FFmpeg's log.


def tag(context: av.VideoCodecContext, plan: OutputPlan) -> None:
    """Tell an encoder or muxer what the samples mean."""
    context.color_range = code(RANGES, plan.colour.range)
    context.colorspace = code(MATRICES, plan.colour.matrix)
    context.color_primaries = code(PRIMARIES, plan.colour.primaries)
    context.color_trc = code(TRANSFERS, plan.colour.transfer)


class FileSegmentWriter:
    """Encodes frames as they come.

    Args:
        container: the file of the segment, open for writing.
        plan: what is decided about the whole output.
    """

    def __init__(self, container: OutputContainer, plan: OutputPlan) -> None:
        self._container = container
        self._plan = plan
        stream = container.add_stream(plan.encoder, rate=plan.rate)
        assert isinstance(stream, VideoStream)
        configure(stream.codec_context, plan)
        stream.time_base = plan.time_base
        self._stream = stream
        self._converter = FromRgb(plan.width, plan.height, plan.pixel_format, plan.colour)
        self._last: int | None = None  # the decoding time of the last packet
        self.count = 0

    def write(self, frame: Frame) -> None:
        """Encode one frame. Its time must be later than that of the frame before.

        Raises:
            ValueError: if it has another size than planned.
        """
        if frame.pixels.shape != (self._plan.height, self._plan.width, 3):
            raise ValueError(
                f"frame of shape {frame.pixels.shape}, planned were "
                f"{self._plan.width}x{self._plan.height} pixels"
            )
        picture = self._converter.convert(frame.pixels)
        # Times count from the first frame of the video, since NUT holds none below zero.
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
            # x265 gives arbitrary decoding times to the frames of a very short video. Those of
            # the assembled file are made from the frames' times, so these need only rise.
            if packet.pts is not None and packet.dts is not None:
                packet.dts = min(packet.dts, packet.pts)
                if self._last is not None and packet.dts <= self._last:
                    packet.dts = self._last + 1
                self._last = packet.dts
            self._container.mux(packet)


@contextmanager
def write_file_segment(plan: OutputPlan, path: Path) -> Iterator[FileSegmentWriter]:
    """Encode the frames of one segment into a file, which appears whole or not at all.

    Args:
        plan: what is decided about the whole output.
        path: the file; what is there is replaced.

    Raises:
        OutputError: if it cannot be written, for instance because the disk is full.
    """
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
    """Turn FFmpeg's errors into ours.

    A full disk stays an OSError, which ``replacing`` turns into one of ours.

    Raises:
        OutputError: if FFmpeg reports an error.
    """
    try:
        yield
    except OSError:
        raise
    except av.FFmpegError as error:
        raise OutputError(f"{path}: cannot write ({reason(error)})") from error


def check_written(path: Path, temporary: Path, frames: int, place: int = 0) -> None:
    """Count the frames of a closed file: FFmpeg overlooks a disk that fills up while it closes.

    Args:
        path: the name of the file that is told to the user.
        temporary: the file.
        frames: how many frames it should have.
        place: the place of their stream among the video streams of the file, covers left out.

    Raises:
        OutputError: if some frames are missing.
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
