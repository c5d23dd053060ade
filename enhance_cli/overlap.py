"""Do the work before and after the network beside it, with a bounded number of items held."""

import queue
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from typing import Generic, TypeVar

Item = TypeVar("Item")

_END = object()


def ahead(items: Iterable[Item], depth: int) -> Generator[Item, None, None]:
    """The same items, made by a thread that runs up to ``depth`` of them ahead.

    What the thread raises is raised here. Closing the generator ends the thread and waits for it.
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

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while (item := held.get()) is not _END:
            if isinstance(item, _Raised):
                raise item.error
            yield item  # type: ignore[misc]
    finally:
        closing.set()
        thread.join()


class _Raised:
    def __init__(self, error: BaseException) -> None:
        self.error = error


class Behind(Generic[Item]):
    """Takes items at once and has a thread work on them, in order; see :func:`behind`."""

    def __init__(self, work: Callable[[Item], None], depth: int) -> None:
        self._work = work
        self._held: queue.Queue[object] = queue.Queue(depth)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

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
        self._thread.join()
        if self._error is not None:
            raise self._error


@contextmanager
def behind(work: Callable[[Item], None], depth: int) -> Generator[Behind[Item], None, None]:
    """A thread that works on what it is given, up to ``depth`` items behind.

    On leaving, the work is finished; after an exception, what has not been begun is left.
    """
    worker = Behind(work, depth)
    try:
        yield worker
    except BaseException as error:
        worker._error = worker._error or error
        worker._held.put(_END)
        worker._thread.join()
        raise
    worker.finish()
