"""FNet: how frames move, and warping along it (dissertation 003, ch. 3.3.1).

Departures from the paper: see ``architectures.frvsr``.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from enhance_cli.architectures.layers import conv3x3

Interpolation = Literal["bilinear", "bicubic"]


def enlarge_flow(flow: Tensor, scale: int) -> Tensor:
    """UP of eq. 3.2: (N, 2, h, w) in LR pixels -> (N, 2, s * h, s * w) in HR pixels."""
    if scale == 1:
        return flow
    flow = flow.contiguous()  # two channels last are interpolated four times slower on a CPU
    return scale * functional.interpolate(
        flow, scale_factor=scale, mode="bilinear", align_corners=False
    )


def warp(image: Tensor, flow: Tensor, interpolation: Interpolation = "bilinear") -> Tensor:
    """WP of eq. 3.3: fetch every pixel from where the flow points.

    Args:
        image: (N, C, H, W).
        flow: (N, 2, H, W), displacement in pixels of ``image`` (x, y) from each pixel to its
            source; beyond the border the border's value is taken.
        interpolation: between pixels; bicubic goes beyond the range of what it fetches.

    Returns:
        (N, C, H, W) of the type of ``image``.
    """
    return fetch(image, sampling_grid(flow), interpolation)


def sampling_grid(flow: Tensor) -> Tensor:
    """The places that a flow fetches from, for ``fetch``; for what is fetched along it repeatedly.

    Args:
        flow: (N, 2, H, W), as ``warp``'s.

    Returns:
        (N, H, W, 2) float32 of (x, y), from -1 to 1 between the edges of the image.
    """
    height, width = flow.shape[-2:]
    flow = flow.float()  # half a pixel is lost in 16 bits
    x = torch.arange(width, device=flow.device, dtype=flow.dtype) + flow[:, 0]
    y = torch.arange(height, device=flow.device, dtype=flow.dtype)[:, None] + flow[:, 1]
    return torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1)


def fetch(image: Tensor, grid: Tensor, interpolation: Interpolation = "bilinear") -> Tensor:
    """What ``warp`` does, for places that are known.

    Args:
        image: (N, C, H, W).
        grid: (N, H, W, 2), a flow's ``sampling_grid``.
        interpolation: as ``warp``'s.

    Returns:
        (N, C, H, W) of the type of ``image``.
    """
    fetched = functional.grid_sample(
        image.float(), grid, mode=interpolation, padding_mode="border", align_corners=False
    )
    return fetched.to(image.dtype)


def invert_flow(flow: Tensor) -> Tensor:
    """The way back: from each pixel of the source to where it went.

    By fixed-point iteration; where motions part or meet there is no inverse, only a guess.

    Args:
        flow: (N, 2, h, w), as ``warp``'s: displacements (x, y) in pixels.

    Returns:
        (N, 2, h, w), likewise.
    """
    back = -flow
    for _ in range(4):
        back = -warp(flow, back)
    return back


def refine_flow(flow: Tensor, shown_lr: Tensor, frame_lr: Tensor) -> Tensor:
    """One step of Lucas and Kanade (1981), which tells small motion finer than a network does.

    Around every pixel it finds the displacement that best explains what two nearly equal frames
    differ in, by least squares with weights that fall with the distance (a standard deviation
    of 1.4 pixels) and with the difference, as an occlusion's would be large.

    Args:
        flow: (N, 2, h, w), as FNet's.
        shown_lr: (N, 3, h, w) what ``frame_lr`` is by that flow.
        frame_lr: (N, 3, h, w) in [0, 1].

    Returns:
        (N, 2, h, w) float32, at most half a pixel along each axis from ``flow``. It has the
        gradient of ``flow``.
    """
    with torch.no_grad():
        shown, frame = shown_lr.float(), frame_lr.float()
        difference = frame - shown
        padded = functional.pad((shown + frame) / 2, (1,) * 4, mode="replicate")
        slope_x = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
        slope_y = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
        weight = 1 / (1 + (difference.abs().mean(1, keepdim=True) / 0.02).square())
        sums = torch.cat(
            [
                (weight * first * second).mean(1, keepdim=True)
                for first, second in (
                    (slope_x, slope_x),
                    (slope_x, slope_y),
                    (slope_y, slope_y),
                    (slope_x, difference),
                    (slope_y, difference),
                )
            ],
            1,
        )
        for _ in range(3):
            sums = functional.avg_pool2d(sums, 3, 1, padding=1, count_include_pad=False)
        xx, xy, yy, along_x, along_y = (sums[:, at : at + 1] for at in range(5))
        xx, yy = xx + 1e-4, yy + 1e-4  # slopes of a hundredth per pixel: noise moves nothing
        step = torch.cat([yy * along_x - xy * along_y, xx * along_y - xy * along_x], 1)
        step = (step / (xx * yy - xy.square())).clamp(-0.5, 0.5)
    refined: Tensor = flow.float() + step
    return refined


class FlowNet(nn.Module):
    """FNet (fig. 3.4, bottom): 1,745,506 parameters.

    Encoder of three pairs of convolutions, each followed by 2x2 max pooling, and decoder of
    three pairs, each followed by bilinear doubling; leaky ReLU of 0.2, tanh at the end.
    """

    _multiple = 8

    def __init__(self, max_flow: float, passes: int = 1) -> None:
        super().__init__()
        self.max_flow, self.passes = max_flow, passes
        self.encoder = nn.ModuleList(
            self._pair(before, after) for before, after in ((6, 32), (32, 64), (64, 128))
        )
        self.decoder = nn.ModuleList(
            self._pair(before, after) for before, after in ((128, 256), (256, 128), (128, 64))
        )
        self.last = conv3x3(64, 32)
        self.out = conv3x3(32, 2)

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
        return self.looks(previous_lr, frame_lr)[-1]

    def looks(self, previous_lr: Tensor, frame_lr: Tensor) -> list[Tensor]:
        """The flow after each look. Each is to be taught: no gradient reaches the looks before."""
        flows = [self._look(previous_lr, frame_lr)]
        for _ in range(self.passes - 1):
            found = flows[-1].detach()
            rest = self._look(warp(previous_lr, found, "bicubic"), frame_lr)
            flows.append(rest + warp(found, rest))
        return flows

    def _look(self, previous_lr: Tensor, frame_lr: Tensor) -> Tensor:
        height, width = frame_lr.shape[-2:]
        # Three poolings; what is added at the bottom and right is cut off again.
        margin = (0, -width % self._multiple, 0, -height % self._multiple)
        before, now = (
            functional.pad(frame.float(), margin, mode="replicate")
            for frame in (previous_lr, frame_lr)
        )
        features = _relative_to_contrast(before, now)
        for pair in self.encoder:
            features = functional.max_pool2d(pair(features), 2)
        for pair in self.decoder:
            features = functional.interpolate(
                pair(features), scale_factor=2, mode="bilinear", align_corners=False
            )
        features = functional.leaky_relu(self.last(features), 0.2)
        flow: Tensor = self.max_flow * torch.tanh(self.out(features).float() / self.max_flow)
        return flow[..., :height, :width]


def _relative_to_contrast(before: Tensor, now: Tensor, window: int = 9) -> Tensor:
    """What FNet sees: (N, 6, h, w) from two frames (N, 3, h, w).

    The difference of the frames, and the frame less its local mean, each by the standard
    deviation of both frames in a window around the pixel; a hundredth is added to it, which is
    about the noise of good 8-bit video.
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
    """Let a fresh FNet begin near no motion, with every direction open."""
    with torch.no_grad():
        for module in fnet.modules():
            if isinstance(module, nn.Conv2d):
                middle = torch.empty_like(module.weight[:, :, 1, 1])
                nn.init.orthogonal_(middle, gain=1.1)
                module.weight.mul_(0.6)[:, :, 1, 1] += middle
        fnet.out.weight.mul_(0.1)
