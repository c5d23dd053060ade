"""SPAN: a quick network whose convolutions all work on the small picture."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from enhance_cli.architectures.layers import Convolution, Enlarge, conv3x3, receptive_halo
from enhance_cli.architectures.spec import Architecture, Contract, LearnedPart


@dataclass(frozen=True)
class SpanConfig:
    """Hyperparameters. The defaults are 48 feature maps and six blocks, as in the paper."""

    scale: int = 4
    channels: int = 48
    blocks: int = 6


class AttentionBlock(nn.Module):
    """Three convolutions whose result weighs itself, without parameters for that (section 3.2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(channels, channels)
        self.conv2 = conv3x3(channels, channels)
        self.conv3 = conv3x3(channels, channels)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, H, W) -> the block's output and the output of its first convolution, alike."""
        first = self.conv1(x)
        last = self.conv3(functional.silu(self.conv2(functional.silu(first))))
        return (last + x) * (torch.sigmoid(last) - 0.5), first


class Span(nn.Module):
    """Swift parameter-free attention network (Wan et al., CVPR workshops 2024, figure 2).

    All convolutions work on the small picture; a pixel shuffle makes the large one. The paper
    trains each convolution as three in a row that are then merged; here they are single ones
    from the start. As in SRVGGNetCompact, the result is added to the enlargement of the input by
    nearest neighbours.

    Raises:
        ValueError: if the scale is below 2, or there is no channel or no block.
    """

    def __init__(self, config: SpanConfig) -> None:
        super().__init__()
        if config.scale < 2 or min(config.channels, config.blocks) < 1:
            raise ValueError(
                f"no network of {config.channels} channels, {config.blocks} blocks, "
                f"scale {config.scale}"
            )
        width = config.channels
        self.config = config
        self.head = conv3x3(3, width)
        self.body = nn.ModuleList(AttentionBlock(width) for _ in range(config.blocks))
        self.tail = conv3x3(width, width)
        self.merge = nn.Conv2d(4 * width, width, 1)
        self.out = conv3x3(width, 3 * config.scale**2)
        convolutions = 3 + 3 * config.blocks
        self.contract = Contract(
            scale=config.scale,
            halo=receptive_halo([*[Convolution()] * convolutions, Enlarge(config.scale)]),
        )
        self.learned = LearnedPart("residual")

    def forward(self, frame_lr: Tensor) -> Tensor:
        """Enlarge (N, 3, H, W) sRGB in [0, 1] to (N, 3, scale * H, scale * W), without clamping."""
        residual = self.residual(frame_lr)
        scale = float(self.config.scale)
        enlarged = functional.interpolate(frame_lr, scale_factor=scale, mode="nearest")
        return enlarged + residual.to(enlarged.dtype)

    def residual(self, frame_lr: Tensor) -> Tensor:
        """What is added to the enlargement by nearest neighbours; as ``forward`` in shape."""
        head = self.head(frame_lr)
        features, first_block, inner = head, head, head
        for index, block in enumerate(self.body):
            features, inner = block(features)
            if index == 0:
                first_block = features
        merged = self.merge(torch.cat([head, self.tail(features), first_block, inner], 1))
        return functional.pixel_shuffle(self.out(merged), self.config.scale)


SPAN = Architecture(
    name="span",
    task="superres",
    config=SpanConfig,
    build=Span,
    source="Wan et al., Swift Parameter-free Attention Network for Efficient Super-Resolution, "
    "CVPR workshops 2024",
)
