"""Threads that do the work before and after the network, and hold a bounded number of items.

Each of these threads computes on one core only. A thread that runs torch's parallel loops gets a
pool of OpenMP threads of its own. Once all pools together have more threads than there are cores,
the threads sleep and are woken at every loop, where they would otherwise wait actively. On two
cores that made the whole of ``enhance video`` a fifth slower.
"""

import queue
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from typing import Generic, TypeVar

import torch

Item = TypeVar("Item")

_END = object()


def ahead(items: Iterable[Item], depth: int) -> Generator[Item, None, None]:
    """Yield the same items, but let a thread make up to ``depth`` of them ahead.

    Closing the generator ends the thread, waits until it has ended, and closes ``items`` if they
    are a generator.

    Args:
        items: what the thread iterates over.
        depth: how many items may wait to be taken.

    Raises:
        BaseException: whatever iterating over ``items`` raises.
    """
    held: queue.Queue[object] = queue.Queue(depth)
    closing = threading.Event()

    def put(item: object) -> bool:
        while not closing.is_set():
            try:
                held.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in items:
                if not put(item):
                    return
        except BaseException as error:
            put(_Raised(error))
        else:
            put(_END)

    thread = _Thread(work)
    try:
        while (item := held.get()) is not _END:
            if isinstance(item, _Raised):
                raise item.error
            yield item  # type: ignore[misc]
    finally:
        closing.set()
        thread.wait_in_any_case()
        if isinstance(items, Generator):
            items.close()


class _Thread:
    """A running thread that computes on one core.

    It is waited for by an event: in Python 3.11 and 3.12, a ``Thread.join`` that is interrupted
    takes the thread for ended.
    """

    def __init__(self, work: Callable[[], None]) -> None:
        self._begun = threading.Event()
        self._over = threading.Event()
        self._work = work
        # The number of cores that a thread sets holds for itself, and for each thread that asks
        # for its number for the first time later. For the latter it is set back here.
        count = torch.get_num_threads()
        threading.Thread(target=self._run, daemon=True).start()
        self._begun.wait()
        torch.set_num_threads(count)

    def _run(self) -> None:
        try:
            torch.get_num_threads()  # Otherwise the first loop would ask, and forget the 1.
            torch.set_num_threads(1)
            self._begun.set()
            self._work()
        finally:
            self._over.set()

    def wait(self) -> None:
        """Wait until the thread has ended."""
        self._over.wait()

    def wait_in_any_case(self) -> None:
        """Wait until the thread has ended, even if the user interrupts the waiting.

        The thread must be about to end. What is cleaned up after an interruption must no longer
        be in use.

        Raises:
            KeyboardInterrupt: afterwards, if the user interrupted the waiting.
        """
        interrupted: KeyboardInterrupt | None = None
        while not self._over.is_set():
            try:
                self.wait()
            except KeyboardInterrupt as error:
                interrupted = error
        if interrupted is not None:
            raise interrupted


class _Raised:
    """What a thread hands over in place of an item when it raises an error."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


class Behind(Generic[Item]):
    """Takes items at once and lets a thread work on them, in order; see :func:`behind`.

    Args:
        work: called in the thread with each item.
        depth: how many items may wait for the thread.
    """

    def __init__(self, work: Callable[[Item], None], depth: int) -> None:
        self._work = work
        self._held: queue.Queue[object] = queue.Queue(depth)
        self._error: BaseException | None = None
        self._thread = _Thread(self._run)

    def _run(self) -> None:
        while (item := self._held.get()) is not _END:
            if self._error is None:  # After an error the queue is only emptied.
                try:
                    self._work(item)  # type: ignore[arg-type]
                except BaseException as error:
                    self._error = error

    def put(self, item: Item) -> None:
        """Hand over an item, and wait as long as too many items are waiting already.

        Raises:
            BaseException: whatever the work on an earlier item raised.
        """
        if self._error is not None:
            raise self._error
        self._held.put(item)

    def finish(self) -> None:
        """Wait until the work on all items is done.

        Raises:
            BaseException: whatever the work on an item raised.
        """
        self._held.put(_END)
        self._thread.wait()
        if self._error is not None:
            raise self._error

    def abandon(self, error: BaseException) -> None:
        """Drop the items that are waiting, and wait for the one that is worked on.

        Args:
            error: why; nothing can be put any more, and ``put`` raises it.
        """
        self._error = self._error or error
        with suppress(queue.Empty):
            while True:
                self._held.get_nowait()
        self._held.put_nowait(_END)
        self._thread.wait_in_any_case()


@contextmanager
def behind(work: Callable[[Item], None], depth: int) -> Generator[Behind[Item], None, None]:
    """Let a thread work on what it is given in the body of a ``with`` statement.

    At the end of the body the work is finished. If the body raises an error, items whose work has
    not begun are dropped.

    Args:
        work: called in the thread with each item.
        depth: how many items may wait for the thread.

    Raises:
        BaseException: whatever the work on an item raises.
    """
    worker = Behind(work, depth)
    try:
        yield worker
        worker.finish()
    except BaseException as error:
        worker.abandon(error)
        raise
