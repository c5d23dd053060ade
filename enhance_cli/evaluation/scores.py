"""Scores, and what is told of them, in whatever form."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

# What one model or baseline reached in one case: numbers by the name of their metric, and what
# else is told of the case; only what JSON can hold. Names that begin with an underscore are for
# totals and figures, and are not told.
Score = dict[str, Any]
Results = Mapping[str, Sequence[Score]]  # by model, a score for each case


def by_case(results: Results) -> list[Score]:
    """The scores of all models, case after case."""
    return [score for scores in zip(*results.values(), strict=True) for score in scores]


def mean(scores: Sequence[Score], metric: str) -> float:
    """Mean of a metric over the cases."""
    numbers: list[float] = [score[metric] for score in scores]
    return sum(numbers) / len(numbers)


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
