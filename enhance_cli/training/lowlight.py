"""Training of low-light enhancement: conditional autoencoders on synthetic darkness."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from enhance_cli.architectures import ARCHITECTURES
from enhance_cli.architectures.spec import Contract
from enhance_cli.colour import Curve, compress, estimate_noise, linear_to_srgb, luminance, render
from enhance_cli.data.darkness import (
    Conditions,
    DarkPairs,
    dark_raw,
    dark_srgb,
    draw_conditions,
)
from enhance_cli.data.patches import PhotoSampler
from enhance_cli.data.sensor import RATIO_RANGE
from enhance_cli.engine.checkpoint import save_checkpoint
from enhance_cli.errors import DatasetError, UsageError
from enhance_cli.metrics import METRICS
from enhance_cli.training.loop import Optimisation
from enhance_cli.training.objectives import Objective, absolute_error, variational_loss
from enhance_cli.training.start import load_split, make_network

# Beside the error of what is shown, a little of the compressed values': the output curve is
# flat at black and ends at white, where it would give no gradient.
_COMPRESSED_SHARE = 0.1
_VALIDATION_SIDE = 512
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
    objective: Objective = field(default_factory=Objective)
    optimisation: Optimisation = field(default_factory=Optimisation)

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES:
            raise ValueError(f"choose from {', '.join(ARCHITECTURES)}")
        if not 1 <= self.low_ratio <= self.high_ratio:
            raise ValueError("low_ratio must be at least 1 and at most high_ratio")
        if self.batch < 1:
            raise ValueError("batch must be at least 1")

    @property
    def identity(self) -> tuple[object, ...]:
        """The name, and what goes in and out."""
        return self.name, *(self.config.get(key) for key in (
            "source", "colours", "channels_in", "channels_out"))

    def prepare(
        self,
        data: Path,
        validation: Path | None,
        device: torch.device,
        init: dict[str, Tensor] | None = None,
    ) -> "LowLight":
        """Read the photographs and make the networks; see ``training.loop.Recipe``."""
        photos, held = load_split(data, validation)
        torch.manual_seed(self.optimisation.seed)
        network = make_network(ARCHITECTURES[self.architecture], self.config, init)
        model = TrainingModel(network, self.objective.needs_posterior)
        model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return LowLight(self, model, photos, held, device)


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
        error: of a decoder's output, (N,) summed absolute errors.
        show: a decoder's output as a picture in [0, 1].
        target: the clean picture as it is shown.
    """

    y: Tensor
    x: Tensor
    error: Callable[[Tensor], Tensor]
    show: Callable[[Tensor], Tensor]
    target: Tensor


def linear_example(pairs: DarkPairs, contract: Contract) -> Example:
    """For networks from linear to linear: the error is that of the rendered picture."""
    clean = luminance(pairs.clean) if contract.channels_out == 1 else pairs.clean
    target = render(clean, pairs.camera_to_srgb, contract.curve)
    y = pairs.dark
    if contract.channels_in > y.shape[1]:
        noise = estimate_noise(compress(y)).view(-1, 1, 1, 1)
        y = torch.cat([y, noise.expand(-1, 1, *y.shape[-2:])], 1)

    def show(estimate: Tensor) -> Tensor:
        with torch.autocast(estimate.device.type, enabled=False):
            return render(estimate.float(), pairs.camera_to_srgb, contract.curve)

    def error(estimate: Tensor) -> Tensor:
        rendered = absolute_error(target, show(estimate))
        return rendered + _COMPRESSED_SHARE * absolute_error(
            compress(clean), compress(estimate.float()))

    return Example(y, clean, error, show, target)


def direct_example(pairs: DarkPairs, contract: Contract) -> Example:
    """For the thesis's networks: amplified RAW or sRGB to sRGB at half size."""
    clean = functional.avg_pool2d(pairs.clean, 2)
    grey = contract.channels_out == 1
    if contract.channels_in == 3:
        y = linear_to_srgb(functional.avg_pool2d(pairs.dark, 2).clamp(0, 1))
    else:
        y = pairs.dark.clamp(min=0)
    curve: Curve = "srgb" if contract.channels_in == 3 else "camera"
    target = render(clean, pairs.camera_to_srgb, curve, grey)
    return Example(
        y, target, lambda estimate: absolute_error(target, estimate.float()),
        lambda estimate: estimate.float().clamp(0, 1), target,
    )


# By the contract's colour: what is made of dark pictures.
_EXAMPLES: dict[str, Callable[[DarkPairs, Contract], Example]] = {
    "balanced-raw": linear_example,
    "linear-srgb": linear_example,
    "amplified-raw": direct_example,
    "amplified-srgb": direct_example,
}


def darken(
    photos: Tensor, taken: Conditions, contract: Contract, generator: torch.Generator
) -> DarkPairs:
    """Darken photographs for a network.

    Args:
        photos: (N, 3, 2h, 2w) in [0, 1].
        taken: circumstances of each.
        contract: of the network.
        generator: on the device of ``photos``.
    """
    if contract.colour.endswith("srgb"):
        return dark_srgb(photos, taken, generator)
    return dark_raw(photos, taken, generator, balanced=contract.colour == "balanced-raw")


def make_example(pairs: DarkPairs, contract: Contract) -> Example:
    """Inputs and targets of a network from dark pictures and their clean counterparts."""
    return _EXAMPLES[contract.colour](pairs, contract)


class LowLight:
    """A prepared recipe; see ``training.loop.Experiment``."""

    unit = "dB"

    def __init__(
        self,
        recipe: LowLightRecipe,
        model: TrainingModel,
        photos: Sequence[Tensor],
        held: Sequence[Tensor],
        device: torch.device,
    ) -> None:
        self.recipe, self.model, self.device = recipe, model, device
        self.network: nn.Module = model
        self.data = f"{len(photos)} photographs"
        self._contract: Contract = model.network.contract  # type: ignore[assignment]
        self._check_patch()
        self._sampler = PhotoSampler(photos, recipe.patch, device)
        self._held = [self._cut(photo) for photo in held
                      if min(photo.shape[-2:]) >= self._cell]
        if not self._held:
            raise DatasetError(
                f"no photograph to validate on is as large as {self._cell} pixels"
            )

    @property
    def _cell(self) -> int:
        """Sides of photographs must be multiples of this."""
        packed = self._contract.patch_size or self._contract.size_multiple
        return packed if self._contract.colour == "linear-srgb" else 2 * packed

    def _check_patch(self) -> None:
        cell = self._cell
        fits = (self.recipe.patch == cell if self._contract.patch_size
                else self.recipe.patch >= cell and self.recipe.patch % cell == 0)
        if not fits:
            raise UsageError(
                f"--set patch={self.recipe.patch}: must be "
                f"{cell if self._contract.patch_size else f'a multiple of {cell}'}"
            )

    def _cut(self, photo: Tensor) -> Tensor:
        """The middle of a photograph, of whole cells."""
        height, width = (min(side // self._cell * self._cell, _VALIDATION_SIDE)
                         if not self._contract.patch_size else self._cell
                         for side in photo.shape[-2:])
        top, left = (photo.shape[-2] - height) // 2, (photo.shape[-1] - width) // 2
        return photo[:, top : top + height, left : left + width]

    def _conditions(self, count: int, generator: torch.Generator, vary: bool) -> Conditions:
        return draw_conditions(
            count, generator,
            camera="one" if self._contract.colour.startswith("amplified") else "any",
            ratios=(self.recipe.low_ratio, self.recipe.high_ratio), vary_brightness=vary,
        )

    def _noise(self, generator: torch.Generator) -> torch.Generator:
        """A generator on the device, seeded from one on the CPU."""
        seed = int(torch.randint(2**62, (1,), generator=generator))
        return torch.Generator(self.device).manual_seed(seed)

    def loss(self, step: int, generator: torch.Generator, share: slice) -> Tensor:
        """The objective per shown value, so that it reads like a mean absolute error.

        Every process darkens the whole batch alike and takes its share of it; the codes'
        samples differ between numbers of processes.
        """
        with torch.autocast(self.device.type, enabled=False):
            photos = self._sampler.batch(self.recipe.batch, generator)
            taken = self._conditions(self.recipe.batch, generator, vary=True)
            pairs = darken(photos, taken, self._contract, self._noise(generator)).take(share)
            if len(pairs.dark) == 0:
                raise UsageError(f"batch={self.recipe.batch}: too small for so many processes")
            example = make_example(pairs, self._contract)
        losses = variational_loss(
            self.model, example.x, example.y.contiguous(memory_format=torch.channels_last),
            example.error, self.recipe.objective, generator,
        )
        return losses.mean() / example.target[0].numel()

    def validate(self, network: nn.Module) -> float:
        """Mean PSNR in dB of the shown pictures, at fixed ratios, ISO and noise."""
        generator = torch.Generator().manual_seed(_VALIDATION_SEED)
        scores = []
        for photo in self._held:
            taken = self._conditions(1, generator, vary=False)
            noise = self._noise(generator)
            pixels = photo.to(self.device)[None].float() / 255
            example = make_example(
                darken(pixels, taken, self._contract, noise), self._contract)
            estimate = network(example.y.contiguous(memory_format=torch.channels_last))
            scores.append(min(METRICS["psnr"].measure(
                example.show(estimate)[0], example.target[0], 1.0), 100.0))
        return sum(scores) / len(scores)

    def save(self, path: Path, tensors: dict[str, Tensor], step: int, score: float) -> None:
        """Write the test-time network with its recipe, step and validation score."""
        prefix = "network."
        save_checkpoint(
            path, self.model.network, ARCHITECTURES[self.recipe.architecture],
            self.recipe.name,
            tensors={key.removeprefix(prefix): value for key, value in tensors.items()
                     if key.startswith(prefix)},
            training={"recipe": asdict(self.recipe), "data": self.data, "step": step,
                      "validation_psnr": round(score, 4) if math.isfinite(score) else None},
        )

