"""SPAN against figure 2 of its paper, read aloud, and against its own contract."""

import torch
from torch import Tensor, nn

from enhance_cli.architectures.span import Span, SpanConfig


def by_hand(net: Span, x: Tensor) -> Tensor:
    """Figure 2, from the state dict alone."""
    weights = net.state_dict()

    def conv(name: str, value: Tensor) -> Tensor:
        kernel = weights[f"{name}.weight"]
        return nn.functional.conv2d(
            value, kernel, weights[f"{name}.bias"], padding=kernel.shape[-1] // 2
        )

    outputs, firsts = [conv("head", x)], []
    for i in range(net.config.blocks):
        firsts.append(conv(f"body.{i}.conv1", outputs[-1]))
        second = conv(f"body.{i}.conv2", firsts[-1] * firsts[-1].sigmoid())
        third = conv(f"body.{i}.conv3", second * second.sigmoid())
        outputs.append((third + outputs[-1]) * (third.sigmoid() - 0.5))
    parts = [outputs[0], conv("tail", outputs[-1]), outputs[1], firsts[-1]]
    residual = conv("out", conv("merge", torch.cat(parts, 1)))
    scale = net.config.scale
    large = x.repeat_interleave(scale, -1).repeat_interleave(scale, -2)
    return large + nn.functional.pixel_shuffle(residual, scale)


def test_the_network_is_that_of_the_figure() -> None:
    torch.manual_seed(0)
    net = Span(SpanConfig(scale=2, channels=8, blocks=3))
    x = torch.rand(2, 3, 9, 7)
    torch.testing.assert_close(net(x), by_hand(net, x))


def test_it_is_as_small_as_promised() -> None:
    """At most 0.45 million parameters, and as many multiplications for a small pixel."""
    for scale in (2, 4):
        net = Span(SpanConfig(scale=scale))
        assert sum(parameter.numel() for parameter in net.parameters()) <= 450_000


def test_pixels_beyond_the_halo_change_nothing() -> None:
    net = Span(SpanConfig(scale=2, channels=4, blocks=1))
    reach = net.contract.halo
    image = torch.rand(1, 3, 4 * reach, 4 * reach, requires_grad=True)
    net(image)[..., 4 * reach, 4 * reach].sum().backward()
    assert image.grad is not None
    rows = image.grad.abs().amax((0, 1, 3)).nonzero()[:, 0]
    assert (rows - 2 * reach).abs().max() == reach == 6
