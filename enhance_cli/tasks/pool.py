"""A pool of workers that take jobs from one queue.

There is one for each device, or for each machine of a Ray cluster (:mod:`.ray_workers`). A worker
that dies, be it through a decoder that crashes or with its machine, takes nothing along: another
one takes its place, and tries the job again, once.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from queue import SimpleQueue
from threading import Lock
from types import TracebackType
from typing import TypeVar

import torch

from enhance_cli.defaults import DEVICE
from enhance_cli.engine.catalogue import ModelOptions
from enhance_cli.errors import DeviceError
from enhance_cli.io.jobs import Job, Kind
from enhance_cli.tasks.attempt import Failed, Outcome
from enhance_cli.tasks.workers import (
    Listener,
    ProcessWorker,
    Setting,
    StartError,
    Worker,
    WorkerDiedError,
)

Item = TypeVar("Item")
Result = TypeVar("Result")

TRIES = 2
# Jobs wait in so many threads for each worker, so that a long one holds up none behind it: results
# are told in their order.
_WAITING = 16


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
