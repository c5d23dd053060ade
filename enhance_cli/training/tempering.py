"""Tempered adversarial networks: a lens between true pictures and the discriminator.

Dissertation 003, ch. 4. The lens changes true pictures so that the discriminator takes them for
drawn ones, and is drawn back to changing nothing. Here are the objectives of ch. 4.2.1 to 4.2.3
and the lens's own loss, for whatever is trained against a discriminator.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from enhance_cli.errors import UsageError
from enhance_cli.training.adversarial import as_fixed, discriminator_loss, generator_loss

Weighing = Literal["falling", "fixed"]


@dataclass(frozen=True)
class GanObjective:
    """What generator, discriminator and lens descend to; all values are means over a batch.

    Attributes:
        generator: The loss of what the discriminator says of drawn pictures, (N,).
        discriminator: The loss of what it says of true pictures, and of drawn ones.
        lens: The adversarial loss of what it says of true pictures that the lens has changed.
        penalised: Whether the discriminator has WGAN-GP's gradient penalty besides.
    """

    generator: Callable[[Tensor], Tensor]
    discriminator: Callable[[Tensor, Tensor], Tensor]
    lens: Callable[[Tensor], Tensor]
    penalised: bool = False


GAN_OBJECTIVES: dict[str, GanObjective] = {
    # Eq. 4.5, 4.7 and 4.8. The text's name for 4.8 is "nonsaturating": -log(1 - D(L(x))) is for the
    # lens what -log D(G(z)) is for the generator.
    "gan": GanObjective(
        generator_loss, discriminator_loss, lambda true: functional.softplus(true.float()).mean()
    ),
    # Eq. 4.9 to 4.11, of values without a sigmoid, as Mao et al. have them.
    "lsgan": GanObjective(
        lambda drawn: (drawn.float() - 1).square().mean(),
        lambda true, drawn: drawn.float().square().mean() + (true.float() - 1).square().mean(),
        lambda true: true.float().square().mean(),
    ),
    # Eq. 4.12 to 4.14. Eq. 4.13 leaves out the gradient penalty without which this is no
    # WGAN-GP; ``gradient_penalty`` is added to the discriminator's loss.
    "wgan-gp": GanObjective(
        lambda drawn: -drawn.float().mean(),
        lambda true, drawn: drawn.float().mean() - true.float().mean(),
        lambda true: true.float().mean(),
        penalised=True,
    ),
}


def gradient_penalty(
    discriminator: nn.Module, true: Tensor, drawn: Tensor, generator: torch.Generator
) -> Tensor:
    """WGAN-GP's penalty (Gulrajani et al., 2017, eq. 3), not weighed: mean of (|gradient| - 1)^2.

    Args:
        discriminator: Gives a value (N,) of pictures, each by itself.
        true, drawn: Pictures (N, C, H, W) without gradients.
        generator: The source of the random mixtures of both at which the gradient is taken.
    """
    share = torch.rand(len(true), 1, 1, 1, generator=generator).to(true)
    mixed = torch.lerp(drawn, true, share).requires_grad_()
    (slope,) = torch.autograd.grad(discriminator(mixed).float().sum(), mixed, create_graph=True)
    excess: Tensor = torch.linalg.vector_norm(slope.flatten(1), dim=1) - 1
    return excess.square().mean()


@dataclass(frozen=True)
class LensPlan:
    """The lens of a stage, and how long it may change pictures.

    Attributes:
        lens_width: Channels of the lens, whose number the text has lost; 0 leaves the lens out.
        lens_steps: K of eq. 4.4: so many steps after the first, the lens is only drawn back to
            changing nothing. The captions of figures 4.2 and 4.9 have 10,000, which is taken here;
            the text of ch. 4.2 has 100,000. It must not be more than the steps of the stage.
        lens_weight: ``falling`` is eq. 4.4; ``fixed`` leaves lambda at 1 (ch. 4.4.1, figure 4.5).

    Raises:
        ValueError: If the weight has no such name, or the width is negative.
    """

    lens_width: int = 16
    lens_steps: int = 10_000
    lens_weight: Weighing = "falling"

    def __post_init__(self) -> None:
        if self.lens_weight not in get_args(Weighing):
            raise ValueError(f"lens_weight: choose from {', '.join(get_args(Weighing))}")
        if self.lens_width < 0:
            raise ValueError(f"lens_width must be 0 or more, not {self.lens_width}")

    def check(self, steps: int) -> None:
        """See that K goes with the steps of a stage.

        Raises:
            UsageError: If it is not from 1 to ``steps``, and eq. 4.4 is followed.
        """
        if not self.lens_width or self.lens_weight == "fixed":
            return
        if not 1 <= self.lens_steps <= steps:
            raise UsageError(
                f"lens_steps={self.lens_steps}: must be from 1 to the {steps} steps of the stage, "
                "or the lens would never leave true pictures alone: choose another with --set "
                "lens_steps=..."
            )

    def weight(self, step: int) -> float:
        """Lambda of eq. 4.4 at a step counted from 0: from 1 down to 0 at K steps."""
        if self.lens_weight == "fixed":
            return 1.0
        if step >= self.lens_steps:
            return 0.0
        return 1 - math.sin(step * math.pi / (2 * self.lens_steps))


def look_through(
    lens: nn.Module,
    true: Tensor,
    discriminator: nn.Module,
    adversarial: Callable[[Tensor], Tensor],
    weight: float,
) -> tuple[Tensor, Tensor]:
    """What a lens makes of true pictures, and its loss (eq. 4.3).

    The squared error of eq. 4.2 is a mean over all values, not their sum: beside a sum of thousands
    the adversarial loss, of about 1, could not make the pictures as different as figures 4.5 and
    4.10 show them.

    Args:
        lens: A network that takes and gives pictures of one shape.
        true: True pictures (N, C, H, W).
        discriminator: Which it works against; its parameters get no gradients.
        adversarial: The adversarial loss of the lens, of the discriminator's values.
        weight: Lambda.

    Returns:
        The pictures that the discriminator is to be shown, without gradients; and the loss.
    """
    changed = lens(true)
    loss = functional.mse_loss(changed.float(), true.float())
    if weight:
        loss = loss + weight * adversarial(as_fixed(discriminator)(changed))
    return changed.detach(), loss
