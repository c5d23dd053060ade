"""The discriminator of table 2.1 of dissertation 003, and that of patches."""

import pytest
import torch

from enhance_cli.architectures.discriminator import Discriminator, PatchDiscriminator


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


def test_a_verdict_of_a_place_depends_on_the_26_pixels_around_it() -> None:
    torch.manual_seed(0)
    network = PatchDiscriminator(6).eval()
    pictures = torch.rand(1, 6, 64, 64, requires_grad=True)
    logits = network(pictures)
    assert logits.shape == (1, 16, 16)
    (gradient,) = torch.autograd.grad(logits[0, 8, 8], pictures)
    rows = gradient.abs().sum((0, 1, 3)).nonzero()
    assert (int(rows[-1] - rows[0]) + 1, gradient.abs().sum((0, 2, 3)).gt(0).all()) == (26, True)
