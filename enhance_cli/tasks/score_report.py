"""A page of scores: a table and figures in one HTML file that needs nothing else."""

import math
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from enhance_cli.errors import OutputError
from enhance_cli.io.files import replacing
from enhance_cli.talk import Talk, print_json
from enhance_cli.tasks.scores import (
    Scores,
    heading,
    print_table,
    score_document,
    score_rows,
    score_table,
    write_csv,
)

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 70em; padding: 0 1em }
table { border-collapse: collapse } th { border-bottom: 2px solid #888; white-space: pre-line }
th, td { padding: .2em .8em; text-align: right } th:first-child, td:first-child { text-align: left }
tr:nth-child(even) { background: #8881 } figure { margin: 2em 0 } img { max-width: 100% }
"""
_COLOURS = ("#1b6ca8", "#e08e0b", "#b3261e", "#3c7d3c", "#6d4c9f")


@dataclass(frozen=True)
class Publication:
    """Where the scores of an evaluation go, and under which names.

    Attributes:
        title: of the table and the page.
        dataset, protocol: as the JSON document names them.
        kind: of what was scored: ``"image"`` or ``"clip"``.
        metrics: keys of ``METRICS``, in the order of the columns.
        csv: file for the numbers, or None.
        report: page to write, or None.
        notes: lines for people, in JSON too.
    """

    title: str
    dataset: str
    protocol: str
    kind: str
    metrics: Sequence[str]
    csv: Path | None
    report: Path | None
    notes: Sequence[str] = ()


def publish(results: Sequence[Scores], where: Publication, talk: Talk) -> None:
    """Write the files that are wanted, and tell the scores as JSON or as a table.

    Raises:
        OutputError: if a file cannot be written.
    """
    if where.csv is not None:
        write_csv(where.csv, ["model", "image", *where.metrics], score_rows(results, where.metrics))
    table = score_table(results, where.metrics, where.kind)
    if where.report is not None:
        write_report(where.report, where.title, table[0], table[1:], notes=where.notes)
    if talk.json:
        print_json(
            {
                "dataset": where.dataset,
                "protocol": where.protocol,
                **({"notes": list(where.notes)} if where.notes else {}),
                "results": score_document(results, where.metrics),
            }
        )
    else:
        print_table(where.title, table, means=True, quiet=talk.quiet)
    for note in where.notes:
        talk.console.print(note)


def write_report(
    path: Path,
    title: str,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    figures: Sequence[tuple[bytes, str]] = (),
    notes: Sequence[str] = (),
) -> None:
    """Write one HTML file, whole or not at all.

    Args:
        path: of the page.
        title: its heading.
        header, rows: of the table.
        figures: SVG files and their captions.
        notes: lines below the table.

    Raises:
        OutputError: if it cannot be written.
    """
    cells = "".join(f"<th>{escape(name)}</th>" for name in header)
    lines = "\n".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    pictures = "\n".join(
        f'<figure><img alt="{escape(caption)}" src="data:image/svg+xml;base64,'
        f'{b64encode(svg).decode()}"><figcaption>{escape(caption)}</figcaption></figure>'
        for svg, caption in figures
    )
    remarks = "".join(f"<p>{escape(note)}</p>\n" for note in notes)
    page = (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}'
        f"</title><style>{_STYLE}</style></head><body>\n<h1>{escape(title)}</h1>\n"
        f"<table><thead><tr>{cells}</tr></thead><tbody>\n{lines}\n</tbody></table>\n"
        f"{remarks}{pictures}\n</body></html>\n"
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="backslashreplace")


def draw_scores(results: Sequence[Scores], metric: str) -> bytes | None:
    """ISO against a metric, a panel per model, coloured by ratio (thesis 000, fig. 16 and 29).

    Returns:
        An SVG file; None where no ISO is known.

    Raises:
        OutputError: if matplotlib is not installed.
    """
    if not any(image["iso"] for result in results for image in result.images):
        return None
    figure, panels = _panels(results)
    for panel, result in zip(panels, results, strict=True):
        for colour, ratio in zip(_COLOURS, result.ratios(), strict=False):
            images = [image for image in result.by_ratio(ratio).images if image["iso"]]
            panel.scatter(
                [image["iso"] for image in images],
                [image[metric] for image in images],
                s=14,
                color=colour,
                alpha=0.8,
                label=f"ratio {ratio:g}",
            )
        panel.set(title=result.model, xscale="log", xlabel="ISO", ylabel=heading(metric))
        panel.grid(alpha=0.3)
        panel.legend(fontsize="small")
    return _svg(figure)


def draw_histograms(results: Sequence[Scores]) -> bytes:
    """Luminance of all pictures against that of all references (thesis 000, fig. 30).

    Returns:
        An SVG file.

    Raises:
        OutputError: if matplotlib is not installed.
    """
    figure, panels = _panels(results)
    for panel, result in zip(panels, results, strict=True):
        picture, reference = result.total_histograms()
        levels = range(len(picture))
        panel.plot(
            levels,
            (reference / reference.sum()).tolist(),
            color="black",
            linewidth=1,
            label="reference",
        )
        panel.plot(
            levels,
            (picture / picture.sum()).tolist(),
            "--",
            color=_COLOURS[0],
            linewidth=1,
            label="picture",
        )
        panel.set(
            title=f"{result.model}, JSD {result.total_jsd():.4f}",
            xlabel="luminance",
            ylabel="share of pixels",
            yscale="log",
            xlim=(0, 255),
        )
        panel.legend(fontsize="small")
    return _svg(figure)


@dataclass(frozen=True)
class Curve:
    """A line of a plot; what is not finite is left out."""

    name: str
    x: Sequence[float | str]
    y: Sequence[float | None]


def draw_curves(
    panels: Mapping[str, Sequence[Curve]],
    xlabel: str,
    ylabel: str,
    *,
    marked: bool = True,
    limits: tuple[float, float] | None = None,
    yscale: str = "linear",
) -> bytes:
    """Plots side by side.

    Args:
        panels: curves by the title of their panel.
        xlabel, ylabel: of the axes; x of words takes them in their order.
        marked: a mark at every value.
        limits: of both axes, for panels that are then square.
        yscale: ``linear`` or ``log``.

    Returns:
        An SVG file.

    Raises:
        OutputError: if matplotlib is not installed.
    """
    figure = _figure((10, 4.2))
    grid = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    styles = [(dashes, colour) for dashes in ("-", "--", ":") for colour in _COLOURS]
    for panel, (title, curves) in zip(grid, panels.items(), strict=True):
        for (dashes, colour), curve in zip(styles, curves, strict=False):
            known = [math.nan if y is None or not math.isfinite(y) else y for y in curve.y]
            # Between words there is nothing to draw a line through.
            panel.plot(
                curve.x,
                known,
                "" if isinstance(curve.x[0], str) else dashes,
                color=colour,
                linewidth=1.2,
                label=curve.name,
                marker="o" if marked else None,
                markersize=3,
            )
            if all(isinstance(value, int) for value in curve.x):
                panel.xaxis.get_major_locator().set_params(integer=True)
        panel.set(title=title, xlabel=xlabel, ylabel=ylabel, yscale=yscale)
        if limits is not None:
            panel.set(xlim=limits, ylim=limits, aspect="equal")
        panel.tick_params(labelleft=True)
        panel.grid(alpha=0.3)
        panel.legend(fontsize="small")
    return _svg(figure)


def draw_pictures(pictures: Mapping[str, "NDArray[np.uint8]"]) -> bytes:
    """Pictures (H, W, 3) of one size below each other, each with its name.

    Returns:
        An SVG file.

    Raises:
        OutputError: if matplotlib is not installed.
    """
    height, width, _ = next(iter(pictures.values())).shape
    figure = _figure((10, len(pictures) * (10 * height / width + 0.35)))
    grid = figure.subplots(len(pictures), 1, squeeze=False)[:, 0]
    for panel, (name, pixels) in zip(grid, pictures.items(), strict=True):
        panel.imshow(pixels, interpolation="nearest")
        panel.set_title(name, fontsize="small", loc="left")
        panel.set_axis_off()
    return _svg(figure)


def _figure(size: tuple[float, float]) -> "Figure":
    try:
        from matplotlib.figure import Figure
    except ImportError as missing:
        raise OutputError(
            "--report needs matplotlib for its figures, run: pip install matplotlib"
        ) from missing
    return Figure(figsize=size, layout="constrained")


def _panels(results: Sequence[Scores]) -> "tuple[Figure, list[Any]]":
    """A figure, and its panels, two in a row and of the same scales."""
    rows = (len(results) + 1) // 2
    figure = _figure((10, 3.6 * rows))
    grid = figure.subplots(rows, 2, squeeze=False, sharex=True, sharey=True).flatten()
    for spare in grid[len(results) :]:
        spare.remove()
    for panel in grid[: len(results)]:
        panel.tick_params(labelbottom=True)  # there may be no panel below to show them
    return figure, list(grid[: len(results)])


def _svg(figure: "Figure") -> bytes:
    """The same figure gives the same bytes."""
    import matplotlib

    file = BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "enhance"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()
