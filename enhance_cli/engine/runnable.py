"""A network on its device, and the one place where networks are run."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from enhance_cli.architectures.spec import Contract
from enhance_cli.engine.grids import Box

Network = Callable[..., Tensor]


@dataclass(frozen=True)
class Runnable:
    """A network, how it wants to be run, and where and in which precision that is done.

    Attributes:
        network: (N, C, h, w) float32 -> (N, C', scale * h, scale * w). It may take more tensors
            (N, ...) than that.
        contract: what the network expects and gives.
        device: where the network lies.
        dtype: float32, or a reduced precision for autocast; parameters are float32 all the same.
        compiled: the precision in which OpenVINO runs the learned part of the network, for example
            ``bf16``; None if torch runs all of it.
    """

    network: Network
    contract: Contract
    device: torch.device
    dtype: torch.dtype = torch.float32
    compiled: str | None = None

    def as_grey(self) -> Self:
        """The network for one plane: it is fed as R = G = B, and the mean of R, G, B comes out."""

        def run(plane: Tensor, *more: Tensor) -> Tensor:
            result = self.network(plane.expand(-1, self.contract.channels_in, -1, -1), *more)
            return result.mean(1, keepdim=True)

        contract = replace(self.contract, channels_in=1, channels_out=1)
        return replace(self, network=run, contract=contract)

    def run_tiles(self, tiles: Tensor, boxes: list[Box]) -> Tensor:
        """Apply the network to tiles of one picture.

        Args:
            tiles: (N, C, h, w) on any device.
            boxes: their places in the picture, which most networks need not know.

        Returns:
            See :meth:`run`.
        """
        return self.run(tiles)

    @torch.inference_mode()
    def run(self, inputs: Tensor, *more: Tensor) -> Tensor:
        """Apply the network to a batch.

        In reduced precision large values overflow: the items of the batch whose results are not
        finite are run again in float32.

        Args:
            inputs: (N, ...) on any device.
            more: further inputs of the network, (N, ...) on any device.

        Returns:
            (N, ...) float32 on the network's device.
        """
        everything = [tensor.to(self.device) for tensor in (inputs, *more)]
        if self.dtype == torch.float32:
            return self.network(*everything).float()
        with torch.autocast(self.device.type, self.dtype):
            results = self.network(*everything).float()
        broken = ~torch.isfinite(results).reshape(len(results), -1).all(1)
        if broken.any():
            results[broken] = self.network(*(tensor[broken] for tensor in everything)).float()
        return results
