"""The discriminator of table 2.1 of dissertation 003."""

import pytest
import torch

from enhance_cli.architectures.discriminator import Discriminator


def test_parameter_count_is_that_of_the_table() -> None:
    """Counted layer by layer: 9 * in * out + out of each convolution, in * out + out after."""
    pairs = [(3, 32), (32, 64), (64, 128), (128, 256), (256, 512)]
    convolutions = sum(9 * a * b + b + 9 * b * b + b for a, b in pairs)
    full = 8192 * 1024 + 1024 + 1024 + 1
    network = Discriminator(128)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == convolutions + full == 13_102_881


def test_a_logit_for_every_picture() -> None:
    pictures = torch.rand(3, 3, 64, 64)
    network = Discriminator(64)
    logits = network(pictures)
    assert logits.shape == (3,)
    assert torch.allclose(network(pictures[1:2]), logits[1:2], atol=1e-5)


@pytest.mark.parametrize("side", [16, 100])
def test_impossible_sides(side: int) -> None:
    with pytest.raises(ValueError, match=f"multiple of 32, not {side}"):
        Discriminator(side)
