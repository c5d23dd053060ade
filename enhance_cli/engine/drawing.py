"""Draw answers from a network with chance in it, on pictures of any size.

The noise of a stochastic layer is a field over the whole picture. A tile gets the part of it where
it lies, so that neighbouring tiles draw the same detail where they overlap. The field is made in
blocks, each from a seed of its own, so that any part of it can be had without the rest.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor

from enhance_cli.architectures.spec import DrawingNetwork
from enhance_cli.engine.catalogue import Model
from enhance_cli.engine.grids import Box
from enhance_cli.engine.runnable import Runnable

_BLOCK = 32  # side of a block of noise, in latents

Shape = tuple[int, int, int]  # channels, height, width


@dataclass(frozen=True)
class NoiseField:
    """Standard normal noise for every layer and place.

    Attributes:
        seed, sample: fields that differ in one of them are independent.
    """

    seed: int
    sample: int = 0

    def cut(self, layer: int, shape: Shape, top: int, left: int) -> Tensor:
        """The noise of a layer in a rectangle of its latents.

        Args:
            layer: number of the layer.
            shape: channels, height and width of the rectangle.
            top, left: its place, 0 or more.

        Returns:
            Float32 of this shape, on the CPU.
        """
        channels, height, width = shape
        noise = np.empty(shape, np.float32)
        for row in range(top // _BLOCK, (top + height - 1) // _BLOCK + 1):
            for column in range(left // _BLOCK, (left + width - 1) // _BLOCK + 1):
                generator = np.random.default_rng([self.seed, self.sample, layer, row, column])
                block = generator.standard_normal((channels, _BLOCK, _BLOCK), np.float32)
                into_rows, of_rows = _overlap(top, height, row)
                into_columns, of_columns = _overlap(left, width, column)
                noise[:, into_rows, into_columns] = block[:, of_rows, of_columns]
        return torch.from_numpy(noise)


def _overlap(start: int, length: int, block: int) -> tuple[slice, slice]:
    """Where a span and a block meet, counted from the start of the span and of the block."""
    first = max(start, block * _BLOCK)
    last = min(start + length, (block + 1) * _BLOCK)
    return slice(first - start, last - start), slice(first % _BLOCK, last - block * _BLOCK)


@dataclass(frozen=True, kw_only=True)
class Answer(Runnable):
    """One of the answers of a network with chance in it: a network whose noise is settled.

    Attributes:
        network: takes frames, and the noise of every layer.
        latent_shapes: see ``DrawingNetwork``.
        noise: the field that its noise is cut from.
    """

    latent_shapes: Callable[[int, int], tuple[Shape, ...]]
    noise: NoiseField

    def run_tiles(self, tiles: Tensor, boxes: list[Box]) -> Tensor:
        """Apply the network to tiles (N, C, h, w), each with the noise of its place."""
        noises = zip(*map(self._cut_noise, boxes), strict=True)
        return self.run(tiles, *(torch.stack(layer) for layer in noises))

    def _cut_noise(self, box: Box) -> list[Tensor]:
        # Where a tile begins amid a latent, as with latents as large as a patch, it takes that of
        # the nearest place.
        return [
            self.noise.cut(
                layer,
                shape,
                round(box.top * shape[1] / box.height),
                round(box.left * shape[2] / box.width),
            )
            for layer, shape in enumerate(self.latent_shapes(box.height, box.width))
        ]


def draw_answer(model: Model, temperature: float, noise: NoiseField) -> Runnable:
    """An answer of a network, to be run on tiles like any other network.

    Args:
        model: whose contract says that it draws.
        temperature: from 0 to 1; 0 is the model itself, every latent at its mean.
        noise: settles which of the answers it is.
    """
    if temperature == 0:
        return model
    network = cast(DrawingNetwork, model.network)

    def run(frame_lr: Tensor, *noises: Tensor) -> Tensor:
        return network.draw(frame_lr, temperature, noises)

    return Answer(
        run,
        model.contract,
        model.device,
        model.dtype,
        latent_shapes=network.latent_shapes,
        noise=noise,
    )
