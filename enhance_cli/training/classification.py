"""Training of the classifier that judges drawn digits."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from enhance_cli.architectures.digit_classifier import DIGIT_CLASSIFIER, DigitClassifierConfig
from enhance_cli.data.mnist import Digits
from enhance_cli.levels import to_values
from enhance_cli.training.mnist import split_digits
from enhance_cli.training.stages import Stage, TrainingTask

_AT_ONCE = 500


@dataclass(frozen=True, kw_only=True)
class ClassifierStage(Stage):
    """A classifier of digits, trained by the cross-entropy of its classes.

    Attributes:
        architecture: There is one.
        batch: Digits per step, over all processes.
        shift: By how many pixels at most each digit is moved along both axes.
    """

    architecture: str = DIGIT_CLASSIFIER.name
    config: Any = DigitClassifierConfig()
    batch: int = 64
    shift: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.shift < 0:
            raise ValueError(f"shift must be 0 or more, not {self.shift}")

    @property
    def identity(self) -> tuple[object, ...]:
        """There is one classifier, of any size."""
        return (self.architecture,)

    def prepare(
        self,
        data: Path,
        validation: Path | None,
        device: torch.device,
        init: dict[str, Tensor] | None = None,
    ) -> "Classification":
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
        network = self.make_network(init).to(device)
        return Classification(self, network, train.to(device), held.to(device))


class Classification(TrainingTask):
    """A stage of the classifier with its digits."""

    stage: ClassifierStage
    unit, score_name = "%", "validation_accuracy"

    def __init__(
        self, stage: ClassifierStage, network: nn.Module, train: Digits, held: Digits
    ) -> None:
        super().__init__(stage, network, f"{len(train)} digits")
        self._train, self._held = train, held

    def loss(self, step: int, generator: torch.Generator, share: slice) -> Tensor:
        """The cross-entropy of this process's share of a random batch."""
        stage, most = self.stage, self.stage.shift
        chosen = torch.randint(len(self._train), (stage.batch,), generator=generator)[share]
        down, right = torch.randint(-most, most + 1, (2,), generator=generator).tolist()
        index = chosen.to(self._train.labels.device)
        # The border of a digit is black and 4 pixels wide, so that nothing comes in at the other
        # side.
        x = to_values(self._train.pictures[index])[:, None].roll((down, right), (2, 3))
        return functional.cross_entropy(self.network(x), self._train.labels[index])

    def validate(self, network: nn.Module) -> float:
        """The share of the test digits that are told rightly, in percent."""
        right = 0
        for start in range(0, len(self._held), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            guessed = network(to_values(self._held.pictures[part])[:, None]).argmax(1)
            right += int((guessed == self._held.labels[part]).sum())
        return 100 * right / len(self._held)
