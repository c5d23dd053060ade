"""Training of super-resolution on photographs that are worn out anew at every step."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from enhance_cli.data.patches import PhotoSampler, crop_to_multiple
from enhance_cli.data.wear import Wear, wear_out
from enhance_cli.errors import DatasetError
from enhance_cli.training.start import load_split
from enhance_cli.training.superres import SuperResolution, SuperResolutionStage

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

    wear: Wear = field(default_factory=Wear)

    def prepare(
        self,
        data: Path,
        validation: Path | None,
        device: torch.device,
        init: dict[str, Tensor] | None = None,
    ) -> SuperResolution:
        """Read the photographs and make the networks; see ``SuperResolutionStage.prepare``.

        It is validated on the middles of photographs, all of them worn (``wear_out("all")``).

        Raises:
            DatasetError: Also if no photograph is large enough for a patch and its surroundings.
        """
        criterion = self.make_criterion(data, device)
        photos, held = load_split(data, validation)
        network = self.make_network(init)
        network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        scale = int(self.config.scale)
        sampler = PhotoSampler(photos, (self.patch + 2 * _BORDER) * scale, torch.device("cpu"))
        source = _Worn(sampler, self.wear, scale, device)
        about = f"{len(photos)} photographs, worn"
        return self.make_task(network, source, about, criterion, _wear_held(held, scale), device)


def _wear_held(photos: Sequence[Tensor], scale: int) -> list[tuple[Tensor, Tensor]]:
    """The worn small pictures and the middles of photographs, both uint8 (3, h, w)."""
    pairs = []
    for index, photo in enumerate(photos):
        height, width = (min(side, _VALIDATION_SIDE) for side in photo.shape[-2:])
        top, left = (photo.shape[-2] - height) // 2, (photo.shape[-1] - width) // 2
        middle = crop_to_multiple(photo[:, top : top + height, left : left + width], scale)
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
