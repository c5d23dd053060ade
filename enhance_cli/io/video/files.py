"""Video files as sources and sinks of frames."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from enhance_cli.io.video.assembling import assemble_file
from enhance_cli.io.video.planning import plan_file
from enhance_cli.io.video.reading import FileSource
from enhance_cli.io.video.types import EncodeOptions, OutputPlan, Span, VideoInfo
from enhance_cli.io.video.writing import FileSegmentWriter, write_file_segment
from enhance_cli.sizes import FrameSize

__all__ = ["FileSink", "FileSource"]


class FileSink:
    """A video file to be written; see :class:`~enhance_cli.io.video.types.FrameSink`.

    Args:
        info: the description of the input.
        target: the file; its suffix decides on the container.
        size: the size of the frames.
        options: what the user chose about the encoding.

    Raises:
        UsageError: if an option is unknown or does not fit the codec.
        OutputError: if the container cannot hold the codec, or the codec the frames.
    """

    # NUT keeps every time exactly, where Matroska would round it to a millisecond.
    segment_suffix = ".nut"

    def __init__(
        self, info: VideoInfo, target: Path, size: FrameSize, options: EncodeOptions
    ) -> None:
        self.plan: OutputPlan = plan_file(info, target, size, options)

    def segment(self, path: Path) -> AbstractContextManager[FileSegmentWriter]:
        """Encode frames into a file of their own in a ``with`` statement, whole or not at all.

        Raises:
            OutputError: if it cannot be written, for instance because the disk is full.
        """
        return write_file_segment(self.plan, path)

    def assemble(self, segments: Sequence[Path], span: Span, notice: Callable[[str], None]) -> None:
        """Put segments together with the other streams of the source; whole or not at all.

        Raises:
            InputError: if the source is gone or damaged.
            OutputError: if a segment is damaged, or the file cannot be written.
        """
        assemble_file(self.plan, segments, span, notice)
