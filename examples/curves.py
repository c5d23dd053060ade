"""Draw what trainings wrote into their ``curve.csv``, one panel for each column.

    python examples/curves.py runs/lens-0 runs/lens-1 runs/rule-0 --columns validation -o curves.svg

Runs whose folders differ only in a number at the end, ``lens-0`` and ``lens-1``, are the same
training with other seeds and have one colour.
"""

import argparse
import csv
import re
from pathlib import Path

from enhance_cli.evaluation.figures import COLOURS, new_drawing, to_svg


def read_column(run: Path, column: str) -> tuple[list[int], list[float]]:
    """The steps at which a run wrote a column, and what it wrote there.

    Raises:
        SystemExit: If the run has no such column, with those it has.
    """
    with (run / "curve.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if rows and column not in rows[0]:
        raise SystemExit(f"{run}: no column {column!r}, but {', '.join(rows[0])}")
    filled = [row for row in rows if row[column]]
    return [int(row["step"]) for row in filled], [float(row[column]) for row in filled]


def draw(runs: list[Path], columns: list[str]) -> bytes:
    """A panel for each column, and a line in it for each run, as an SVG file."""
    kinds = list(dict.fromkeys(re.sub(r"-\d+$", "", run.name) for run in runs))
    figure = new_drawing((3.4 * len(columns), 3.2))
    for panel, column in zip(
        figure.subplots(1, len(columns), squeeze=False)[0], columns, strict=True
    ):
        seen: set[str] = set()
        for run in runs:
            kind = re.sub(r"-\d+$", "", run.name)
            colour = COLOURS[kinds.index(kind) % len(COLOURS)]
            panel.plot(
                *read_column(run, column),
                color=colour,
                linewidth=1.2,
                label=None if kind in seen else kind,
            )
            seen.add(kind)
        panel.set(title=column.replace("_", " "), xlabel="step")
        panel.grid(alpha=0.3)
        panel.legend(fontsize=8)
    return to_svg(figure)


def main() -> None:
    """Draw the columns asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+", help="folders of trainings")
    parser.add_argument("--columns", nargs="+", default=["validation"], help="of curve.csv")
    parser.add_argument("-o", "--out", type=Path, required=True, help="the picture, an SVG file")
    asked = parser.parse_args()
    asked.out.write_bytes(draw(asked.runs, asked.columns))


if __name__ == "__main__":
    main()
