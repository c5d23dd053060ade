"""What an evaluation is made of: cases, their scores, and what is told of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

Advance = Callable[[int], None]  # moves the progress bar on by so many steps
# What one model or baseline reached in one case: numbers by the name of their metric, and what
# else is told of the case; only what JSON can hold. Names that begin with an underscore are for
# totals and figures, and are not told.
Score = dict[str, Any]
Results = Mapping[str, Sequence[Score]]  # by model, a score for each case


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


class Column(NamedTuple):
    """A column of a table: the key of its values, its heading, and decimals of numbers."""

    key: str
    heading: str
    decimals: int | None = None

    def show(self, value: Any) -> str:
        """A value as text; nothing for None."""
        if value is None:
            return ""
        return str(value) if self.decimals is None else f"{value:.{self.decimals}f}"


@dataclass(frozen=True)
class Table:
    """A table for people.

    Attributes:
        title: stands above it.
        rows: values by the key of their column; what a row lacks is left empty.
        columns: in their order.
        groups_end: indices of the rows that a rule is drawn below.
        means: whether the last row is a mean of those above, and set apart from them.
    """

    title: str
    rows: Sequence[Score]
    columns: Sequence[Column]
    groups_end: Sequence[int] = ()
    means: bool = False

    @property
    def header(self) -> list[str]:
        """The headings of the columns."""
        return [column.heading for column in self.columns]

    @property
    def lines(self) -> list[list[str]]:
        """The cells of every row."""
        return [[column.show(row.get(column.key)) for column in self.columns] for row in self.rows]


@dataclass(frozen=True)
class ScoreReport:
    """What is told of an evaluation.

    Attributes:
        title: heading of the page.
        facts: what the JSON document says of all results together.
        results: of the JSON document.
        tables: for the terminal and the page.
        csv: rows of numbers, by the names in ``csv_header``; None is written as an empty cell.
        draw: makes the figures of the page, an SVG file and a caption each; called only if a
            page is wanted.
        notes: what must be said beside the figures.
        code: exit code.
    """

    title: str
    facts: dict[str, Any]
    results: Sequence[Score]
    tables: Sequence[Table]
    csv: Sequence[Score]
    csv_header: Sequence[str]
    draw: Callable[[], Sequence[tuple[bytes, str]]] = tuple
    notes: Sequence[str] = ()
    code: int = 0


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


def by_case(results: Results) -> list[Score]:
    """The scores of all models, case after case."""
    return [score for scores in zip(*results.values(), strict=True) for score in scores]


def mean(scores: Sequence[Score], metric: str) -> float:
    """Mean of a metric over the cases."""
    numbers: list[float] = [score[metric] for score in scores]
    return sum(numbers) / len(numbers)
