"""Do the same to many files: one bad file stops no other, and is named at the end."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich.console import Console

from enhance_cli.engine.memory import is_out_of_memory
from enhance_cli.errors import (
    EnhanceError,
    InputError,
    UsageError,
    describe,
    fault_text,
    one_line,
)
from enhance_cli.io.finding import RAW_SUFFIXES
from enhance_cli.io.isolation import DecoderError, comes_from_decoder, decoding_apart
from enhance_cli.io.jobs import Job, JobList, Kind
from enhance_cli.talk import Bar, Talk, print_errors, print_json, print_json_line
from enhance_cli.tasks.estimating import Estimate, sum_up
from enhance_cli.tasks.provenance import write_sidecars
from enhance_cli.tasks.side_by_side import Compute, compute_here, side_by_side

LINE_EVERY = 30  # seconds between the lines that take the place of a progress bar


class FileProgress:
    """Where the work on one file tells how far it is, and what people should know of it.

    Args:
        bar: the bar of the file, which appears on a terminal.
        console: where lines are printed.
        name: the name of the file.
        lines: whether a line tells from time to time how far the work is, for there is no bar.
        compute: runs a function that uses a network, where networks may run.
    """

    def __init__(
        self,
        bar: Bar,
        console: Console,
        name: str,
        *,
        lines: bool = False,
        compute: Compute = compute_here,
    ) -> None:
        self._bar, self._console, self._name = bar, console, name
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
        part = FileProgress(self._bar, self._console, name, lines=self._lines, compute=self.compute)
        part._first, part._told = self._first, self._told
        part._parts = (number - 1, count)
        return part

    def frames(self, done: int, total: int | None) -> None:
        """Show how many frames are done, and of how many where that is known."""
        self._show(done, total, "frames")

    def _show(self, done: float, total: float | None, unit: str) -> None:
        self._bar.update(done, total, unit)
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
        self._console.print(one_line(f"{self._name}: {text}"))


Work = Callable[[Job, FileProgress], dict[str, Any]]


def run_batch(
    plan: JobList,
    work: Work,
    talk: Talk,
    header: dict[str, Any],
    estimate: Callable[[Job], Estimate],
) -> int:
    """Work through the jobs; one that fails stops no other, and is named at the end.

    Args:
        plan: the jobs, and the inputs that already failed or are skipped.
        work: does one job, and returns entries for its row of the JSON document, with the record
            of what made the output as ``provenance``, unless all that it makes is there.
        talk: how the command speaks.
        header: the first entries of the JSON document.
        estimate: says what a job would take, for a dry run.

    Returns:
        The exit code: 0 if every input succeeded, else 1.
    """
    if talk.dry_run:
        return _run_dry(plan, estimate, talk, header)
    console, stream = talk.console, _Stream(talk)
    results, failures = _tell_planned(plan, console, stream)
    count = len(plan.jobs)
    raw = any(job.source.suffix.lower() in RAW_SUFFIXES for job in plan.jobs)
    pictures = all(job.source_kind is Kind.PICTURE for job in plan.jobs)
    with (
        decoding_apart(pictures and (count > 1 or raw)),
        talk.bars(console) as bars,
        bars.bar(f"{count} files", count, "files", visible=count > 1) as files,
    ):

        def attempt(job: Job, compute: Compute) -> tuple[Job, Any, float]:
            start = time.monotonic()
            name, lines = job.source.name, not talk.no_progress and not console.is_terminal
            with bars.bar(name, None, "MP") as bar:
                progress = FileProgress(bar, console, name, lines=lines, compute=compute)
                done = _attempt(plan, job, work, progress)
            return job, done, round(time.monotonic() - start, 3)

        for job, done, seconds in side_by_side(attempt, plan.jobs, plan.files.jobs):
            files.advance()
            if isinstance(done, _Failed):
                failures.append((str(job.source), done.reason))
                stream.tell(failed_results(failures[-1:]))
                continue
            if isinstance(done, _Skipped):
                console.print(one_line(f"{job.source}: skipped, {done.reason}"))
                results += stream.tell(skipped_results([(job.source, done.reason)]))
                continue
            results += stream.tell([{**job_result(job, "ok"), **done, "seconds": seconds}])
            size = f"{done['width']}x{done['height']}  " if "width" in done else ""
            made = " ".join(done.get("outputs", map(str, job.outputs)))
            console.print(one_line(f"{job.source} -> {made}  {size}{seconds:.1f} s"))
    return _report(plan, results, failures, talk, header)


def _tell_planned(
    plan: JobList, console: Console, stream: "_Stream"
) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    """Tell which inputs are skipped or have failed before any work, and return both."""
    for source, reason in plan.skipped:
        console.print(one_line(f"{source}: skipped, {reason}"))
    results = stream.tell(skipped_results(plan.skipped))
    failures = [(name, str(error)) for name, error in plan.failures]
    stream.tell(failed_results(failures))
    return results, failures


def _run_dry(
    plan: JobList, estimate: Callable[[Job], Estimate], talk: Talk, header: dict[str, Any]
) -> int:
    """Say what would be done, and what it would take."""
    console, stream = talk.console, _Stream(talk)
    results, failures = _tell_planned(plan, console, stream)
    estimates = []
    for job in plan.jobs:
        made = " ".join(map(str, job.outputs))
        try:
            with alone(job.source, "cut it into parts"):
                told = estimate(job)
        except EnhanceError as error:
            failures.append((str(job.source), str(error)))
            stream.tell(failed_results(failures[-1:]))
            continue
        estimates.append(told)
        console.print(one_line(f"{job.source} -> {made}  {told}"))
        results += stream.tell([{**job_result(job, "planned"), **told.row}])
    if estimates:
        console.print(sum_up(estimates))
    return _report(plan, results, failures, talk, header)


def _report(
    plan: JobList,
    results: list[dict[str, Any]],
    failures: list[tuple[str, str]],
    talk: Talk,
    header: dict[str, Any],
) -> int:
    """Name what failed, print the JSON document, and give the exit code."""
    print_failures(failures, len(plan.jobs) + len(plan.failures))
    if talk.json_lines:
        print_json_line({**header, "files": len(results), "failed": len(failures)})
    elif talk.json:
        rows = [*results, *failed_results(failures)]
        print_json({**header, "results": rows, "failed": len(failures)})
    return 1 if failures else 0


@dataclass(frozen=True)
class _Stream:
    """Tells each row of the JSON document as soon as it is known, if the user wants lines."""

    talk: Talk

    def tell(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Print rows, and give them back."""
        if self.talk.json_lines:
            for row in rows:
                print_json_line(row)
        return rows


@dataclass(frozen=True)
class _Failed:
    """Why a job could not be done."""

    reason: str


@dataclass(frozen=True)
class _Skipped:
    """Why a job was left out on purpose."""

    reason: str


def _attempt(
    plan: JobList, job: Job, work: Work, progress: FileProgress
) -> dict[str, Any] | _Failed | _Skipped:
    """What to report of a job that was done, or why it was not."""
    try:
        with alone(job.source, "cut it into parts"), plan.begin(job) as reason:
            if reason:
                return _Skipped(reason)
            done = work(job, progress)
            record = done.pop("provenance", None)
            if record and plan.files.sidecar:
                outputs = map(Path, done.get("outputs", job.outputs))
                write_sidecars(outputs, {**record, "input": job.source.name})
            return done
    except UsageError:
        raise  # An option that is wrong is wrong for every file.
    except EnhanceError as error:
        return _Failed(str(error))


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


def job_result(job: Job, status: str) -> dict[str, Any]:
    """The entry of a job in the JSON document."""
    outputs = [str(output) for output in job.outputs]
    several = {"outputs": outputs} if job.parts else {}
    return {"input": str(job.source), "output": outputs[0], **several, "status": status}


def skipped_results(skipped: Sequence[tuple[Path, str]]) -> list[dict[str, Any]]:
    """The entries of inputs that were left out on purpose: names and reasons."""
    return [
        {"input": str(source), "status": "skipped", "reason": reason} for source, reason in skipped
    ]


def failed_results(failures: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """The entries of inputs that failed: names and reasons."""
    return [{"input": name, "status": "failed", "error": text} for name, text in failures]


def print_failures(failures: Sequence[tuple[str, str]], count: int) -> None:
    """Name the inputs that failed, with their reasons, and tell how many of ``count`` they are."""
    print_errors(
        *(f"error: {text if name in text else f'{name}: {text}'}" for name, text in failures)
    )
    if failures and count > 1:
        print_errors(f"{len(failures)} of {count} inputs failed")
