"""A small network with chance in it, in place of one that has learned something."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from enhance_cli.architectures.spec import Architecture, Contract, Tiling


@dataclass(frozen=True)
class FakeDrawingConfig:
    """``patch`` is the only side that it takes, or None; it then has one latent for each patch."""

    scale: int = 4
    patch: int | None = None
    tiling: Tiling = "exact"


class FakeDrawing(nn.Module):
    """Enlarges by repeating pixels, adds noise of two layers, and blurs a little.

    The latents of one layer are as large as 2 small pixels, or a patch, those of the other as large
    as half a pixel.
    """

    def __init__(self, config: FakeDrawingConfig) -> None:
        super().__init__()
        self.config = config
        self.gain = nn.Parameter(torch.ones(()))
        self.contract = Contract(
            scale=config.scale,
            halo=1,
            size_multiple=1 if config.patch else 2,
            patch_size=config.patch,
            tiling=config.tiling,
            draws=True,
        )

    def latent_shapes(self, height_lr: int, width_lr: int) -> tuple[tuple[int, int, int], ...]:
        side = self.config.patch or 2
        return (2, height_lr // side, width_lr // side), (1, 2 * height_lr, 2 * width_lr)

    def forward(self, frame_lr: Tensor) -> Tensor:
        shapes = self.latent_shapes(*frame_lr.shape[-2:])
        return self.draw(frame_lr, 1.0, [torch.zeros(len(frame_lr), *shape) for shape in shapes])

    def draw(self, frame_lr: Tensor, temperature: float, noises: Sequence[Tensor]) -> Tensor:
        size = [self.config.scale * side for side in frame_lr.shape[-2:]]
        coarse, fine = (functional.interpolate(noise, size) for noise in noises)
        large = self.gain * functional.interpolate(frame_lr, size)
        large = large + temperature * 0.1 * (coarse.sum(1, keepdim=True) / 4 + fine / 2)
        return functional.avg_pool2d(functional.pad(large, (1,) * 4, mode="replicate"), 3, 1)


FAKE_DRAWING = Architecture(
    "fake-drawing", "superres", FakeDrawingConfig, FakeDrawing, "made for the tests"
)
