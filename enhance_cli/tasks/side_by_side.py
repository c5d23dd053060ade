"""Several files at a time: they are read and written in threads, while networks run one by one.

Networks run in the main thread, which keeps its pool of threads for them; see
:mod:`enhance_cli.overlap`. Each other thread computes on one core.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


class Compute(Protocol):
    """Runs a function that uses a network, where and when networks may run."""

    def __call__(self, function: Callable[[], Result]) -> Result:
        """Call it and give its result."""


def compute_here(function: Callable[[], Result]) -> Result:
    """Run a function at once, for work that is done one after another."""
    return function()


def side_by_side(
    work: Callable[[Item, Compute], Result], items: Iterable[Item], count: int
) -> Iterator[Result]:
    """Work on several items at a time, and yield the results in their order.

    Args:
        work: works on an item; it gives functions that use a network to its second argument.
        items: what is worked on. No more of them are under way than ``count``.
        count: how many; 1 works on them one after another, without threads.

    Raises:
        BaseException: whatever the work raises. Work that is under way is waited for.
    """
    if count == 1:
        for item in items:
            yield work(item, compute_here)
        return
    desk, waiting = _Desk(), iter(items)
    threads = torch.get_num_threads()
    with ThreadPoolExecutor(count, initializer=_compute_on_one_core) as pool:
        under_way: deque[Future[Result]] = deque()
        try:
            while True:
                while len(under_way) < count:
                    try:
                        future = pool.submit(work, next(waiting), desk.compute)
                    except StopIteration:
                        break
                    # See overlap.py: a thread's number holds for those that ask later, too.
                    torch.set_num_threads(threads)
                    future.add_done_callback(desk.wake)
                    under_way.append(future)
                if not under_way:
                    return
                desk.serve_until(under_way[0])
                yield under_way.popleft().result()
        finally:
            desk.close()
            for future in under_way:
                future.cancel()


def _compute_on_one_core() -> None:
    torch.get_num_threads()  # Otherwise the first loop would ask, and forget the 1.
    torch.set_num_threads(1)


class _Desk:
    """Where threads hand in functions for the main thread."""

    def __init__(self) -> None:
        self._requests: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._closed = False

    def compute(self, function: Callable[[], Result]) -> Result:
        """Let the main thread run a function, and wait for its result."""
        future: Future[Result] = Future()
        self._requests.put((future, function))
        if self._closed:
            self.close()
        return future.result()

    def wake(self, _: object = None) -> None:
        """Let the main thread look whether what it waits for is done."""
        self._requests.put(None)

    def serve_until(self, awaited: Future[Any]) -> None:
        """Run what is handed in, in the main thread, until some work is done."""
        while not awaited.done():
            if (request := self._requests.get()) is None:
                continue
            future, function = request
            try:
                future.set_result(function())
            except Exception as error:
                future.set_exception(error)
            except BaseException:
                future.set_exception(CancelledError())
                raise

    def close(self) -> None:
        """Run nothing any more: who waits for something is told so."""
        self._closed = True
        while not self._requests.empty():
            if (request := self._requests.get()) is not None:
                request[0].set_exception(CancelledError())
