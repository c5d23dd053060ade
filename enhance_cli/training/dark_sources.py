"""Where training takes dark pictures from: darkened photographs, or recorded pairs."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from enhance_cli.architectures.spec import Contract
from enhance_cli.data.darkness import (
    Conditions,
    DarkPairs,
    dark_raw,
    dark_srgb,
    draw_conditions,
    raise_contrast,
)
from enhance_cli.data.patches import PhotoSampler
from enhance_cli.data.recorded import RecordedSampler
from enhance_cli.data.sensor import ISO_RANGE, RATIO_RANGE, log_uniform
from enhance_cli.data.sid import load_sid_pairs
from enhance_cli.errors import DatasetError, UsageError
from enhance_cli.levels import to_values
from enhance_cli.training.start import load_split

LOW_ISO = 400

_VALIDATION_SIDE = 512
_VALIDATION_SEED = 2020


class DarkSource(Protocol):
    """Gives dark pictures and their clean counterparts.

    Attributes:
        summary: What they are in a few words, for the run's fingerprint.
    """

    summary: str

    def draw(self, count: int, generator: torch.Generator) -> DarkPairs:
        """A training batch on the device, the same for the same state of a CPU generator."""

    def validation(self) -> Iterator[DarkPairs]:
        """The pictures to validate on, one by one: always the same, and never trained on."""


def patch_cell(contract: Contract) -> int:
    """The number whose multiples the sides of training pictures must be.

    It counts pixels of the sensor for RAW inputs, which are packed to half that side, and pixels
    of the file for sRGB inputs.
    """
    packed = contract.patch_size or contract.size_multiple
    return packed if contract.colour.endswith("srgb") else 2 * packed


def check_patch(patch: int, contract: Contract) -> None:
    """See that a network can be trained on patches of a size.

    Raises:
        UsageError: If it cannot.
    """
    cell = patch_cell(contract)
    if patch == cell or (not contract.patch_size and patch > 0 and patch % cell == 0):
        return
    rule = f"{cell}" if contract.patch_size else f"a multiple of {cell}"
    raise UsageError(f"--set patch={patch}: must be {rule}")


@dataclass(frozen=True)
class Mixture:
    """Which dark pictures are drawn. Shares are chances of each picture.

    Attributes:
        low_ratio: The smallest exposure ratio; logarithms of ratios are spread evenly.
        high_ratio: The largest.
        dark: Share of pictures whose ratio is drawn from ``RATIO_RANGE`` instead.
        low_iso: Share of pictures whose ISO is at most ``LOW_ISO``; that of the others is any.
        reduced: Share of dark sRGB files of half the sensor's size; see ``dark_srgb``.
        noiseless: Share of dark sRGB files without noise while training; see ``dark_srgb``.
        harsh: Share of harsh photographs while training; see ``raise_contrast``.
        fine: Share of photographs that are reduced to half their size before, while training.
    """

    low_ratio: float
    high_ratio: float
    dark: float = 0.0
    low_iso: float = 0.0
    reduced: float = 0.0
    noiseless: float = 0.0
    harsh: float = 0.0
    fine: float = 0.0

    def draw_ratios(self, count: int, generator: torch.Generator) -> Tensor:
        """(count,) exposure ratios."""
        ratios = log_uniform(self.low_ratio, self.high_ratio, count, generator)
        if self.dark == 0:
            return ratios
        dark = log_uniform(*RATIO_RANGE, count, generator)
        return torch.where(torch.rand(count, generator=generator) < self.dark, dark, ratios)

    def draw_isos(self, count: int, generator: torch.Generator) -> Tensor:
        """(count,) ISO values, whose logarithms are spread evenly."""
        isos = log_uniform(*ISO_RANGE, count, generator)
        if self.low_iso == 0:
            return isos
        low = log_uniform(ISO_RANGE[0], LOW_ISO, count, generator)
        return torch.where(torch.rand(count, generator=generator) < self.low_iso, low, isos)


class SyntheticDarkness:
    """Photographs that are darkened anew at every step; see ``data.darkness``.

    Args:
        data: Folder of photographs to train on.
        validation: Folder of photographs to validate on; None holds out every twentieth.
        contract: Contract of the network.
        patch: Side of the photographs' patches in pixels.
        mixture: Which pictures are drawn.
        device: Where pixels live.

    Raises:
        DatasetError: If there are too few photographs that are large enough.
    """

    def __init__(
        self,
        data: Path,
        validation: Path | None,
        contract: Contract,
        patch: int,
        mixture: Mixture,
        device: torch.device,
    ) -> None:
        photos, held = load_split(data, validation)
        self.summary = f"{len(photos)} photographs"
        self._contract, self._mixture, self._device = contract, mixture, device
        self._sampler = PhotoSampler(photos, patch, device)
        self._fine_sampler = PhotoSampler(photos, 2 * patch, device) if mixture.fine else None
        cell = patch_cell(contract)
        self._held = [self._cut(photo) for photo in held if min(photo.shape[-2:]) >= cell]
        if not self._held:
            raise DatasetError(f"no photograph to validate on is as large as {cell} pixels")

    def draw(self, count: int, generator: torch.Generator) -> DarkPairs:
        """See ``DarkSource``."""
        photos = self._sampler.batch(count, generator)
        if self._fine_sampler is not None:
            fine = functional.avg_pool2d(self._fine_sampler.batch(count, generator), 2)
            chosen = torch.rand(count, generator=generator) < self._mixture.fine
            photos = torch.where(chosen.to(photos.device).view(-1, 1, 1, 1), fine, photos)
        if self._mixture.harsh:
            photos = raise_contrast(photos, self._mixture.harsh, generator)
        return self._darken(photos, self._conditions(count, generator, vary=True), generator)

    def validation(self) -> Iterator[DarkPairs]:
        """See ``DarkSource``; on another kind of device the noise is another."""
        generator = torch.Generator().manual_seed(_VALIDATION_SEED)
        # Each photograph is shown once for each kind of file that the network is trained on.
        both = self._contract.colour.endswith("srgb") and 0 < self._mixture.reduced < 1
        count = 2 if both else 1
        for photo in self._held:
            taken = self._conditions(count, generator, vary=False)
            pixels = to_values(photo.to(self._device)[None])
            yield self._darken(pixels.expand(count, -1, -1, -1), taken, generator)

    def _cut(self, photo: Tensor) -> Tensor:
        """The middle of a photograph, of whole cells."""
        cell = patch_cell(self._contract)
        largest = cell if self._contract.patch_size else max(_VALIDATION_SIDE, cell)
        height, width = (min(side, largest) // cell * cell for side in photo.shape[-2:])
        top, left = (photo.shape[-2] - height) // 2, (photo.shape[-1] - width) // 2
        return photo[:, top : top + height, left : left + width]

    def _conditions(self, count: int, generator: torch.Generator, vary: bool) -> Conditions:
        return draw_conditions(
            count,
            generator,
            ratio=self._mixture.draw_ratios(count, generator),
            iso=self._mixture.draw_isos(count, generator),
            vary_brightness=vary,
            camera="one" if self._contract.colour.startswith("amplified") else "any",
        )

    def _darken(self, photos: Tensor, taken: Conditions, generator: torch.Generator) -> DarkPairs:
        seed = int(torch.randint(2**62, (1,), generator=generator))
        noise = torch.Generator(self._device).manual_seed(seed)
        if self._contract.colour.endswith("srgb"):
            shares = {"reduced": self._mixture.reduced, "noiseless": self._mixture.noiseless}
            return dark_srgb(photos, taken, noise, **shares)
        return dark_raw(photos, taken, noise, balanced=self._contract.colour == "balanced-raw")


class RecordedDarkness:
    """Real pairs in the layout of the SID dataset: its training and validation splits.

    Args:
        root: Folder with ``Sony/short``, ``Sony/long`` and the lists of the splits.
        contract: Contract of the network.
        patch: Side of the network's RAW patches in pixels of the sensor, or that of its sRGB
            patches in pixels of the file.
        reduced: Whether dark sRGB files are of half the sensor's size.
        device: Where batches go.

    Raises:
        DatasetError: As ``load_sid_pairs`` and ``RecordedSampler``.
        InputError: If a file cannot be read.
    """

    def __init__(
        self, root: Path, contract: Contract, patch: int, reduced: bool, device: torch.device
    ) -> None:
        train, held = (load_sid_pairs(root, split) for split in ("train", "val"))
        self.summary = f"{len(train)} recorded pairs"
        srgb = contract.colour.endswith("srgb")
        self._kind = {
            "srgb": srgb,
            "balanced": contract.colour == "balanced-raw",
            "reduced": reduced and srgb,
        }
        side = 2 * patch if self._kind["reduced"] else patch
        self._sampler, self._held = (RecordedSampler(pairs, side) for pairs in (train, held))
        self._device = device

    def draw(self, count: int, generator: torch.Generator) -> DarkPairs:
        """See ``DarkSource``."""
        return self._sampler.batch(count, generator, **self._kind).to(self._device)

    def validation(self) -> Iterator[DarkPairs]:
        """See ``DarkSource``."""
        for pair in self._held.middle(**self._kind):
            yield pair.to(self._device)
