"""Tensors that many tests need."""

import torch
from torch import Tensor


def random(*shape: int, seed: int = 0) -> Tensor:
    """Values in [0, 1) that are the same in every run."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))
