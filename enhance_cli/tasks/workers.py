"""Workers, processes of their own that do one job after another, and what happens inside them."""

import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, NamedTuple, NoReturn, Protocol

import torch

from enhance_cli.defaults import DEVICE
from enhance_cli.io.isolation import decoding_apart, portable
from enhance_cli.io.jobs import FileOptions, Job
from enhance_cli.tasks.attempt import FileProgress, Outcome, Say, Show, Work, attempt

_SHOWN_EVERY = 0.1  # seconds between two messages on how far a job is
_ENDING = 5.0  # seconds that a worker may take to clean up


@dataclass(frozen=True)
class Setting:
    """With what a worker begins; it is sent to its process.

    Attributes:
        make: makes what does the jobs, from the name of a device.
        files: the options on files.
        device: the name of the worker's own.
        threads: how many torch uses on a CPU; None for its own choice.
        apart: whether files are decoded in a further process, which is so for pictures.
        lines: whether jobs tell in lines how far they are.
        folder: the working folder, to which names of files may be relative.
    """

    make: Callable[[str], Work]
    files: FileOptions
    device: str = DEVICE
    threads: int | None = None
    apart: bool = True
    lines: bool = False
    folder: str = ""


class Hands:
    """What does the jobs, inside the process of a worker."""

    def __init__(self, setting: Setting) -> None:
        if setting.folder:
            os.chdir(setting.folder)
        if setting.threads:
            torch.set_num_threads(setting.threads)
        self._setting, self._work = setting, setting.make(setting.device)
        self._apart = decoding_apart(setting.apart)
        self._apart.__enter__()  # until the process ends

    def do(self, job: Job, again: bool, show: Show, say: Say) -> tuple[Outcome, float]:
        """Do a job; gives what is to be reported, and how many seconds it took.

        Args:
            job: the job.
            again: whether a worker died that did it before. What that one finished stays.
            show: see :class:`FileProgress`.
            say: prints a line.
        """
        start, setting = time.monotonic(), self._setting
        files, work = setting.files, self._work
        if again:
            files, work = files.again(), work.again()
        progress = FileProgress(show, say, job.source.name, lines=setting.lines)
        return attempt(files, job, work, progress), round(time.monotonic() - start, 3)


class WorkerDiedError(Exception):
    """The process of a worker has ended; the text tells how."""


class StartError(Exception):
    """A worker cannot begin where it should; the text tells why."""


class Listener(NamedTuple):
    """Who hears of a job."""

    show: Show
    say: Say


class Worker(Protocol):
    """A process that does one job after another."""

    def do(self, job: Job, again: bool, listener: Listener) -> tuple[Outcome, float]:
        """See :meth:`Hands.do`.

        Raises:
            WorkerDiedError: if the process has ended.
            EnhanceError: if it cannot begin, for a reason that concerns all jobs.
        """

    def end(self) -> None:
        """End the process, whatever it does."""


class ProcessWorker:
    """A worker on this machine."""

    def __init__(self, setting: Setting) -> None:
        context = get_context("spawn")  # A fork would have neither CUDA nor threads.
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, setting), daemon=True)
        self._process.start()
        theirs.close()

    def do(self, job: Job, again: bool, listener: Listener) -> tuple[Outcome, float]:
        """See :class:`Worker`."""
        try:
            self._pipe.send((job, again))
            while (message := self._pipe.recv())[0] in ("show", "say"):
                getattr(listener, message[0])(*message[1])
        except (EOFError, OSError) as error:
            raise WorkerDiedError(self._why_ended()) from error
        if message[0] == "error":
            raise message[1]
        done: tuple[Outcome, float] = message[1]
        return done

    def end(self) -> None:
        """See :class:`Worker`."""
        self._process.terminate()
        self._process.join(_ENDING)
        self._process.kill()
        self._process.join()
        self._pipe.close()

    def _why_ended(self) -> str:
        self._process.join(_ENDING)
        code = self._process.exitcode or 0
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _serve(pipe: "Connection[Any, Any]", setting: Setting) -> None:
    """What the process of a worker does: jobs, until there are no more."""

    def stop(_number: int, _frame: object) -> NoReturn:
        sys.exit(1)  # which passes through what cleans up

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The first process decides what Ctrl-C does.
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, signal.SIGTERM)  # Windows has but one of them.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, stop)
    shown = 0.0

    def show(done: float, total: float | None, unit: str) -> None:
        nonlocal shown
        now = time.monotonic()
        if now - shown >= _SHOWN_EVERY:
            shown = now
            pipe.send(("show", (done, total, unit)))

    with suppress(EOFError, BrokenPipeError):  # The first process is gone.
        try:
            hands = Hands(setting)
        except Exception as error:
            pipe.recv()
            pipe.send(("error", portable(error)))
            return
        while True:
            job, again = pipe.recv()
            try:
                done = hands.do(job, again, show, lambda text: pipe.send(("say", (text,))))
                pipe.send(("done", done))
            except Exception as error:  # as it is with ENHANCE_DEBUG
                pipe.send(("error", portable(error)))
