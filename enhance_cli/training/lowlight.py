"""Training of low-light enhancement: conditional autoencoders on synthetic darkness."""

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from enhance_cli.architectures import ARCHITECTURES
from enhance_cli.architectures.spec import Contract
from enhance_cli.colour import (
    ToneCurve,
    compress_range,
    estimate_noise,
    linear_to_srgb,
    luminance,
    render,
)
from enhance_cli.data.darkness import (
    Conditions,
    DarkPairs,
    dark_raw,
    dark_srgb,
    draw_conditions,
)
from enhance_cli.data.patches import PhotoSampler
from enhance_cli.data.recorded import RecordedSampler
from enhance_cli.data.sensor import RATIO_RANGE
from enhance_cli.data.sid import load_sid_pairs
from enhance_cli.engine.checkpoint import save_checkpoint
from enhance_cli.errors import DatasetError, UsageError
from enhance_cli.levels import to_values
from enhance_cli.metrics import METRICS
from enhance_cli.training.loop import Optimisation
from enhance_cli.training.objectives import (
    Objective,
    absolute_error,
    squared_error,
    variational_loss,
)
from enhance_cli.training.start import load_split, make_network

# Beside the error of what is shown, a little of the compressed values': the output curve is
# flat at black and ends at white, where it would give no gradient.
_COMPRESSED_SHARE = 0.1
_VALIDATION_SIDE = 512

Distance = Callable[[Tensor, Tensor], Tensor]  # two batches of pictures -> (N,)
ERRORS: dict[str, Distance] = {"absolute": absolute_error, "squared": squared_error}
_VALIDATION_SEED = 2020


@dataclass(frozen=True)
class LowLightRecipe:
    """A network, its darkness and its objective.

    Attributes:
        name: of the recipe and of the model that it makes.
        summary: one line for ``enhance train --list``.
        architecture: key of ``ARCHITECTURES``.
        config: hyperparameters of the architecture.
        patch: side of the photographs' patches in pixels; the packed side is half of it.
        batch: patches per step, over all processes.
        low_ratio, high_ratio: range of the exposure ratios.
        relative: minimise the mean logarithm of the pictures' losses instead of their mean, so
            that a picture with hope counts as much as one that is nearly all noise.
        error: of the shown picture, ``absolute`` (L1) or ``squared``; with ``relative`` the
            second is the mean PSNR itself, but for its sign and scale.
        objective: of the conditional autoencoder.
        optimisation: schedule and optimiser.
    """

    name: str
    summary: str
    architecture: str
    config: dict[str, Any]
    patch: int = 192
    batch: int = 8
    low_ratio: float = RATIO_RANGE[0]
    high_ratio: float = RATIO_RANGE[1]
    relative: bool = False
    error: str = "absolute"
    objective: Objective = field(default_factory=Objective)
    optimisation: Optimisation = field(default_factory=Optimisation)

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES:
            raise ValueError(f"choose from {', '.join(ARCHITECTURES)}")
        if not 1 <= self.low_ratio <= self.high_ratio:
            raise ValueError("low_ratio must be at least 1 and at most high_ratio")
        if self.error not in ERRORS:
            raise ValueError(f"error {self.error!r}: choose from {', '.join(ERRORS)}")
        if self.batch < 1:
            raise ValueError("batch must be at least 1")

    @property
    def identity(self) -> tuple[object, ...]:
        """The name and what makes the network another one than its size."""
        sizes = ("width", "latent", "noise_plane", "demosaicing", "refinements")
        return self.name, *((key, value) for key, value in self.config.items() if key not in sizes)

    def prepare(
        self,
        data: Path,
        validation: Path | None,
        device: torch.device,
        init: dict[str, Tensor] | None = None,
    ) -> "LowLight":
        """Read the photographs and make the networks; see ``training.loop.Recipe``."""
        torch.manual_seed(self.optimisation.seed)
        network = make_network(ARCHITECTURES[self.architecture], self.config, init)
        model = TrainingModel(network, self.objective.needs_posterior)
        model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        contract: Contract = network.contract  # type: ignore[assignment]
        _check_patch(self.patch, contract)
        if (data / "Sony").is_dir():
            source: DarkSource = RecordedDarkness(data, contract, self.patch, device)
        else:
            ratios = (self.low_ratio, self.high_ratio)
            source = SyntheticDarkness(data, validation, contract, self.patch, ratios, device)
        return LowLight(self, model, source)


class TrainingModel(nn.Module):
    """The test-time network with the encoder that it needs while it is trained."""

    def __init__(self, network: nn.Module, with_posterior: bool) -> None:
        super().__init__()
        self.network = network
        # Typed loosely, as modules hold parameters and modules alike.
        self.encoder: Any = network.make_posterior() if with_posterior else None  # type: ignore[operator]

    def prior(self, y: Tensor) -> tuple[Tensor, Any]:
        """Of the network."""
        result: tuple[Tensor, Any] = self.network.prior(y)  # type: ignore[operator]
        return result

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Of the encoder."""
        result: tuple[Tensor, Tensor] = self.encoder(x)
        return result

    def decode(self, z: Tensor, context: Any) -> Tensor:
        """Of the network."""
        result: Tensor = self.network.decode(z, context)  # type: ignore[operator]
        return result

    def forward(self, y: Tensor) -> Tensor:
        """What the network gives at test time."""
        result: Tensor = self.network(y)
        return result


@dataclass(frozen=True)
class Example:
    """N inputs with what the network should make of them.

    Attributes:
        y: input of the network.
        x: clean picture as the encoder sees it.
        error: of a decoder's output, (N,) summed over the picture.
        show: a decoder's output as a picture in [0, 1].
        target: the clean picture as it is shown.
    """

    y: Tensor
    x: Tensor
    error: Callable[[Tensor], Tensor]
    show: Callable[[Tensor], Tensor]
    target: Tensor


def linear_example(pairs: DarkPairs, contract: Contract, distance: Distance) -> Example:
    """For networks from linear to linear: the error is that of the rendered picture."""
    clean = luminance(pairs.clean) if contract.channels_out == 1 else pairs.clean
    target = render(clean, pairs.camera_to_srgb, contract.curve)
    y = pairs.dark
    if contract.channels_in > y.shape[1]:
        noise = estimate_noise(compress_range(y)).view(-1, 1, 1, 1)
        y = torch.cat([y, noise.expand(-1, 1, *y.shape[-2:])], 1)

    def show(estimate: Tensor) -> Tensor:
        with torch.autocast(estimate.device.type, enabled=False):
            return render(estimate.float(), pairs.camera_to_srgb, contract.curve)

    def error(estimate: Tensor) -> Tensor:
        rendered = distance(target, show(estimate))
        return rendered + _COMPRESSED_SHARE * distance(
            compress_range(clean), compress_range(estimate.float())
        )

    return Example(y, clean, error, show, target)


def direct_example(pairs: DarkPairs, contract: Contract, distance: Distance) -> Example:
    """For the thesis's networks: amplified RAW to sRGB at half size, or sRGB to sRGB."""
    if contract.channels_in == 3:
        clean, curve = pairs.clean, "srgb"
        y = linear_to_srgb(pairs.dark.clamp(0, 1))
    else:
        clean, curve = functional.avg_pool2d(pairs.clean, 2), "camera"
        y = pairs.dark.clamp(0, 1)
    grey = contract.channels_out == 1
    target = render(clean, pairs.camera_to_srgb, cast(ToneCurve, curve), grey)
    return Example(
        y,
        target,
        lambda estimate: distance(target, estimate.float()),
        lambda estimate: estimate.float().clamp(0, 1),
        target,
    )


def make_example(
    pairs: DarkPairs, contract: Contract, distance: Distance = absolute_error
) -> Example:
    """Inputs and targets of a network from dark pictures and their clean counterparts."""
    make = linear_example if contract.is_linear else direct_example
    return make(pairs, contract, distance)


def _cell(contract: Contract) -> int:
    """Sides of training pictures must be multiples of this, in pixels of the sensor."""
    packed = contract.patch_size or contract.size_multiple
    return 2 * packed if contract.is_raw else packed


def _check_patch(patch: int, contract: Contract) -> None:
    cell = _cell(contract)
    if patch == cell or (not contract.patch_size and patch > 0 and patch % cell == 0):
        return
    rule = f"{cell}" if contract.patch_size else f"a multiple of {cell}"
    raise UsageError(f"--set patch={patch}: must be {rule}")


class DarkSource(Protocol):
    """Where dark pictures and their clean counterparts come from.

    Attributes:
        summary: a few words, for the run's fingerprint.
    """

    summary: str

    def draw(self, count: int, generator: torch.Generator) -> DarkPairs:
        """A training batch on the device, the same for the same state of a CPU generator."""

    def validation(self) -> Iterator[DarkPairs]:
        """The same pictures each time, one by one, never trained on."""


class SyntheticDarkness:
    """Photographs darkened anew at every step; see ``data.darkness``.

    Args:
        data, validation: as of ``load_split``.
        contract: of the network.
        patch: side of the photographs' patches.
        ratios: range of the exposure ratios.
        device: where pixels live.

    Raises:
        DatasetError: if there are too few photographs that are large enough.
    """

    def __init__(
        self,
        data: Path,
        validation: Path | None,
        contract: Contract,
        patch: int,
        ratios: tuple[float, float],
        device: torch.device,
    ) -> None:
        photos, held = load_split(data, validation)
        self.summary = f"{len(photos)} photographs"
        self._contract, self._ratios, self._device = contract, ratios, device
        self._sampler = PhotoSampler(photos, patch, device)
        cell = _cell(contract)
        self._held = [self._cut(photo) for photo in held if min(photo.shape[-2:]) >= cell]
        if not self._held:
            raise DatasetError(f"no photograph to validate on is as large as {cell} pixels")

    def draw(self, count: int, generator: torch.Generator) -> DarkPairs:
        """See ``DarkSource``."""
        photos = self._sampler.batch(count, generator)
        return self._darken(photos, self._conditions(count, generator, vary=True), generator)

    def validation(self) -> Iterator[DarkPairs]:
        """See ``DarkSource``; on another kind of device the noise is another."""
        generator = torch.Generator().manual_seed(_VALIDATION_SEED)
        # Dark sRGB files are of two kinds, the halves of a batch.
        count = 1 if self._contract.is_raw else 2
        for photo in self._held:
            taken = self._conditions(count, generator, vary=False)
            pixels = to_values(photo.to(self._device)[None])
            yield self._darken(pixels.expand(count, -1, -1, -1), taken, generator)

    def _cut(self, photo: Tensor) -> Tensor:
        """The middle of a photograph, of whole cells."""
        cell = _cell(self._contract)
        largest = cell if self._contract.patch_size else max(_VALIDATION_SIDE, cell)
        height, width = (min(side, largest) // cell * cell for side in photo.shape[-2:])
        top, left = (photo.shape[-2] - height) // 2, (photo.shape[-1] - width) // 2
        return photo[:, top : top + height, left : left + width]

    def _conditions(self, count: int, generator: torch.Generator, vary: bool) -> Conditions:
        return draw_conditions(
            count,
            generator,
            ratios=self._ratios,
            vary_brightness=vary,
            camera="any" if self._contract.is_linear else "one",
        )

    def _darken(self, photos: Tensor, taken: Conditions, generator: torch.Generator) -> DarkPairs:
        seed = int(torch.randint(2**62, (1,), generator=generator))
        noise = torch.Generator(self._device).manual_seed(seed)
        if not self._contract.is_raw:
            return dark_srgb(photos, taken, noise)
        return dark_raw(photos, taken, noise, balanced=self._contract.is_linear)


class RecordedDarkness:
    """Real pairs in the layout of the SID dataset: its training and validation splits.

    Args:
        root: folder with ``Sony/short``, ``Sony/long`` and the lists of the splits.
        contract: of the network.
        patch: side of the patches in pixels of the sensor.
        device: where batches go.

    Raises:
        DatasetError, InputError: as ``load_sid_pairs`` and ``RecordedSampler``.
    """

    def __init__(self, root: Path, contract: Contract, patch: int, device: torch.device) -> None:
        train, held = (load_sid_pairs(root, split) for split in ("train", "val"))
        self.summary = f"{len(train)} recorded pairs"
        self._sampler, self._held = (RecordedSampler(pairs, patch) for pairs in (train, held))
        self._device = device
        self._srgb = not contract.is_raw
        self._balanced = contract.is_raw and contract.is_linear

    def draw(self, count: int, generator: torch.Generator) -> DarkPairs:
        """See ``DarkSource``."""
        return self._sampler.batch(count, generator, srgb=self._srgb, balanced=self._balanced).to(
            self._device
        )

    def validation(self) -> Iterator[DarkPairs]:
        """See ``DarkSource``."""
        for pair in self._held.middle(srgb=self._srgb, balanced=self._balanced):
            yield pair.to(self._device)


class LowLight:
    """A prepared recipe; see ``training.loop.Experiment``."""

    unit = "dB"

    def __init__(self, recipe: LowLightRecipe, model: TrainingModel, source: DarkSource) -> None:
        self.recipe, self.model, self.source = recipe, model, source
        self.network: nn.Module = model
        self.data = source.summary
        self._contract: Contract = model.network.contract  # type: ignore[assignment]

    def loss(self, step: int, generator: torch.Generator, share: slice) -> Tensor:
        """The objective per shown value, so that it reads like a mean absolute error.

        Every process darkens the whole batch alike and takes its share of it; the codes'
        samples differ between numbers of processes.
        """
        device = next(self.network.parameters()).device
        with torch.autocast(device.type, enabled=False):
            pairs = self.source.draw(self.recipe.batch, generator).take(share)
            if len(pairs.dark) == 0:
                raise UsageError(f"batch={self.recipe.batch}: too small for so many processes")
            example = make_example(pairs, self._contract, ERRORS[self.recipe.error])
        inputs = example.y.contiguous(memory_format=torch.channels_last)
        # Dropout draws from torch's own generators: they follow step and seed too.
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(generator.initial_seed())
            losses = variational_loss(
                self.model, example.x, inputs, example.error, self.recipe.objective, generator
            )
        losses = losses / example.target[0].numel()
        # A black patch can be met exactly.
        return losses.clamp(min=1e-6).log().mean() if self.recipe.relative else losses.mean()

    def validate(self, network: nn.Module) -> float:
        """Mean PSNR in dB of the shown pictures, at fixed ratios, ISO and noise."""
        scores = []
        for pairs in self.source.validation():
            example = make_example(pairs, self._contract)
            estimate = network(example.y.contiguous(memory_format=torch.channels_last))
            for shown, target in zip(example.show(estimate), example.target, strict=True):
                scores.append(min(METRICS["psnr"].measure(shown, target, 1.0), 100.0))
        return sum(scores) / len(scores)

    def save(self, path: Path, tensors: dict[str, Tensor], step: int, score: float) -> None:
        """Write the test-time network with its recipe, step and validation score."""
        prefix = "network."
        save_checkpoint(
            path,
            self.model.network,
            ARCHITECTURES[self.recipe.architecture],
            self.recipe.name,
            tensors={
                key.removeprefix(prefix): value
                for key, value in tensors.items()
                if key.startswith(prefix)
            },
            training={
                "recipe": asdict(self.recipe),
                "data": self.data,
                "step": step,
                "validation_psnr": round(score, 4) if math.isfinite(score) else None,
            },
        )
