"""Do the same to many files: one bad file stops no other, and is named at the end."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from enhance_cli.engine.tiled import is_out_of_memory
from enhance_cli.errors import EnhanceError, UsageError, one_line
from enhance_cli.io.jobs import Job, JobList
from enhance_cli.talk import Talk, print_errors, print_json


class FileProgress:
    """The bar of one file; also a place for notices."""

    def __init__(self, progress: Progress, console: Console, name: str) -> None:
        self._progress, self._console, self._name = progress, console, name
        self._task = progress.add_task(one_line(name), total=None, rate="")
        self._start = time.monotonic()
        self._first: tuple[int, float] | None = None  # frames that a resumed run found done

    def update(self, done: int, total: int) -> None:
        """Show so many input pixels of so many."""
        seconds = max(time.monotonic() - self._start, 1e-6)
        rate = done / seconds
        text = f"{rate / 1e6:.2f} MP/s" if rate > 1e5 else f"{rate / 1e3:.1f} kP/s"
        self._progress.update(self._task, completed=done, total=total, rate=text)

    def frames(self, done: int, total: int | None) -> None:
        """Show so many frames of so many, where their number is known."""
        now = time.monotonic()
        if self._first is None:
            self._first = (done, now)
        frames, seconds = done - self._first[0], max(now - self._first[1], 1e-6)
        known = f"{done}/{total}" if total else f"{done}"
        self._progress.update(
            self._task,
            completed=done,
            total=total,
            rate=f"{known} frames  {frames / seconds:.2f} frames/s",
        )

    def notice(self, text: str) -> None:
        """Say one line about this file."""
        self._console.print(one_line(f"{self._name}: {text}"))

    def close(self) -> None:
        """Take the bar away."""
        self._progress.remove_task(self._task)


Work = Callable[[Job, FileProgress], dict[str, Any]]


def run_batch(plan: JobList, work: Work, talk: Talk, header: dict[str, Any]) -> int:
    """Work through the jobs.

    Args:
        plan: jobs, and the inputs that already failed.
        work: does one job and returns what to report of it, JSON-able.
        talk: how to report.
        header: first entries of the JSON document.

    Returns:
        The exit code: 0 if every input succeeded, else 1.
    """
    console = talk.console
    results: list[dict[str, Any]] = []
    failures = [(name, str(error)) for name, error in plan.failures]
    for source, reason in plan.skipped:
        console.print(one_line(f"{source}: skipped, {reason}"))
        results.append({"input": str(source), "status": "skipped", "reason": reason})
    with _Bars(console, talk, len(plan.jobs)) as bars:
        for job in plan.jobs:
            if talk.dry_run:
                console.print(one_line(f"{job.source} -> {job.target}"))
                results.append(_result(job, "planned"))
                continue
            start = time.monotonic()
            with bars.file(job.source) as bar:
                try:
                    details = work(job, bar)
                except UsageError:
                    raise  # an option is wrong, so it is for every file
                except EnhanceError as error:
                    failures.append((str(job.source), str(error)))
                    continue
                except (MemoryError, RuntimeError) as error:
                    if not is_out_of_memory(error):
                        raise
                    failures.append(
                        (
                            str(job.source),
                            f"{job.source}: too large for the memory "
                            "of this machine, cut it into parts",
                        )
                    )
                    continue
            seconds = round(time.monotonic() - start, 3)
            results.append({**_result(job, "ok"), **details, "seconds": seconds})
            console.print(
                one_line(f"{job.source} -> {job.target}  {_size(details)}{seconds:.1f} s")
            )
    results += [{"input": name, "status": "failed", "error": text} for name, text in failures]
    _report_failures(failures, len(plan.jobs) + len(plan.failures))
    if talk.json:
        print_json({**header, "results": results, "failed": len(failures)})
    return 1 if failures else 0


def _result(job: Job, status: str) -> dict[str, Any]:
    return {"input": str(job.source), "output": str(job.target), "status": status}


def _size(details: dict[str, Any]) -> str:
    return f"{details['width']}x{details['height']}  " if "width" in details else ""


def _report_failures(failures: list[tuple[str, str]], count: int) -> None:
    print_errors(
        *(f"error: {text if name in text else f'{name}: {text}'}" for name, text in failures)
    )
    if failures and count > 1:
        print_errors(f"{len(failures)} of {count} inputs failed")


class _Bars:
    """One bar for the file at work, and one over the files where there are several."""

    def __init__(self, console: Console, talk: Talk, count: int) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not talk.shows_progress,
            transient=True,
            speed_estimate_period=300,  # a large frame may take a minute
        )
        self._files = (
            self._progress.add_task(f"{count} files", total=count, rate="") if count > 1 else None
        )

    def __enter__(self) -> "_Bars":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    @contextmanager
    def file(self, source: Path) -> Iterator[FileProgress]:
        """One file's bar; when it is done the bar over the files moves."""
        bar = FileProgress(self._progress, self._console, source.name)
        try:
            yield bar
        finally:
            bar.close()
            if self._files is not None:
                self._progress.advance(self._files)
