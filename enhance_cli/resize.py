"""Bicubic resizing exactly as MATLAB's ``imresize`` does it, in torch.

A leaf module: the networks' bicubic residual, the training degradation and the evaluator's
baseline must be one and the same function, or published figures cannot be reproduced.

The rule (Keys, 1981, a = -0.5; MathWorks ``imresize``): output pixel ``i`` looks at input
coordinate ``(i + 0.5) / scale - 0.5``; when shrinking, the kernel is stretched by ``1 / scale``
(antialiasing); weights are normalised to one; the border pixel is repeated outside (the MATLAB
releases that made the benchmarks did so; later ones mirror); columns first, then rows, and an
8-bit picture is rounded after each. With that the LR files of Set5 and Set14 come out bit for
bit.
"""

import math
from functools import lru_cache

import torch
from torch import Tensor


def _keys_cubic(x: Tensor) -> Tensor:
    """Keys' cubic convolution kernel with a = -0.5, support [-2, 2]."""
    x = x.abs()
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x <= 1, near, torch.where(x <= 2, far, torch.zeros_like(x)))


@lru_cache(maxsize=64)
def _contributions(length: int, scale: float) -> tuple[Tensor, Tensor]:
    """Taps of every output pixel of one axis.

    Returns:
        indices (taps, out) int64 into the input axis, weights (taps, out) float64.
    """
    # Cached for all callers: must be plain CPU tensors whatever mode the first of them is in.
    with torch.inference_mode(False), torch.device("cpu"):
        return _taps(length, scale)


def _taps(length: int, scale: float) -> tuple[Tensor, Tensor]:
    length_out = math.ceil(length * scale)
    stretch = min(scale, 1.0)
    width = 4 / stretch
    taps = math.ceil(width) + 2
    centre = (torch.arange(length_out, dtype=torch.float64) + 0.5) / scale - 0.5
    left = torch.floor(centre - width / 2)
    indices = left + torch.arange(taps, dtype=torch.float64)[:, None]
    weights = _keys_cubic(stretch * (centre - indices))
    weights = weights / weights.sum(0)
    used = (weights != 0).any(1)
    return indices[used].long().clamp(0, length - 1), weights[used]


def _resize_axis(image: Tensor, axis: int, scale: float) -> Tensor:
    indices, weights = _contributions(image.shape[axis], scale)
    indices = indices.to(image.device)
    weights = weights.to(image.device, image.dtype)
    shape = [1] * image.ndim
    shape[axis] = -1
    total = image.index_select(axis, indices[0]) * weights[0].view(shape)
    for index, weight in zip(indices[1:], weights[1:], strict=True):
        total.addcmul_(image.index_select(axis, index), weight.view(shape))
    return total


def imresize(image: Tensor, scale: float) -> Tensor:
    """Resize the last two axes by ``scale``, as MATLAB ``imresize(image, scale, 'bicubic')``.

    Args:
        image: (..., H, W), floating point of any range or uint8; not modified.
        scale: output size over input size, > 0; below 1 with antialiasing.

    Returns:
        (..., ceil(H * scale), ceil(W * scale)), same dtype and device. A floating point result
        is not clamped: a cubic kernel overshoots at edges. A uint8 result is rounded (half up)
        and saturated after each axis.

    Raises:
        ValueError: if the dtype is neither or the scale is not positive.
    """
    if scale <= 0:
        raise ValueError(f"imresize needs a scale above 0, got {scale}")
    rows, columns = image.ndim - 2, image.ndim - 1
    if image.is_floating_point():
        return _resize_axis(_resize_axis(image, rows, scale), columns, scale)
    if image.dtype != torch.uint8:
        raise ValueError(f"imresize needs a floating point or uint8 image, got {image.dtype}")
    work = _resize_axis(image.double(), rows, scale).add_(0.5).floor_().clamp_(0, 255)
    return _resize_axis(work, columns, scale).add_(0.5).floor_().clamp_(0, 255).to(torch.uint8)
