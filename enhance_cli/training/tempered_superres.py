"""Super-resolution against a tempered discriminator: ch. 4 of dissertation 003 in its ch. 2.

A lens between true patches and EnhanceNet's discriminator takes the place of the rule that the
discriminator is trained only while it is not winning (ch. 2.4.2).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from enhance_cli.architectures.lens import Lens
from enhance_cli.training.perceptual import Criterion
from enhance_cli.training.superres import PairSource, SuperResolution, SuperResolutionStage
from enhance_cli.training.tempering import GAN_OBJECTIVES, LensPlan, look_through


@dataclass(frozen=True, kw_only=True)
class TemperedSuperResolutionStage(SuperResolutionStage):
    """A network that enlarges, trained against a discriminator to which true patches are changed.

    The discriminator sees the fine detail of patches (``perceptual.fine_detail``), and so does the
    lens. ``lens_width=0`` leaves it out, for comparison.

    Attributes:
        lens: The lens, and how long it may change what is true. Its steps are counted from where
            the losses take over from L1.

    Raises:
        ValueError: Also if there is no adversarial loss.
    """

    lens: LensPlan = field(default_factory=LensPlan)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.losses.adversarial:
            raise ValueError("adversarial must be above 0, a lens works against its discriminator")

    def make_task(self, *parts: Any) -> "SuperResolution":
        """The task, with a lens if there is one; see ``SuperResolutionStage.make_task``.

        Raises:
            UsageError: If K does not go with the steps.
        """
        steps = self.optimisation.steps
        self.lens.check(steps - round(self.l1_share * steps))
        if not self.lens.lens_width:
            return SuperResolution(self, *parts)
        return TemperedSuperResolution(self, *parts)


class _WithLens(nn.Module):
    """What descends together; their losses have no parameter in common."""

    def __init__(self, enlarger: nn.Module, lens: Lens) -> None:
        super().__init__()
        self.enlarger, self.lens = enlarger, lens

    def forward(self, frame_lr: Tensor) -> Tensor:
        """Enlarge (N, 3, H, W)."""
        enlarged: Tensor = self.enlarger(frame_lr)
        return enlarged


class TemperedSuperResolution(SuperResolution):
    """A stage with a lens; for what it is given see ``SuperResolution``."""

    stage: TemperedSuperResolutionStage

    def __init__(
        self,
        stage: TemperedSuperResolutionStage,
        network: nn.Module,
        pairs: PairSource,
        data: str,
        criterion: Criterion,
        held: Sequence[tuple[Tensor, Tensor]],
        device: torch.device,
    ) -> None:
        torch.manual_seed(stage.optimisation.seed + 2)
        lens = Lens(3, stage.lens.lens_width)
        lens.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        both = _WithLens(network, lens)
        tempered = replace(criterion, temper=self._temper)
        super().__init__(stage, both, pairs, data, tempered, held, device)
        self.model, self._lens = network, lens

    def _temper(self, detail: Tensor, discriminator: nn.Module, step: int) -> tuple[Tensor, Tensor]:
        weight = self.stage.lens.weight(step)
        objective = GAN_OBJECTIVES["gan"].lens
        return look_through(self._lens, detail, discriminator, objective, weight)
