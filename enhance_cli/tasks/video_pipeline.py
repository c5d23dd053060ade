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
from enhance_cli.io.image import place_on_white
from enhance_cli.io.video import Frame, FrameSink, FrameSource, SegmentWriter, Span, VideoInfo
from enhance_cli.levels import level_type, to_pixels, to_planes, to_values
from enhance_cli.overlap import Behind, ahead, behind
from enhance_cli.resize import imresize, resample
from enhance_cli.subsampling import shift_to_phase
from enhance_cli.tasks.video_work import WorkFolder
from enhance_cli.transparency import fill_transparent, without_rings

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
    """What the network hands to the encoder; ``ends`` says that it is the last of a segment.

    Transparency ``alpha_hr`` is (1, H, W) in [0, 1], None where there is none.
    """

    frame: Frame
    frame_lr: Tensor
    frame_hr: Tensor
    alpha_hr: Tensor | None
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
        frames = map(self._prepare, self.source.frames(self.span, self.done))
        decoded = ahead(_find_cuts(frames, state, self.cut_threshold), _AHEAD)
        try:
            with self._writing, behind(self._encode, _BEHIND) as encoder:
                self._enlarge(decoded, state, encoder)
        finally:
            decoded.close()

    def _prepare(self, frame: Frame) -> Frame:
        """A frame whose colours can be enlarged apart from its transparency, or without any."""
        if frame.alpha is None:
            return frame
        if self.sink.plan.alpha:
            return replace(frame, pixels=fill_transparent(frame.pixels, frame.alpha))
        return replace(frame, pixels=place_on_white(frame.pixels, frame.alpha), alpha=None)

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
            alpha_hr = self._enlarge_alpha(seen.frame)
            encoder.put(_Enlarged(seen.frame, seen.frame_lr, frame_hr, alpha_hr, ends))
            self.progress(self.done, total)

    def _enlarge_alpha(self, frame: Frame) -> Tensor | None:
        """Transparency, enlarged as a grey picture of its own without any memory."""
        if frame.alpha is None:
            return None
        grey = to_values(to_planes(frame.alpha[..., None])).expand(3, -1, -1)
        return self.enlarger.step(grey, None)[0].mean(0, keepdim=True)

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
            picture = self._side_by_side(self._bicubic(item.frame_lr, picture), picture)
        levels = level_type(item.frame.pixels)
        alpha = item.frame.alpha
        if alpha is not None and item.alpha_hr is not None:
            large = to_pixels(resample(item.alpha_hr, height, width), levels)
            alpha = without_rings(large[..., 0], alpha)
            if self.compare:
                both = to_planes(alpha[..., None])
                alpha = to_pixels(self._side_by_side(both, both), levels)[..., 0]
        self._writer.write(replace(item.frame, pixels=to_pixels(picture, levels), alpha=alpha))
        if item.ends:
            self._writing.pop_all().close()
            self._writer = None
            self.folder.finish_segment(len(self.segments) - 1)

    def _bicubic(self, frame_lr: Tensor, frame_hr: Tensor) -> Tensor:
        """The bicubic enlargement of a frame to the size of the result."""
        scale = self.enlarger.model.contract.scale
        enlarged = imresize(frame_lr.to(frame_hr.device), scale)
        bicubic = shift_to_phase(enlarged, scale, self.enlarger.phase)
        return resample(bicubic, *frame_hr.shape[1:]).clamp(0, 1)

    def _side_by_side(self, before: Tensor, after: Tensor) -> Tensor:
        """Two pictures (C, H, W), left and right as players show them."""
        both = [before, after]
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
