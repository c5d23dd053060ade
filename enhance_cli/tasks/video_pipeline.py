"""A video on its way: decoder, network and encoder work side by side."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from enhance_cli.architectures.frvsr import VideoState
from enhance_cli.cuts import cut_score
from enhance_cli.engine.recurrent import FrameEnlarger, load_state, save_state, with_following
from enhance_cli.io.video import Frame, FrameSink, FrameSource, SegmentWriter, Span, VideoInfo
from enhance_cli.levels import level_type, to_pixels, to_planes, to_values
from enhance_cli.overlap import Behind, ahead, behind
from enhance_cli.resize import imresize, resample
from enhance_cli.subsampling import shift_to_phase
from enhance_cli.tasks.video_work import WorkFolder

# How many frames are decoded ahead of the network, and how many enlarged ones wait for the
# encoder: enough to keep all three busy, and few enough for frames of any size.
_AHEAD = 3
_BEHIND = 2


class _Seen(NamedTuple):
    """A decoded frame, and whether a scene begins with it."""

    frame: Frame
    frame_lr: Tensor
    cut: bool


class _Enlarged(NamedTuple):
    """What the network hands to the encoder; ``ends`` says that it is the last of a segment."""

    frame: Frame
    frame_lr: Tensor
    frame_hr: Tensor
    ends: bool


@dataclass
class FramePipeline:
    """Enlarges the frames of one video and writes them in segments.

    A thread decodes ahead of the network and another one encodes behind it. All of them hold a
    few frames only, so the memory that is needed does not grow with the length of the video.

    Attributes:
        enlarger: runs the network.
        source: the video that is read.
        sink: the video that is written; frames are resampled where it plans another size than
            the network makes.
        folder: the folder for segments and states.
        span: the part of the video that is enlarged.
        cut_threshold: a scene begins where :func:`~enhance_cli.cuts.cut_score` is larger; None if
            the whole video is taken for one scene.
        compare: whether frames show the bicubic enlargement beside the result.
        progress: called with the number of frames that are done, and of all if it is known.
        done: how many frames are enlarged, those of an earlier run included.
        segments: the segments that were written, in order, those of an earlier run included.
        cuts: the seconds from the first frame at which scenes begin.
    """

    enlarger: FrameEnlarger
    source: FrameSource
    sink: FrameSink
    folder: WorkFolder
    span: Span
    cut_threshold: float | None
    compare: bool
    progress: Callable[[int, int | None], None]
    done: int = 0
    segments: list[Path] = field(default_factory=list)
    cuts: list[float] = field(default_factory=list)
    _writing: ExitStack = field(default_factory=ExitStack)
    _writer: SegmentWriter | None = None

    def run(self, finished: int) -> None:
        """Work through all frames after the segments that an earlier run finished.

        Args:
            finished: the number of those segments.

        Raises:
            InputError: if a frame is damaged, or there is none.
            OutputError: if a segment cannot be written.
            CheckpointError: if the state of the earlier run is missing or damaged.
            DeviceError: if a frame does not fit in the memory of the device.
        """
        self.segments = [self.folder.segment(index) for index in range(finished)]
        self.done = finished * self.folder.segment_frames
        state: VideoState | None = None
        if finished:
            device = self.enlarger.model.device
            state, self.cuts = load_state(self.folder.state(finished), device)
        decoded = ahead(
            _find_cuts(self.source.frames(self.span, self.done), state, self.cut_threshold), _AHEAD
        )
        try:
            with self._writing, behind(self._encode, _BEHIND) as encoder:
                self._enlarge(decoded, state, encoder)
        finally:
            decoded.close()

    def _enlarge(
        self, decoded: Iterator[_Seen], state: VideoState | None, encoder: Behind[_Enlarged]
    ) -> None:
        info = self.source.info
        total = expected_frames(info, self.span)
        self.progress(self.done, total)
        lookahead = self.enlarger.model.contract.lookahead
        for seen, following in with_following(decoded, lookahead):
            if seen.cut:
                state = None
                self.cuts.append(float((seen.frame.time - info.first) * info.time_base))
            after = following.frame_lr if following and not following.cut else None
            frame_hr, state = self.enlarger.step(seen.frame_lr, state, after)
            self.done += 1
            ends = self.done % self.folder.segment_frames == 0
            if ends:
                segment = self.done // self.folder.segment_frames
                save_state(self.folder.state(segment), state, self.cuts)
            encoder.put(_Enlarged(seen.frame, seen.frame_lr, frame_hr, ends))
            self.progress(self.done, total)

    def _encode(self, item: _Enlarged) -> None:
        """Write one enlarged frame; this runs in the thread of the encoder."""
        if self._writer is None:
            segment = self.folder.segment(len(self.segments))
            self._writer = self._writing.enter_context(self.sink.segment(segment))
            self.segments.append(segment)
        turned = self.source.info.quarter_turns % 2
        height, width = self.sink.plan.height, self.sink.plan.width
        if self.compare:
            height, width = (height // 2, width) if turned else (height, width // 2)
        picture = resample(item.frame_hr, height, width).clamp(0, 1)
        if self.compare:
            picture = self._side_by_side(item.frame_lr.to(picture.device), picture)
        pixels = to_pixels(picture, level_type(item.frame.pixels))
        self._writer.write(replace(item.frame, pixels=pixels))
        if item.ends:
            self._writing.pop_all().close()
            self._writer = None
            self.folder.finish_segment(len(self.segments) - 1)

    def _side_by_side(self, frame_lr: Tensor, frame_hr: Tensor) -> Tensor:
        """The bicubic enlargement and the result, left and right as players show the frame."""
        scale = self.enlarger.model.contract.scale
        bicubic = shift_to_phase(imresize(frame_lr, scale), scale, self.enlarger.phase)
        both = [resample(bicubic, *frame_hr.shape[1:]).clamp(0, 1), frame_hr]
        turns = self.source.info.quarter_turns
        return torch.cat(both if turns < 2 else both[::-1], -2 if turns % 2 else -1)


def expected_frames(info: VideoInfo, span: Span) -> int | None:
    """Roughly how many frames a part of a video has, for the progress bar; None if unknown."""
    frames = info.frames
    if frames is None and info.seconds is not None:
        frames = round(info.seconds * info.rate)
    if frames is None and span.end is None:
        return None
    last = float("inf") if frames is None else frames
    if span.end is not None:
        last = min(last, float(span.end * info.rate))
    return max(1, round(last - float((span.start or 0) * info.rate)))


def _find_cuts(
    frames: Iterable[Frame], state: VideoState | None, threshold: float | None
) -> Iterator[_Seen]:
    """Compare each frame with the one before it, the first one with that of the state."""
    before = None if state is None else state.frame_lr[0].cpu()
    for frame in frames:
        frame_lr = to_values(to_planes(frame.pixels))
        cut = (
            threshold is not None and before is not None and cut_score(before, frame_lr) > threshold
        )
        yield _Seen(frame, frame_lr, cut)
        before = frame_lr
