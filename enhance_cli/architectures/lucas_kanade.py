"""Refining optical flow by least squares (Lucas and Kanade, 1981); a fixed operation."""

import torch
from torch import Tensor
from torch.nn import functional

_OUTLIER = 0.02  # of [0, 1]: a pixel that differs by this much counts half
_NOISE_SLOPE = 1e-4  # square of a slope of 0.01 per pixel: flatter places are not moved by noise
_LARGEST_STEP = 0.5  # pixels along each axis; the linear model does not hold for more


def lucas_kanade_step(flow: Tensor, warped_lr: Tensor, frame_lr: Tensor) -> Tensor:
    """One step of Lucas and Kanade, which finds small motion more exactly than FNet does.

    For every pixel it finds the displacement that best explains the difference of two nearly
    equal frames, by least squares. The weights fall with the distance from the pixel (standard
    deviation of 1.4 pixels) and with the difference, because a large one is an occlusion.

    Args:
        flow: (N, 2, h, w) in pixels.
        warped_lr: (N, 3, h, w) the previous frame, warped along ``flow``.
        frame_lr: (N, 3, h, w) the current frame in [0, 1].

    Returns:
        (N, 2, h, w) float32, at most half a pixel along each axis from ``flow``. Gradients reach
        ``flow`` as if the step were a constant.
    """
    with torch.no_grad():
        warped, frame = warped_lr.float(), frame_lr.float()
        difference = frame - warped
        padded = functional.pad((warped + frame) / 2, (1,) * 4, mode="replicate")
        slope_x = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
        slope_y = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
        weight = 1 / (1 + (difference.abs().mean(1, keepdim=True) / _OUTLIER).square())
        products = (
            (slope_x, slope_x),
            (slope_x, slope_y),
            (slope_y, slope_y),
            (slope_x, difference),
            (slope_y, difference),
        )
        sums = torch.cat([(weight * a * b).mean(1, keepdim=True) for a, b in products], 1)
        for _ in range(3):
            sums = functional.avg_pool2d(sums, 3, 1, padding=1, count_include_pad=False)
        xx, xy, yy, along_x, along_y = (sums[:, at : at + 1] for at in range(5))
        xx, yy = xx + _NOISE_SLOPE, yy + _NOISE_SLOPE
        step = torch.cat([yy * along_x - xy * along_y, xx * along_y - xy * along_x], 1)
        step = (step / (xx * yy - xy.square())).clamp(-_LARGEST_STEP, _LARGEST_STEP)
    refined: Tensor = flow.float() + step
    return refined
