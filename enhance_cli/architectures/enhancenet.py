"""The generator of EnhanceNet (dissertation 003, ch. 2, table 2.1, left)."""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from enhance_cli.architectures.layers import (
    AddsToEnlargement,
    Chain,
    Convolution,
    Enlarge,
    ResidualBlock,
    conv3x3,
    receptive_halo,
    start_near_zero,
)
from enhance_cli.architectures.spec import Architecture, Contract, LearnedPart


@dataclass(frozen=True)
class EnhanceNetConfig:
    """Hyperparameters. The defaults are the published network for x4, of 852,867 parameters."""

    scale: int = 4
    channels: int = 64
    blocks: int = 10


class EnhanceNet(AddsToEnlargement):
    """A residual network that adds detail to the bicubic enlargement of its input.

    A convolution and residual blocks work on the small picture. Every doubling of the size is an
    enlargement by nearest neighbours and a convolution, and two more convolutions work on the
    large picture. A ReLU follows every layer but the last. Table 2.1 shows no skip connection over
    all blocks, so there is none.

    Raises:
        ValueError: if ``config.scale`` is not 2, 4 or 8, or there is no channel.
    """

    def __init__(self, config: EnhanceNetConfig) -> None:
        super().__init__()
        if config.scale not in (2, 4, 8):
            raise ValueError(f"EnhanceNet doubles the size: scale 2, 4 or 8, not {config.scale}")
        if config.channels < 1 or config.blocks < 0:
            raise ValueError(f"no network of {config.channels} channels, {config.blocks} blocks")
        doublings = config.scale.bit_length() - 1
        width = config.channels
        self.config = config
        self.head = conv3x3(3, width)
        self.body = nn.Sequential(*(ResidualBlock(width) for _ in range(config.blocks)))
        self.doublings = [f"up{i + 1}" for i in range(doublings)]
        for name in self.doublings:
            self.add_module(name, conv3x3(width, width))
        self.hr = conv3x3(width, width)
        self.out = conv3x3(width, 3)
        trunk: Chain = [Convolution()] * (1 + 2 * config.blocks)
        enlargement: Chain = [Enlarge(2), Convolution()] * doublings
        self.contract = Contract(
            scale=config.scale,
            halo=receptive_halo([*trunk, *enlargement, Convolution(), Convolution()]),
        )
        self.learned = LearnedPart("residual")
        # This departs from the Xavier initialisation of ch. 2.5.8: the network starts at the
        # bicubic picture, and its learning rate may be ten times as high.
        start_near_zero(self, self.out)

    def residual(self, frame_lr: Tensor) -> Tensor:
        """What is added to the bicubic enlargement; as ``forward`` in shape."""
        return self.trace(frame_lr)[0]

    def trace(self, frame_lr: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The same residual, and the features (N, C, 2^i * H, 2^i * W) before each doubling.

        The last features are those after all doublings. Those of the first resolution have not
        been through a ReLU.
        """
        found = [self.body(functional.relu(self.head(frame_lr)))]
        for name in self.doublings:
            features = functional.interpolate(found[-1], scale_factor=2, mode="nearest")
            found.append(functional.relu(self.get_submodule(name)(features)))
        return self.out(functional.relu(self.hr(found[-1]))), found


ENHANCENET = Architecture(
    name="enhancenet",
    task="superres",
    config=EnhanceNetConfig,
    build=EnhanceNet,
    source="Sajjadi et al., EnhanceNet, ICCV 2017; dissertation 003, ch. 2, table 2.1",
)
