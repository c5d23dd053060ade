"""Do the work before and after the network beside it, with a bounded number of items held.

The threads here compute with one core each. Every thread that runs torch's parallel loops has a
pool of OpenMP threads of its own, and once there are more of these than cores, all of them sleep
and are woken at every loop instead of waiting for it: on two cores that made the whole of
``enhance video`` a fifth slower.
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
    """The same items, made by a thread that runs up to ``depth`` of them ahead.

    What the thread raises is raised here. Closing the generator ends the thread, waits for it,
    and closes the items where they are a generator.
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
    """A running thread. Waiting is by an event, since ``Thread.join`` that is interrupted takes
    the thread for ended (Python 3.11 and 3.12)."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._begun = threading.Event()
        self._over = threading.Event()
        self._work = work
        # The number that a thread sets is its own, and that of each thread which later asks for
        # the first time: the latter is put back.
        count = torch.get_num_threads()
        threading.Thread(target=self._run, daemon=True).start()
        self._begun.wait()
        torch.set_num_threads(count)

    def _run(self) -> None:
        try:
            torch.get_num_threads()  # else the first loop would ask, and forget the 1
            torch.set_num_threads(1)
            self._begun.set()
            self._work()
        finally:
            self._over.set()

    def wait(self) -> None:
        """Until it has ended."""
        self._over.wait()

    def wait_in_any_case(self) -> None:
        """Also where the user interrupts the waiting: what is cleaned up then must not be in
        use. The thread must be about to end."""
        interrupted: KeyboardInterrupt | None = None
        while not self._over.is_set():
            try:
                self.wait()
            except KeyboardInterrupt as error:
                interrupted = error
        if interrupted is not None:
            raise interrupted


class _Raised:
    def __init__(self, error: BaseException) -> None:
        self.error = error


class Behind(Generic[Item]):
    """Takes items at once and has a thread work on them, in order; see :func:`behind`."""

    def __init__(self, work: Callable[[Item], None], depth: int) -> None:
        self._work = work
        self._held: queue.Queue[object] = queue.Queue(depth)
        self._error: BaseException | None = None
        self._thread = _Thread(self._run)

    def _run(self) -> None:
        while (item := self._held.get()) is not _END:
            if self._error is None:  # after an error the queue is only emptied
                try:
                    self._work(item)  # type: ignore[arg-type]
                except BaseException as error:
                    self._error = error

    def put(self, item: Item) -> None:
        """Hand over an item; waits while ``depth`` of them are waiting.

        Raises:
            BaseException: what the work on an earlier one raised.
        """
        if self._error is not None:
            raise self._error
        self._held.put(item)

    def finish(self) -> None:
        """Wait until all is done, and raise what the work raised."""
        self._held.put(_END)
        self._thread.wait()
        if self._error is not None:
            raise self._error

    def abandon(self, error: BaseException) -> None:
        """Leave what has not been begun, and wait for what has."""
        self._error = self._error or error
        with suppress(queue.Empty):
            while True:
                self._held.get_nowait()
        self._held.put_nowait(_END)
        self._thread.wait_in_any_case()


@contextmanager
def behind(work: Callable[[Item], None], depth: int) -> Generator[Behind[Item], None, None]:
    """A thread that works on what it is given, up to ``depth`` items behind.

    On leaving, the work is finished; after an exception, what has not been begun is left.
    """
    worker = Behind(work, depth)
    try:
        yield worker
        worker.finish()
    except BaseException as error:
        worker.abandon(error)
        raise
