"""The quick network against its two papers, read aloud, and against its own contract."""

import torch
from torch import Tensor, nn

from enhance_cli.architectures.residual_shuffle import ResidualShuffle, ResidualShuffleConfig
from enhance_cli.resize import imresize


def by_hand(net: ResidualShuffle, x: Tensor) -> Tensor:
    """From the state dict alone."""
    weights = net.state_dict()

    def conv(name: str, value: Tensor) -> Tensor:
        return nn.functional.conv2d(
            value, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=1
        )

    shallow = features = conv("head", x).clamp(min=0)
    for i in range(net.config.blocks):
        inner = conv(f"body.{i}.conv1", features).clamp(min=0)
        features = features + conv(f"body.{i}.conv2", inner)
    planes = conv("out", shallow + conv("tail", features))
    scale = net.config.scale
    count, _, height, width = planes.shape
    places = planes.reshape(count, 3, scale, scale, height, width).permute(0, 1, 4, 2, 5, 3)
    return imresize(x, scale) + places.reshape(count, 3, scale * height, scale * width)


def test_the_network_is_that_of_the_papers() -> None:
    torch.manual_seed(0)
    net = ResidualShuffle(ResidualShuffleConfig(scale=2, channels=8, blocks=3))
    x = torch.rand(2, 3, 9, 7)
    torch.testing.assert_close(net(x), by_hand(net, x))


def test_it_is_as_small_as_promised() -> None:
    """At most 0.45 million parameters, and as many multiplications for a small pixel."""
    for scale in (2, 4):
        net = ResidualShuffle(ResidualShuffleConfig(scale=scale))
        assert sum(parameter.numel() for parameter in net.parameters()) <= 450_000


def test_every_block_is_heard_from_the_start() -> None:
    """Blocks that multiply features by themselves were found to fade: four of six did nothing."""
    torch.manual_seed(0)
    net = ResidualShuffle(ResidualShuffleConfig())
    net(torch.rand(1, 3, 16, 16)).square().sum().backward()
    found = [block.conv1.weight.grad.norm() for block in net.body]
    assert min(found) > max(found) / 4


def test_pixels_beyond_the_halo_change_nothing() -> None:
    net = ResidualShuffle(ResidualShuffleConfig(scale=2, channels=4, blocks=1))
    reach = net.contract.halo
    image = torch.rand(1, 3, 4 * reach, 4 * reach, requires_grad=True)
    net(image)[..., 4 * reach, 4 * reach].sum().backward()
    assert image.grad is not None
    rows = image.grad.abs().amax((0, 1, 3)).nonzero()[:, 0]
    assert (rows - 2 * reach).abs().max() == reach == 5
