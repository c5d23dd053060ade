"""What networks share that draw large pictures by a ladder of latents, given small ones."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from enhance_cli.architectures.logistic_mixture import LogisticMixture
from enhance_cli.architectures.vdvae import Bound
from enhance_cli.architectures.vdvae_blocks import Maps, TopDownBlock, Visit, draw_noise

Seen = TypeVar("Seen")


class ConditionalVdvae(nn.Module, ABC, Generic[Seen]):
    """A VDVAE of large pictures x whose prior is shown a small picture y; a ``DrawingNetwork``.

    ``Seen`` is what a subclass makes of the small picture before the first latent.
    """

    @abstractmethod
    def latent_shapes(self, height_lr: int, width_lr: int) -> tuple[tuple[int, int, int], ...]:
        """Channels, height and width of the latent of each block; see ``DrawingNetwork``."""

    @abstractmethod
    def see(self, frame_lr: Tensor) -> Seen:
        """What does not depend on latents, from (N, 3, H, W) in [0, 1]."""

    @abstractmethod
    def posterior_features(self, frame_hr: Tensor, seen: Seen) -> Maps:
        """What posteriors are shown of large pictures (N, 3, 4H, 4W), by nominal side."""

    @abstractmethod
    def descend(self, seen: Seen, visit: Visit) -> LogisticMixture:
        """The likelihood p(x|z, y) by the latents that the visits choose."""

    def forward(self, frame_lr: Tensor) -> Tensor:
        """Enlarge (N, 3, H, W) in [0, 1] to (N, 3, 4H, 4W) in [0, 1], every latent at its mean."""
        return self.descend(self.see(frame_lr), lambda _, block, x: block.draw(x, 0.0, None)).mean

    def draw(self, frame_lr: Tensor, temperature: float, noises: Sequence[Tensor]) -> Tensor:
        """One of the answers, the mean of p(x|z, y); see ``DrawingNetwork``."""

        def visit(index: int, block: TopDownBlock, x: Tensor) -> Tensor:
            return block.draw(x, temperature, noises[index])

        return self.descend(self.see(frame_lr), visit).mean

    def bound(self, frame_lr: Tensor, frame_hr: Tensor, generator: torch.Generator) -> Bound:
        """The evidence lower bound of log p(x|y) by one sample of the posterior (eq. 5.1).

        Args:
            frame_lr: y, (N, 3, H, W) in [0, 1].
            frame_hr: x, (N, 3, 4H, 4W) in [0, 1], multiples of 1/255.
            generator: the source of chance, on the CPU.
        """
        shapes = self.latent_shapes(*frame_lr.shape[-2:])
        noises = draw_noise(shapes, len(frame_lr), generator)
        seen = self.see(frame_lr)
        acts = self.posterior_features(frame_hr, seen)
        divergences: list[Tensor] = []

        def visit(index: int, block: TopDownBlock, x: Tensor) -> Tensor:
            x, divergence = block.infer(x, acts[block.spec.side], noises[index].to(x.device))
            divergences.append(divergence)
            return x

        return Bound.of(self.descend(seen, visit), frame_hr, divergences)
