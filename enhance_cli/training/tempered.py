"""Training of the generators of dissertation 003, ch. 4: GANs with a lens, and without one."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from enhance_cli.architectures.dcgan import (
    DCGAN,
    DcganDiscriminator,
    Generator,
    to_drawn,
)
from enhance_cli.architectures.digit_classifier import DigitClassifier
from enhance_cli.architectures.lens import Lens
from enhance_cli.data.picture_sets import PICTURE_SETS
from enhance_cli.engine.digits import (
    count_modes,
    describe_digits,
    load_classifier,
    read_digits_of,
)
from enhance_cli.errors import DatasetError, UnknownNameError, UsageError
from enhance_cli.levels import to_levels, to_values
from enhance_cli.metrics.frechet import FeatureStatistics, frechet_distance
from enhance_cli.training.adversarial import as_fixed
from enhance_cli.training.stages import Stage, TrainingTask
from enhance_cli.training.tempering import (
    GAN_OBJECTIVES,
    LensPlan,
    gradient_penalty,
    look_through,
)

_JUDGED = 2_000  # pictures of a validation, on each side
_AT_ONCE = 250
_POOLED = 8  # side to which faces are reduced before they are compared


@dataclass(frozen=True, kw_only=True)
class TemperedStage(Stage):
    """A generator that is trained against a discriminator, with or without a lens.

    Both networks and the lens have one learning rate. All three are updated from the same weights
    in every step. The discriminator of WGAN-GP has further updates before that.

    Attributes:
        architecture: There is one.
        dataset: Key of ``PICTURE_SETS``.
        objective: Key of ``GAN_OBJECTIVES``.
        lens: The lens, and how long it may change pictures.
        updates: Updates of the discriminator in a step; 5 for WGAN-GP (Gulrajani et al., 2017).
        penalty: Weight of WGAN-GP's gradient penalty.
        mirror: Whether half of the pictures are shown mirrored.
        batch: Pictures per step, over all processes; ch. 4.2.4 has 32 and 64.
    """

    architecture: str = DCGAN.name
    dataset: str
    objective: str = "gan"
    lens: LensPlan = field(default_factory=LensPlan)
    updates: int = 1
    penalty: float = 10.0
    mirror: bool = False
    batch: int = 32

    def __post_init__(self) -> None:
        if self.dataset not in PICTURE_SETS:
            raise UnknownNameError("dataset", self.dataset, PICTURE_SETS)
        if self.objective not in GAN_OBJECTIVES:
            raise UnknownNameError("objective", self.objective, GAN_OBJECTIVES)
        super().__post_init__()
        if self.batch < 2:
            raise ValueError(f"batch must be at least 2 for its normalisation, not {self.batch}")
        if self.updates < 1 or self.penalty < 0:
            raise ValueError("updates must be at least 1, and penalty 0 or more")

    @property
    def identity(self) -> tuple[object, ...]:
        """What is drawn, but neither the size of the network nor what it is trained to."""
        free = ("width", "normalised")
        return self.dataset, *sorted(
            (k, v) for k, v in asdict(self.config).items() if k not in free
        )

    def prepare(
        self,
        data: Path,
        validation: Path | None,
        device: torch.device,
        init: dict[str, Tensor] | None = None,
    ) -> "TemperedTraining":
        """Read the pictures and make the networks; see ``Stage.prepare``.

        Args:
            data: The file of ``dataset``, or its folder; its own split is used.
            validation: Another such file, whose pictures for validation are taken.
            device: Where pixels and networks live.
            init: Tensors of the generator to begin with.

        Raises:
            DatasetError: Also if there are fewer than two pictures to validate on.
            UsageError: Also if the pictures have another size or other channels than are drawn, if
                there are fewer than a batch holds, if K does not go with the steps, or if the
                objective and the normalisation do not go together.
            CheckpointError: Also if digits are drawn and their classifier is missing.
        """
        self.lens.check(self.optimisation.steps)
        if GAN_OBJECTIVES[self.objective].penalised and self.config.normalised:
            raise UsageError(
                f"objective={self.objective}: its gradient penalty is of single pictures, which "
                "batch normalisation mixes: add --set normalised=false"
            )
        read = PICTURE_SETS[self.dataset].read
        sets = read(data)
        held = sets.validation if validation is None else read(validation).validation
        for pictures in (sets.train, held):
            self._check_shape(pictures)
        if len(sets.train) < self.batch:
            raise UsageError(
                f"batch={self.batch}: more than the {len(sets.train)} pictures to "
                "train on, choose fewer with --set batch=..."
            )
        if len(held) < 2:
            raise DatasetError(f"{data}: one picture is too few to validate on, give more")
        classifier = load_classifier(device) if "mnist" in self.dataset else None
        network = TemperedGenerator(self, self.make_network(init))
        torch.manual_seed(self.optimisation.seed + 1)
        rival = DcganDiscriminator(self.config)
        for module in (network, rival):
            module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        # From everywhere, since some sets are sorted by what they show.
        held = held[:: -(-len(held) // _JUDGED)]
        return TemperedTraining(self, network, rival, sets.train.to(device), held, classifier)

    def _check_shape(self, pictures: Tensor) -> None:
        """See that pictures have the size and the channels that are drawn."""
        config = self.config
        channels, height, width = pictures.shape[1:]
        if (channels, height, width) != (config.channels, config.side, config.side):
            raise UsageError(
                f"dataset={self.dataset}: has pictures of {width}x{height} pixels and {channels} "
                f"channels, the network draws {config.side}x{config.side} of {config.channels}: "
                "choose another dataset"
            )


class TemperedGenerator(nn.Module):
    """What descends together: the generator, and the lens if there is one.

    Their losses have no parameter in common, so that one Adam serves both.
    """

    def __init__(self, stage: TemperedStage, generator: nn.Module) -> None:
        super().__init__()
        self.generator = cast(Generator, generator)
        # Seeds are the stage's, so that runs with and without a lens begin alike (ch. 4.4).
        torch.manual_seed(stage.optimisation.seed + 2)
        width = stage.lens.lens_width
        self.lens = Lens(stage.config.channels, width) if width else None


class TemperedTraining(TrainingTask):
    """A stage of a generator with its pictures.

    Args:
        stage: The stage's settings.
        network: The generator and the lens, on their device.
        rival: The discriminator.
        train: Pictures, uint8 (N, C, side, side), on that device.
        held: Pictures that are never trained on, with which drawn ones are compared.
        classifier: What drawn digits are judged by; None for faces, which are compared by their
            pixels.

    Attributes:
        train_pictures: What is trained on.
    """

    stage: TemperedStage
    network: TemperedGenerator
    unit, score_name = "-distance", "validation"

    def __init__(
        self,
        stage: TemperedStage,
        network: TemperedGenerator,
        rival: nn.Module,
        train: Tensor,
        held: Tensor,
        classifier: DigitClassifier | None,
    ) -> None:
        super().__init__(stage, network, f"{len(train)} pictures of {stage.dataset}")
        self.model, self.adversary = network.generator, rival
        self.objective = GAN_OBJECTIVES[stage.objective]
        self.train_pictures, self._classifier = train, classifier
        self._reference = FeatureStatistics.from_features(self._describe(held))
        self._count = len(held)
        self._figures: dict[str, Any] = {}

    def make_optimiser(self, parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
        """Adam, or RMSProp for WGAN-GP (ch. 4.2.4)."""
        if self.objective.penalised:
            return torch.optim.RMSprop(parameters, lr=self.stage.optimisation.learning_rate)
        return super().make_optimiser(parameters)

    def loss(self, step: int, generator: torch.Generator, share: slice) -> Tensor:
        """The losses of generator and lens together."""
        return self.losses(step, generator, share)[0]

    def losses(
        self, step: int, generator: torch.Generator, share: slice
    ) -> tuple[Tensor, Tensor | None]:
        """The same, and the discriminator's loss."""
        true, drawn = self._draw_batch(generator, share)
        rival = cast(nn.Module, self.adversary)
        loss = self.objective.generator(as_fixed(rival)(drawn))
        shown = true
        if self.network.lens is not None:
            weight = self.stage.lens.weight(step)
            shown, of_lens = look_through(
                self.network.lens, true, rival, self.objective.lens, weight
            )
            loss = loss + of_lens
        return loss, self._rival_loss(shown, drawn.detach(), generator)

    def earlier_updates(
        self, step: int, generator: torch.Generator, share: slice
    ) -> Iterator[Tensor]:
        """Losses of the discriminator for its further updates, each of a batch of its own."""
        for _ in range(1, self.stage.updates):
            with torch.no_grad():
                true, drawn = self._draw_batch(generator, share)
                shown = true if self.network.lens is None else self.network.lens(true)
            yield self._rival_loss(shown, drawn, generator)

    def _draw_batch(self, generator: torch.Generator, share: slice) -> tuple[Tensor, Tensor]:
        """True pictures as the networks see them, and as many drawn ones."""
        stage, config = self.stage, self.stage.config
        chosen = torch.randint(len(self.train_pictures), (stage.batch,), generator=generator)[share]
        codes = torch.randn(stage.batch, config.latent, generator=generator)[share]
        turned = torch.rand(stage.batch, generator=generator)[share] < 0.5
        if len(chosen) < 2:
            raise UsageError(f"batch={stage.batch}: too small for so many processes")
        device = self.train_pictures.device
        true = to_drawn(to_values(self.train_pictures[chosen.to(device)]), config.padding)
        if stage.mirror:
            true = torch.where(turned.to(device)[:, None, None, None], true.flip(-1), true)
        true = true.contiguous(memory_format=torch.channels_last)
        drawn: Tensor = self.network.generator(codes.to(device))
        return true, drawn

    def _rival_loss(self, true: Tensor, drawn: Tensor, generator: torch.Generator) -> Tensor:
        rival = cast(nn.Module, self.adversary)
        loss = self.objective.discriminator(rival(true), rival(drawn))
        if self.objective.penalised:
            own = gradient_penalty(rival, true.float(), drawn.float(), generator)
            loss = loss + self.stage.penalty * own
        return loss

    def validate(self, network: nn.Module) -> float:
        """The negative Frechet distance of drawn pictures from true ones.

        Digits are compared by the features of the classifier, faces by their pixels, averaged to
        8x8. Of colour digits the combinations that were drawn are counted too. Every time the same
        codes are used, so that scores can be compared.
        """
        model = cast(TemperedGenerator, network).generator
        codes = torch.randn(
            self._count, self.stage.config.latent, generator=torch.Generator().manual_seed(0)
        )
        device = self.train_pictures.device
        parts = codes.to(device).split(_AT_ONCE)  # type: ignore[no-untyped-call]
        drawn = torch.cat([to_levels(model.decode(part)).cpu() for part in parts])
        features = self._describe(drawn)
        if not torch.isfinite(features).all():
            return float("nan")
        distance = frechet_distance(FeatureStatistics.from_features(features), self._reference)
        self._figures = {"frechet": round(distance, 4), "pictures": self._count}
        if self._classifier is not None:
            self._figures["modes"] = count_modes(read_digits_of(self._classifier, drawn))
        return -distance

    def _describe(self, pictures: Tensor) -> Tensor:
        """Features (N, D) of uint8 (N, C, side, side)."""
        if self._classifier is not None:
            return describe_digits(self._classifier, pictures)
        return functional.adaptive_avg_pool2d(to_values(pictures.cpu()), _POOLED).flatten(1)

    def notes(self, step: int, score: float | None) -> dict[str, Any]:
        """See ``TrainingTask.notes``; also what has just been measured."""
        figures = self._figures if score is not None else {}
        return {**super().notes(step, score), **figures}
