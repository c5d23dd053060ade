"""What the evaluations share: the numbers of a model, and how they are written."""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table
from torch import Tensor

from enhance_cli.errors import UnknownNameError, UsageError
from enhance_cli.io.files import replacing
from enhance_cli.metrics import METRICS
from enhance_cli.metrics.distribution import histogram_divergence
from enhance_cli.metrics.protocols import PROTOCOLS
from enhance_cli.talk import plain_console


@dataclass
class Scores:
    """What one model reached.

    Attributes:
        model: its name.
        images: a mapping per picture: ``name``, and a number per metric.
        histograms: of luminance, a pair (picture, reference) per picture, where they are wanted.
    """

    model: str
    images: list[dict[str, Any]] = field(default_factory=list)
    histograms: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    def mean(self, metric: str) -> float:
        """Mean over the pictures."""
        values: list[float] = [image[metric] for image in self.images]
        return sum(values) / len(values)

    def ratios(self) -> list[float]:
        """The exposure ratios, each once, the smallest first; those of ``by_ratio``."""
        known = {image["ratio"] for image in self.images if not image.get("ratio_chosen")}
        return sorted(known)

    def by_ratio(self, ratio: float) -> "Scores":
        """The pictures of one exposure ratio."""
        chosen = [index for index, image in enumerate(self.images) if image["ratio"] == ratio]
        return Scores(
            self.model,
            [self.images[index] for index in chosen],
            [self.histograms[index] for index in chosen],
        )

    def total_histograms(self) -> tuple[Tensor, Tensor]:
        """Those of all pictures and of all references (thesis 000, fig. 30)."""
        pictures, references = zip(*self.histograms, strict=True)
        return sum(pictures[1:], pictures[0]), sum(references[1:], references[0])

    def total_jsd(self) -> float:
        """Jensen-Shannon divergence of ``total_histograms``."""
        return histogram_divergence(*self.total_histograms())


def check_names(
    protocols: Sequence[str],
    metrics: Sequence[str],
    datasets: Sequence[str] = (),
    known_datasets: Iterable[str] = (),
) -> None:
    """Check what the evaluations take by name.

    Raises:
        UnknownNameError: for the first name that no table has.
        UsageError: if there is no metric.
    """
    known: list[tuple[str, Sequence[str], Iterable[str]]] = [
        ("protocol", protocols, PROTOCOLS),
        ("metric", metrics, METRICS),
        ("dataset", datasets, list(known_datasets)),
    ]
    for kind, names, table in known:
        for name in names:
            if name not in table:
                raise UnknownNameError(kind, name, table)
    if not metrics:
        raise UsageError(f"--metrics names none: choose from {', '.join(METRICS)}")


def heading(metric: str) -> str:
    """A metric's name for a column, with its unit; those that need weights are no ``METRICS``."""
    unit = METRICS[metric].unit if metric in METRICS else ""
    return f"{metric.upper()} ({unit})" if unit else metric.upper()


def number(value: float, metric: str) -> str:
    """A metric's value with the decimals that are worth showing."""
    return f"{value:.{METRICS[metric].decimals if metric in METRICS else 4}f}"


def finite(values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has no infinity: the PSNR of equal pictures becomes null."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in values.items()
    }


def score_row(model: str, image: Mapping[str, Any], keys: Sequence[str]) -> list[Any]:
    """A picture's line of a CSV file; what is not known is empty."""
    return [model, *("" if image[key] is None else image[key] for key in keys)]


def score_table(results: Sequence[Scores], metrics: Sequence[str], kind: str) -> list[list[str]]:
    """Header, a row per picture (or what ``kind`` says they are), and the means."""
    pairs = [(result, metric) for result in results for metric in metrics]
    return [
        [kind, *(f"{result.model}\n{heading(metric)}" for result, metric in pairs)],
        *(
            [
                image["name"],
                *(number(result.images[index][metric], metric) for result, metric in pairs),
            ]
            for index, image in enumerate(results[0].images)
        ),
        ["mean", *(number(result.mean(metric), metric) for result, metric in pairs)],
    ]


def score_rows(results: Sequence[Scores], metrics: Sequence[str]) -> list[list[Any]]:
    """Lines of a CSV file: every picture of every model, and the means."""
    rows: list[list[Any]] = []
    for result in results:
        rows += [score_row(result.model, image, ["name", *metrics]) for image in result.images]
        rows.append([result.model, "mean", *(result.mean(name) for name in metrics)])
    return rows


def score_document(results: Sequence[Scores], metrics: Sequence[str]) -> list[dict[str, Any]]:
    """The same for JSON."""
    return [
        {
            "model": result.model,
            "mean": finite({metric: result.mean(metric) for metric in metrics}),
            "images": [finite(image) for image in result.images],
        }
        for result in results
    ]


def print_table(title: str, rows: Sequence[Sequence[str]], *, means: bool, quiet: bool) -> None:
    """Show a table on stdout: a header, rows, and, with ``means``, a last row set apart."""
    header, *lines = rows
    table = Table(title=title)
    table.add_column(header[0], overflow="fold")
    for name in header[1:]:
        table.add_column(name, justify="right")
    for index, line in enumerate(lines):
        last = means and index == len(lines) - 1
        if last:
            table.add_section()
        table.add_row(*line, style="bold" if last else None)
    plain_console(quiet=quiet).print(table)


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a CSV file, whole or not at all.

    Raises:
        OutputError: if it cannot be written.
    """
    with (
        replacing(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
