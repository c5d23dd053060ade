"""EDSR, the enhanced deep residual network for super-resolution."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from enhance_cli.architectures.layers import Chain, Convolution, Enlarge, conv3x3, receptive_halo
from enhance_cli.architectures.spec import Architecture, Contract, LearnedPart

# Of the training pictures of DIV2K, red, green and blue in [0, 1], as in the authors' code.
DIV2K_MEAN = (0.4488, 0.4371, 0.4040)


@dataclass(frozen=True)
class EdsrConfig:
    """Hyperparameters; the defaults are those of the baseline of table 1, for x4.

    Attributes:
        scale: enlargement along each axis: 3 or a power of two.
        channels: features of each layer; the full network has 256.
        blocks: residual blocks; the full network has 32.
        residual_scale: factor of every residual; the full network has 0.1 (sec. 3.3).
        levels: how many the values 0 to 1 are for the network. The authors' files take values from
            0 to 255.
    """

    scale: int = 4
    channels: int = 64
    blocks: int = 16
    residual_scale: float = 1.0
    levels: float = 255.0


class ScaledResidualBlock(nn.Module):
    """Convolution, ReLU and convolution, scaled and added to the input (fig. 2c)."""

    def __init__(self, channels: int, residual_scale: float) -> None:
        super().__init__()
        self.residual_scale = residual_scale
        self.conv1 = conv3x3(channels, channels)
        self.conv2 = conv3x3(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        out: Tensor = x + self.residual_scale * self.conv2(functional.relu(self.conv1(x)))
        return out


class Edsr(nn.Module):
    """Residual blocks without normalisation, then sub-pixel convolutions (Lim et al., fig. 3).

    The names of its parameters are those of BasicSR.

    Raises:
        ValueError: if no network can be built from the config.
    """

    mean: Tensor

    def __init__(self, config: EdsrConfig) -> None:
        super().__init__()
        if config.scale != 3 and (config.scale < 1 or config.scale & (config.scale - 1)):
            raise ValueError(f"EDSR enlarges by 3 or a power of two, not by {config.scale}")
        if config.channels < 1 or config.blocks < 0 or config.levels <= 0:
            raise ValueError(
                f"no network of {config.channels} channels, {config.blocks} blocks and "
                f"{config.levels} levels"
            )
        steps = [3] if config.scale == 3 else [2] * (config.scale.bit_length() - 1)
        width = config.channels
        self.config = config
        self.register_buffer("mean", torch.tensor(DIV2K_MEAN).reshape(3, 1, 1), persistent=False)
        self.conv_first = conv3x3(3, width)
        self.body = nn.Sequential(
            *(ScaledResidualBlock(width, config.residual_scale) for _ in range(config.blocks))
        )
        self.conv_after_body = conv3x3(width, width)
        layers: list[nn.Module] = []
        for step in steps:
            layers += [conv3x3(width, width * step**2), nn.PixelShuffle(step)]
        self.upsample = nn.Sequential(*layers)
        self.conv_last = conv3x3(width, 3)
        chain: Chain = [Convolution()] * (2 + 2 * config.blocks)
        for step in steps:
            chain += [Convolution(), Enlarge(step)]
        self.contract = Contract(scale=config.scale, halo=receptive_halo([*chain, Convolution()]))
        self.learned = LearnedPart("forward")

    def forward(self, frame_lr: Tensor) -> Tensor:
        """Enlarge (N, 3, H, W) sRGB in [0, 1] to (N, 3, scale * H, scale * W), without clamping."""
        levels = self.config.levels
        shallow = self.conv_first((frame_lr - self.mean) * levels)
        features = shallow + self.conv_after_body(self.body(shallow))
        frame_hr: Tensor = self.conv_last(self.upsample(features)).float() / levels + self.mean
        return frame_hr


EDSR = Architecture(
    name="edsr",
    task="superres",
    config=EdsrConfig,
    build=Edsr,
    source="Lim et al., Enhanced Deep Residual Networks for Single Image Super-Resolution, "
    "CVPRW 2017, table 1",
)
