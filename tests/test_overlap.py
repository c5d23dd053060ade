"""Work before and after the network: order, errors, ends and bounds."""

import gc
import signal
import threading
import time
import weakref
from collections.abc import Iterator

import pytest
import torch

from enhance_cli.overlap import ahead, behind


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(0.5)  # its last steps
        assert not thread.is_alive()


class Thing:
    """Something that can be counted while it lives."""

    alive = 0
    most = 0

    def __init__(self, number: int) -> None:
        self.number = number
        Thing.alive += 1
        Thing.most = max(Thing.most, Thing.alive)
        weakref.finalize(self, Thing.gone)

    @staticmethod
    def gone() -> None:
        Thing.alive -= 1


def things(count: int, made: list[int] | None = None) -> Iterator[Thing]:
    for number in range(count):
        if made is not None:
            made.append(number)
        yield Thing(number)


@pytest.mark.parametrize("count", [0, 1, 50])
@pytest.mark.parametrize("depth", [1, 3])
def test_all_come_in_order(count: int, depth: int) -> None:
    assert list(ahead(range(count), depth)) == list(range(count))
    done: list[int] = []
    with behind(done.append, depth) as worker:
        for item in ahead(range(count), depth):
            worker.put(item)
    assert done == list(range(count))


def test_threads_compute_with_one_core_and_leave_the_others_theirs() -> None:
    found: dict[str, int] = {}

    def source() -> Iterator[str]:
        found["source"] = torch.get_num_threads()
        yield "an item"

    def sink(_: str) -> None:
        found["sink"] = torch.get_num_threads()

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with behind(sink, 1) as worker:
            for item in ahead(source(), 1):
                found["middle"] = torch.get_num_threads()
                worker.put(item)
        later = threading.Thread(target=lambda: found.update(later=torch.get_num_threads()))
        later.start()
        later.join()
        assert found == {"source": 1, "middle": 2, "sink": 1, "later": 2}
    finally:
        torch.set_num_threads(before)


def test_none_is_an_item() -> None:
    assert list(ahead([None, None], 1)) == [None, None]
    done: list[None] = []
    with behind(done.append, 1) as worker:
        worker.put(None)
    assert done == [None]


@pytest.mark.parametrize("slow", ["source", "middle", "sink"])
@pytest.mark.parametrize("count", [10, 200])
def test_few_are_held_however_many_come(slow: str, count: int) -> None:
    gc.collect()
    Thing.alive = Thing.most = 0

    def wait(where: str) -> None:
        if where == slow:
            time.sleep(0.001)

    def source() -> Iterator[Thing]:
        for number in range(count):
            wait("source")
            yield Thing(number)

    def sink(_: Thing) -> None:
        wait("sink")

    with behind(sink, 2) as worker:
        for thing in ahead(source(), 3):
            wait("middle")
            worker.put(thing)
        del thing
    assert Thing.most <= 3 + 2 + 5  # waiting, and one or two in each pair of hands
    gc.collect()
    assert Thing.alive == 0


def test_what_the_source_raises_comes_after_its_items() -> None:
    def source() -> Iterator[int]:
        yield 1
        yield 2
        raise LookupError("from the source")

    came = []
    with pytest.raises(LookupError, match="from the source"):
        for item in ahead(source(), 1):
            came.append(item)
    assert came == [1, 2]


def test_what_the_source_raises_at_once() -> None:
    def source() -> Iterator[int]:
        raise LookupError("at once")
        yield

    with pytest.raises(LookupError, match="at once"):
        next(ahead(source(), 1))


def test_closed_early_it_ends_its_thread_and_its_source() -> None:
    made: list[int] = []
    ended: list[str] = []

    def source() -> Iterator[Thing]:
        try:
            yield from things(1000, made)
        finally:
            ended.append(threading.current_thread().name)

    stream = ahead(source(), 2)
    assert next(stream).number == 0
    stream.close()
    assert len(made) <= 5
    assert len(ended) == 1
    ahead(source(), 2).close()  # never begun
    assert len(ended) == 1


def test_what_the_work_raises_is_raised_by_a_later_put() -> None:
    seen: list[int] = []

    def work(item: int) -> None:
        seen.append(item)
        if item == 3:
            raise LookupError("from the work")

    with pytest.raises(LookupError, match="from the work"), behind(work, 2) as worker:
        for number in range(1000):
            worker.put(number)
            time.sleep(0.001)
    assert seen == [0, 1, 2, 3]


def test_what_the_last_work_raises_is_raised_at_the_end() -> None:
    def work(item: int) -> None:
        if item == 2:
            raise LookupError("the last")

    with pytest.raises(LookupError, match="the last"), behind(work, 5) as worker:
        for number in range(3):
            worker.put(number)


def test_after_an_exception_nothing_more_is_begun() -> None:
    seen: list[int] = []
    going = threading.Event()

    def work(item: int) -> None:
        seen.append(item)
        going.set()
        time.sleep(0.05)

    with pytest.raises(LookupError, match="ours"), behind(work, 5) as worker:
        for number in range(4):
            worker.put(number)
        going.wait()
        raise LookupError("ours")
    assert seen == [0]


def test_interrupted_at_the_end_it_still_waits_for_the_work_in_hand() -> None:
    """Else the file would be closed while the thread writes to it."""
    state: list[str] = []

    def work(item: int) -> None:
        state.append("begun")
        if item == 0:
            _interrupt_main()
        time.sleep(0.1)
        state.append("done")

    with pytest.raises(KeyboardInterrupt), behind(work, 5) as worker:
        for number in range(3):
            worker.put(number)
    assert state == ["begun", "done"]


def _interrupt_main() -> None:
    time.sleep(0.05)  # until it waits
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def test_interrupted_twice_it_still_waits() -> None:
    state: list[str] = []

    def work(_: int) -> None:
        state.append("begun")
        for _ in range(3):
            _interrupt_main()
        state.append("done")

    with pytest.raises(KeyboardInterrupt), behind(work, 1) as worker:
        worker.put(0)
    assert state == ["begun", "done"]


def test_a_source_that_is_interrupted_while_it_is_waited_for() -> None:
    def source() -> Iterator[int]:
        yield 0
        _interrupt_main()
        time.sleep(0.05)
        yield 1

    stream = ahead(source(), 1)
    with pytest.raises(KeyboardInterrupt):
        list(stream)
