"""Do the same to many files: one bad file stops no other, and is named at the end."""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from enhance_cli.errors import EnhanceError, UsageError, one_line
from enhance_cli.io.finding import RAW_SUFFIXES
from enhance_cli.io.isolation import decoding_apart
from enhance_cli.io.jobs import Job, JobList, Kind
from enhance_cli.talk import Bars, Talk, print_errors, print_json, print_json_line
from enhance_cli.tasks.attempt import (
    Failed,
    FileProgress,
    Outcome,
    Skipped,
    Work,
    alone,
    attempt,
)
from enhance_cli.tasks.estimating import Estimate, sum_up
from enhance_cli.tasks.pool import WorkerOptions, open_pool
from enhance_cli.tasks.side_by_side import Compute, side_by_side
from enhance_cli.tasks.workers import Listener, Setting


@dataclass(frozen=True)
class Crew:
    """Where jobs are done, and what makes the work of a worker from the name of its device."""

    options: WorkerOptions
    make: Callable[[str], Work]


def run_batch(
    plan: JobList,
    work: Work,
    crew: Crew,
    talk: Talk,
    header: dict[str, Any],
    estimate: Callable[[Job], Estimate],
) -> int:
    """Work through the jobs; one that fails stops no other, and is named at the end.

    Args:
        plan: the jobs, and the inputs that already failed or are skipped.
        work: does one job.
        crew: the workers that do the jobs, if there are some.
        talk: how the command speaks.
        header: the first entries of the JSON document.
        estimate: says what a job would take, for a dry run.

    Returns:
        The exit code: 0 if every input succeeded, else 1.

    Raises:
        UsageError: if an option fits no input so far; if it has fitted one, the others fail alone.
        EnhanceError: if workers cannot begin.
    """
    if talk.dry_run:
        return _run_dry(plan, estimate, talk, header)
    console, stream = talk.console, _Stream(talk)
    results, failures = _tell_planned(plan, console, stream)
    count = len(plan.jobs)
    with (
        talk.bars(console) as bars,
        bars.bar(f"{count} files", count, "files", visible=count > 1) as files,
        closing(_do_jobs(plan, work, crew, bars, talk)) as done,
    ):
        fitted = False  # whether the options did fit one of the inputs
        for job, outcome, seconds in done:
            files.advance()
            if isinstance(outcome, Failed):
                if outcome.usage and not fitted:
                    raise UsageError(outcome.reason)
                failures.append((str(job.source), outcome.reason))
                stream.tell(failed_results(failures[-1:]))
                continue
            if isinstance(outcome, Skipped):
                console.print(one_line(f"{job.source}: skipped, {outcome.reason}"))
                results += stream.tell(skipped_results([(job.source, outcome.reason)]))
                continue
            fitted = True
            results += stream.tell([{**job_result(job, "ok"), **outcome, "seconds": seconds}])
            size = f"{outcome['width']}x{outcome['height']}  " if "width" in outcome else ""
            made = " ".join(outcome.get("outputs", map(str, job.outputs)))
            console.print(one_line(f"{job.source} -> {made}  {size}{seconds:.1f} s"))
    return _report(plan, results, failures, talk, header)


def _do_jobs(
    plan: JobList, work: Work, crew: Crew, bars: Bars, talk: Talk
) -> Generator[tuple[Job, Outcome, float]]:
    """Do the jobs, here or by workers, and yield them in their order.

    Yields:
        Each job, what became of it, and how many seconds it took.
    """
    files, console = plan.files, talk.console
    pictures = all(job.source_kind is Kind.PICTURE for job in plan.jobs)
    lines = not talk.no_progress and not console.is_terminal

    @contextmanager
    def listen(job: Job) -> Iterator[Listener]:
        with bars.bar(job.source.name, None, "MP") as bar:
            yield Listener(bar.update, console.print)

    def submit(job: Job) -> tuple[Job, Outcome, float]:
        return job, *pool.submit(job, partial(listen, job))

    def do(job: Job, compute: Compute) -> tuple[Job, Outcome, float]:
        start = time.monotonic()
        with listen(job) as (show, say):
            progress = FileProgress(show, say, job.source.name, lines=lines, compute=compute)
            outcome = attempt(files, job, work, progress)
        return job, outcome, round(time.monotonic() - start, 3)

    if crew.options.wanted(plan.jobs):
        setting = Setting(crew.make, files, apart=pictures, lines=lines)
        pool = open_pool(crew.options, setting, files.jobs)
        yield from pool.in_order(submit, plan.jobs)
        return
    raw = any(job.source.suffix.lower() in RAW_SUFFIXES for job in plan.jobs)
    with decoding_apart(pictures and (len(plan.jobs) > 1 or raw)):
        yield from side_by_side(do, plan.jobs, files.jobs)


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
        try:
            with alone(job.source, "cut it into parts"):
                told = estimate(job)
        except EnhanceError as error:
            failures.append((str(job.source), str(error)))
            stream.tell(failed_results(failures[-1:]))
            continue
        estimates.append(told)
        made = " ".join(told.outputs or map(str, job.outputs))
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
