"""Training of super-resolution for real pictures: worn inputs, taught by a large network.

This is knowledge distillation (Hinton et al., 2015). What the teacher makes of a worn picture is
sharp and clean, and easier to learn than the truth, of which a worn picture tells little; but a
teacher also smooths textures and straightens lines. So a share of the patches is taught by each.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from enhance_cli.data.pairs import Pairs, PairSampler, load_pairs, split_pairs
from enhance_cli.errors import DatasetError
from enhance_cli.training.superres import SuperResolution, SuperResolutionStage


@dataclass(frozen=True, kw_only=True)
class DistillationStage(SuperResolutionStage):
    """A network that is trained on files of pairs; see ``enhance_cli.data.pairs``.

    Attributes:
        teacher_share: Share of the patches whose target is the teacher's picture; that of the
            others is the truth.
        teacher_margin: The truth is the target also where the teacher's PSNR is so many dB or more
            below that of a bicubic enlargement: there it paints. 100 heeds it everywhere.
        true_colours: Whether the teacher's patches get the mean colours of the truth, since a
            teacher may make pictures darker.
    """

    teacher_share: float = 0.5
    teacher_margin: float = 100.0
    true_colours: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.teacher_share <= 1:
            raise ValueError(f"teacher_share must be from 0 to 1, not {self.teacher_share}")
        for name in ("soft_share", "small_copies", "flat_share"):
            if getattr(self, name):
                raise ValueError(f"{name} must be 0: pairs are made before they are trained on")

    def prepare(
        self,
        data: Path,
        validation: Path | None,
        device: torch.device,
        init: dict[str, Tensor] | None = None,
    ) -> SuperResolution:
        """Read the pairs and make the networks; see ``Stage.prepare``.

        Args:
            data: Folder of files of pairs.
            validation: The same to validate on, against the truth; None holds out the pairs of
                every twentieth photograph.
            device: Where pixels and network live.
            init: Tensors to begin with.

        Raises:
            DatasetError: Also if the pairs are of another scale than the network.
        """
        criterion = self.make_criterion(data, device)
        pairs = load_pairs(data)
        if validation is None:
            pairs, held = split_pairs(pairs)
        else:
            held = load_pairs(validation)
        for folder, part in ((data, pairs), (validation, held)):
            if part.scale != self.config.scale:
                raise DatasetError(
                    f"{folder or data}: pairs for x{part.scale}, but the network enlarges by "
                    f"{self.config.scale}: make others"
                )
        network = self.make_network(init)
        network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        sampler = PairSampler(pairs, self.patch)
        source = _Taught(self, sampler, device)
        shown = list(zip(held.input, held.truth, strict=True))
        about = f"{len(pairs.input)} pairs"
        return SuperResolution(self, network, source, about, criterion, shown, device)


@dataclass(frozen=True)
class _Taught:
    """Gives small patches, and for each of them what the teacher makes of it or the truth."""

    stage: DistillationStage
    sampler: PairSampler
    device: torch.device

    def batch(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        pairs: Pairs = self.sampler.batch(count, generator)
        taught = torch.rand(count, generator=generator) < self.stage.teacher_share
        taught &= _near(pairs, self.stage.teacher_margin)
        teacher = pairs.teacher
        if self.stage.true_colours:
            teacher = teacher + (pairs.truth - teacher).mean((2, 3), keepdim=True)
        target = torch.where(taught[:, None, None, None], teacher, pairs.truth)
        return pairs.input.to(self.device), target.to(self.device)


def _near(pairs: Pairs, margin: float) -> Tensor:
    """Which of the teacher's pictures are hardly worse than bicubic ones: (N,), bool.

    Args:
        pairs: N pictures in [0, 1].
        margin: how many dB of PSNR less are still heeded.
    """
    bicubic = functional.interpolate(pairs.input, pairs.truth.shape[-2:], mode="bicubic")
    taught, plain = (
        (made.clamp(0, 1) - pairs.truth).square().mean((1, 2, 3))
        for made in (pairs.teacher, bicubic)
    )
    return taught < plain * 10 ** (margin / 10)
