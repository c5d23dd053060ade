"""Large frames in cells: every LR pixel holds the s * s HR pixels that it covers as channels.

What is computed pixel by pixel, or from the LR pixels around, is computed in cells as well as in
large frames, and need not be moved to and fro.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor
from torch.nn import functional

Taps = list[list[float]]  # for each of the s pixels of a cell, the weights of the LR pixels around


def space_to_depth(image: Tensor, scale: int) -> Tensor:
    """S_s of eq. 3.5: (N, C, s * H, s * W) -> (N, s * s * C, H, W).

    Channel ``k`` is colour ``k // s^2`` at row ``k % s`` and column ``(k // s) % s`` of each
    cell, with the equation's ``i`` as the row.
    """
    batch, colours, height, width = image.shape
    cells = image.reshape(batch, colours, height // scale, scale, width // scale, scale)
    return cells.permute(0, 1, 5, 3, 2, 4).reshape(
        batch, colours * scale * scale, height // scale, width // scale
    )


def depth_to_space(cells: Tensor, scale: int) -> Tensor:
    """The inverse of S_s: (N, s * s * C, H, W) -> (N, C, s * H, s * W)."""
    batch, channels, height, width = cells.shape
    colours = channels // (scale * scale)
    parts = cells.reshape(batch, colours, scale, scale, height, width)
    return parts.permute(0, 1, 4, 3, 5, 2).reshape(batch, colours, scale * height, scale * width)


def enlarge_to_cells(parts: Sequence[tuple[Tensor, Taps]], scale: int) -> Tensor:
    """The sum of small frames that are enlarged by separable weights, each by its own.

    Args:
        parts: small frames (N, C, h, w), and for each its weights along one axis, an odd number
            of them for every pixel of a cell. Outside a frame its border is repeated.
        scale: s.

    Returns:
        (N, s * s * C, h, w) float32, in the order of ``space_to_depth``.
    """
    count, colours, height, width = parts[0][0].shape
    device = parts[0][0].device
    reach = max(len(taps[0]) for _, taps in parts) // 2
    kernel = torch.zeros(scale * scale, len(parts), 2 * reach + 1, 2 * reach + 1, device=device)
    for index, (_, taps) in enumerate(parts):
        along = torch.tensor(taps, device=device)
        margin = reach - len(taps[0]) // 2
        inner = slice(margin, 2 * reach + 1 - margin)
        # Columns of a cell come before rows.
        both = along[None, :, :, None] * along[:, None, None, :]
        kernel[:, index, inner, inner] = both.flatten(0, 1)
    with full_precision(parts[0][0]):
        planes = torch.stack([values.float().flatten(0, 1) for values, _ in parts], 1)
        padded = functional.pad(planes, (reach,) * 4, mode="replicate")
        cells = functional.conv2d(padded, kernel)
        return cells.reshape(count, colours * scale * scale, height, width)


def full_precision(values: Tensor) -> AbstractContextManager[object]:
    """A context without mixed precision on the device of ``values``.

    On the ``meta`` device, where operations are only counted, there is none to turn off.
    """
    return nullcontext() if values.is_meta else torch.autocast(values.device.type, enabled=False)
