"""Adversarial training: a discriminator that learns beside a network that makes pictures.

The losses are those of dissertation 003, ch. 2, eq. 2.7 and 2.8. They take logits, the values
before the sigmoid, and give the mean over a batch.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional


def generator_loss(logits_made: Tensor) -> Tensor:
    """The non-saturating loss -log D(G(z)) of a generator (eq. 2.7), from logits (N,)."""
    return functional.softplus(-logits_made.float()).mean()


def discriminator_loss(logits_true: Tensor, logits_made: Tensor) -> Tensor:
    """The loss -log D(x) - log(1 - D(G(z))) of a discriminator (eq. 2.8), from logits (N,)."""
    on_true = functional.softplus(-logits_true.float()).mean()
    return on_true + functional.softplus(logits_made.float()).mean()


def as_fixed(discriminator: nn.Module) -> Callable[[Tensor], Tensor]:
    """The discriminator as a function whose parameters are constants: gradients pass, none stay."""
    fixed = {name: value.detach() for name, value in discriminator.named_parameters()}
    return lambda pictures: torch.func.functional_call(discriminator, fixed, (pictures,))


class Adversary(nn.Module):
    """A discriminator that is trained only while it is not winning (ch. 2.4.2).

    After each batch it notes how well it has done: the mean probability that it gives to what is
    so, on true pictures and on made ones. In the next step it is trained if one of the two is
    below ``winning``. Both figures are buffers, so they are part of its state.

    Args:
        discriminator: Gives logits (N,) of the probability that pictures are true.
        winning: The threshold, from 0 to 1. At 0 it is never trained, above 1 always.
    """

    performance: Tensor

    def __init__(self, discriminator: nn.Module, winning: float) -> None:
        super().__init__()
        self.discriminator, self.winning = discriminator, winning
        self.register_buffer("performance", torch.zeros(2))

    def losses(self, made: Tensor, true: Tensor) -> tuple[Tensor, Tensor | None]:
        """The generator's loss and the discriminator's for one batch, whose outcome is noted.

        The first has gradients for what has made the pictures only, the second for the
        discriminator only, so the two may be descended at once.

        Args:
            made: What the generator has made, (N, 3, H, W) with gradients.
            true: Photographs of the same shape.

        Returns:
            Both losses; None for the second in steps in which the discriminator pauses.
        """
        logits_made = as_fixed(self.discriminator)(made)
        loss = generator_loss(logits_made)
        if bool((self.performance < self.winning).any()):
            logits_true = self.discriminator(true)
            own = discriminator_loss(logits_true, self.discriminator(made.detach()))
        else:
            own = None
            with torch.no_grad():
                logits_true = self.discriminator(true)
        with torch.no_grad():
            outcome = [
                logits_true.float().sigmoid().mean(),
                (-logits_made.float()).sigmoid().mean(),
            ]
            self.performance.copy_(torch.stack(outcome))
        return loss, own
