"""RRDBNet, the generator of ESRGAN and Real-ESRGAN."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from enhance_cli.architectures.layers import (
    Chain,
    Convolution,
    Enlarge,
    Reduce,
    conv3x3,
    receptive_halo,
)
from enhance_cli.architectures.spec import Architecture, Contract, LearnedPart

# In cells, see ``RrdbNet``. Tiles are mostly halo unless they are large.
_HALO, _TILE = 80, 480
_DAMPING = 0.2  # of every residual (ESRGAN, sec. 3.1)


@dataclass(frozen=True)
class RrdbNetConfig:
    """Hyperparameters; the defaults are those of ESRGAN and Real-ESRGAN x4.

    Attributes:
        scale: enlargement along each axis, a power of two.
        channels: features between the blocks.
        blocks: residual-in-residual dense blocks.
        growth: features that each layer of a dense block adds.
        unshuffle: side of the cells of input pixels that become the channels of one: 1 takes the
            picture as it is; Real-ESRGAN takes 2 for x2 and 4 for x1, and so does the same work
            for each output pixel.
    """

    scale: int = 4
    channels: int = 64
    blocks: int = 23
    growth: int = 32
    unshuffle: int = 1


class DenseBlock(nn.Module):
    """Five convolutions, each of which sees the results of all before it (ESRGAN, fig. 4)."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(channels, growth)
        self.conv2 = conv3x3(channels + growth, growth)
        self.conv3 = conv3x3(channels + 2 * growth, growth)
        self.conv4 = conv3x3(channels + 3 * growth, growth)
        self.conv5 = conv3x3(channels + 4 * growth, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        features = x
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            features = torch.cat((features, _leaky(conv(features))), 1)
        out: Tensor = x + _DAMPING * self.conv5(features)
        return out


class ResidualDenseBlocks(nn.Module):
    """RRDB: three dense blocks in a row, added to the input."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.rdb1 = DenseBlock(channels, growth)
        self.rdb2 = DenseBlock(channels, growth)
        self.rdb3 = DenseBlock(channels, growth)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        out: Tensor = x + _DAMPING * self.rdb3(self.rdb2(self.rdb1(x)))
        return out


class RrdbNet(nn.Module):
    """Residual-in-residual dense blocks on the small picture, then doublings by nearest neighbours.

    The names of its parameters are those of the files of Real-ESRGAN.

    The receptive field of 23 blocks has a radius of 349 pixels, and tiles that hold it would be
    nearly all margin. The halo is therefore at most 80 pixels (of the cells, if there are any).
    Five pictures were cut in two, for Real-ESRGAN x4: beyond 80 pixels from the cut no value of the
    result differs by more than 0.2 of 255 levels, beyond 64 by more than 1, beyond 32 by more than
    11, and beyond 96 by more than 0.02.

    Raises:
        ValueError: if no network can be built from the config.
    """

    def __init__(self, config: RrdbNetConfig) -> None:
        super().__init__()
        enlargement = config.scale * config.unshuffle
        if config.scale < 1 or config.unshuffle < 1 or enlargement & (enlargement - 1):
            raise ValueError(
                f"RRDBNet doubles the size: x{config.scale} of cells of {config.unshuffle} "
                "is no power of two"
            )
        if min(config.channels, config.growth) < 1 or config.blocks < 0:
            raise ValueError(
                f"no network of {config.channels} channels, {config.blocks} blocks and "
                f"growth {config.growth}"
            )
        width = config.channels
        self.config = config
        self.conv_first = conv3x3(3 * config.unshuffle**2, width)
        self.body = nn.Sequential(
            *(ResidualDenseBlocks(width, config.growth) for _ in range(config.blocks))
        )
        self.conv_body = conv3x3(width, width)
        self.doublings = [f"conv_up{i + 1}" for i in range(enlargement.bit_length() - 1)]
        for name in self.doublings:
            self.add_module(name, conv3x3(width, width))
        self.conv_hr = conv3x3(width, width)
        self.conv_last = conv3x3(width, 3)
        self.contract = Contract(
            scale=config.scale,
            halo=min(self._receptive_radius(), _HALO * config.unshuffle),
            size_multiple=config.unshuffle,
            auto_tile=_TILE * config.unshuffle,
        )
        self.learned = LearnedPart("forward")

    def _receptive_radius(self) -> int:
        """In input pixels."""
        trunk: Chain = [Convolution()] * (2 + 15 * self.config.blocks)
        enlargement: Chain = [Enlarge(2), Convolution()] * len(self.doublings)
        chain = [*trunk, *enlargement, Convolution(), Convolution()]
        return receptive_halo([Reduce(self.config.unshuffle), *chain])

    def forward(self, frame_lr: Tensor) -> Tensor:
        """Enlarge (N, 3, H, W) sRGB in [0, 1] to (N, 3, scale * H, scale * W), without clamping."""
        shallow = self.conv_first(functional.pixel_unshuffle(frame_lr, self.config.unshuffle))
        features = shallow + self.conv_body(self.body(shallow))
        for name in self.doublings:
            features = functional.interpolate(features, scale_factor=2, mode="nearest")
            features = _leaky(self.get_submodule(name)(features))
        frame_hr: Tensor = self.conv_last(_leaky(self.conv_hr(features)))
        return frame_hr


def _leaky(x: Tensor) -> Tensor:
    return functional.leaky_relu(x, 0.2, inplace=True)


RRDBNET = Architecture(
    name="rrdbnet",
    task="superres",
    config=RrdbNetConfig,
    build=RrdbNet,
    source="Wang et al., ESRGAN, ECCVW 2018; Wang et al., Real-ESRGAN, ICCVW 2021",
)
