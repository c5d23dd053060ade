"""The first layers of VGG-19 (Simonyan and Zisserman, 2015), whose features losses compare.

The network makes no pictures. It is the variant of Gatys et al. (2015), in which the mean
activation of every filter is 1 over many photographs, and borders are padded by reflection.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

# Channels of the maps, by layer.
CONV1, CONV2, CONV3 = 64, 128, 256


@dataclass(frozen=True)
class VggMaps:
    """Feature maps (N, C, h, w) of pictures (N, 3, H, W), each after its ReLU.

    Attributes:
        conv1_1: 64 channels at the size of the pictures.
        conv2_1: 128 channels at half of it.
        pool2: 128 channels at a quarter.
        conv3_1: 256 channels at a quarter.
    """

    conv1_1: Tensor
    conv2_1: Tensor
    pool2: Tensor
    conv3_1: Tensor


def _convolution(channels_in: int, channels_out: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, 3, padding=1, padding_mode="reflect")


class Vgg19(nn.Module):
    """The layers conv1_1 to conv3_1 with max pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.preprocess = nn.Conv2d(3, 3, 1)
        self.conv1_1 = _convolution(3, CONV1)
        self.conv1_2 = _convolution(CONV1, CONV1)
        self.conv2_1 = _convolution(CONV1, CONV2)
        self.conv2_2 = _convolution(CONV2, CONV2)
        self.conv3_1 = _convolution(CONV2, CONV3)

    def forward(self, pictures: Tensor) -> VggMaps:
        """Compute the maps of pictures (N, 3, H, W), RGB in [0, 1], of at least 8x8 pixels."""
        # Values become as large as 150 here, of which bfloat16 keeps no fractions.
        with torch.autocast(pictures.device.type, enabled=False):
            prepared = self.preprocess(pictures.float())
        conv1_1 = functional.relu(self.conv1_1(prepared))
        conv1_2 = functional.relu(self.conv1_2(conv1_1))
        conv2_1 = functional.relu(self.conv2_1(functional.max_pool2d(conv1_2, 2)))
        conv2_2 = functional.relu(self.conv2_2(conv2_1))
        pool2 = functional.max_pool2d(conv2_2, 2)
        return VggMaps(conv1_1, conv2_1, pool2, functional.relu(self.conv3_1(pool2)))
