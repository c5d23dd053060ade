"""The networks of fig. 3.4, read aloud from the figure with elementary operations."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from enhance_cli.architectures.frvsr import VideoNetwork
from enhance_cli.resize import imresize


def convolve(network: nn.Module, name: str, x: Tensor) -> Tensor:
    weights = network.state_dict()
    return functional.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=1)


def double(x: Tensor) -> Tensor:
    """Bilinear doubling by hand: every output a quarter pixel beside an input."""
    for axis in (2, 3):
        length = x.shape[axis]
        before = x.index_select(axis, torch.arange(-1, length - 1).clamp(min=0))
        after = x.index_select(axis, torch.arange(1, length + 1).clamp(max=length - 1))
        x = torch.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], axis + 1)
        x = x.flatten(axis, axis + 1)
    return x


def flow_by_hand(network: nn.Module, previous: Tensor, current: Tensor) -> Tensor:
    """The lower half of fig. 3.4 read aloud, for sides that are multiples of 8.

    In shares of ``limit``.
    """

    def leaky(x: Tensor) -> Tensor:
        return torch.where(x > 0, x, 0.2 * x)

    def around(image: Tensor) -> Tensor:
        """The 81 neighbours (81, N, 3, h, w) of each pixel; the border is repeated."""
        rows, columns = image.shape[-2:]
        y = torch.arange(rows)[:, None] + torch.arange(-4, 5)
        x = torch.arange(columns)[:, None] + torch.arange(-4, 5)
        near = image[:, :, y.clamp(0, rows - 1)][..., x.clamp(0, columns - 1)]
        return near.permute(3, 5, 0, 1, 2, 4).flatten(0, 1)

    mean = (around(previous) + around(current)).mean(0) / 2
    # The squares are of each pixel about its own mean.
    spread = around((previous - mean) ** 2 + (current - mean) ** 2).mean(0) / 2
    contrast = spread.mean(1, keepdim=True) ** 0.5 + 0.01
    x = torch.cat([previous - current, current - mean], 1) / contrast
    for half, steps in (("encoder", range(3)), ("decoder", range(3))):
        for step in steps:
            for layer in (0, 2):
                x = leaky(convolve(network, f"fnet.{half}.{step}.{layer}", x))
            if half == "encoder":
                batch, channels, height, width = x.shape
                x = x.view(batch, channels, height // 2, 2, width // 2, 2).amax((3, 5))
            else:
                x = double(x)
    pixels = convolve(network, "fnet.out", leaky(convolve(network, "fnet.last", x)))
    return (pixels / network.config.flow.limit).tanh()  # type: ignore[union-attr, operator]


def transposed(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A transposed convolution of stride 2: zeros between the pixels, then the kernel turned."""
    batch, channels, height, width = x.shape
    spread = x.new_zeros(batch, channels, 2 * height + 2, 2 * width + 2)
    spread[:, :, 1:-1:2, 1:-1:2] = x
    return functional.conv2d(spread, weight.flip(2, 3).transpose(0, 1), bias)


def srnet_by_hand(network: VideoNetwork, features: Tensor) -> Tensor:
    """The upper half of fig. 3.4 read aloud, plus the bicubic frame."""
    weights = network.state_dict()
    x = convolve(network, "srnet.head", features).relu()
    for block in range(network.config.blocks):
        name = f"srnet.body.{block}"
        inner = convolve(network, f"{name}.conv1", x).relu()
        x = x + convolve(network, f"{name}.conv2", inner)
    for layer in range(network.config.scale.bit_length() - 1):
        name = f"srnet.enlarge.{layer}"
        x = transposed(x, weights[f"{name}.weight"], weights[f"{name}.bias"]).relu()
    return imresize(features[:, :3], network.config.scale) + convolve(network, "srnet.out", x)
