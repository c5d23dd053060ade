"""The MNIST experiments of thesis 000, ch. 5: seven autoencoders and two restorers.

They show the objectives of ch. 4 at work where an epoch takes seconds. Their figures go into
the checkpoint beside the step at which they were measured.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor, nn

from enhance_cli.architectures.mnist import CnnPrior, MlpPrior, MnistCnnConfig, MnistMlpConfig
from enhance_cli.data.mnist import Digits, read_mnist
from enhance_cli.errors import UsageError
from enhance_cli.training.objectives import (
    HybridObjective,
    VariationalModel,
    absolute_error,
    reparameterise,
    squared_error,
    variational_loss,
)
from enhance_cli.training.optimisation import Optimisation, step_generator
from enhance_cli.training.stages import Recipe, Stage, TrainingTask

Task = Literal["reconstruct", "restore"]

_PLAIN = HybridObjective(alpha=0.0, prior_deviation=0.0)
_MEASURED_AT_ONCE = 250
# Adam as Kingma and Ba give it, and 200 epochs of 60 batches. The text names no schedule, no
# clipping and no averaging of weights, hence none here: a norm of 1e9 is never reached.
_PLAN = Optimisation(
    steps=12_000,
    learning_rate=1e-3,
    schedule="constant",
    warmup=0.0,
    betas=(0.9, 0.999),
    clip=1e9,
    ema=0.0,
    validate_every=3000,
)


@dataclass(frozen=True, kw_only=True)
class MnistStage(Stage):
    """One line of table 1, or one of the two models of ch. 5.2.

    Attributes:
        task: ``reconstruct`` a digit from its code with the squared error (ch. 5.1), or
            ``restore`` it from an inverted copy with the absolute error (ch. 5.2).
        objective: The point of eq. 15 to descend to.
        batch: Digits per step, over all processes.
        draws: Samples of q(z|x), or inverted copies, for each digit that is measured.
    """

    task: Task = "reconstruct"
    objective: HybridObjective = field(default_factory=HybridObjective)
    batch: int = 1000
    draws: int = 10
    optimisation: Optimisation = _PLAN

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.task not in get_args(Task):
            raise ValueError(f"task: choose from {', '.join(get_args(Task))}")
        if (self.config.prior == "picture") != (self.task == "restore"):
            raise ValueError("a prior that sees a picture is for restoring, and only that one")
        if self.config.prior == "itself" and self.objective != _PLAIN:
            raise ValueError(
                "a plain autoencoder has neither posterior nor samples: keep alpha "
                "and prior_deviation 0 and the rest of the objective as it was"
            )
        if self.draws < 1:
            raise ValueError(f"draws must be at least 1, not {self.draws}")

    @property
    def identity(self) -> tuple[object, ...]:
        """All but the numbers of nodes and channels."""
        kept = {k: v for k, v in asdict(self.config).items() if k not in ("hidden", "width")}
        return self.architecture, self.task, *sorted(kept.items())

    def prepare(
        self,
        data: Path,
        validation: Path | None,
        device: torch.device,
        init: dict[str, Tensor] | None = None,
    ) -> "DigitTask":
        """Read the digits and make the network; see ``Stage.prepare``.

        Args:
            data: ``mnist.npz`` or its folder; its 60,000 digits are trained on.
            validation: Another such file, of which the test digits validate; None takes those
                of ``data``.
            device: Where pixels and network live.
            init: Tensors to begin with.

        Raises:
            UsageError: Also if there are fewer digits than a batch holds.
        """
        train, held = split_digits(data, validation, self.batch)
        network = self.make_network(init)
        network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        make = Restoration if self.task == "restore" else Reconstruction
        return make(self, network, train.to(device), held.to(device))


def split_digits(data: Path, validation: Path | None, batch: int) -> tuple[Digits, Digits]:
    """Read the digits to train on and those to validate on.

    Args:
        data: ``mnist.npz`` or its folder; its 60,000 digits are trained on.
        validation: Another such file, of which the test digits validate; None takes those of
            ``data``.
        batch: How many digits a step takes.

    Raises:
        DatasetError: If a file cannot be read.
        UsageError: If there are fewer digits than a batch holds.
    """
    digits = read_mnist(data)
    held = digits.test if validation is None else read_mnist(validation).test
    if len(digits.train) < batch:
        raise UsageError(
            f"batch={batch}: more than the {len(digits.train)} digits to train on, "
            "choose fewer with --set batch=..."
        )
    return digits.train, held


def pixels(digits: Digits, index: Tensor | slice) -> Tensor:
    """Some of the digits as float32 pictures (N, 1, 28, 28) in [0, 1]."""
    return digits.pictures[index].float().div_(255)[:, None]


def invert(x: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures in which each pixel ``x`` became ``1 - x`` with probability 0.5 (ch. 5.2).

    A pixel that was black or white comes out as a fair coin, whatever it was: its value is gone.
    A grey one comes out as one of two values as far from mid-grey as it was, so that what the
    copy tells is ``abs(x - 0.5)`` and no more. Digits are drawn with soft edges, hence the grey
    pixels show the outline of the strokes, and a network has to find out which side of it is
    the inside. Details of one pixel decide this, which may be why skip connections help so much.

    Args:
        x: Pictures in [0, 1].
        generator: The source of chance; it draws on its own device.
    """
    coins = torch.randint(
        2, x.shape, generator=generator, device=generator.device, dtype=torch.uint8
    )
    return torch.where(coins.to(x.device).bool(), 1 - x, x)


class DigitTask(TrainingTask):
    """A stage with its digits.

    Attributes:
        measure: The error that a score is the negative of, as a word of the checkpoint's notes.
    """

    stage: MnistStage
    measure: str

    def __init__(self, stage: MnistStage, network: nn.Module, train: Digits, held: Digits) -> None:
        super().__init__(stage, network, f"{len(train)} digits")
        self._train, self._held = train, held
        self._epoch = len(train) // stage.batch  # steps
        self._figures: dict[str, float] = {}

    def condition(self, x: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """What the prior is shown, made of clean pictures and their labels."""
        raise NotImplementedError

    def error(self, x: Tensor, estimate: Tensor) -> Tensor:
        """-log p(x|y, z) of each picture but for a constant, (N,)."""
        raise NotImplementedError

    def measured(
        self, model: VariationalModel, x: Tensor, labels: Tensor, generator: torch.Generator
    ) -> Tensor:
        """The error that ch. 5 reports for each picture, (N,): a mean over ``draws`` samples."""
        raise NotImplementedError

    def loss(self, step: int, generator: torch.Generator, share: slice) -> Tensor:
        """Eq. 15 in nats, the mean over this process's share; an epoch shows each digit once."""
        batch, seed = self.stage.batch, self.stage.optimisation.seed
        epoch, place = divmod(step, self._epoch)
        order = torch.randperm(len(self._train), generator=step_generator(seed, -1 - epoch))
        index = order[place * batch :][:batch][share].to(self._train.labels.device)
        # Processes have different digits, so they need different noise.
        own = torch.Generator().manual_seed(generator.initial_seed() + (share.start or 0))
        x = pixels(self._train, index)
        y = self.condition(x, self._train.labels[index], own)
        model = cast(VariationalModel, self.network)
        return variational_loss(
            model, x, y, lambda estimate: self.error(x, estimate), self.stage.objective, own
        ).mean()

    def validate(self, network: nn.Module) -> float:
        """The negative of the mean error over the digits that are never trained on.

        Notes the error over the training digits too, for the checkpoint. Every time the same
        random numbers are used, so that scores can be compared.
        """
        model = cast(VariationalModel, network)
        self._figures = {
            f"train_{self.measure}": self._mean_error(model, self._train),
            f"validation_{self.measure}": self._mean_error(model, self._held),
        }
        return -self._figures[f"validation_{self.measure}"]

    def _mean_error(self, model: VariationalModel, digits: Digits) -> float:
        generator = torch.Generator().manual_seed(0)
        total = 0.0
        for start in range(0, len(digits), _MEASURED_AT_ONCE):
            part = slice(start, start + _MEASURED_AT_ONCE)
            x, labels = pixels(digits, part), digits.labels[part]
            total += self.measured(model, x, labels, generator).double().sum().item()
        return total / len(digits)

    def notes(self, step: int, score: float | None) -> dict[str, Any]:
        """Epochs and, if they have just been measured, the errors over both sets of digits."""
        figures = self._figures if score is not None else {}
        return {
            "epochs": round(step / self._epoch, 2),
            **{name: round(value, 4) for name, value in figures.items()},
        }


class Reconstruction(DigitTask):
    """A digit from its own code (ch. 5.1), measured by the SSE without the half of eq. 7."""

    measure, unit = "sse", "-SSE"

    def condition(self, x: Tensor, labels: Tensor, _generator: torch.Generator) -> Tensor:
        """The labels for a prior of labels, and for the others the pictures themselves."""
        return labels if self.stage.config.prior == "label" else x

    def error(self, x: Tensor, estimate: Tensor) -> Tensor:
        """The squared error of eq. 7."""
        return squared_error(x, estimate)

    def measured(
        self, model: VariationalModel, x: Tensor, labels: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Mean SSE, (N,), of reconstructions from samples of q(z|x).

        The text could also mean the SSE of the samples' mean picture. That is lower by the
        variance of the samples, and "to reduce the variance" speaks of an estimate.
        """
        mean_p, context = model.prior(self.condition(x, labels, generator))
        if not self.stage.objective.needs_posterior:
            return 2 * squared_error(x, model.decode(mean_p, context))
        mean, log_variance = model.posterior(x)
        total = torch.zeros(len(x), device=x.device)
        for _ in range(self.stage.draws):
            z = reparameterise(mean, log_variance, generator)
            total += 2 * squared_error(x, model.decode(z, context))
        return total / self.stage.draws


class Restoration(DigitTask):
    """A digit from a copy with inverted pixels (ch. 5.2), measured by the L1 error of eq. 8."""

    measure, unit = "l1", "-L1"

    def condition(self, x: Tensor, _labels: Tensor, generator: torch.Generator) -> Tensor:
        """A freshly inverted copy."""
        return invert(x, generator)

    def error(self, x: Tensor, estimate: Tensor) -> Tensor:
        """The absolute error of eq. 8."""
        return absolute_error(x, estimate)

    def measured(
        self, model: VariationalModel, x: Tensor, labels: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Mean L1 error, (N,), over inverted copies, with z at the prior's mean."""
        total = torch.zeros(len(x), device=x.device)
        for _ in range(self.stage.draws):
            y = self.condition(x, labels, generator)
            total += absolute_error(x, model.decode(*model.prior(y)))
        return total / self.stage.draws


def _mlp(
    name: str,
    summary: str,
    latent: int,
    prior: MlpPrior = "normal",
    objective: HybridObjective | None = None,
) -> Recipe:
    config = MnistMlpConfig(latent=latent, prior=prior)
    stage = MnistStage(
        architecture="mnist-mlp", config=config, objective=objective or HybridObjective()
    )
    return Recipe(name, summary, (stage,))


def _cnn(name: str, summary: str, prior: CnnPrior, task: Task, skips: bool = False) -> Recipe:
    stage = MnistStage(
        architecture="mnist-cnn", config=MnistCnnConfig(prior=prior, skips=skips), task=task
    )
    return Recipe(name, summary, (stage,))


MNIST_RECIPES: tuple[Recipe, ...] = (
    _mlp("mnist-ae", "MNIST autoencoder, code of 2 (thesis 000, table 1)", 2, "itself", _PLAIN),
    *(
        _mlp(f"mnist-vae-{latent}", f"MNIST VAE, code of {latent} (thesis 000, table 1)", latent)
        for latent in (2, 5, 10, 50)
    ),
    _cnn(
        "mnist-vae-cnn",
        "MNIST VAE with convolutions, code of 10 (thesis 000, table 1)",
        "normal",
        "reconstruct",
    ),
    _mlp(
        "mnist-cvae",
        "MNIST CVAE, prior of the label, code of 10 (thesis 000, table 1)",
        10,
        "label",
    ),
    _cnn(
        "mnist-restore-skip",
        "MNIST CVAE that restores inverted pixels (thesis 000, eq. 12)",
        "picture",
        "restore",
        skips=True,
    ),
    _cnn(
        "mnist-restore",
        "The same without skip connections (thesis 000, eq. 13)",
        "picture",
        "restore",
    ),
)
