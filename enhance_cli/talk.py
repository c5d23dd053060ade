"""What commands say, and where: results on stdout, everything for people on stderr."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from enhance_cli.errors import one_line


@dataclass(frozen=True)
class Talk:
    """How much a command says, and in which form.

    Attributes:
        json: one JSON document goes to stdout, and text for people to stderr.
        quiet: nothing is said but errors.
        verbose: it is also said how the work is done.
        no_progress: no progress bar is shown, not even on a terminal.
        dry_run: nothing is done; it is only said what would be.
        json_lines: a JSON document for each input goes to stdout as soon as it is done, a line
            each, and a last one for all.
    """

    json: bool = False
    quiet: bool = False
    verbose: bool = False
    no_progress: bool = False
    dry_run: bool = False
    json_lines: bool = False

    @property
    def console(self) -> Console:
        """The console for what people read while the command works."""
        return plain_console(stderr=True, quiet=self.quiet)

    @property
    def shows_progress(self) -> bool:
        """Whether progress bars are wanted and stderr is a terminal that can show them."""
        return not self.no_progress and not self.quiet and self.console.is_terminal

    def explain(self, text: str) -> None:
        """Print one line on how the work is done, if the user asked for such lines."""
        if self.verbose:
            self.console.print(one_line(text))

    def bars(self, console: Console | None = None) -> "Bars":
        """A display for several bars, to be used in a ``with`` statement.

        Args:
            console: where other lines are printed meanwhile; by default a new one.
        """
        return Bars(console or self.console, shown=self.shows_progress)

    @contextmanager
    def progress(
        self, title: str, total: float | None, unit: str, console: Console | None = None
    ) -> Iterator["Bar"]:
        """Show one bar while the body of a ``with`` statement runs.

        Args:
            title: what is worked on.
            total: how much there is to do, None if that is not known.
            unit: what is counted, in the plural, such as ``frames``.
            console: where other lines are printed meanwhile; by default a new one.
        """
        with self.bars(console) as bars, bars.bar(title, total, unit) as bar:
            yield bar


class Bar:
    """One progress bar: it shows how much is done, how fast, and the time that is left."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def advance(self, amount: float = 1) -> None:
        """Add to what is done."""
        self._progress.advance(self._task, amount)

    def update(self, done: float, total: float | None, unit: str) -> None:
        """Set what is done and, once it is known, how much there is to do.

        The rate counts from the first call on, so that what an earlier run had done already
        does not make this one look fast.
        """
        self._progress.update(self._task, completed=done, total=total, unit=unit)

    def rename(self, title: str) -> None:
        """Change the text in front of the bar."""
        self._progress.update(self._task, description=title)


class Bars:
    """A display of progress bars, which appear only where ``shown`` is true."""

    def __init__(self, console: Console, *, shown: bool) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            _RateColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not shown,
            transient=True,
            speed_estimate_period=300,  # a large frame may take a minute
        )

    def __enter__(self) -> "Bars":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    @contextmanager
    def bar(
        self, title: str, total: float | None, unit: str, *, visible: bool = True
    ) -> Iterator[Bar]:
        """Add a bar below those there are, and take it away when the body is done."""
        task = self._progress.add_task(one_line(title), total=total, unit=unit, visible=visible)
        try:
            yield Bar(self._progress, task)
        finally:
            self._progress.remove_task(task)


class _RateColumn(ProgressColumn):
    """``12/50 frames  3.40 frames/s``; without the total or the rate while it is not known."""

    def render(self, task: Task) -> Text:
        """The text of one bar."""
        unit = task.fields["unit"]
        total = "" if task.total is None else f"/{_number(task.total)}"
        rate = "" if task.speed is None else f"  {_number(float(task.speed))} {unit}/s"
        return Text(f"{_number(task.completed)}{total} {unit}{rate}")


def _number(value: float) -> str:
    return f"{value:.2f}" if isinstance(value, float) and value < 100 else f"{value:.0f}"


def plain_console(*, stderr: bool = False, quiet: bool = False) -> Console:
    """A console that prints text as it is: file names hold brackets and colons too."""
    console = Console(
        stderr=stderr, quiet=quiet, highlight=False, markup=False, emoji=False, soft_wrap=True
    )
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = 160  # room for tables in files and pipes
    return console


def print_errors(*lines: str) -> None:
    """Say what went wrong, quiet or not."""
    console = plain_console(stderr=True)
    for line in lines:
        console.print(one_line(line))


def print_json(document: Any) -> None:
    """The JSON document of a command, on stdout; names that are no Unicode are escaped."""
    sys.stdout.write(json.dumps(document, indent=2, default=str) + "\n")


def print_json_line(document: Any) -> None:
    """A JSON document on one line of stdout, at once."""
    sys.stdout.write(json.dumps(document, default=str) + "\n")
    sys.stdout.flush()
