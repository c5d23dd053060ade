"""A quick residual network whose convolutions all work on the small picture."""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from enhance_cli.architectures.layers import (
    AddsToEnlargement,
    Convolution,
    Enlarge,
    ResidualBlock,
    conv3x3,
    receptive_halo,
    start_near_zero,
)
from enhance_cli.architectures.spec import Architecture, Contract, LearnedPart


@dataclass(frozen=True)
class ResidualShuffleConfig:
    """Hyperparameters. The defaults are a network for x4 of 417,024 parameters."""

    scale: int = 4
    channels: int = 48
    blocks: int = 9


class ResidualShuffle(AddsToEnlargement):
    """The residual blocks of EDSR, and one pixel shuffle to the large picture as in ESPCN.

    The body of Lim et al. (CVPRW 2017, figure 3), with a skip connection over all blocks, is
    followed at once by the convolution whose planes Shi et al. (CVPR 2016, eq. 4) rearrange to
    the large picture. The result is added to the bicubic enlargement, as in EnhanceNet. Layers are
    3x3 convolutions and ReLU alone, which CPUs compute quickly and in integers too.

    Raises:
        ValueError: if the scale is below 2, or there is no channel.
    """

    def __init__(self, config: ResidualShuffleConfig) -> None:
        super().__init__()
        if config.scale < 2 or config.channels < 1 or config.blocks < 0:
            raise ValueError(
                f"no network of {config.channels} channels, {config.blocks} blocks, "
                f"scale {config.scale}"
            )
        width = config.channels
        self.config = config
        self.head = conv3x3(3, width)
        self.body = nn.Sequential(*(ResidualBlock(width) for _ in range(config.blocks)))
        self.tail = conv3x3(width, width)
        self.out = conv3x3(width, 3 * config.scale**2)
        convolutions = 3 + 2 * config.blocks
        self.contract = Contract(
            scale=config.scale,
            halo=receptive_halo([*[Convolution()] * convolutions, Enlarge(config.scale)]),
        )
        self.learned = LearnedPart("residual")
        start_near_zero(self, self.out)

    def residual(self, frame_lr: Tensor) -> Tensor:
        """What is added to the bicubic enlargement; as ``forward`` in shape."""
        shallow = functional.relu(self.head(frame_lr))
        features = shallow + self.tail(self.body(shallow))
        return functional.pixel_shuffle(self.out(features), self.config.scale)


RESIDUAL_SHUFFLE = Architecture(
    name="residual-shuffle",
    task="superres",
    config=ResidualShuffleConfig,
    build=ResidualShuffle,
    source="blocks of Lim et al., EDSR, CVPR workshops 2017; pixel shuffle of Shi et al., ESPCN, "
    "CVPR 2016",
)
