"""What conditional variational autoencoders share (thesis 000, ch. 4.3)."""

from collections.abc import Callable
from typing import Any, Protocol

from torch import Tensor, nn

# q(z|x): a picture to the mean and the logarithm of the variance of its code.
Posterior = Callable[[Tensor], tuple[Tensor, Tensor]]


class ConditionalDecoder(Protocol):
    """A test-time network: p(z|y) of unit variance, and p(x|y, z)."""

    def prior(self, y: Tensor) -> tuple[Tensor, Any]:
        """Mean of p(z|y), and what the decoder sees of y (skip connections), or None."""

    def decode(self, z: Tensor, context: Any) -> Tensor:
        """Mean of p(x|y, z)."""


def initialise(network: nn.Module) -> None:
    """Weights from N(0, 0.02^2), biases zero (thesis 000, ch. 6.1.6)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
