"""Training of super-resolution on photographs that are worn out anew at every step."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from enhance_cli.data.patches import PhotoSampler, crop_to_multiple, cut_middle
from enhance_cli.data.wear import Wear, wear_out
from enhance_cli.errors import DatasetError
from enhance_cli.training.superres import PairSource, SuperResolutionStage

_BORDER = 8  # Small pixels around a patch that are worn with it and cut off, as nothing lies there.
_VALIDATION_SIDE = 384


@dataclass(frozen=True, kw_only=True)
class WornStage(SuperResolutionStage):
    """A network that learns to make worn small pictures large, sharp and clean again.

    No picture is seen twice in the same state, so that a network can be trained for long without
    learning its data by heart. The target is always the photograph; ``DistillationStage`` has
    those of a teacher.

    Attributes:
        wear: How the small pictures are made.
    """

    material: ClassVar[str] = "photographs, worn"
    wear: Wear = field(default_factory=Wear)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.flat_share:
            raise ValueError("flat_share must be 0: noise would be taken for detail")

    def make_source(self, photos: list[Tensor], device: torch.device) -> PairSource:
        """What wears patches of photographs out; see ``SuperResolutionStage.make_source``."""
        scale = int(self.config.scale)
        sampler = PhotoSampler(photos, (self.patch + 2 * _BORDER) * scale, torch.device("cpu"))
        return _Worn(sampler, self.wear, scale, device)

    def make_held(self, photos: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
        """The middles of photographs, all of them worn (``wear_out("all")``), with what they were.

        Raises:
            DatasetError: If no photograph is large enough.
        """
        scale, pairs = int(self.config.scale), []
        for index, photo in enumerate(photos):
            height, width = (min(side, _VALIDATION_SIDE) for side in photo.shape[-2:])
            middle = crop_to_multiple(cut_middle(photo, height, width), scale)
            if min(middle.shape[-2:]) >= 2 * scale * _BORDER:
                pairs.append((wear_out("all", middle, scale, f"{index}"), middle))
        if not pairs:
            raise DatasetError(
                f"no photograph to validate on has {2 * scale * _BORDER} pixels on both sides"
            )
        return pairs


@dataclass(frozen=True)
class _Worn:
    """Gives patches of photographs, and what wear has made of them."""

    sampler: PhotoSampler
    wear: Wear
    scale: int
    device: torch.device

    def batch(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """See ``PairSource``."""
        photos = self.sampler.batch(count, generator)
        with torch.autocast("cpu", enabled=False):  # Filters are not to be rounded.
            worn = torch.stack([self.wear.apply(photo, self.scale, generator) for photo in photos])
        inside = slice(_BORDER, -_BORDER)
        outer = slice(_BORDER * self.scale, -_BORDER * self.scale)
        parts = worn[..., inside, inside], photos[..., outer, outer]
        return parts[0].to(self.device), parts[1].to(self.device)
