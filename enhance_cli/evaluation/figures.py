"""Drawings for reports, as SVG files."""

import math
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

from enhance_cli.errors import OutputError

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure as Drawing
    from numpy.typing import NDArray

COLOURS = ("#1b6ca8", "#e08e0b", "#b3261e", "#3c7d3c", "#6d4c9f")


class Curve(NamedTuple):
    """A line of a plot: its name, and its points; where y is None or not finite is a gap."""

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
    """Plot curves, in panels side by side.

    Args:
        panels: curves by the title of their panel.
        xlabel, ylabel: of the axes; x of words takes them in their order.
        marked: whether every value has a mark.
        limits: of both axes, for panels that are then square.
        yscale: ``"linear"`` or ``"log"``.

    Returns:
        An SVG file.

    Raises:
        OutputError: if matplotlib is not installed.
    """
    figure = new_drawing((10, 4.2))
    grid = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    styles = [(dashes, colour) for dashes in ("-", "--", ":") for colour in COLOURS]
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
    return to_svg(figure)


def draw_pictures(pictures: "Mapping[str, NDArray[np.uint8]]") -> bytes:
    """Show pictures (H, W, 3) of one size below each other, each with its name.

    Returns:
        An SVG file.

    Raises:
        OutputError: if matplotlib is not installed.
    """
    height, width, _ = next(iter(pictures.values())).shape
    figure = new_drawing((10, len(pictures) * (10 * height / width + 0.35)))
    grid = figure.subplots(len(pictures), 1, squeeze=False)[:, 0]
    for panel, (name, pixels) in zip(grid, pictures.items(), strict=True):
        panel.imshow(pixels, interpolation="nearest")
        panel.set_title(name, fontsize="small", loc="left")
        panel.set_axis_off()
    return to_svg(figure)


def new_drawing(size: tuple[float, float]) -> "Drawing":
    """An empty drawing of a size in inches.

    Raises:
        OutputError: if matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as missing:
        raise OutputError(
            "--report needs matplotlib for its figures, run: pip install matplotlib"
        ) from missing
    return Figure(figsize=size, layout="constrained")


def new_panels(count: int) -> "tuple[Drawing, list[Any]]":
    """A drawing, and its panels, two in a row, whose axes have the same range."""
    rows = (count + 1) // 2
    figure = new_drawing((10, 3.6 * rows))
    grid = figure.subplots(rows, 2, squeeze=False, sharex=True, sharey=True).flatten()
    for spare in grid[count:]:
        spare.remove()
    for panel in grid[:count]:
        panel.tick_params(labelbottom=True)  # there may be no panel below to show them
    return figure, list(grid[:count])


def to_svg(figure: "Drawing") -> bytes:
    """The SVG file of a drawing; equal drawings give equal bytes."""
    import matplotlib

    file = BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "enhance"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()
