"""Kill runs of the program at random moments, and check what they leave behind.

No file under the name of an output may be half, no input may change, and the next run must finish
the work and remove what was left. Each run is a fork of this process, which has loaded torch.

    python benchmarks/kills.py --runs 200 --seed 0
"""

import argparse
import hashlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

# The tasks are for the forks, which would import them anew each time.
import enhance_cli.tasks.superres
import enhance_cli.tasks.video  # noqa: F401
from enhance_cli.app import main
from enhance_cli.architectures import ARCHITECTURES
from enhance_cli.architectures.enhancenet import EnhanceNetConfig
from enhance_cli.engine.checkpoint import build, save_checkpoint
from enhance_cli.io.image import Picture, write_image

SUFFIXES = (".png", ".jpg", ".tif", ".webp")


def make_inputs(folder: Path) -> None:
    """Small pictures of several formats and depths, and a folder of frames."""
    rng = np.random.default_rng(0)
    for number in range(12):
        dtype = np.uint16 if number % 4 in (0, 2) else np.uint8
        pixels = rng.integers(0, np.iinfo(dtype).max, (48, 64, 3), dtype=dtype)
        write_image(folder / f"{number:02}{SUFFIXES[number % 4]}", Picture(pixels))
    for number in range(8):
        pixels = rng.integers(0, 255, (24, 32, 3), dtype=np.uint8)
        write_image(folder / "frames" / f"{number:03}.png", Picture(pixels))


def make_weights(path: Path) -> None:
    """A checkpoint of a very small network: most of the time goes into files."""
    torch.manual_seed(0)
    architecture = ARCHITECTURES["enhancenet"]
    network = build(architecture, EnhanceNetConfig(4, channels=4, blocks=1))
    save_checkpoint(path, network, architecture, "tiny")


def digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file of a tree by its name, temporary ones left out."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.relative_to(folder).parts[0].startswith(".")
    }


def fork(work: Callable[[], object]) -> int:
    """Do some work in a fork, in silence, and give its process id.

    This process itself must use neither libvips nor threads, which do not survive in a fork.
    """
    child = os.fork()
    if child:
        return child
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    code = 1
    try:
        work()
        code = 0
    except SystemExit as left:
        code = int(left.code or 0)
    finally:
        os._exit(code)


def end(child: int) -> int:
    """Wait for a process, and give its exit status: -9 if it was killed."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def run(arguments: list[str], moment: float | None = None) -> int:
    """Run the program, kill it after so many seconds, and give its exit status."""

    def work() -> None:
        sys.argv = ["enhance", *arguments]
        main()

    child = fork(work)
    if moment is not None:
        time.sleep(moment)
        os.kill(child, signal.SIGKILL)
    return end(child)


def check(place: Path, runs: int, seed: int) -> Counter[str]:
    """Kill so many runs of each command; counts how they ended."""
    inputs, out = place / "inputs", place / "out"
    weights = place / "tiny.safetensors"
    for make, where in ((make_inputs, inputs), (make_weights, weights)):
        assert end(fork(partial(make, where))) == 0
    before = digests(inputs)
    common = ["--weights", str(weights), "--device", "cpu"]
    commands = {
        "superres": [*(str(inputs / name) for name in before if "/" not in name), *common],
        "video": [str(inputs / "frames"), *common],
    }
    chance, counts = random.Random(seed), Counter[str]()
    for command, options in commands.items():
        target = str(out) if command == "superres" else str(out / "frames.mkv")
        arguments = [command, *options, "-o", target]
        began = time.monotonic()
        assert run(arguments) == 0
        seconds = time.monotonic() - began
        whole = digests(out)
        shutil.rmtree(out)
        going_on = ["--skip-existing", *(["--resume"] if command == "video" else [])]
        for number in range(runs):
            moment = chance.uniform(0, 1.05 * seconds)
            code = run([*arguments, *going_on], moment)
            counts[f"{command} {'killed' if code == -signal.SIGKILL else f'left with {code}'}"] += 1
            made = {k: v for k, v in digests(out).items() if ".part" not in k}
            assert made.items() <= whole.items(), (number, moment, made.keys())
            assert digests(inputs) == before, (number, moment)
            counts[f"{command} leftovers"] += len(list(out.glob(".*")))
            if code == 0 or number == runs - 1 or number % 5 == 4:
                assert run([*arguments, *going_on]) == 0, (number, moment)
                # A video that was killed when it was whole may have its work folder still.
                made = {name: sha for name, sha in digests(out).items() if ".part" not in name}
                assert made == whole, (number, moment)
                assert not list(out.glob(".*")) or code == 0, (number, list(out.glob(".*")))
                counts[f"{command} completed"] += 1
                shutil.rmtree(out)
    return counts


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100, help="killed runs of each command")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        for name, count in check(Path(folder), options.runs, options.seed).items():
            print(f"{name}: {count}")  # noqa: T201
