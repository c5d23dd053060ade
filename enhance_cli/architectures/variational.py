"""What conditional variational autoencoders share (thesis 000, ch. 4.3)."""

from collections.abc import Callable

from torch import Tensor, nn

# The encoder q(z|x): it maps pictures to the mean of their codes and the logarithm of its variance.
PosteriorNetwork = Callable[[Tensor], tuple[Tensor, Tensor]]


def initialise(network: nn.Module) -> None:
    """Draw all weights from N(0, 0.02^2) and set biases to zero (thesis 000, ch. 6.1.6)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
