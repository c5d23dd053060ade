"""A network on its device, and the one place where networks are run."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from enhance_cli.architectures.spec import Contract

Network = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Runnable:
    """A network, how it wants to be run, and where and in which precision that is done.

    Attributes:
        network: (N, C, h, w) float32 -> (N, C', scale * h, scale * w).
        contract: what the network expects and gives.
        device: where the network lies.
        dtype: float32, or a reduced precision for autocast; parameters are float32 all the same.
    """

    network: Network
    contract: Contract
    device: torch.device
    dtype: torch.dtype = torch.float32

    @torch.inference_mode()
    def run(self, inputs: Tensor) -> Tensor:
        """Apply the network to a batch.

        In reduced precision large values overflow: the items of the batch whose results are not
        finite are run again in float32.

        Args:
            inputs: (N, ...) on any device.

        Returns:
            (N, ...) float32 on the network's device.
        """
        inputs = inputs.to(self.device)
        if self.dtype == torch.float32:
            return self.network(inputs).float()
        with torch.autocast(self.device.type, self.dtype):
            results = self.network(inputs).float()
        broken = ~torch.isfinite(results).reshape(len(results), -1).all(1)
        if broken.any():
            results[broken] = self.network(inputs[broken]).float()
        return results
