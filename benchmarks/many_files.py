"""Thousands of files: CPU seconds, the network's share of them, memory over time, and going on.

    python benchmarks/many_files.py --small 10000 --mixed 2000
    python benchmarks/many_files.py --small 200 --side 128 --mixed 0 --model enet-e-x4

CPU seconds and memory are those of the program with all its processes.
"""

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import torch

from enhance_cli.engine.catalogue import ModelOptions
from enhance_cli.engine.tiled import TilePlan
from enhance_cli.io.image import Picture, find_images, read_image, write_image
from enhance_cli.tasks.superres import superresolve

SUFFIXES = (".png", ".jpg", ".tif", ".webp")
SAMPLES = 200  # pictures on which the network is timed alone


def make_small(folder: Path, count: int, side: int) -> None:
    """Pictures of one size."""
    rng = np.random.default_rng(0)
    for number in range(count):
        pixels = rng.integers(0, 255, (side, side, 3), dtype=np.uint8)
        write_image(folder / f"{number:05}.png", Picture(pixels))


def make_mixed(folder: Path, count: int) -> None:
    """Pictures of four formats and many sizes in a tree; every hundredth is damaged."""
    rng = np.random.default_rng(0)
    for number in range(count):
        height, width = rng.integers(16, 160, 2)
        deep = number % 8 in (0, 2)
        dtype = np.uint16 if deep else np.uint8
        pixels = rng.integers(0, np.iinfo(dtype).max, (height, width, 3), dtype=dtype)
        path = folder / f"{number % 20:02}" / f"{number:05}{SUFFIXES[number % 4]}"
        write_image(path, Picture(pixels))
        if number % 100 == 99:
            path.write_bytes(path.read_bytes()[:40])


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class Watched:
    """A run of the program, whose processes are looked at while it works."""

    def __init__(self, source: Path, out: Path, *options: str) -> None:
        command = ["superres", source, "-r", "-o", f"{out}/", *options]
        self._start = time.perf_counter()
        self.program = subprocess.Popen(
            [sys.executable, "-m", "enhance_cli", *map(str, command), "-q"],
            stderr=subprocess.DEVNULL,
        )
        self.memory: list[tuple[float, float]] = []  # seconds, MiB
        self.cpu = self.seconds = 0.0

    def watch(self) -> Iterator[None]:
        """Look at the processes every second until the program has ended."""
        seen: dict[int, float] = {}
        while self.program.poll() is None:
            total = 0
            with suppress(psutil.Error):
                first = psutil.Process(self.program.pid)
                for process in (first, *first.children(recursive=True)):
                    with suppress(psutil.Error):
                        times = process.cpu_times()
                        seen[process.pid] = times.user + times.system
                        total += process.memory_info().rss
            self.seconds = time.perf_counter() - self._start
            self.memory.append((self.seconds, total / 2**20))
            self.cpu = sum(seen.values())
            yield
            time.sleep(0.5)

    def finish(self) -> "Watched":
        """Wait until it has ended."""
        for _ in self.watch():
            pass
        return self

    def row(self, name: str, count: int) -> str:
        """Its line of the table."""
        marks = (0.25, 0.5, 0.75, 0.95)
        sizes = [
            min(self.memory, key=lambda at, m=mark: abs(at[0] - m * self.seconds))[1]
            for mark in marks
        ]
        told = " / ".join(f"{size:.0f}" for size in sizes)
        each = 1000 * self.cpu / count
        return f"| {name} | {self.seconds:.0f} | {self.cpu:.1f} | {each:.1f} | {told} |"


def time_network(folder: Path, name: str) -> tuple[float, float]:
    """Milliseconds, and those of the CPU, for a picture of what the network does alone."""
    model = ModelOptions(name=name, backend="auto").load("superres")
    plan = TilePlan(tile=None)
    pictures = []
    for path in find_images(folder, True):
        with suppress(Exception):  # a damaged one
            pictures.append(read_image(path))
        if len(pictures) == SAMPLES:
            break
    superresolve(model, pictures[0], plan, (4 * pictures[0].height, 4 * pictures[0].width))
    start, cpu = time.perf_counter(), time.process_time()
    for picture in pictures:
        superresolve(model, picture, plan, (4 * picture.height, 4 * picture.width))
    spent = time.perf_counter() - start, time.process_time() - cpu
    return 1000 * spent[0] / len(pictures), 1000 * spent[1] / len(pictures)


def count_outputs(out: Path) -> tuple[int, int]:
    """How many outputs there are, and how many temporary files."""
    names = [path.name for path in out.rglob("*") if path.is_file()]
    temporary = sum(name.startswith(".enhance-") for name in names)
    return len(names) - temporary, temporary


def measure(name: str, source: Path, place: Path, count: int, model: str) -> None:
    """Run all cases on a folder, and print their lines."""
    options = "--model", model
    for jobs in ("1", "3"):
        run = Watched(source, place / f"{name}-{jobs}", *options, "--jobs", jobs).finish()
        say(run.row(f"{name}, --jobs {jobs}", count))
    again = Watched(source, place / f"{name}-1", *options, "--skip-existing").finish()
    say(again.row(f"{name}, --skip-existing, all there", count))
    options = *options, "--jobs", "3"
    killed = Watched(source, place / f"{name}-killed", *options)
    for _ in killed.watch():
        if count_outputs(place / f"{name}-killed")[0] > count // 2:
            killed.program.send_signal(signal.SIGKILL)
    say(killed.row(f"{name}, killed half way", count))
    made, temporary = count_outputs(place / f"{name}-killed")
    going_on = Watched(source, place / f"{name}-killed", *options, "--skip-existing").finish()
    say(going_on.row(f"{name}, gone on", count))
    whole = count_outputs(place / f"{name}-1")[0]
    after, left = count_outputs(place / f"{name}-killed")
    say(
        f"killed with {made} outputs and {temporary} temporary files, "
        f"after going on {after} of {whole} outputs and {left} temporary files"
    )
    spent, cpu = time_network(source, model)
    say(f"{name}: the network alone takes {spent:.1f} ms for a picture, {cpu:.1f} of the CPU\n")


def run() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", type=int, default=10_000)
    parser.add_argument("--side", type=int, default=32, help="of the small ones, in pixels")
    parser.add_argument("--mixed", type=int, default=2_000)
    parser.add_argument("--model", default="fast-x4")
    options = parser.parse_args()
    torch.set_num_threads(1)
    say("| case | seconds | CPU seconds | CPU ms a file | memory (MiB) at 25%, 50%, 75%, 95% |")
    say("| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for name, make, count in (
            ("small", partial(make_small, side=options.side), options.small),
            ("mixed", make_mixed, options.mixed),
        ):
            if count:
                make(place / name, count)
                measure(name, place / name, place, count, options.model)


if __name__ == "__main__":
    run()
