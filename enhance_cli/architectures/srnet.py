"""SRNet: LR features to an HR frame (dissertation 003, ch. 3.3.1, fig. 3.4).

Departures from the paper and their reasons are listed in ``architectures.frvsr``.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from enhance_cli.architectures.back_projection import enlarge_bicubic
from enhance_cli.architectures.layers import (
    Chain,
    Convolution,
    Enlarge,
    ResidualBlock,
    conv3x3,
    receptive_halo,
)
from enhance_cli.architectures.spec import Contract, LearnedPart


@dataclass(frozen=True)
class SisrConfig:
    """Hyperparameters of SRNet; the defaults are those of FRVSR 10-128.

    Attributes:
        scale: enlargement along each axis, 2 or 4; the paper has 4.
        channels: filters of each layer.
        blocks: residual blocks.

    Raises:
        ValueError: if no network can be built from them.
    """

    scale: int = 4
    channels: int = 128
    blocks: int = 10

    def __post_init__(self) -> None:
        if self.scale not in (2, 4):
            raise ValueError(f"scale must be 2 or 4 (SRNet doubles the size), not {self.scale}")
        if self.channels < 1:
            raise ValueError(f"channels must be 1 or more, not {self.channels}")
        if self.blocks < 0:
            raise ValueError(f"blocks must be 0 or more, not {self.blocks}")


class SuperResolutionNet(nn.Module):
    """SRNet (fig. 3.4, top): LR features to an HR frame.

    A convolution, residual blocks, a transposed convolution of stride 2 per doubling and a last
    convolution, with ReLU between. The first three channels of the input are the frame.
    """

    def __init__(self, channels_in: int, config: SisrConfig) -> None:
        super().__init__()
        width = config.channels
        doublings = config.scale.bit_length() - 1
        self.scale = config.scale
        self.head = conv3x3(channels_in, width)
        self.body = nn.Sequential(*(ResidualBlock(width) for _ in range(config.blocks)))
        self.enlarge = nn.ModuleList(
            nn.ConvTranspose2d(width, width, 3, stride=2, padding=1, output_padding=1)
            for _ in range(doublings)
        )
        self.out = conv3x3(width, 3)
        self.learned = LearnedPart("residual", (channels_in,))
        # A transposed convolution looks no farther than doubling and a convolution would.
        enlargement: Chain = [Enlarge(2), Convolution()] * doublings
        trunk: Chain = [Convolution()] * (1 + 2 * config.blocks)
        self.contract = Contract(
            scale=config.scale,
            channels_in=channels_in,
            halo=receptive_halo([*trunk, *enlargement, Convolution()]),
        )

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, 3, scale * h, scale * w), not limited to [0, 1]."""
        enlarged = enlarge_bicubic(features[:, :3], self.scale)
        return enlarged + self.residual(features).to(enlarged.dtype)

    def residual(self, features: Tensor) -> Tensor:
        """What is added to the bicubic enlargement of the frame; as ``forward`` in shape."""
        features = self.body(functional.relu(self.head(features), inplace=True))
        for layer in self.enlarge:
            assert isinstance(layer, nn.ConvTranspose2d)
            features = functional.relu(_enlarge_features(layer, features), inplace=True)
        residual: Tensor = self.out(features)
        return residual


def _enlarge_features(layer: nn.ConvTranspose2d, features: Tensor) -> Tensor:
    """Run a doubling layer, and add its bias separately where gradients are wanted.

    On a CPU the gradient of a transposed convolution's own bias takes as long as its two other
    gradients together; without it a training step takes 0.69 of the time. Where no gradients are
    wanted, the layer as it is is faster.
    """
    if layer.bias is None or not torch.is_grad_enabled():
        enlarged: Tensor = layer(features)
        return enlarged
    enlarged = functional.conv_transpose2d(
        features, layer.weight, stride=2, padding=1, output_padding=1
    )
    return enlarged + layer.bias[:, None, None].to(enlarged)
