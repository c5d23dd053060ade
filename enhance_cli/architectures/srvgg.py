"""SRVGGNetCompact, the small networks of Real-ESRGAN for pictures and animation."""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from enhance_cli.architectures.layers import (
    AddsToEnlargement,
    Chain,
    Convolution,
    Enlarge,
    conv3x3,
    receptive_halo,
)
from enhance_cli.architectures.spec import Architecture, Contract, LearnedPart


@dataclass(frozen=True)
class SrvggConfig:
    """Hyperparameters; the defaults are those of realesr-animevideov3, of 621,424 parameters.

    Attributes:
        scale: enlargement along each axis.
        channels: features of each layer.
        layers: convolutions between the first and the last; realesr-general-x4v3 has 32.
    """

    scale: int = 4
    channels: int = 64
    layers: int = 16


class Srvgg(AddsToEnlargement):
    """A chain of convolutions and PReLUs, added to the enlargement by nearest neighbours.

    All layers work on the small picture, and the last one makes all pixels of a cell. The names of
    its parameters are those of the files of Real-ESRGAN: convolutions and PReLUs take turns.

    Raises:
        ValueError: if no network can be built from the config.
    """

    def __init__(self, config: SrvggConfig) -> None:
        super().__init__()
        if min(config.scale, config.channels) < 1 or config.layers < 0:
            raise ValueError(
                f"no network of {config.channels} channels and {config.layers} layers "
                f"at x{config.scale}"
            )
        width = config.channels
        layers: list[nn.Module] = [conv3x3(3, width), nn.PReLU(width)]
        for _ in range(config.layers):
            layers += [conv3x3(width, width), nn.PReLU(width)]
        self.config = config
        self.body = nn.Sequential(*layers, conv3x3(width, 3 * config.scale**2))
        chain: Chain = [*[Convolution()] * (config.layers + 2), Enlarge(config.scale)]
        self.contract = Contract(scale=config.scale, halo=receptive_halo(chain))
        self.learned = LearnedPart("residual")

    def enlarge(self, frame_lr: Tensor) -> Tensor:
        """Enlarge by nearest neighbours; as ``forward`` in shape."""
        return functional.interpolate(frame_lr, scale_factor=self.config.scale, mode="nearest")

    def residual(self, frame_lr: Tensor) -> Tensor:
        """What is added to the enlargement by nearest neighbours; as ``forward`` in shape."""
        return functional.pixel_shuffle(self.body(frame_lr), self.config.scale)


SRVGG = Architecture(
    name="srvgg",
    task="superres",
    config=SrvggConfig,
    build=Srvgg,
    source="Wang et al., Real-ESRGAN, ICCVW 2021, its code: SRVGGNetCompact",
)
