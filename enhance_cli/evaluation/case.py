"""What an evaluation is made of: cases, their scores, and all of it opened for one run."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

if TYPE_CHECKING:
    from enhance_cli.evaluation.report import Report

Advance = Callable[[int], None]  # moves the progress bar on by so many steps


@dataclass(frozen=True)
class Score:
    """What one model or baseline reached in one case.

    Attributes:
        values: numbers by the name of their metric, and what else the output tells of the case;
            only what JSON can hold.
        tensors: what figures and totals need besides.
    """

    values: dict[str, Any]
    tensors: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """One thing to score: a picture, a clip, a set of pictures.

    Attributes:
        name: for people.
        score: does the work, and gives a score for each model and baseline by its name.
        steps: how often ``score`` moves the progress bar on; None where nobody knows.
        files: that the score depends on; if one has changed, a resumed run scores the case anew.
    """

    name: str
    score: Callable[[Advance], dict[str, Score]]
    steps: int | None = 1
    files: Sequence[Path] = ()


@dataclass(frozen=True)
class Scores:
    """What one model or baseline reached in all cases.

    Attributes:
        model: its name.
        scores: one for each case.
    """

    model: str
    scores: list[Score] = field(default_factory=list)

    @property
    def values(self) -> list[dict[str, Any]]:
        """The values of each case."""
        return [score.values for score in self.scores]

    def mean(self, metric: str) -> float:
        """Mean of a metric over the cases."""
        numbers: list[float] = [values[metric] for values in self.values]
        return sum(numbers) / len(numbers)


@dataclass(frozen=True)
class Evaluation:
    """A benchmark or an experiment, ready to run.

    Attributes:
        title: for the progress bar.
        unit: what the bar counts, in the plural.
        cases: to be scored in this order.
        report: makes of the scores what is told of them.
        files: weights that the scores depend on, for a run that is resumed.
    """

    title: str
    unit: str
    cases: Sequence[Case]
    report: "Callable[[Sequence[Scores]], Report]"
    files: Sequence[Path] = ()


def by_case(results: Sequence[Scores]) -> Iterator[tuple[Scores, Score]]:
    """Every score with the model that it belongs to, case after case."""
    for scores in zip(*(result.scores for result in results), strict=True):
        yield from zip(results, scores, strict=True)
