"""The arithmetic of receptive fields, worked by hand and against real layers."""

import itertools
from collections.abc import Sequence
from fractions import Fraction

import pytest
import torch
from torch import Tensor, nn

from enhance_cli.architectures.layers import (
    Convolution,
    Enlarge,
    Reduce,
    ResidualBlock,
    conv3x3,
    receptive_halo,
)


@pytest.mark.parametrize(
    ("chain", "halo"),
    [
        ([], 0),
        ([Convolution(1)], 0),
        ([Convolution()], 1),
        ([Convolution(5), Convolution(3)], 3),
        # Both outputs of a pixel show that pixel alone.
        ([Enlarge(2)], 0),
        # Outputs 0 and 1 of a pixel see enlarged -1..2, which lie in pixels -1..1.
        ([Enlarge(2), Convolution()], 1),
        # Two convolutions see enlarged -2..3, still pixels -1..1; a third one -3..4, pixels -2..2.
        ([Enlarge(2), Convolution(), Convolution()], 1),
        ([Enlarge(2), Convolution(), Convolution(), Convolution()], 2),
        ([Enlarge(4), *[Convolution()] * 4], 1),
        ([Enlarge(4), *[Convolution()] * 5], 2),
        # 0..3 at x4; -1..4 after the last convolution; -1..2 at x2; -2..3 there; -1..1 at x1.
        ([Enlarge(2), Convolution(), Enlarge(2), Convolution()], 1),
        ([Convolution(), Convolution(), Enlarge(2), Convolution()], 3),
        ([Enlarge(3), Convolution()], 1),
        # A cell of two pixels: its first sees the second, and the other way round.
        ([Reduce(2), Enlarge(2)], 1),
        ([Reduce(4), Enlarge(4)], 3),
        # Cells -1..1, so pixels -2..3 for the pixels 0 and 1.
        ([Reduce(2), Convolution(), Enlarge(2)], 3),
        ([Convolution(), Reduce(2), Convolution(), Enlarge(2), Convolution()], 5),
        # Enlarged pixels -1..2 in the first, cells of 2 are whole input pixels.
        ([Enlarge(2), Reduce(2)], 0),
        ([Enlarge(2), Convolution(), Reduce(2)], 1),
    ],
)
def test_halo_worked_by_hand(chain: list[Convolution | Enlarge], halo: int) -> None:
    assert receptive_halo(chain) == halo


def widest_reach(chain: Sequence[Convolution | Enlarge | Reduce], length: int = 25) -> int:
    """Largest distance that a NaN travels through real 1-D layers, over all places in a line."""
    lines = torch.zeros(length, 1, length)
    lines.diagonal(dim1=0, dim2=2).fill_(torch.nan)
    factor = Fraction(1)
    for step in chain:
        if isinstance(step, Enlarge):
            lines = lines.repeat_interleave(step.factor, -1)
            factor *= step.factor
        elif isinstance(step, Reduce):
            lines = nn.functional.max_pool1d(lines, step.factor)
            factor /= step.factor
        else:
            kernel = torch.ones(1, 1, step.kernel)
            lines = nn.functional.conv1d(lines, kernel, padding=step.kernel // 2)
    source, _, target = lines.isnan().nonzero().unbind(1)
    home = target * factor.denominator // factor.numerator
    return int((home - source).abs().max())


def test_halo_is_the_reach_of_real_layers() -> None:
    """All short chains: never too small, never too large."""
    kinds = [Convolution(3), Convolution(5), Enlarge(2), Enlarge(3)]
    deep = [Convolution(3), Enlarge(2)]
    chains = [
        *(chain for count in (1, 2, 3) for chain in itertools.product(kinds, repeat=count)),
        *(chain for count in (4, 5) for chain in itertools.product(deep, repeat=count)),
    ]
    for chain in chains:
        assert receptive_halo(chain) == widest_reach(chain), chain


def test_halo_is_the_reach_of_u_nets() -> None:
    """Down and up again, with convolutions anywhere; sides are multiples of all reductions."""
    kinds = [Convolution(3), Reduce(2), Enlarge(2)]
    chains = [chain for count in (2, 3, 4, 5) for chain in itertools.product(kinds, repeat=count)]
    chains += [
        (Reduce(3), Convolution(), Enlarge(3)),
        (Reduce(4), Convolution(5), Enlarge(2)),
        (
            Convolution(),
            Reduce(2),
            Convolution(),
            Reduce(2),
            Convolution(),
            Enlarge(2),
            Convolution(),
            Enlarge(2),
            Convolution(),
        ),
    ]
    for chain in chains:
        reach = widest_reach(chain, 96)
        if reach < 24:  # else it meets both ends of the line
            assert receptive_halo(list(chain)) == reach, chain


def test_residual_block_is_its_formula() -> None:
    torch.manual_seed(0)
    block = ResidualBlock(4)
    x = torch.randn(2, 4, 5, 7)
    expected: Tensor = x + block.conv2(block.conv1(x).clamp(min=0))
    assert torch.equal(block(x), expected)


def test_conv3x3_pads_with_zeros() -> None:
    layer = conv3x3(1, 1)
    nn.init.ones_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    made = layer(torch.ones(1, 1, 3, 3))[0, 0].tolist()
    assert made == [[4, 6, 4], [6, 9, 6], [4, 6, 4]]
