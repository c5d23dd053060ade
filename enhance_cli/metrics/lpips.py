"""Learned perceptual distance, LPIPS v0.1 (Zhang et al., 2018), from feature maps and weights.

A figure may be compared with published ones only if the maps come from the network that the
weights were learned on. With any other network the name of the measure must say so.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

_EPSILON = 1e-10


def _unit(features: Tensor) -> Tensor:
    # The gradient of this norm is 0 where all features are, that of a square root is none.
    norm: Tensor = torch.linalg.vector_norm(features, dim=1, keepdim=True)
    return features / (norm + _EPSILON)


def check_lpips_weights(weights: Sequence[Tensor], channels: Sequence[int]) -> None:
    """Refuse weights that do not belong to feature maps of these numbers of channels.

    Raises:
        ValueError: if one is missing or too many, not of shape (1, C, 1, 1), or negative.
    """
    shapes = [tuple(weight.shape) for weight in weights]
    if shapes != [(1, channel, 1, 1) for channel in channels]:
        raise ValueError(
            f"LPIPS of maps with {list(channels)} channels needs weights (1, C, 1, 1) for each, "
            f"not {shapes}"
        )
    # `not >=` is true of NaN too.
    if not all(bool((weight >= 0).all()) for weight in weights):
        raise ValueError("weights of LPIPS are at least 0")


def lpips(
    features_a: Sequence[Tensor], features_b: Sequence[Tensor], weights: Sequence[Tensor]
) -> Tensor:
    """Distances of pairs of pictures, each described by its feature maps (eq. 1 of the paper).

    At every place the features are scaled to unit length over the channels. The squared
    differences are weighted, summed over the channels, averaged over the places and summed over
    the layers.

    Args:
        features_a, features_b: for each layer a map (N, C, h, w).
        weights: for each layer a tensor (1, C, 1, 1) of at least 0.

    Returns:
        (N,) in the precision of the features; 0 for equal features.

    Raises:
        ValueError: if maps and weights do not match.
    """
    if [a.shape for a in features_a] != [b.shape for b in features_b] or not features_a:
        raise ValueError(
            f"LPIPS compares maps of one shape, not {[tuple(a.shape) for a in features_a]} "
            f"and {[tuple(b.shape) for b in features_b]}"
        )
    check_lpips_weights(weights, [a.shape[1] for a in features_a])
    layers = [
        ((_unit(a) - _unit(b)).square() * weight.to(a)).sum(1).mean((1, 2))
        for a, b, weight in zip(features_a, features_b, weights, strict=True)
    ]
    return torch.stack(layers).sum(0)
