"""How large a network is and how much it computes, without computing it."""

from dataclasses import dataclass
from functools import cache

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from enhance_cli.architectures.spec import Architecture, Contract
from enhance_cli.engine.checkpoint import build_empty


@dataclass(frozen=True)
class Complexity:
    """The size of a network as it is used, without parts that only training needs.

    Attributes:
        parameters: number of trainable values.
        macs: multiply-accumulate operations of all convolutions and matrix products.
        macs_input: the shape (C, H, W) of the input that ``macs`` are counted for.
    """

    parameters: int
    macs: int
    macs_input: tuple[int, int, int]


def count_parameters(architecture: Architecture, config: object) -> int:
    """The parameters of a network, which is quicker than to measure all of its complexity."""
    return sum(
        parameter.numel() for parameter in build_empty(architecture, config, "meta").parameters()
    )


@cache  # Models that share a network are many, and counting takes seconds where there are layers.
def measure_complexity(architecture: Architecture, config: object, side: int = 256) -> Complexity:
    """Count parameters and operations on the ``meta`` device, without memory or arithmetic.

    Args:
        architecture, config: describe the network.
        side: height and width of the input, unless the contract has a patch size.
    """
    network: nn.Module = build_empty(architecture, config, "meta").eval()
    contract: Contract = network.contract  # type: ignore[assignment]
    side = contract.patch_size or side
    shape = (contract.channels_in, side, side)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.empty(1, *shape, device="meta"))
    return Complexity(
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        macs=counter.get_total_flops() // 2,
        macs_input=shape,
    )
