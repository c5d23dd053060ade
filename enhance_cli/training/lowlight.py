"""Training of low-light enhancement: conditional autoencoders on dark pictures."""

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from enhance_cli.architectures.spec import Contract
from enhance_cli.data.sensor import RATIO_RANGE
from enhance_cli.metrics import METRICS
from enhance_cli.training.dark_examples import DISTANCES, make_example
from enhance_cli.training.dark_sources import (
    DarkSource,
    Mixture,
    RecordedDarkness,
    SyntheticDarkness,
    check_patch,
)
from enhance_cli.training.objectives import HybridObjective, variational_loss
from enhance_cli.training.stages import Stage, TrainingTask

# A mean error below which little is to be gained, as nobody sees it: of squares 50 dB. Otherwise
# clean patches, which can be met ever more exactly, would outweigh all others.
_UNSEEN = 1e-5


@dataclass(frozen=True, kw_only=True)
class LowLightStage(Stage):
    """A network, the darkness that it is trained in, and its objective.

    Attributes:
        patch: Side of the photographs' patches in pixels; packed RAW has half of it.
        batch: Patches per step, over all processes.
        low_ratio: Smallest exposure ratio of the darkened photographs.
        high_ratio: Largest exposure ratio of the darkened photographs.
        dark_share: Share of pictures whose ratio is drawn from 20 to 300, the range of the SID
            dataset, whatever the two bounds are.
        reduced_share: For networks that take sRGB: the share of files of half the sensor's size,
            each of whose pixels was made of a whole 2x2 block of the mosaic, as in thesis 000,
            ch. 2. Recorded pairs are reduced if it is 1.
        noiseless_share: For networks that take sRGB: the share of photographs that are darkened
            without noise, but for that of an 8-bit file.
        low_iso_share: The share of pictures of ISO 50 to 400, as most are; those of the others are
            spread evenly up to 25,600.
        harsh_share: The share of photographs whose contrast is raised until most of them is black
            or white; see ``raise_contrast``.
        fine_share: The share of photographs that are reduced to half their size before they are
            darkened: they are sharper from pixel to pixel, like small pictures on screens.
        relative: Whether to minimise the mean logarithm of the pictures' losses instead of their
            mean, so that a picture that can be restored counts as much as one that is nearly all
            noise.
        error: Error of the shown picture, ``absolute`` (L1) or ``squared``. With ``relative`` the
            second is the mean PSNR itself, but for its sign and scale, and above 50 dB.
        objective: Objective of the conditional autoencoder.
    """

    patch: int = 192
    batch: int = 8
    low_ratio: float = RATIO_RANGE[0]
    high_ratio: float = RATIO_RANGE[1]
    dark_share: float = 0.0
    reduced_share: float = 0.5
    noiseless_share: float = 0.0
    low_iso_share: float = 0.0
    harsh_share: float = 0.0
    fine_share: float = 0.0
    relative: bool = False
    error: str = "absolute"
    objective: HybridObjective = field(default_factory=HybridObjective)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.low_ratio <= self.high_ratio:
            raise ValueError("low_ratio must be at least 1 and at most high_ratio")
        for name in (one.name for one in fields(self) if one.name.endswith("_share")):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be from 0 to 1, not {getattr(self, name)}")
        if self.error not in DISTANCES:
            raise ValueError(f"error {self.error!r}: choose from {', '.join(DISTANCES)}")

    @property
    def identity(self) -> tuple[object, ...]:
        """The architecture, and what of its config is not merely its size."""
        sizes = ("width", "latent", "noise_plane", "demosaicing", "refinements", "bounded")
        kept = ((key, value) for key, value in asdict(self.config).items() if key not in sizes)
        return self.architecture, *kept

    def prepare(
        self,
        data: Path,
        validation: Path | None,
        device: torch.device,
        init: dict[str, Tensor] | None = None,
    ) -> "LowLight":
        """Read the pictures and make the networks; see ``Stage.prepare``.

        Args:
            data: Folder of photographs to darken, or of the SID dataset (with ``Sony`` in it).
            validation: Folder of photographs to validate on; None holds out every twentieth.
            device: Where pixels and networks live.
            init: Tensors to begin with.
        """
        network = self.make_network(init)
        model = TrainingModel(network, self.objective.needs_posterior)
        model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        contract: Contract = network.contract  # type: ignore[assignment]
        check_patch(self.patch, contract)
        if (data / "Sony").is_dir():
            source: DarkSource = RecordedDarkness(
                data, contract, self.patch, self.reduced_share == 1, device
            )
        else:
            mixture = Mixture(
                self.low_ratio,
                self.high_ratio,
                self.dark_share,
                self.low_iso_share,
                self.reduced_share,
                self.noiseless_share,
                self.harsh_share,
                self.fine_share,
            )
            source = SyntheticDarkness(data, validation, contract, self.patch, mixture, device)
        return LowLight(self, model, source)


class TrainingModel(nn.Module):
    """The test-time network with the encoder that it needs while it is trained."""

    def __init__(self, network: nn.Module, with_posterior: bool) -> None:
        super().__init__()
        self.network = network
        # Typed loosely, as modules hold parameters and modules alike.
        self.encoder: Any = network.make_posterior() if with_posterior else None  # type: ignore[operator]

    def prior(self, y: Tensor) -> tuple[Tensor, Any]:
        """The network's p(z|y); see ``objectives.VariationalModel``."""
        result: tuple[Tensor, Any] = self.network.prior(y)  # type: ignore[operator]
        return result

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The encoder's q(z|x)."""
        result: tuple[Tensor, Tensor] = self.encoder(x)
        return result

    def decode(self, z: Tensor, context: Any) -> Tensor:
        """The network's p(x|y, z)."""
        result: Tensor = self.network.decode(z, context)  # type: ignore[operator]
        return result

    def forward(self, y: Tensor) -> Tensor:
        """What the network makes of ``y`` at test time."""
        result: Tensor = self.network(y)
        return result


class LowLight(TrainingTask):
    """A stage of low light with its pictures; checkpoints hold the test-time network alone."""

    stage: LowLightStage
    score_name = "validation_psnr"

    def __init__(self, stage: LowLightStage, model: TrainingModel, source: DarkSource) -> None:
        super().__init__(stage, model, source.summary)
        self.training_model, self.source = model, source
        self.model = model.network
        self._contract: Contract = model.network.contract  # type: ignore[assignment]

    def loss(self, step: int, generator: torch.Generator, share: slice) -> Tensor:
        """The objective per shown value, so that it reads like a mean absolute error.

        Every process darkens the whole batch alike and takes its share of it; the codes'
        samples differ between numbers of processes.
        """
        device = next(self.network.parameters()).device
        with torch.autocast(device.type, enabled=False):
            pairs = self.source.draw(self.stage.batch, generator).take(share)
            example = make_example(pairs, self._contract, DISTANCES[self.stage.error])
        inputs = example.y.contiguous(memory_format=torch.channels_last)
        # Dropout draws from torch's own generators: they follow step and seed too.
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(generator.initial_seed())
            losses = variational_loss(
                self.training_model,
                example.x,
                inputs,
                example.error,
                self.stage.objective,
                generator,
            )
        losses = losses / example.target[0].numel()
        if not self.stage.relative:
            return losses.mean()
        return (losses + _UNSEEN).log().mean()

    def validate(self, network: nn.Module) -> float:
        """The mean PSNR in dB of the shown pictures, at fixed ratios, ISO and noise."""
        scores = []
        for pairs in self.source.validation():
            example = make_example(pairs, self._contract)
            estimate = network(example.y.contiguous(memory_format=torch.channels_last))
            for shown, target in zip(example.show(estimate), example.target, strict=True):
                scores.append(min(METRICS["psnr"].measure(shown, target, 1.0), 100.0))
        return sum(scores) / len(scores)
