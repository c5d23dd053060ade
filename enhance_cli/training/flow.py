"""First lessons for FNet: small photographs in motion, whose flow is known.

The dissertation (ch. 3.3.5) trains both networks together from the start, for two million steps.
Over the first ten thousand of them FNet would stay at no motion: a warped frame's error says
little where things move by more than a pixel. So it is first taught alone, by the flow itself,
from motion below a pixel up to the fastest. Eq. 3.8 goes on from there.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from enhance_cli.architectures.frvsr import FlowNet
from enhance_cli.data.degradation import blur_and_subsample, to_8_bits
from enhance_cli.data.motion import Motion, MotionSampler
from enhance_cli.data.patches import crop_to_multiple

_CLIPS = 16
_FRAMES = 3
_SLOW, _MEDIUM = 0.1, 1.0  # LR pixels per frame: of the slowest, and of the fastest at first
_TOLERANCE = 0.3  # LR pixels: errors are relative above, absolute below


class FlowLessons:
    """Batches of small clips with their flow.

    Args:
        photos: uint8 (3, H, W).
        scale: how much smaller frames are than photographs.
        patch: side of a clip in LR pixels.
        motion: of the large clips; its speeds are divided by ``scale``.
        noise: largest standard deviation of noise, each clip draws its own.
    """

    def __init__(
        self, photos: Sequence[Tensor], scale: int, patch: int, motion: Motion,
        noise: float = 0.0,
    ) -> None:
        self._noise = noise
        self._patch = patch
        self._photos = [
            to_8_bits(blur_and_subsample(crop_to_multiple(photo, scale)[None].float() / 255,
                                         scale=scale)[0]).mul(255).to(torch.uint8)
            for photo in photos
        ]
        self._motion = replace(motion, speed=(_SLOW, motion.speed[1] / scale),
                               shake=motion.shake / scale)

    def loss(self, fnet: FlowNet, part: float, generator: torch.Generator,
             share: slice, device: torch.device) -> Tensor:
        """Mean absolute error of the flow, relative to the speed.

        Args:
            fnet: to be taught.
            part: of the lessons that are over, 0 to 1; decides the speed.
            generator: of the CPU.
            share: of the clips that this process takes.
            device: of the network.
        """
        slow, fastest = self._motion.speed
        fast = math.exp(math.log(_MEDIUM) + min(1, 1.25 * part) * math.log(fastest / _MEDIUM))
        sampler = MotionSampler(self._photos, replace(self._motion, speed=(slow, fast)))
        with torch.autocast("cpu", enabled=False):  # places must not be rounded to 16 bits
            clips, flows = zip(*(sampler.clip(_FRAMES, self._patch, generator)
                                 for _ in range(_CLIPS)), strict=True)
            noise = torch.randn(_CLIPS, *clips[0].shape, generator=generator)
            deviation = self._noise * torch.rand(_CLIPS, 1, 1, 1, 1, generator=generator)
        frames, truth = torch.stack(clips) + deviation * noise, torch.stack(flows)
        frames, truth = frames[share].to(device), truth[share].to(device)
        flow = fnet(frames[:, :-1].flatten(0, 1), frames[:, 1:].flatten(0, 1))
        wanted = truth[:, 1:].flatten(0, 1)
        # A tenth of a pixel matters where little moves, not where much does.
        weight = 1 / (_TOLERANCE + wanted.norm(dim=1, keepdim=True))
        error: Tensor = (weight * (flow - wanted).abs()).mean()
        return error
