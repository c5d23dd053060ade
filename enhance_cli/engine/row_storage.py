"""Tensors stored in integers of 8 bits, with a scale for each row: a quarter of the size."""

from collections.abc import Mapping

import torch
from torch import Tensor

_SCALE = ".row_scale"
_LARGEST = 127
_FEW = 4096  # values; a first or last layer may have so few, and errors there count most


def pack_rows(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Round matrices and kernels to 8 bits.

    Args:
        tensors: float32 by name. Those of one axis, such as biases, and small ones stay as they
            are.

    Returns:
        int8 tensors of the same shapes, each with a float32 tensor of scales, one for each index of
        the first axis; values are at most half a scale off.
    """
    packed = {}
    for name, value in tensors.items():
        if value.ndim < 2 or value.numel() < _FEW or not value.is_floating_point():
            packed[name] = value
            continue
        scale = value.float().flatten(1).abs().amax(1) / _LARGEST
        steps = value.float() / _spread(scale.clamp(min=torch.finfo(torch.float32).tiny), value)
        packed[name] = steps.round().to(torch.int8)
        packed[name + _SCALE] = scale
    return packed


def unpack_rows(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Undo :func:`pack_rows`; tensors without scales stay as they are."""
    return {
        name: value.float() * _spread(tensors[name + _SCALE], value)
        if name + _SCALE in tensors
        else value
        for name, value in tensors.items()
        if not name.endswith(_SCALE)
    }


def _spread(scale: Tensor, value: Tensor) -> Tensor:
    return scale.reshape(-1, *[1] * (value.ndim - 1))
