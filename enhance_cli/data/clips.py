"""Reads videos into memory and draws clips from them to train on.

A clip is a short run of frames, of which the same small square is taken.
"""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from enhance_cli.cuts import cut_score
from enhance_cli.data.degradation import Degradation
from enhance_cli.data.motion import MotionSampler
from enhance_cli.defaults import CUT_THRESHOLD
from enhance_cli.errors import DatasetError
from enhance_cli.io.image import find_images, read_rgb8
from enhance_cli.io.video import VIDEO_SUFFIXES, read_rgb8_frames
from enhance_cli.levels import to_planes, to_values


def find_clips(folder: Path) -> list[Path]:
    """Find the videos under a folder, and the folders of pictures in it, each of which is a video.

    Returns:
        The files in the order of their names, then the folders in the order of theirs.

    Raises:
        DatasetError: if there is no such folder, or no video in it.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder, give a folder of videos")
    files = find_images(folder, recursive=True, suffixes=VIDEO_SUFFIXES)
    folders = sorted({path.parent for path in find_images(folder, recursive=True)})
    clips = files + folders
    if not clips:
        raise DatasetError(
            f"{folder}: no videos and no folders of frames in it, give a folder of videos"
        )
    return clips


def read_clip(path: Path, limit: int | None = None) -> Tensor:
    """Read the frames of a video, or of a folder of pictures in the order of their names.

    Args:
        path: the file or the folder.
        limit: how many of the first frames to read; None reads all.

    Returns:
        uint8 RGB frames (T, 3, H, W).

    Raises:
        DatasetError: if the frames differ in size, or there is none.
        InputError: if a picture or video cannot be read, or PyAV is not installed.
    """
    if path.is_dir():
        frames = [np.asarray(read_rgb8(picture)) for picture in find_images(path)[:limit]]
    else:
        frames = list(islice(read_rgb8_frames(path), limit))
    if len({frame.shape for frame in frames}) != 1:
        raise DatasetError(f"{path}: its frames must be of one size, and there must be one")
    return to_planes(np.stack(frames)).contiguous()


def split_scenes(clip: Tensor, threshold: float = CUT_THRESHOLD) -> list[Tensor]:
    """Split frames (T, 3, H, W) uint8 at their cuts into scenes.

    Clips to train on must not contain a cut (dissertation, ch. 3.3.5). A cut lies where the
    score of ``cuts.cut_score`` exceeds ``threshold``.
    """
    starts = [0] + [
        index + 1
        for index in range(len(clip) - 1)
        if cut_score(to_values(clip[index]), to_values(clip[index + 1])) > threshold
    ]
    return [clip[first:last] for first, last in zip(starts, [*starts[1:], len(clip)], strict=True)]


class ClipSampler:
    """Draws random clips of square patches, each of them flipped, turned or played backwards.

    Args:
        clips: uint8 videos (T, 3, H, W) without cuts. Those that are too small or too short are
            left out.
        motion: the source of clips that are made from photographs, or None for no such clips.
        made_share: the share of clips that are made from photographs, from 0 to 1.
        side: the side of the largest patch that will be asked for, in pixels.
        length: the largest number of frames that will be asked for.
        strides: the numbers of frames from one frame of a clip to its next, one of which is
            drawn for each clip. Objects move further in clips with a larger stride.
        device: the device on which batches are wanted.

    Raises:
        DatasetError: if no clip holds a patch of ``side`` over ``length`` frames.
    """

    def __init__(
        self,
        clips: Sequence[Tensor],
        *,
        motion: MotionSampler | None,
        made_share: float,
        side: int,
        length: int,
        strides: Sequence[int] = (1,),
        device: torch.device,
    ) -> None:
        span = (length - 1) * min(strides)
        self.clips = [clip for clip in clips if len(clip) > span and min(clip.shape[-2:]) >= side]
        if not self.clips and not (motion and made_share == 1):
            raise DatasetError(
                f"no clip holds {length} frames of {side}x{side} pixels: "
                "use longer clips or smaller patches"
            )
        self._motion, self._made_share = motion, made_share if motion else 0.0
        self._strides, self._device = strides, device
        # The chance of a video grows with its area and less with its length, since long videos
        # repeat themselves.
        self._chances = torch.tensor(
            [clip.shape[-1] * clip.shape[-2] * len(clip) ** 0.5 for clip in self.clips]
        )

    def batch(
        self, count: int, length: int, side: int, generator: torch.Generator
    ) -> tuple[Tensor, list[Tensor | None]]:
        """Draw clips, with the optical flow of those that are made from photographs.

        Args:
            count: how many clips to draw.
            length: the number of frames of each.
            side: the side of their patches in pixels.
            generator: the source of chance, on the CPU.

        Returns:
            The clips, float32 (count, length, 3, side, side) in [0, 1]; and a list that holds for
            each clip its flow as ``MotionSampler.clip`` gives it, on the CPU, or None if the flow
            is not known.
        """
        clips: list[Tensor] = []
        flows: list[Tensor | None] = []
        for _ in range(count):
            made = float(torch.rand((), generator=generator)) < self._made_share
            if made and self._motion is not None:
                clip, flow = self._motion.clip(length, side, generator)
                clips.append(clip.to(self._device))
                flows.append(flow)
            else:
                clips.append(to_values(self._cut(length, side, generator).to(self._device)))
                flows.append(None)
        return torch.stack(clips), flows

    def _cut(self, length: int, side: int, generator: torch.Generator) -> Tensor:
        clip = self.clips[int(torch.multinomial(self._chances, 1, generator=generator))]
        frames, _, height, width = clip.shape
        fitting = [stride for stride in self._strides if (length - 1) * stride < frames]
        stride = fitting[int(torch.randint(len(fitting), (), generator=generator))]
        draw = torch.rand(3, generator=generator, dtype=torch.float64)
        start, top, left = (
            int(draw[i] * (room + 1))
            for i, room in enumerate(
                (frames - 1 - (length - 1) * stride, height - side, width - side)
            )
        )
        part = clip[
            start : start + (length - 1) * stride + 1 : stride,
            :,
            top : top + side,
            left : left + side,
        ]
        turn, flip, back = torch.randint(8, (3,), generator=generator).tolist()
        part = torch.rot90(part, turn % 4, (-2, -1))
        part = part.flip(-1) if flip % 2 else part
        return part.flip(0) if back % 2 else part


class ClipBatch(NamedTuple):
    """A batch of clips to train on.

    Attributes:
        frames_lr: (N, T, 3, p, p) in [0, 1], the small frames that the network sees.
        frames_hr: (N, T, 3, s * p, s * p) in [0, 1], the large frames that it should give.
        flow: (N, T, 2, p, p), the optical flow: the displacement (x, y) in LR pixels from each
            pixel to the place where it was in the frame before. It is 0 for the first frame and
            for clips whose flow is not known.
        known: bool (N,), which tells the clips whose flow is known.
    """

    frames_lr: Tensor
    frames_hr: Tensor
    flow: Tensor
    known: Tensor

    def part(self, share: slice) -> "ClipBatch":
        """A batch of some of the clips."""
        return ClipBatch(*(tensor[share] for tensor in self))


def clip_batch(
    sampler: ClipSampler,
    degradation: Degradation,
    *,
    count: int,
    length: int,
    patch: int,
    scale: int,
    generator: torch.Generator,
) -> ClipBatch:
    """Draw clips and make their small versions.

    The small frames are made from a larger field and then cut, so that their borders look like
    the inside of a whole frame.

    Args:
        sampler: the source of the large clips.
        degradation: how small frames are made of large ones.
        count: how many clips to draw (N).
        length: the number of frames of each (T).
        patch: the side of the small frames in pixels (p).
        scale: the enlargement (s).
        generator: the source of chance, on the CPU.
    """
    margin = degradation.margin
    whole, flows = sampler.batch(count, length, (patch + 2 * margin) * scale, generator)
    frames_lr = degradation.apply(whole, scale, generator)
    inside = slice(margin, margin + patch)
    large = slice(margin * scale, (margin + patch) * scale)
    frames_lr, frames_hr = frames_lr[..., inside, inside], whole[..., large, large]
    flow = torch.zeros(count, length, 2, patch, patch)
    for index, known in enumerate(flows):
        if known is not None:
            flow[index] = functional.avg_pool2d(known[..., large, large], scale) / scale
    return ClipBatch(
        frames_lr,
        frames_hr,
        flow.to(frames_lr.device),
        torch.tensor([known is not None for known in flows], device=frames_lr.device),
    )
