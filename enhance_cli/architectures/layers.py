"""Building blocks that networks share, and the arithmetic of receptive fields."""

import math
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor, nn
from torch.nn import functional

from enhance_cli.architectures.spec import Contract
from enhance_cli.resize import imresize


def conv3x3(channels_in: int, channels_out: int) -> nn.Conv2d:
    """A 3x3 convolution with zero padding and bias: (N, in, H, W) -> (N, out, H, W)."""
    return nn.Conv2d(channels_in, channels_out, 3, padding=1)


class AddsToEnlargement(nn.Module):
    """A network that adds what it has learned to a fixed enlargement of its input.

    Attributes:
        contract: how many times both sides are enlarged, among other things.
    """

    contract: Contract

    def forward(self, frame_lr: Tensor) -> Tensor:
        """Enlarge (N, 3, H, W) sRGB in [0, 1] to (N, 3, scale * H, scale * W), without clamping."""
        residual = self.residual(frame_lr)
        # The sum has the precision of the input, so that autocast rounds the residual alone.
        enlarged = self.enlarge(frame_lr)
        return enlarged + residual.to(enlarged.dtype)

    def enlarge(self, frame_lr: Tensor) -> Tensor:
        """Enlarge by MATLAB's bicubic filter, unless a network has another; as ``forward``."""
        return imresize(frame_lr, self.contract.scale)

    def residual(self, frame_lr: Tensor) -> Tensor:
        """Compute what is added: (N, 3, H, W) -> (N, 3, scale * H, scale * W)."""
        raise NotImplementedError


class ResidualBlock(nn.Module):
    """Convolution, ReLU and convolution, added to the input (dissertation 003, table 2.1)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(channels, channels)
        self.conv2 = conv3x3(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        out: Tensor = x + self.conv2(functional.relu(self.conv1(x)))
        return out


@torch.no_grad()
def start_near_zero(network: nn.Module, last: nn.Conv2d) -> None:
    """Give convolutions first values with which a residual network gives nearly nothing.

    They are Kaiming's for ReLU, damped in the residual branches and in the last layer.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for module in network.modules():
        if isinstance(module, ResidualBlock):
            module.conv2.weight.mul_(0.1)
    last.weight.mul_(0.05)


@dataclass(frozen=True)
class Convolution:
    """A step of a chain: a convolution of stride 1 whose side ``kernel`` is odd."""

    kernel: int = 3


@dataclass(frozen=True)
class Enlarge:
    """A step of a chain: enlargement by ``factor``, by nearest neighbours or pixel shuffle."""

    factor: int = 2


@dataclass(frozen=True)
class Reduce:
    """A step of a chain: pooling or striding by ``factor`` without overlap."""

    factor: int = 2


Chain = list[Convolution | Enlarge | Reduce]


def receptive_halo(chain: Chain) -> int:
    """Compute the radius of the receptive field of a chain of layers, in pixels of its input.

    The chain repeats itself after some output pixels. From each of these the function walks back
    to the farthest input on which it depends, seen from the input pixel in which it lies.

    Args:
        chain: the layers on the deepest path through the network, from input to output.
    """
    scale, coarsest = Fraction(1), Fraction(1)
    for step in chain:
        if isinstance(step, Enlarge):
            scale *= step.factor
        elif isinstance(step, Reduce):
            scale /= step.factor
        coarsest = min(coarsest, scale)
    halo = 0
    for output in range(int(scale / coarsest)):
        first = last = output
        for step in reversed(chain):
            if isinstance(step, Convolution):
                first, last = first - step.kernel // 2, last + step.kernel // 2
            elif isinstance(step, Enlarge):
                first, last = first // step.factor, last // step.factor
            else:
                first, last = first * step.factor, last * step.factor + step.factor - 1
        home = math.floor(output / scale)
        halo = max(halo, home - first, last - home)
    return halo
