"""FNet: the network that estimates optical flow (dissertation 003, ch. 3.3.1, fig. 3.4).

Departures from the paper and their reasons are listed in ``architectures.frvsr``.
"""

import math
from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from enhance_cli.architectures.layers import conv3x3
from enhance_cli.architectures.spec import LearnedPart
from enhance_cli.architectures.warping import Interpolation, warp


@dataclass(frozen=True)
class FlowConfig:
    """Settings of motion estimation; the defaults are the chapter's.

    Attributes:
        limit: largest displacement that FNet can express in one pass, in LR pixels.
        passes: how often FNet runs on a pair of frames. From the second pass on it sees the
            previous frame warped along the flow found so far, and adds what is left.
        lucas_kanade_steps: how many steps of Lucas and Kanade refine FNet's flow.
        warping: how the previous frame is interpolated when it is warped. Bilinear, as in the
            paper, blurs a little; a recurrent network repeats that with every frame.

    Raises:
        ValueError: if a setting is out of its range.
    """

    limit: float = 24.0
    passes: int = 1
    lucas_kanade_steps: int = 0
    warping: Interpolation = "bilinear"

    def __post_init__(self) -> None:
        if not 0 < self.limit < math.inf:
            raise ValueError(f"limit must be above 0 LR pixels, not {self.limit}")
        if self.passes < 1:
            raise ValueError(f"passes must be 1 or more, not {self.passes}")
        if self.lucas_kanade_steps < 0:
            raise ValueError(f"lucas_kanade_steps must be 0 or more, not {self.lucas_kanade_steps}")
        if self.warping not in get_args(Interpolation):
            raise ValueError(f"warping {self.warping!r}: choose from {get_args(Interpolation)}")


class FlowNet(nn.Module):
    """FNet (fig. 3.4, bottom): 1,745,506 parameters.

    An encoder of three pairs of convolutions, each followed by 2x2 max pooling, and a decoder of
    three pairs, each followed by bilinear doubling; leaky ReLU of 0.2, tanh at the end.

    Args:
        limit: as in ``FlowConfig``.
        passes: as in ``FlowConfig``.
    """

    _multiple = 8

    def __init__(self, limit: float, passes: int = 1) -> None:
        super().__init__()
        self.limit, self.passes = limit, passes
        self.encoder = nn.ModuleList(
            self._pair(before, after) for before, after in ((6, 32), (32, 64), (64, 128))
        )
        self.decoder = nn.ModuleList(
            self._pair(before, after) for before, after in ((128, 256), (256, 128), (128, 64))
        )
        self.last = conv3x3(64, 32)
        self.out = conv3x3(32, 2)
        self.learned = LearnedPart("estimate", (6,))

    @staticmethod
    def _pair(before: int, after: int) -> nn.Sequential:
        return nn.Sequential(
            conv3x3(before, after), nn.LeakyReLU(0.2), conv3x3(after, after), nn.LeakyReLU(0.2)
        )

    def forward(self, previous_lr: Tensor, frame_lr: Tensor) -> Tensor:
        """Flow of eq. 3.1 from two frames (N, 3, h, w) of any size.

        Returns:
            (N, 2, h, w) float32: where in ``previous_lr`` each pixel of ``frame_lr`` was, as a
            displacement (x, y) in pixels.
        """
        return self.flows_by_pass(previous_lr, frame_lr)[-1]

    def flows_by_pass(self, previous_lr: Tensor, frame_lr: Tensor) -> list[Tensor]:
        """The flow after each pass, as ``forward`` gives it after the last.

        A training loss should take all of them, because no gradient goes from one pass to the
        passes before it.
        """
        flows = [self._estimate(previous_lr, frame_lr)]
        for _ in range(self.passes - 1):
            found = flows[-1].detach()
            rest = self._estimate(warp(previous_lr, found, "bicubic"), frame_lr)
            flows.append(rest + warp(found, rest))
        return flows

    def _estimate(self, previous_lr: Tensor, frame_lr: Tensor) -> Tensor:
        height, width = frame_lr.shape[-2:]
        # Three poolings need multiples of 8; what is added right and below is cut off again.
        margin = (0, -width % self._multiple, 0, -height % self._multiple)
        before, now = (
            functional.pad(frame.float(), margin, mode="replicate")
            for frame in (previous_lr, frame_lr)
        )
        flow = self.limit * torch.tanh(
            self.estimate(_relative_to_contrast(before, now)).float() / self.limit
        )
        return flow[..., :height, :width]

    def estimate(self, features: Tensor) -> Tensor:
        """The flow before it is limited, (N, 2, h, w), from (N, 6, h, w), sides multiples of 8."""
        for pair in self.encoder:
            features = functional.max_pool2d(pair(features), 2)
        for pair in self.decoder:
            features = functional.interpolate(
                pair(features), scale_factor=2, mode="bilinear", align_corners=False
            )
        features = functional.leaky_relu(self.last(features), 0.2)
        flow: Tensor = self.out(features)
        return flow


def _relative_to_contrast(before: Tensor, now: Tensor, window: int = 9) -> Tensor:
    """The input of FNet, (N, 6, h, w), from two frames (N, 3, h, w).

    It consists of the difference of the frames, and of the current frame minus its local mean.
    Both are divided by the standard deviation of both frames in a window around the pixel, plus
    0.01, which is about the noise of good 8-bit video.
    """

    def pool(values: Tensor) -> Tensor:
        padded = functional.pad(values, (window // 2,) * 4, mode="replicate")
        rows = functional.avg_pool2d(padded, (window, 1), 1)
        return functional.avg_pool2d(rows, (1, window), 1)

    mean = pool((before + now) / 2)
    spread = ((before - mean).square() + (now - mean).square()) / 2
    contrast = pool(spread.mean(1, keepdim=True)).sqrt() + 0.01
    return torch.cat([(before - now) / contrast, (now - mean) / contrast], 1)


def initialise_flow(fnet: FlowNet) -> None:
    """Initialise a new FNet so that it begins near no motion and can learn any direction."""
    with torch.no_grad():
        for module in fnet.modules():
            if isinstance(module, nn.Conv2d):
                middle = torch.empty_like(module.weight[:, :, 1, 1])
                nn.init.orthogonal_(middle, gain=1.1)
                module.weight.mul_(0.6)[:, :, 1, 1] += middle
        fnet.out.weight.mul_(0.1)
