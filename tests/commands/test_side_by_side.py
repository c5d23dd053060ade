"""``--jobs`` and ``--json-lines``: many files."""

import json
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from enhance_cli.io.image import Picture, write_image
from enhance_cli.tasks import superres
from enhance_cli.tasks.side_by_side import side_by_side


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(5):
        pixels = np.full((6, 7, 3), 40 * number, np.uint8)
        write_image(tmp_path / "in" / f"{number}.png", Picture(pixels))
    (tmp_path / "in" / "3.png").write_bytes(b"no picture")
    return tmp_path / "in"


@pytest.fixture
def tiny(tiny_weights: dict[int, Path]) -> list[object]:
    return ["--weights", tiny_weights[4]]


def test_several_files_at_a_time_give_the_same(
    folder: Path, enhance: Callable, tiny: list, monkeypatch: pytest.MonkeyPatch
):
    threads, superresolve = set(), superres.superresolve

    def note(*arguments: object, **options: object) -> Picture:
        threads.add(threading.current_thread())
        return superresolve(*arguments, **options)

    monkeypatch.setattr(superres, "superresolve", note)
    rows = {}
    for jobs in (1, 3):
        out = folder.parent / str(jobs)
        ran = enhance("superres", folder, "-o", out, *tiny, "--jobs", jobs, "--json-lines")
        assert ran.code == 1
        *lines, last = map(json.loads, ran.out.splitlines())
        assert (last["files"], last["failed"]) == (4, 1)
        rows[jobs] = [(Path(row["input"]).name, row["status"]) for row in lines]
        assert ran.err.splitlines()[-2].startswith(f"error: {folder}/3.png: ")
    states = ["ok", "ok", "ok", "failed", "ok"]
    assert rows[1] == rows[3] == [(f"{n}.png", state) for n, state in enumerate(states)]
    assert threads == {threading.main_thread()}
    whole = {path.name: path.read_bytes() for path in (folder.parent / "1").iterdir()}
    assert whole == {path.name: path.read_bytes() for path in (folder.parent / "3").iterdir()}
    assert len(whole) == 4


def test_lowlight_side_by_side(folder: Path, enhance: Callable):
    ran = enhance("lowlight", folder, "-o", folder.parent / "out", "--ratio", 2, "--jobs", 2)
    assert ran.code == 1
    assert len(list((folder.parent / "out").iterdir())) == 4


def test_an_interruption_waits_for_files_under_way(
    folder: Path, enhance: Callable, tiny: list, monkeypatch: pytest.MonkeyPatch
):
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(superres, "superresolve", interrupt)
    before = threading.active_count()
    ran = enhance("superres", folder, "-o", folder.parent / "out", *tiny, "--jobs", 3)
    assert ran.code == 130
    assert threading.active_count() == before
    assert not list(folder.parent.glob("out/*"))


def test_no_more_are_under_way_than_asked_for():
    under_way, most, lock = 0, 0, threading.Lock()

    def work(item: int, compute: Callable) -> int:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        result = compute(lambda: item * item)
        with lock:
            under_way -= 1
        return result

    assert list(side_by_side(work, range(20), 3)) == [item * item for item in range(20)]
    assert most <= 3
