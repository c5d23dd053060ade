"""Training of video super-resolution: a stage, its loss and its validation (003, ch. 3)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor
from torch.nn import functional

from enhance_cli.architectures.frvsr import FlowAligned, VideoNetwork
from enhance_cli.data.clips import (
    ClipBatch,
    ClipSampler,
    clip_batch,
    find_clips,
    read_clip,
    split_scenes,
)
from enhance_cli.data.degradation import Degradation
from enhance_cli.data.motion import Motion, MotionSampler
from enhance_cli.data.patches import load_photos
from enhance_cli.engine.recurrent import enhance_clip
from enhance_cli.errors import DatasetError, UsageError
from enhance_cli.levels import to_values
from enhance_cli.metrics.video import video_psnr
from enhance_cli.training.flow import FlowLessons, alignment_loss
from enhance_cli.training.stages import Stage, TrainingTask
from enhance_cli.training.unroll import FlowFrames, run_clip


@dataclass(frozen=True, kw_only=True)
class VideoStage(Stage):
    """A stage of training a video network: its clips, their degradation and its losses.

    Attributes:
        patch: side of the training patches in LR pixels.
        batch: clips per step, over all processes.
        frames: length of a clip (10 in ch. 3.3.5).
        short_frames: length of the clips of the first steps, which are quicker and teach the same
            flow.
        short_share: share of the steps that take these short clips.
        strides: steps from one frame of a video to the next one of a clip; each clip draws one of
            them. 1 takes consecutive frames, as ch. 3.3.5 does; 2 makes motion twice as fast.
        burn_in: how many frames at the beginning of each clip are only remembered, not learned
            from; 0 in the paper. They cost a third of the others, so a batch may hold more clips.
        l1_share: share of the steps, the first ones, that use L1 instead of the squares in eq. 3.7
            and 3.8. It converges faster at high rates.
        flow_weight: weight of eq. 3.8; 1 in the paper.
        flow_share: share of the steps, the first ones, that train FNet alone on motion that is
            known; needs ``photos``.
        align_share: share of the steps, those after them, that train FNet alone on the clips: by
            the flow where it is known, and by how well it aligns one large frame with the next.
        given_share: share of the steps, those after these, that warp along the true flow where it
            is known. SRNet can learn from a memory long before FNet's flow is good enough.
        flow_frames: the frames that eq. 3.8 compares: ``lr`` as in the paper, or ``hr``, the true
            large ones, which show flow four times finer.
        photos: folder of photographs that are set in motion, to be trained on beside the videos;
            empty for none.
        made_share: share of the clips that are made from photographs.
        degradation: how large clips become small ones.

    Raises:
        ValueError: if a setting is out of its range.
    """

    patch: int = 64
    batch: int = 4
    frames: int = 10
    short_frames: int = 5
    short_share: float = 0.0
    strides: tuple[int, ...] = (1,)
    burn_in: int = 0
    l1_share: float = 0.0
    flow_weight: float = 1.0
    flow_share: float = 0.0
    align_share: float = 0.0
    given_share: float = 0.0
    flow_frames: FlowFrames = "lr"
    photos: str = ""
    made_share: float = 0.5
    degradation: Degradation = field(default_factory=Degradation)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in (
            "short_share",
            "l1_share",
            "made_share",
            "flow_share",
            "align_share",
            "given_share",
        ):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be from 0 to 1, not {getattr(self, name)}")
        if self.flow_frames not in get_args(FlowFrames):
            raise ValueError(
                f"flow_frames {self.flow_frames!r}: choose from {get_args(FlowFrames)}"
            )
        if not 0 <= self.flow_weight < math.inf:
            raise ValueError(f"flow_weight must be 0 or more, not {self.flow_weight}")
        if min(self.patch, self.frames, self.short_frames) < 1:
            raise ValueError("patch, frames and short_frames must be at least 1")
        if not self.strides or not all(type(n) is int and n > 0 for n in self.strides):
            raise ValueError(f"strides must be whole numbers from 1 on, not {self.strides}")
        shortest = self.short_frames if self.short_share else self.frames
        if not 0 <= self.burn_in < shortest:
            raise ValueError(f"burn_in must be from 0 to below {shortest}, not {self.burn_in}")
        if self.align_share and shortest < 2:
            raise ValueError("align_share needs clips of at least 2 frames: nothing moves in one")
        if self.short_share and self.short_frames > self.frames:
            raise ValueError(f"short_frames must not be above frames ({self.frames})")

    @property
    def identity(self) -> tuple[object, ...]:
        """Kind of network and scale."""
        return self.architecture, self.config.scale

    def settings(self) -> dict[str, Any]:
        """All settings for JSON, of the photographs' folder only its name."""
        # A checkpoint may be given away: where the photographs lie is nobody's business.
        return {**super().settings(), "photos": Path(self.photos).name}

    def prepare(
        self,
        data: Path,
        validation: Path | None,
        device: torch.device,
        init: dict[str, Tensor] | None = None,
    ) -> "VideoSuperResolution":
        """Read the data and make the network.

        Args:
            data: folder of videos, or of folders of frames, to train on.
            validation: such a folder to validate on; None holds out every fifth clip.
            device: where the network is placed; videos stay in main memory.
            init: tensors to start from; those that fit by name and shape are used.

        Raises:
            DatasetError: if there are too few usable videos.
            CheckpointError: if no tensor of ``init`` fits.
        """
        clips = [read_clip(path) for path in find_clips(data)]
        if validation is not None:
            held = [read_clip(path, _HELD_FRAMES) for path in find_clips(validation)]
        else:
            held = [clip[:_HELD_FRAMES] for clip in clips[::5]]
            clips = [clip for index, clip in enumerate(clips) if index % 5]
            if not (clips or self.photos):
                raise DatasetError(f"{data}: one video is too few to train and validate on")
        clips = [scene for clip in clips for scene in split_scenes(clip)]
        photos = load_photos(Path(self.photos)) if self.photos else []
        network = self.make_network(init)
        assert isinstance(network, VideoNetwork)
        network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return VideoSuperResolution(self, network, clips, photos, held, device)


# Validation takes the middle of this many frames, which tells good from bad in seconds.
_HELD_FRAMES = 20
_HELD_SIDES = (256, 320)


class VideoSuperResolution(TrainingTask):
    """A stage of video with its clips; see ``TrainingTask``."""

    stage: VideoStage
    score_name = "validation_psnr_y"

    def __init__(
        self,
        stage: VideoStage,
        network: VideoNetwork,
        clips: Sequence[Tensor],
        photos: Sequence[Tensor],
        held: Sequence[Tensor],
        device: torch.device,
    ) -> None:
        super().__init__(stage, network, f"{len(clips)} scenes of video")
        self.device = device
        self.scale = int(stage.config.scale)
        margin = 2 * stage.degradation.margin
        side = (stage.patch + margin) * self.scale
        photos = [photo for photo in photos if min(photo.shape[-2:]) >= side]
        if photos:
            self.data += f", {len(photos)} photographs set in motion"
        self._sampler = ClipSampler(
            clips,
            motion=MotionSampler(photos, Motion()) if photos else None,
            made_share=stage.made_share,
            side=side,
            length=stage.frames,
            strides=stage.strides,
            device=device,
        )
        self._held = [self._degrade_held(clip, index) for index, clip in enumerate(held)]
        if not self._held:
            raise DatasetError("no clip to validate on")
        steps = stage.optimisation.steps
        self._flow_steps = round(stage.flow_share * steps)
        self._align_steps = self._flow_steps + round(stage.align_share * steps)
        self._given_steps = self._align_steps + round(stage.given_share * steps)
        self._short_steps = round(stage.short_share * steps)
        self._l1_steps = round(stage.l1_share * steps)
        self._lessons: FlowLessons | None = None
        if stage.align_share and not isinstance(network, FlowAligned):
            raise UsageError(f"--set align_share={stage.align_share}: this network has no flow")
        if self._flow_steps:
            if not (photos and isinstance(network, FlowAligned)):
                raise UsageError(
                    f"--set flow_share={stage.flow_share}: needs a network with "
                    "flow, and --photos DIR to make motion from"
                )
            self._lessons = FlowLessons(
                photos,
                self.scale,
                stage.patch,
                Motion(),
                noise=stage.degradation.noise_deviation[1] if stage.degradation.noise else 0.0,
            )

    def _degrade_held(self, clip: Tensor, index: int) -> tuple[Tensor, Tensor]:
        """The middle of a clip, LR and HR (T, 3, ., .), degraded in the same way each time."""
        unit = 8 * self.scale
        height, width = (
            min(side, most) // unit * unit
            for side, most in zip(clip.shape[-2:], _HELD_SIDES, strict=True)
        )
        if not (height and width) or len(clip) < 5:
            raise DatasetError(f"a clip to validate on needs 5 frames of {unit} pixels")
        top, left = (clip.shape[-2] - height) // 2, (clip.shape[-1] - width) // 2
        frames_hr = to_values(clip[:, :, top : top + height, left : left + width])
        generator = torch.Generator().manual_seed(index)
        frames_lr = self.stage.degradation.apply(frames_hr[None], self.scale, generator)[0]
        return frames_lr, frames_hr

    def loss(self, step: int, generator: torch.Generator, share: slice) -> Tensor:
        """The loss of a step: eq. 3.7 plus eq. 3.8, as means over pixels, frames and clips."""
        if self._lessons is not None and step < self._flow_steps:
            assert isinstance(self.network, FlowAligned)
            return self._lessons.loss(
                self.network.fnet, step / self._flow_steps, generator, share, self.device
            )
        stage, network = self.stage, self.network
        assert isinstance(network, VideoNetwork)
        batch = self._draw(step, generator).part(share)
        if step < self._align_steps:
            assert isinstance(network, FlowAligned)
            return alignment_loss(network, batch)
        distance = functional.l1_loss if step < self._l1_steps else functional.mse_loss
        estimates, flow_loss = run_clip(
            network,
            batch,
            distance,
            flow_frames=stage.flow_frames,
            given_flow=step < self._given_steps,
            burn_in=stage.burn_in,
        )
        wanted = batch.frames_hr[:, stage.burn_in :]
        return distance(estimates, wanted) + stage.flow_weight * flow_loss

    def _draw(self, step: int, generator: torch.Generator) -> ClipBatch:
        stage = self.stage
        with torch.autocast(self.device.type, enabled=False):
            return clip_batch(
                self._sampler,
                stage.degradation,
                count=stage.batch,
                length=stage.short_frames if step < self._short_steps else stage.frames,
                patch=stage.patch,
                scale=self.scale,
                generator=generator,
            )

    def validate(self, network: torch.nn.Module) -> float:
        """The mean over clips of the video PSNR of luma in dB, without two frames at each end."""
        assert isinstance(network, VideoNetwork)
        scores = [
            min(video_psnr(enhance_clip(network, frames_lr.to(self.device)).cpu(), frames_hr), 100)
            for frames_lr, frames_hr in self._held
        ]
        return sum(scores) / len(scores)
