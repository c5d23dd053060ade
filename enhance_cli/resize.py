"""Bicubic resizing exactly as MATLAB's ``imresize`` does it, in torch.

The bicubic part of networks, the degradation of training pictures and the baseline of evaluations
must be one and the same function, or published figures cannot be reproduced.

The rule is Keys' cubic convolution with a = -0.5 as in MathWorks' ``imresize``. The output
pixel ``i`` lies at the input coordinate ``(i + 0.5) / scale - 0.5``. For a smaller result the
kernel is stretched by ``1 / scale`` against aliasing. The weights are normalised to the sum 1.
Outside of the picture the pixel at its border is repeated, as in the releases of MATLAB that the
benchmarks were made with; later releases mirror. First each column is resized and then each row,
and a picture of 8 bits is rounded after both. With that the LR files of Set5 and Set14 come out bit
for bit.

Results of any other size than a network makes are resampled by torch's own function, with the same
kernel. It takes a fifth of the time, and is equal to ``imresize`` but at the borders, where it
leaves out what ``imresize`` repeats.
"""

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

# Scales at which the place of every pixel is an exact number.
_CELLS = (2, 4, 8, 16)


def keys_cubic(x: Tensor) -> Tensor:
    """Keys' cubic kernel with a = -0.5, which is zero outside of [-2, 2]."""
    x = x.abs()
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x <= 1, near, torch.where(x <= 2, far, torch.zeros_like(x)))


@lru_cache(maxsize=64)
def contributions(length: int, scale: float) -> tuple[Tensor, Tensor]:
    """The input pixels along one axis that every output pixel is made of, and their weights.

    Returns:
        Indices (taps, out) int64 into the input axis, and weights (taps, out) float64.
    """
    # They are kept for all callers, so they are plain tensors on the CPU in whatever mode the
    # first caller runs.
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
    weights = keys_cubic(stretch * (centre - indices))
    weights = weights / weights.sum(0)
    used = (weights != 0).any(1)
    return indices[used].long().clamp(0, length - 1), weights[used]


def _resize_axis(image: Tensor, axis: int, scale: float) -> Tensor:
    if scale in _CELLS:
        return _enlarge_axis(image, axis, int(scale))
    indices, weights = contributions(image.shape[axis], scale)
    indices = indices.to(image.device)
    weights = weights.to(image.device, image.dtype)
    shape = [1] * image.ndim
    shape[axis] = -1
    total = image.index_select(axis, indices[0]) * weights[0].view(shape)
    for index, weight in zip(indices[1:], weights[1:], strict=True):
        total.addcmul_(image.index_select(axis, index), weight.view(shape))
    return total


def _enlarge_axis(image: Tensor, axis: int, scale: int) -> Tensor:
    """As ``_resize_axis``, to the bit and four times as fast: all cells have the same weights."""
    length = image.shape[axis]
    indices, weights = contributions(9, scale)
    cell = slice(4 * scale, 5 * scale)  # in the middle, so that no border shows
    places = torch.arange(-4, length + 4, device=image.device).clamp_(0, length - 1)
    continued = image.index_select(axis, places)
    pixels = []
    for starts, shares in zip(indices[:, cell].T.tolist(), weights[:, cell].T, strict=True):
        total: Tensor | None = None
        for start, share in zip(starts, shares, strict=True):
            if not share:
                continue
            part, weight = continued.narrow(axis, start, length), share.to(image)
            total = part * weight if total is None else total.addcmul_(part, weight)
        assert total is not None
        pixels.append(total)
    return torch.stack(pixels, axis + 1).flatten(axis, axis + 1)


def imresize(image: Tensor, scale: float) -> Tensor:
    """Resize the last two axes by ``scale``, as MATLAB ``imresize(image, scale, 'bicubic')``.

    Args:
        image: (..., H, W), floating point of any range or uint8. It is not modified.
        scale: output size over input size, above 0. Below 1 aliasing is suppressed.

    Returns:
        (..., ceil(H * scale), ceil(W * scale)) of the same type and device. A floating point result
        may leave the range of the input, since a cubic kernel overshoots at edges. A uint8 result
        is rounded, halves upwards, and clamped after each axis.

    Raises:
        ValueError: if the type is neither of these, or the scale is not above 0.
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


def resample(values: Tensor, height: int, width: int) -> Tensor:
    """Resample the last two axes to any size, bicubic (Keys, a = -0.5) and without aliasing.

    The values are averaged as they are, which is gamma-encoded and not in linear light: so were the
    small pictures made that networks learned from, and so a result that is made smaller again
    keeps the brightness of fine patterns that its input has.

    Args:
        values: (C, H, W), floating point of any range.
        height, width: the size of the result in pixels.

    Returns:
        (C, height, width) of the same type and device, not limited to the range of ``values``. It
        is ``values`` itself if it has that size.
    """
    if values.shape[-2:] == (height, width):
        return values
    # Only these two kinds of devices have the function in all releases that we run with.
    place = values if values.device.type in ("cpu", "cuda") else values.cpu()
    result = functional.interpolate(
        place[None], (height, width), mode="bicubic", align_corners=False, antialias=True
    )
    return result[0].to(values.device)
