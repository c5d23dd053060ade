"""A pool of workers, processes of their own that take jobs from one queue.

There is one for each device, or for each machine of a Ray cluster (:mod:`.ray_workers`). A worker
that dies, be it through a decoder that crashes or with its machine, takes nothing along: another
one takes its place, and tries the job again, once.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Lock
from types import TracebackType
from typing import Any, NamedTuple, NoReturn, Protocol, TypeVar

import torch

from enhance_cli.defaults import DEVICE
from enhance_cli.engine.catalogue import ModelOptions
from enhance_cli.errors import DeviceError
from enhance_cli.io.isolation import decoding_apart, portable
from enhance_cli.io.jobs import FileOptions, Job, Kind
from enhance_cli.tasks.attempt import Failed, FileProgress, Outcome, Say, Show, Work, attempt

Item = TypeVar("Item")
Result = TypeVar("Result")

TRIES = 2
# Jobs wait in so many threads for each worker, so that a long one holds up none behind it: results
# are told in their order.
_WAITING = 16
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


@dataclass
class _Place:
    """Where a worker works; it is started with its first job."""

    start: Callable[[], Worker]
    worker: Worker | None = None
    lost: bool = False


class Pool:
    """Workers that take jobs from one queue; they end with the body of a ``with`` statement.

    Args:
        starts: starts a worker, for each of them. It may raise :class:`StartError`.
    """

    def __init__(self, starts: Sequence[Callable[[], Worker]]) -> None:
        self._places = [_Place(start) for start in starts]
        self._idle: SimpleQueue[_Place | None] = SimpleQueue()
        for place in self._places:
            self._idle.put(place)
        self._over: Exception | None = None
        self._lock = Lock()

    def __enter__(self) -> "Pool":
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._close(CancelledError())
        for place in self._places:
            if place.worker is not None:
                place.worker.end()

    def submit(
        self, job: Job, listen: Callable[[], AbstractContextManager[Listener]]
    ) -> tuple[Outcome, float]:
        """Let the next worker that is free do a job, and wait for it.

        Args:
            job: the job.
            listen: begins to listen, once a worker is free.

        Returns:
            What is to be reported, and how many seconds it took.

        Raises:
            EnhanceError: if workers cannot begin, for a reason that concerns all jobs.
            CancelledError: if the pool is closed.
        """
        why, tries = "", 0
        while tries < TRIES:
            place = self._idle.get()
            if place is None:
                self._idle.put(None)
                assert self._over is not None
                raise self._over
            try:
                worker = self._start(place)
                with listen() as listener:
                    done, seconds = worker.do(job, tries > 0, listener)
                    return done, seconds
            except StartError as error:
                self._give_up(place, error)
            except WorkerDiedError as died:
                why, tries = str(died), tries + 1
                if self._over is not None:
                    raise self._over from died
                worker.end()
                place.worker = None
            finally:
                if not place.lost:
                    self._idle.put(place)
        return Failed(
            f"{job.source}: the process that works on it died {TRIES} times ({why}): it is damaged "
            "and crashes a decoder, or memory ran out; convert it anew, or cut it into parts"
        ), 0.0

    def _start(self, place: _Place) -> Worker:
        if place.worker is None:
            worker = place.start()
            with self._lock:
                if self._over is None:
                    place.worker = worker
            if place.worker is None:
                worker.end()
                raise CancelledError
        return place.worker

    def _give_up(self, place: _Place, error: StartError) -> None:
        place.lost = True
        if all(place.lost for place in self._places):
            self._close(DeviceError(f"no worker is left: {error}"))

    def _close(self, reason: Exception) -> None:
        with self._lock:
            self._over = self._over or reason
        self._idle.put(None)

    def in_order(self, work: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """Work on items in threads that submit jobs, and yield the results in their order."""
        count = max(1, min(len(items), _WAITING * len(self._places)))
        with ThreadPoolExecutor(count) as threads, self:
            yield from threads.map(work, items)


@dataclass(frozen=True)
class WorkerOptions:
    """Where jobs are done.

    Attributes:
        devices: the names of the devices that share the jobs, one process for each. Of one alone
            this process is in charge, except with several videos, whose decoders may crash.
        ray: the address of a Ray cluster, or ``local``, whose workers do the jobs in place of
            processes of this machine; see :func:`~enhance_cli.tasks.ray_workers.find_ray_workers`.
    """

    devices: Sequence[str] = (DEVICE,)
    ray: str | None = None

    def here(self, model: ModelOptions) -> ModelOptions:
        """With which options this process loads a model, to check them and to name outputs.

        The devices of a Ray cluster need not be here.
        """
        if self.ray is None:
            return model
        return replace(model, device="cpu", precision="fp32", backend="torch")

    def wanted(self, jobs: Sequence[Job]) -> bool:
        """Whether workers do so many jobs, and not this process."""
        videos = any(job.source_kind is not Kind.PICTURE for job in jobs)
        return self.ray is not None or len(jobs) > 1 and (len(self.devices) > 1 or videos)


def open_pool(options: WorkerOptions, setting: Setting, each: int) -> Pool:
    """The workers that options ask for; none is started yet.

    Args:
        options: where jobs are done.
        setting: with what workers begin; each gets its own device.
        each: how many workers each device has.

    Raises:
        EnhanceError: if there is no such Ray cluster.
    """
    if options.ray is not None:
        from enhance_cli.tasks.ray_workers import find_ray_workers

        return Pool(find_ray_workers(options.ray, options.devices, setting, each))
    names = [name for name in options.devices for _ in range(each)]
    threads = max(1, torch.get_num_threads() // len(names))
    settings = (replace(setting, device=name, threads=threads) for name in names)
    return Pool([partial(ProcessWorker, own) for own in settings])
