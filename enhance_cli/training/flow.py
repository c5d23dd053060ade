"""Training of FNet alone: first on small photographs in motion, whose flow is known, then on clips.

The dissertation (ch. 3.3.5) trains both networks together from the start, for two million steps.
In the first ten thousand of them FNet would stay at no motion, because the error of a warped frame
says little where things move by more than a pixel. So FNet is first trained alone: by the flow
itself, from motion below a pixel up to the fastest; then by the large frames of the clips.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from enhance_cli.architectures.flow_net import FlowNet
from enhance_cli.architectures.frvsr import FlowAligned
from enhance_cli.architectures.warping import enlarge_flow, warp
from enhance_cli.data.clips import ClipBatch
from enhance_cli.data.motion import Motion, MotionSampler
from enhance_cli.data.patches import crop_to_multiple
from enhance_cli.levels import to_levels, to_values
from enhance_cli.subsampling import blur_and_subsample
from enhance_cli.training.unroll import find_flows

_CLIPS = 16  # in each batch
_FRAMES = 3  # in each clip
_SLOW, _MEDIUM = 0.1, 1.0  # LR pixels per frame: the slowest motion, and the fastest at first
_TOLERANCE = 0.3  # LR pixels: above this speed errors count relative to it, below absolutely
_UNSEEN = 4  # LR pixels along the border of a patch, where motion comes from outside
_SOFT = 0.01  # on [0, 1]: smaller differences count little, and so does smaller detail


class FlowLessons:
    """Makes batches of small clips with their true flow.

    Args:
        photos: the photographs that are set in motion, uint8 (3, H, W).
        scale: how many times smaller the clips are than the photographs.
        patch: side of a clip in LR pixels.
        motion: how the large clips move; speeds are divided by ``scale``.
        noise: largest standard deviation of noise on [0, 1]; each clip draws its own.
    """

    def __init__(
        self,
        photos: Sequence[Tensor],
        scale: int,
        patch: int,
        motion: Motion,
        noise: float = 0.0,
    ) -> None:
        self._noise = noise
        self._patch = patch
        self._photos = [
            to_levels(blur_and_subsample(to_values(crop_to_multiple(photo, scale)), scale))
            for photo in photos
        ]
        self._motion = replace(
            motion, speed=(_SLOW, motion.speed[1] / scale), shake=motion.shake / scale
        )

    def loss(
        self,
        fnet: FlowNet,
        part: float,
        generator: torch.Generator,
        share: slice,
        device: torch.device,
    ) -> Tensor:
        """The mean absolute error of the flow on a new batch, relative to the speed.

        Args:
            fnet: to be taught, in each of its passes.
            part: which part of the lessons is over, from 0 to 1; motion gets faster with it.
            generator: random numbers, on the CPU.
            share: which of the clips this process takes.
            device: where the network is.
        """
        slow, fastest = self._motion.speed
        fast = math.exp(math.log(_MEDIUM) + min(1, 1.25 * part) * math.log(fastest / _MEDIUM))
        sampler = MotionSampler(self._photos, replace(self._motion, speed=(slow, fast)))
        with torch.autocast("cpu", enabled=False):  # places must not be rounded to 16 bits
            clips, flows = zip(
                *(sampler.clip(_FRAMES, self._patch, generator) for _ in range(_CLIPS)), strict=True
            )
            noise = torch.randn(_CLIPS, *clips[0].shape, generator=generator)
            deviation = self._noise * torch.rand(_CLIPS, 1, 1, 1, 1, generator=generator)
        frames, truth = torch.stack(clips) + deviation * noise, torch.stack(flows)
        frames, truth = frames[share].to(device), truth[share].to(device)
        by_pass = fnet.flows_by_pass(frames[:, :-1].flatten(0, 1), frames[:, 1:].flatten(0, 1))
        wanted = truth[:, 1:].flatten(0, 1)
        return torch.stack([_relative_error(flow, wanted).mean() for flow in by_pass]).mean()


def alignment_loss(network: FlowAligned, batch: ClipBatch) -> Tensor:
    """How far FNet's flow is from the known flow, and from aligning large frames with each other.

    The second part is eq. 3.8 on the true large frames, which show flow four times finer than the
    small frames that FNet sees. It is relative to the detail of the frames; otherwise only sharp
    clips would be learned from.

    Args:
        network: whose FNet is to be taught, in each of its passes.
        batch: of at least two frames.
    """
    frames_lr, frames_hr = batch.frames_lr, batch.frames_hr
    scale = frames_hr.shape[-1] // frames_lr.shape[-1]
    # What comes from outside the patch cannot be told.
    margin = min(_UNSEEN, (frames_lr.shape[-1] - 1) // 2)
    before, now = frames_hr[:, :-1].flatten(0, 1), frames_hr[:, 1:].flatten(0, 1)
    detail = (now - functional.avg_pool2d(now, 9, 1, 4, count_include_pad=False)).abs()
    detail = detail.mean((1, 2, 3)) + _SOFT
    by_pass = find_flows(network.fnet, frames_lr[:, :-1], frames_lr[:, 1:])
    loss = frames_lr.new_zeros(())
    for flow in by_pass:
        error = _inside(_relative_error(flow, batch.flow[:, 1:]), margin).mean((1, 2, 3, 4))
        landed = warp(before, enlarge_flow(flow.flatten(0, 1), scale))
        left = ((landed - now).square() + _SOFT**2).sqrt()
        left = _inside(left, margin * scale).mean((1, 2, 3)) / detail
        loss = loss + (error * batch.known).mean() + left.mean()
    return loss / len(by_pass)


def _relative_error(flow: Tensor, wanted: Tensor) -> Tensor:
    """Of flows (..., 2, h, w) in LR pixels, of the same shape."""
    # A tenth of a pixel matters where little moves, not where much does.
    error: Tensor = (flow - wanted).abs() / (_TOLERANCE + wanted.norm(dim=-3, keepdim=True))
    return error


def _inside(images: Tensor, margin: int) -> Tensor:
    return images[..., margin : images.shape[-2] - margin, margin : images.shape[-1] - margin]
