"""Several devices and machines: the same results as of one process, even if workers die."""

import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest
from dying_workers import deadly_setting
from small_videos import make_video

from enhance_cli.io.image import Picture, write_image
from enhance_cli.io.jobs import Job
from enhance_cli.tasks.attempt import Failed, Skipped
from enhance_cli.tasks.pool import Pool
from enhance_cli.tasks.workers import Listener, ProcessWorker


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(4):
        write_image(tmp_path / f"in/{number}.png", Picture(np.full((6, 7, 3), number, np.uint8)))
    (tmp_path / "in/2.png").write_bytes(b"no picture")
    return tmp_path / "in"


@pytest.fixture
def ray_on_this_machine() -> Iterator[None]:
    if importlib.util.find_spec("ray") is None:  # It is imported later, with settings.
        pytest.skip("Ray is not installed: pip install ray")
    yield
    importlib.import_module("ray").shutdown()


def told(out: str, folder: Path) -> list[dict]:
    """The rows of --json-lines, without what differs from run to run."""
    rows = [json.loads(line.replace(str(folder), "out")) for line in out.splitlines()]
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("command", ["superres", "lowlight"])
def test_two_devices_give_the_same_as_one(
    command: str, folder: Path, enhance: Callable, tiny_weights: dict[int, Path]
):
    options = ["--weights", tiny_weights[4]] if command == "superres" else ["--ratio", 2]
    rows, said = [], []
    for name, devices in (("one", "cpu"), ("two", "cpu,cpu")):
        out = folder.parent / name
        here = (*options, "--device", devices, "--json-lines")
        ran = enhance(command, folder, "-o", out, *here)
        assert ran.code == 1, ran.err
        rows.append(told(ran.out, out))
        said.append([line for line in ran.err.splitlines() if " s" not in line])
    assert rows[0] == rows[1]
    assert [row.get("status") for row in rows[0]] == ["ok", "ok", "failed", "ok", None]
    assert sorted(said[0]) == sorted(said[1])
    assert contents(folder.parent / "one") == contents(folder.parent / "two")
    ran = enhance(command, folder, "-o", out, *here, "--skip-existing")
    assert [row.get("status") for row in told(ran.out, out)] == [*3 * ["skipped"], "failed", None]


def test_clips_on_two_devices(tmp_path: Path, enhance: Callable, tiny_frvsr: list):
    (tmp_path / "in").mkdir()
    for name in ("a.mkv", "b.mkv"):
        make_video(tmp_path / "in" / name, 3)
    (tmp_path / "in" / "c.mkv").write_bytes(b"no video")
    rows = []
    for name, devices in (("one", "cpu"), ("two", "cpu,cpu")):
        out = tmp_path / name
        command = ("video", tmp_path / "in", "-o", out, *tiny_frvsr, "--device", devices)
        ran = enhance(*command, "--json-lines")
        assert ran.code == 1, ran.err
        rows.append(told(ran.out, out))
        assert sorted(contents(out)) == ["a_x4.mkv", "b_x4.mkv"]
    assert rows[0] == rows[1]
    assert [row.get("frames") for row in rows[0]] == [3, 3, None, None]


def is_decoder(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return "isolation" in " ".join(process.cmdline())
    return False


def test_a_signal_ends_the_workers_too(tmp_path: Path, tiny_weights: dict[int, Path]):
    for name in ("a.png", "b.png"):
        write_image(tmp_path / name, Picture(np.zeros((1500, 1500, 3), np.uint8)))
    command = ("superres", tmp_path, "--weights", tiny_weights[4], "--device", "cpu,cpu")
    with subprocess.Popen(
        [sys.executable, "-m", "enhance_cli", *command], stderr=subprocess.PIPE, text=True
    ) as ran:
        processes = []
        while ran.poll() is None and sum(map(is_decoder, processes)) < 2:  # Both have begun.
            processes = psutil.Process(ran.pid).children(recursive=True)
        ran.send_signal(signal.SIGINT)
        assert ran.stderr is not None and ran.stderr.read() == "error: interrupted\n"
    assert ran.returncode == 130
    psutil.wait_procs(processes, timeout=30)
    assert not any(process.is_running() for process in processes)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]


CRASHING = """
import ctypes, av
opened = av.open
def crash(file, *rest, **options):
    if "bad" in str(file):
        ctypes.string_at(0)
    return opened(file, *rest, **options)
av.open = crash
"""


def test_a_video_that_crashes_ffmpeg_takes_no_other_along(tmp_path: Path, tiny_frvsr: list):
    (tmp_path / "in").mkdir()
    (tmp_path / "sitecustomize.py").write_text(CRASHING)  # of every Python of this test
    for name in ("a.mkv", "bad.mkv", "c.mkv"):
        make_video(tmp_path / "in" / name, 2)
    ran = subprocess.run(
        [sys.executable, "-m", "enhance_cli", "video", tmp_path / "in", "-o", tmp_path / "out"]
        + [*tiny_frvsr, "--json"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 1, ran.stderr
    rows = {Path(row["input"]).name: row for row in json.loads(ran.stdout)["results"]}
    assert [rows[name]["status"] for name in sorted(rows)] == ["ok", "failed", "ok"]
    assert "died 2 times (SIGSEGV)" in rows["bad.mkv"]["error"]
    assert sorted(contents(tmp_path / "out")) == ["a_x4.mkv", "c_x4.mkv"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--device", "cpu,gpu"], "unknown device 'gpu'"),
        (["--device", "cpu,"], "unknown device ''"),
        (["--ray", "127.0.0.1:1"], "--ray 127.0.0.1:1: "),
    ],
)
def test_devices_that_are_not_there(
    options: list[str], said: str, folder: Path, enhance: Callable, tiny_weights: dict[int, Path]
):
    ran = enhance("superres", folder, "--weights", tiny_weights[4], *options)
    assert ran.code in (1, 2)
    assert ran.err.startswith(f"error: {said}"), ran.err


def assert_pool_loses_nothing(make_pool: Callable, folder: Path, *names: str) -> None:
    """Whatever dies, each job is done once or told; ``late`` dies when its output is there."""
    jobs = [Job(folder / name, folder / f"{name}.out") for name in names]
    log, lines = folder / "log", []

    @contextmanager
    def listen() -> Iterator[Listener]:
        yield Listener(lambda *_: None, lines.append)

    pool = make_pool(deadly_setting(log))
    outcomes = list(pool.in_order(lambda job: pool.submit(job, listen)[0], jobs))
    states = dict(zip(names, outcomes, strict=True))
    assert isinstance(states.pop("late"), Skipped)
    if "always" in states:
        failed = states.pop("always")
        assert isinstance(failed, Failed) and "died 2 times (SIGKILL)" in failed.reason
    assert all(state == {"width": 1, "height": 1} for state in states.values())
    assert sorted(lines) == sorted(f"{name}: made" for name in states)
    assert {path.name for path in folder.glob("*.out")} == {
        f"{name}.out" for name in names if name != "always"
    }
    tries = Counter(log.read_text().split())
    assert tries == {name: 2 if name in ("once", "always") else 1 for name in names}


def test_a_process_that_dies_takes_nothing_along(tmp_path: Path):
    def make_pool(setting: object) -> Pool:
        return Pool([partial(ProcessWorker, setting)])

    assert_pool_loses_nothing(make_pool, tmp_path, "a", "always", "late", "b")


@pytest.mark.slow
def test_a_ray_worker_that_dies_takes_nothing_along(
    folder: Path, enhance: Callable, tiny_weights: dict[int, Path], ray_on_this_machine: None
):
    from enhance_cli.tasks.ray_workers import find_ray_workers

    def make_pool(setting: object) -> Pool:
        return Pool(find_ray_workers("local", ["cpu"], setting, 1))

    (folder.parent / "pool").mkdir()
    assert_pool_loses_nothing(make_pool, folder.parent / "pool", "once", "late", "b")
    rows = []
    for name, options in (("one", ["--device", "cpu"]), ("two", ["--ray", "local"])):
        out = folder.parent / name
        killer = threading.Thread(target=kill_a_worker, args=(out,))
        if name == "two":
            killer.start()
        ran = enhance(
            "superres", folder, "-o", out, "--weights", tiny_weights[4], *options, "--json-lines"
        )
        assert ran.code == 1, ran.err
        rows.append(told(ran.out, out))
    killer.join()
    assert contents(folder.parent / "one") == contents(folder.parent / "two")
    assert [row.get("input") for row in rows[0]] == [row.get("input") for row in rows[1]]


def kill_a_worker(out: Path) -> None:
    """Kill the process of a Ray worker of this program as soon as an output is there."""
    deadline = time.monotonic() + 300
    while not (out.is_dir() and any(path.suffix == ".png" for path in out.iterdir())):
        if time.monotonic() > deadline:
            return
        time.sleep(0.01)
    for process in psutil.Process().children(recursive=True):
        if process.is_running() and "_Actor" in " ".join(process.cmdline()):
            process.kill()
            return
