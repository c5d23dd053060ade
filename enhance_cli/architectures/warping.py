"""Warping images along optical flow (dissertation 003, ch. 3.3.1, steps 2 and 3).

A flow is a tensor (N, 2, h, w) of displacements (x, y) in pixels. It points from each pixel of the
current frame to the place in the previous frame that shows the same thing.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Interpolation = Literal["bilinear", "bicubic"]


def enlarge_flow(flow: Tensor, scale: int) -> Tensor:
    """UP of eq. 3.2: (N, 2, h, w) in LR pixels -> (N, 2, s * h, s * w) in HR pixels."""
    if scale == 1:
        return flow
    flow = flow.contiguous()  # two channels last are interpolated four times slower on a CPU
    return functional.interpolate(
        scale * flow, scale_factor=scale, mode="bilinear", align_corners=False
    )


def warp(image: Tensor, flow: Tensor, interpolation: Interpolation = "bilinear") -> Tensor:
    """WP of eq. 3.3: take the value of every pixel from where the flow points.

    Args:
        image: (N, C, H, W).
        flow: (N, 2, H, W), in pixels of ``image``; beyond the border its value is repeated.
        interpolation: how values between pixels are found; bicubic keeps more detail, but may
            leave the range of the image.

    Returns:
        (N, C, H, W) of the type of ``image``.
    """
    return grid_sample(image, sampling_grid(flow), interpolation)


def sampling_grid(flow: Tensor) -> Tensor:
    """The sampling positions of a flow, computed once for several calls of ``grid_sample``.

    Args:
        flow: (N, 2, H, W) in pixels.

    Returns:
        (N, H, W, 2) float32 of (x, y), from -1 to 1 between the outer edges of the image.
    """
    height, width = flow.shape[-2:]
    # All x before all y, which is how they come, spares a CPU to interleave them.
    grid = (
        flow.float() * flow.new_tensor([2 / width, 2 / height], dtype=torch.float32)[:, None, None]
    )
    grid[:, 0] += _centres(width, flow.device)
    grid[:, 1] += _centres(height, flow.device)[:, None]
    return grid.permute(0, 2, 3, 1)


def _centres(count: int, device: torch.device) -> Tensor:
    """Where the middles of ``count`` pixels lie, from -1 to 1 between the outer edges of all."""
    return (2 * torch.arange(count, device=device, dtype=torch.float32) + 1) / count - 1


def grid_sample(image: Tensor, grid: Tensor, interpolation: Interpolation = "bilinear") -> Tensor:
    """Sample an image at the positions of a ``sampling_grid``, always in float32.

    Args:
        image: (N, C, H, W).
        grid: (N, H, W, 2).
        interpolation: as in ``warp``.

    Returns:
        (N, C, H, W) of the type of ``image``.
    """
    sampled = functional.grid_sample(
        image.float(), grid, mode=interpolation, padding_mode="border", align_corners=False
    )
    return sampled.to(image.dtype)


def invert_flow(flow: Tensor) -> Tensor:
    """The flow from the previous frame to the current one, by fixed-point iteration.

    Where things are covered or uncovered there is no inverse, and the result is a guess.

    Args:
        flow: (N, 2, h, w) from the current frame to the previous one, in pixels.

    Returns:
        (N, 2, h, w) the other way round.
    """
    back = -flow
    for _ in range(4):
        back = -warp(flow, back)
    return back
