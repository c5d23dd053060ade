"""How scores are told: on the terminal, as JSON, as CSV, and as a page in HTML or Markdown."""

import csv
import math
from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from rich.table import Table as ConsoleTable

from enhance_cli.evaluation.request import EvaluationRequest
from enhance_cli.evaluation.scores import ScoreReport, Table
from enhance_cli.io.files import replacing
from enhance_cli.talk import Talk, plain_console, print_json

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 70em; padding: 0 1em }
table { border-collapse: collapse } th { border-bottom: 2px solid #888; white-space: pre-line }
th, td { padding: .2em .8em; text-align: right } th:first-child, td:first-child { text-align: left }
tr:nth-child(even) { background: #8881 } figure { margin: 2em 0 } img { max-width: 100% }
caption { text-align: left; font-weight: bold; padding-top: 1em }
"""


def publish(
    report: ScoreReport, request: EvaluationRequest, failures: Mapping[str, str], talk: Talk
) -> None:
    """Write the files that are wanted, and tell the scores as JSON or as tables.

    Args:
        report: what there is to tell.
        request: that it answers; says where to.
        failures: errors by the name of the case that could not be scored, for JSON.
        talk: how to tell it.

    Raises:
        OutputError: if a file cannot be written, or matplotlib is missing for the figures.
    """
    if request.destination.csv is not None:
        _write_csv(request.destination.csv, report)
    if request.destination.report is not None:
        markdown = request.destination.report.suffix.lower() in (".md", ".markdown")
        (_write_markdown if markdown else _write_html)(request.destination.report, report)
    if talk.json:
        print_json(_document(report, request, failures))
    else:
        for table in report.tables:
            plain_console(quiet=talk.quiet).print(_console_table(table))
    for note in report.notes:
        talk.console.print(note)


def _document(
    report: ScoreReport, request: EvaluationRequest, failures: Mapping[str, str]
) -> dict[str, Any]:
    document: dict[str, Any] = {"dataset": request.subject.name}
    if request.subject.study is not None:
        document["study"] = request.subject.study
    document.update(report.facts)
    if request.comparison.phase is not None:
        document["phase"] = request.comparison.phase
    if report.notes:
        document["notes"] = list(report.notes)
    document["results"] = finite(list(report.results))
    if failures:
        document["failed"] = [{"name": name, "error": text} for name, text in failures.items()]
    return document


def finite(value: Any) -> Any:
    """What JSON tells of a value: no infinity, so that the PSNR of equal pictures becomes null."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items() if not key.startswith("_")}
    if isinstance(value, list):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _console_table(table: Table) -> ConsoleTable:
    shown = ConsoleTable(title=table.title)
    for index, name in enumerate(table.header):
        shown.add_column(name, justify="right" if index else "left", overflow="fold")
    for index, line in enumerate(table.lines):
        mean = table.means and index == len(table.rows) - 1
        if mean:
            shown.add_section()
        ends = index in table.groups_end
        shown.add_row(*line, style="bold" if mean else None, end_section=ends)
    return shown


def _write_csv(path: Path, report: ScoreReport) -> None:
    with (
        replacing(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        writer = csv.DictWriter(file, report.csv_header, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(report.csv)


def _write_html(path: Path, report: ScoreReport) -> None:
    """One HTML file that needs nothing else."""

    def cells(tag: str, row: Sequence[str]) -> str:
        return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in row)}</tr>"

    parts = [f"<h1>{escape(report.title)}</h1>"]
    for table in report.tables:
        caption = f"<caption>{escape(table.title)}</caption>" if len(report.tables) > 1 else ""
        lines = "\n".join(cells("td", line) for line in table.lines)
        head = f"<table>{caption}<thead>{cells('th', table.header)}</thead>"
        parts.append(f"{head}<tbody>\n{lines}\n</tbody></table>")
    parts += [f"<p>{escape(note)}</p>" for note in report.notes]
    for svg, caption in report.draw():
        source = f"data:image/svg+xml;base64,{b64encode(svg).decode()}"
        image = f'<img alt="{escape(caption)}" src="{source}">'
        parts.append(f"<figure>{image}<figcaption>{escape(caption)}</figcaption></figure>")
    write_page(path, report.title, _STYLE, parts)


def write_page(path: Path, title: str, style: str, parts: Sequence[str]) -> None:
    """Write a page in HTML, whole or not at all.

    Args:
        path: the file; what is there is replaced.
        title: of the page, as plain text.
        style: rules in CSS.
        parts: what the page shows, in HTML.

    Raises:
        OutputError: if the file cannot be written.
    """
    page = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        # Without a width telephones show a page as small as on a desktop.
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{style}</style></head><body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="backslashreplace")


def _write_markdown(path: Path, report: ScoreReport) -> None:
    """A Markdown file, with its figures as SVG files beside it, as pages of a repository want."""

    def line(cells: Sequence[str]) -> str:
        clean = (" ".join(cell.split()).replace("|", "&#124;") for cell in cells)
        return f"| {' | '.join(clean)} |"

    parts = [f"# {report.title}"]
    for table in report.tables:
        above = [f"**{table.title}**\n"] if len(report.tables) > 1 else []
        rule = f"| --- |{' ---: |' * (len(table.columns) - 1)}"
        parts.append("\n".join([*above, line(table.header), rule, *map(line, table.lines)]))
    parts += report.notes
    for index, (svg, caption) in enumerate(report.draw(), 1):
        beside = path.with_name(f"{path.stem}-{index}.svg")
        with replacing(beside) as temporary:
            temporary.write_bytes(svg)
        parts.append(f"![{caption}](<{beside.name}>)")
    with replacing(path) as temporary:
        text = "\n\n".join(parts) + "\n"
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
