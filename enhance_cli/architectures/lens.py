"""The lens of dissertation 003, ch. 4 (fig. 4.4): it makes true pictures look like drawn ones.

It makes no pictures for anyone, and only training needs it.
"""

from torch import Tensor, nn
from torch.nn import functional

from enhance_cli.architectures.dcgan import initialise
from enhance_cli.architectures.layers import ResidualBlock, conv3x3

BLOCKS = 8


class Lens(nn.Module):
    """A convolution, 8 residual blocks and a convolution, added to the input.

    All convolutions are 3x3 and of stride 1. The figure that gave their channels is lost.

    Args:
        channels: Channels of the pictures.
        width: Channels between the first and the last convolution.

    Raises:
        ValueError: If there is no channel.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        if min(channels, width) < 1:
            raise ValueError(f"no lens of {width} channels for pictures of {channels}")
        self.head = conv3x3(channels, width)
        self.body = nn.Sequential(*(ResidualBlock(width) for _ in range(BLOCKS)))
        self.out = conv3x3(width, channels)
        initialise(self)

    def forward(self, pictures: Tensor) -> Tensor:
        """Pictures (N, C, H, W) of any range -> the same shape, not clamped."""
        changes: Tensor = self.out(self.body(functional.relu(self.head(pictures))))
        return pictures + changes.to(pictures.dtype)
