"""What low-light networks are given of dark pictures, and what they should make of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from enhance_cli.architectures.spec import Contract
from enhance_cli.colour import (
    ToneCurve,
    compress_range,
    linear_to_srgb,
    luminance,
    noise_planes,
    render,
)
from enhance_cli.data.darkness import DarkPairs
from enhance_cli.training.objectives import Distance, absolute_error, squared_error

# Beside the error of what is shown, a little of the compressed values': the output curve is
# flat at black and ends at white, where it would give no gradient.
_COMPRESSED_SHARE = 0.1

DISTANCES: dict[str, Distance] = {"absolute": absolute_error, "squared": squared_error}


@dataclass(frozen=True)
class Example:
    """N inputs of a network with what it should make of them.

    Attributes:
        y: Input of the network.
        x: The clean pictures as the encoder sees them.
        error: From an output of the decoder to its errors, summed over each picture, (N,).
        show: From an output of the decoder to pictures in [0, 1].
        target: The clean pictures as they are shown.
    """

    y: Tensor
    x: Tensor
    error: Callable[[Tensor], Tensor]
    show: Callable[[Tensor], Tensor]
    target: Tensor


def linear_example(pairs: DarkPairs, contract: Contract, distance: Distance) -> Example:
    """For networks from linear to linear values: the error is that of the rendered picture."""
    clean = luminance(pairs.clean) if contract.channels_out == 1 else pairs.clean
    target = render(clean, pairs.camera_to_srgb, contract.curve)
    told = noise_planes(pairs.dark, contract.channels_in - pairs.dark.shape[1])
    y = torch.cat([pairs.dark, told], 1)

    def show(estimate: Tensor) -> Tensor:
        with torch.autocast(estimate.device.type, enabled=False):
            return render(estimate.float(), pairs.camera_to_srgb, contract.curve)

    def error(estimate: Tensor) -> Tensor:
        rendered = distance(target, show(estimate))
        return rendered + _COMPRESSED_SHARE * distance(
            compress_range(clean), compress_range(estimate.float())
        )

    return Example(y, clean, error, show, target)


def direct_example(pairs: DarkPairs, contract: Contract, distance: Distance) -> Example:
    """For the thesis's networks: from amplified RAW to sRGB at half size, or from sRGB to sRGB."""
    if contract.channels_in == 3:
        clean, curve = pairs.clean, "srgb"
        y = linear_to_srgb(pairs.dark.clamp(0, 1))
    else:
        clean, curve = functional.avg_pool2d(pairs.clean, 2), "camera"
        y = pairs.dark.clamp(0, 1)
    grey = contract.channels_out == 1
    target = render(clean, pairs.camera_to_srgb, cast(ToneCurve, curve), grey)
    return Example(
        y,
        target,
        lambda estimate: distance(target, estimate.float()),
        lambda estimate: estimate.float().clamp(0, 1),
        target,
    )


# By the contract's colour: what is made of dark pictures.
_EXAMPLES: dict[str, Callable[[DarkPairs, Contract, Distance], Example]] = {
    "balanced-raw": linear_example,
    "linear-srgb": linear_example,
    "amplified-raw": direct_example,
    "amplified-srgb": direct_example,
}


def make_example(
    pairs: DarkPairs, contract: Contract, distance: Distance = absolute_error
) -> Example:
    """Inputs and targets of a network from dark pictures and their clean counterparts."""
    return _EXAMPLES[contract.colour](pairs, contract, distance)
