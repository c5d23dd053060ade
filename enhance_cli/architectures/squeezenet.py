"""SqueezeNet v1.1 without its classifier (Iandola et al., 2016), for the weights of its Keras port.

The network makes no pictures. Its features serve to measure them. Preprocessing and pooling are
those of the port, not those of torchvision: a mean is subtracted from BGR, and pooling leaves out
windows that do not fit.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

# Mean of B, G and R over ImageNet, from 0 to 255.
_MEAN_BGR = (103.939, 116.779, 123.68)
# Channels of the maps that LPIPS compares: conv1, fire3, fire5, fire6, fire7, fire8, fire9.
MAP_CHANNELS = (64, 128, 256, 384, 384, 512, 512)
DIMENSIONS = 512
# The smallest side with which fire6 to fire9 have a map: 31 -> 15 -> 7 -> 3 -> 1.
SMALLEST_SIDE = 31


class _Fire(nn.Module):
    """A 1x1 convolution to few channels, then a 1x1 and a 3x3 one side by side to many."""

    def __init__(self, channels_in: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze1x1 = nn.Conv2d(channels_in, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, h, w) -> (N, 2 * expand, h, w)."""
        x = functional.relu(self.squeeze1x1(x))
        return functional.relu(torch.cat([self.expand1x1(x), self.expand3x3(x)], 1))


class SqueezeNet(nn.Module):
    """The layers conv1 and fire2 to fire9."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, stride=2)
        self.fire2 = _Fire(64, 16, 64)
        self.fire3 = _Fire(128, 16, 64)
        self.fire4 = _Fire(128, 32, 128)
        self.fire5 = _Fire(256, 32, 128)
        self.fire6 = _Fire(256, 48, 192)
        self.fire7 = _Fire(384, 48, 192)
        self.fire8 = _Fire(384, 64, 256)
        self.fire9 = _Fire(512, 64, 256)

    def maps(self, x: Tensor) -> list[Tensor]:
        """Compute the seven maps that LPIPS compares, each after its ReLU.

        Args:
            x: (N, 3, H, W) RGB in [0, 1] with sides of at least ``SMALLEST_SIDE``.

        Returns:
            Maps (N, C, h, w) with the channels ``MAP_CHANNELS``. Their sides are 1/2, 1/4 and 1/8
            of the picture's, and 1/16 for the last four.

        Raises:
            ValueError: if the pictures have not three channels or are too small.
        """
        if x.ndim != 4 or x.shape[1] != 3 or min(x.shape[2:]) < SMALLEST_SIDE:
            raise ValueError(
                f"SqueezeNet takes (N, 3, H, W) with sides of at least {SMALLEST_SIDE}, "
                f"not {tuple(x.shape)}"
            )
        mean = x.new_tensor(_MEAN_BGR).view(3, 1, 1)
        maps = [functional.relu(self.conv1(x.flip(1) * 255 - mean))]
        maps.append(self.fire3(self.fire2(functional.max_pool2d(maps[-1], 3, 2))))
        maps.append(self.fire5(self.fire4(functional.max_pool2d(maps[-1], 3, 2))))
        maps.append(self.fire6(functional.max_pool2d(maps[-1], 3, 2)))
        for fire in (self.fire7, self.fire8, self.fire9):
            maps.append(fire(maps[-1]))
        return maps

    def forward(self, x: Tensor) -> Tensor:
        """Features (N, 512) of pictures (N, 3, H, W) in [0, 1]: the mean of the last map.

        Raises:
            ValueError: as ``maps``.
        """
        return self.maps(x)[-1].mean((2, 3))
