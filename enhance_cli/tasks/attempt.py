"""One try at one file: what goes wrong is its own fault, and what is told of it goes somewhere."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from enhance_cli.engine.memory import is_out_of_memory
from enhance_cli.errors import (
    EnhanceError,
    InputError,
    UsageError,
    describe,
    fault_text,
    one_line,
)
from enhance_cli.io.isolation import DecoderError, comes_from_decoder
from enhance_cli.io.jobs import FileOptions, Job, JobList
from enhance_cli.tasks.provenance import write_sidecars
from enhance_cli.tasks.side_by_side import Compute, compute_here

LINE_EVERY = 30  # seconds between the lines that take the place of a progress bar

Show = Callable[[float, float | None, str], object]
Say = Callable[[str], object]


class FileProgress:
    """Where the work on one file tells how far it is, and what people should know of it.

    Args:
        show: shows how much is done, of how much, and in which unit.
        say: prints a line.
        name: the name of the file.
        lines: whether a line tells from time to time how far the work is, for there is no bar.
        compute: runs a function that uses a network, where networks may run.
    """

    def __init__(
        self,
        show: Show,
        say: Say,
        name: str,
        *,
        lines: bool = False,
        compute: Compute = compute_here,
    ) -> None:
        self._shows, self._says, self._name = show, say, name
        self._lines = lines
        self.compute = compute
        self._first: tuple[float, float] | None = None  # when it was first told, and how much
        self._told = 0.0
        self._parts = (0, 1)  # how many like this one are done, and how many there are

    def update(self, done: int, total: int) -> None:
        """Show how many input pixels are done, and of how many."""
        before, count = self._parts
        self._show((before * total + done) / 1e6, count * total / 1e6, "MP")

    def part(self, number: int, count: int, kind: str = "page") -> "FileProgress":
        """The progress of one of several parts of the file, whose lines name it by its kind."""
        name = f"{self._name}, {kind} {number}"
        part = FileProgress(self._shows, self._says, name, lines=self._lines, compute=self.compute)
        part._first, part._told = self._first, self._told
        part._parts = (number - 1, count)
        return part

    def frames(self, done: int, total: int | None) -> None:
        """Show how many frames are done, and of how many where that is known."""
        self._show(done, total, "frames")

    def _show(self, done: float, total: float | None, unit: str) -> None:
        self._shows(done, total, unit)
        now = time.monotonic()
        if self._first is None:
            self._first, self._told = (now, done), now
        elif self._lines and now - self._told >= LINE_EVERY:
            self._told = now
            rate = (done - self._first[1]) / (now - self._first[0])
            text = f"{done:.0f}{'' if total is None else f' of {total:.0f}'} {unit}"
            if rate > 0:
                text += f", {rate:.2f} {unit}/s"
                if total is not None:
                    text += f", {timedelta(seconds=round(max(0, total - done) / rate))} left"
            self.notice(text)

    def notice(self, text: str) -> None:
        """Say one line about this file."""
        self._says(one_line(f"{self._name}: {text}"))


class Work(Protocol):
    """Does one job, and returns entries for its row of the JSON document.

    They hold the record of what made the outputs as ``provenance``, unless these have records of
    their own or were there.
    """

    def __call__(self, job: Job, progress: FileProgress, /) -> dict[str, Any]:
        """Read the input of a job, do what is to be done, and write its output."""

    def again(self) -> "Work":
        """The same for a job whose first try ended in its middle, or after its end."""


@dataclass(frozen=True)
class Failed:
    """Why a job could not be done.

    Attributes:
        reason: one line.
        usage: whether options are wrong, perhaps for every job.
    """

    reason: str
    usage: bool = False


@dataclass(frozen=True)
class Skipped:
    """Why a job was left out on purpose."""

    reason: str


Outcome = dict[str, Any] | Failed | Skipped


def attempt(files: FileOptions, job: Job, work: Work, progress: FileProgress) -> Outcome:
    """What to report of a job that was done, or why it was not."""
    plan = JobList(files)
    try:
        with alone(job.source, "cut it into parts"), plan.begin(job) as reason:
            if reason:
                return Skipped(reason)
            done = work(job, progress)
            record = done.pop("provenance", None)
            if record and files.sidecar:
                write_sidecars(job.outputs, record, job.source)
            return done
    except EnhanceError as error:
        return Failed(str(error), isinstance(error, UsageError))


@contextmanager
def alone(source: Path, advice: str) -> Iterator[None]:
    """Make whatever goes wrong the fault of one file, so that the others go on.

    Libraries that decode files raise exceptions of any type when a file is damaged in a way that
    they did not foresee; any other unforeseen exception is a fault of ours, and is told as one.
    With the environment variable ``ENHANCE_DEBUG`` both are left as they are, so that their
    traceback is shown.

    Args:
        source: the file that is worked on.
        advice: what the user can do about it if the memory does not suffice for the file.

    Raises:
        EnhanceError: whatever the body of the ``with`` statement raises, as an error that names
            the file. Interruptions are let through.
    """
    try:
        yield
    except EnhanceError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            text = f"too large for the memory of this machine, {advice}"
        elif isinstance(error, OSError):
            text = f"cannot be worked on ({error.strerror or error})"
        elif os.environ.get("ENHANCE_DEBUG"):
            raise
        elif comes_from_decoder(error):
            what = str(error) if isinstance(error, DecoderError) else describe(error)
            text = f"damaged, or of a kind that cannot be read ({what}), convert it anew"
        else:
            text = fault_text(error)
        raise InputError(f"{source}: {text}") from error
