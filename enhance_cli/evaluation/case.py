"""What an evaluation is made of: cases, and how their scores are told."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from enhance_cli.evaluation.scores import Results, Score, ScoreReport

Advance = Callable[[int], None]  # moves the progress bar on by so many steps


@dataclass(frozen=True)
class Case:
    """One thing to score: a picture, a clip, a set of pictures.

    Attributes:
        name: for people.
        score: does the work, and gives a score for each model and baseline by its name. It may
            move the progress bar on while it works.
        steps: what the case counts in the progress bar; None if nobody knows.
        files: that the score depends on; if one has changed, a resumed run scores the case anew.
    """

    name: str
    score: Callable[[Advance], dict[str, Score]]
    steps: int | None = 1
    files: Sequence[Path] = ()


@dataclass(frozen=True)
class Evaluation:
    """A benchmark or an experiment, opened for one run.

    Attributes:
        title, unit: for the progress bar, and what it counts, in the plural.
        cases: to be scored in this order.
        report: makes of the scores what is told of them.
        weights: files that the scores depend on.
    """

    title: str
    unit: str
    cases: Sequence[Case]
    report: Callable[[Results], ScoreReport]
    weights: Sequence[Path] = ()
