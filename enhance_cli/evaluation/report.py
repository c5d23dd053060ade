"""How scores are told: on the terminal, as JSON, as CSV, and as a page in HTML or Markdown."""

import csv
import math
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from rich.table import Table as ConsoleTable

from enhance_cli.evaluation.request import Destination
from enhance_cli.io.files import replacing
from enhance_cli.metrics import METRICS
from enhance_cli.talk import Talk, plain_console, print_json

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 70em; padding: 0 1em }
table { border-collapse: collapse } th { border-bottom: 2px solid #888; white-space: pre-line }
th, td { padding: .2em .8em; text-align: right } th:first-child, td:first-child { text-align: left }
tr:nth-child(even) { background: #8881 } figure { margin: 2em 0 } img { max-width: 100% }
caption { text-align: left; font-weight: bold }
"""


@dataclass(frozen=True)
class Table:
    """A table for people.

    Attributes:
        title: stands above it.
        rows: the header, then the lines; all of as many cells.
        groups_end: indices of the lines that a rule is drawn below.
        means: whether the last line is a mean of those above, and set apart from them.
    """

    title: str
    rows: Sequence[Sequence[str]]
    groups_end: frozenset[int] = frozenset()
    means: bool = False


@dataclass(frozen=True)
class Figure:
    """A drawing for a page.

    Attributes:
        svg: the file.
        caption: one line for people.
    """

    svg: bytes
    caption: str


@dataclass(frozen=True)
class Report:
    """What is told of an evaluation.

    Attributes:
        title: heading of the page.
        document: for JSON.
        tables: for the terminal and the page.
        csv: header and lines of numbers; None is written as an empty cell.
        draw: makes the figures of the page; called only if one is wanted.
        notes: what must be said beside the figures.
        code: exit code.
    """

    title: str
    document: Mapping[str, Any]
    tables: Sequence[Table]
    csv: Sequence[Sequence[Any]]
    draw: Callable[[], Sequence[Figure]] = tuple
    notes: Sequence[str] = ()
    code: int = 0


def publish(report: Report, destination: Destination, talk: Talk) -> None:
    """Write the files that are wanted, and tell the scores as JSON or as tables.

    Raises:
        OutputError: if a file cannot be written, or matplotlib is missing for the figures.
    """
    if destination.csv is not None:
        _write_csv(destination.csv, report.csv)
    if destination.report is not None:
        markdown = destination.report.suffix.lower() in (".md", ".markdown")
        (_write_markdown if markdown else _write_html)(destination.report, report)
    if talk.json:
        print_json(report.document)
    else:
        for table in report.tables:
            plain_console(quiet=talk.quiet).print(_console_table(table))
    for note in report.notes:
        talk.console.print(note)


def heading(metric: str) -> str:
    """A metric's name for a column, with its unit."""
    unit = METRICS[metric].unit if metric in METRICS else ""
    return f"{metric.upper()} ({unit})" if unit else metric.upper()


def number(value: float | None, metric: str) -> str:
    """A metric's value with the decimals that are worth showing; nothing for None."""
    return decimal(value, METRICS[metric].decimals if metric in METRICS else 4)


def decimal(value: float | None, decimals: int) -> str:
    """A number with so many decimals; nothing for None."""
    return "" if value is None else f"{value:.{decimals}f}"


def finite(value: Any) -> Any:
    """The value for JSON, which has no infinity: the PSNR of equal pictures becomes null.

    Mappings and lists are gone through.
    """
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _console_table(table: Table) -> ConsoleTable:
    header, *lines = table.rows
    shown = ConsoleTable(title=table.title)
    shown.add_column(header[0], overflow="fold")
    for name in header[1:]:
        shown.add_column(name, justify="right")
    for index, line in enumerate(lines):
        mean = table.means and index == len(lines) - 1
        if mean:
            shown.add_section()
        shown.add_row(*line, style="bold" if mean else None, end_section=index in table.groups_end)
    return shown


def _write_csv(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    """A CSV file, whole or not at all; what is not known is empty."""
    with (
        replacing(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        csv.writer(file).writerows(rows)


def _write_html(path: Path, report: Report) -> None:
    """One HTML file that needs nothing else, whole or not at all."""

    def cells(tag: str, row: Sequence[str]) -> str:
        return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in row)}</tr>"

    tables = "\n".join(
        f"<table>{f'<caption>{escape(table.title)}</caption>' if len(report.tables) > 1 else ''}"
        f"<thead>{cells('th', table.rows[0])}</thead><tbody>\n"
        + "\n".join(cells("td", row) for row in table.rows[1:])
        + "\n</tbody></table>"
        for table in report.tables
    )
    figures = "\n".join(
        f'<figure><img alt="{escape(figure.caption)}" src="data:image/svg+xml;base64,'
        f'{b64encode(figure.svg).decode()}"><figcaption>{escape(figure.caption)}</figcaption>'
        "</figure>"
        for figure in report.draw()
    )
    notes = "".join(f"<p>{escape(note)}</p>\n" for note in report.notes)
    page = (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(report.title)}</title><style>{_STYLE}</style></head><body>\n"
        f"<h1>{escape(report.title)}</h1>\n{tables}\n{notes}{figures}\n</body></html>\n"
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="backslashreplace")


def _write_markdown(path: Path, report: Report) -> None:
    """A Markdown file, with its figures as SVG files beside it, as pages of a repository want."""

    def line(cells: Sequence[str]) -> str:
        clean = (" ".join(cell.split()).replace("|", r"\|") for cell in cells)
        return f"| {' | '.join(clean)} |"

    parts = [f"# {report.title}"]
    for table in report.tables:
        header, *rows = table.rows
        titled = [f"**{table.title}**\n"] if len(report.tables) > 1 else []
        rule = f"| --- |{' ---: |' * (len(header) - 1)}"
        parts.append("\n".join([*titled, line(header), rule, *map(line, rows)]))
    parts += report.notes
    for index, figure in enumerate(report.draw(), 1):
        beside = path.with_name(f"{path.stem}-{index}.svg")
        with replacing(beside) as temporary:
            temporary.write_bytes(figure.svg)
        parts.append(f"![{figure.caption}](<{beside.name}>)")
    with replacing(path) as temporary:
        text = "\n\n".join(parts) + "\n"
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
