"""Learned perceptual distance, LPIPS v0.1 (Zhang et al., 2018), of given feature maps and weights.

A figure is that of published LPIPS only if the maps come from the trunk that the weights were
learned on; with another trunk its name must say so.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

_EPSILON = 1e-10


def _unit(features: Tensor) -> Tensor:
    norm = features.square().sum(1, keepdim=True).sqrt()
    return features / (norm + _EPSILON)


def check_lpips_weights(weights: Sequence[Tensor], channels: Sequence[int]) -> None:
    """Refuse weights that do not belong to maps of these channels.

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
    """Distances of pairs of pictures, each given by its feature maps (eq. 1 of the paper).

    Features are scaled to unit length over the channels at every place; squared differences are
    weighted, summed over channels, averaged over the places and summed over the layers.

    Args:
        features_a, features_b: one (N, C, h, w) for each layer.
        weights: one (1, C, 1, 1) for each layer, at least 0.

    Returns:
        (N,), 0 for equal features, in the precision of the features.

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
