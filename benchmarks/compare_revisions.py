"""Another revision of the program against this checkout, run in turn, pair by pair.

    python benchmarks/compare_revisions.py REVISION [--rounds 5] [--megapixels 0.3]
    make bench-compare BASE=REVISION

Both run in this environment, with the scripts of this checkout, over the same pictures and the same
short video. A ratio below 1 says that this checkout takes less. It is the ratio of the medians
of CPU seconds; beside it stand the lowest and the highest ratio of a pair. A difference that is
smaller than their distance says nothing: run more rounds.
"""

import argparse
import contextlib
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import engines
import video_peers
from tiles import make_picture

CHECKOUT = Path(__file__).resolve().parents[1]


@contextlib.contextmanager
def checked_out(revision: str, folder: Path) -> Iterator[Path]:
    """A worktree of a revision, which is removed at the end."""
    git = ["git", "-C", str(CHECKOUT), "worktree"]
    done = subprocess.run([*git, "add", "--detach", "--quiet", str(folder), revision])
    if done.returncode:
        raise SystemExit(f"{revision}: no revision of this repository, name one that git knows")
    try:
        yield folder
    finally:
        subprocess.run([*git, "remove", "--force", str(folder)], check=True)


def make_cases(folder: Path, megapixels: float) -> dict[str, Callable[[Path], float]]:
    """By name, what tells the CPU seconds of a case by a checkout."""
    picture, clip = folder / "in.png", folder / "in.mp4"
    side = round((megapixels * 1e6) ** 0.5 / engines.SCALE)
    make_picture(picture, side, side)
    video_peers.write_source(clip, "240x136", 12)

    def still(case: str, model: str) -> Callable[[Path], float]:
        return lambda package: engines.measure(case, picture, folder / "out.png", model, package)[1]

    return {
        "enet-e, enhance, OpenVINO": still("enhance, OpenVINO", "enet-e"),
        "fast, enhance, torch": still("enhance, torch", "fast"),
        "enet-e, network, OpenVINO": still("network, OpenVINO", "enet-e"),
        "enet-e, network, torch": still("network, torch", "enet-e"),
        "frvsr-real, 12 frames": lambda package: (
            video_peers.measure("frvsr-real", clip, folder, package).cpu
        ),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("revision")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--megapixels", type=float, default=0.3)
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as name,
        checked_out(arguments.revision, Path(name) / "base") as base,
    ):
        cases = make_cases(Path(name), arguments.megapixels)
        print(f"| CPU seconds | {arguments.revision} | this | ratio | pairs |")  # noqa: T201
        print("| --- | --- | --- | --- | --- |")  # noqa: T201
        for case, seconds_of in cases.items():
            for package in (base, CHECKOUT):  # compiles what is not yet
                seconds_of(package)
            rounds = [(seconds_of(base), seconds_of(CHECKOUT)) for _ in range(arguments.rounds)]
            before, after = (statistics.median(column) for column in zip(*rounds, strict=True))
            pairs = [new / old for old, new in rounds]
            ratio = f"{after / before:.2f} | {min(pairs):.2f} to {max(pairs):.2f}"
            print(f"| {case} | {before:.2f} | {after:.2f} | {ratio} |", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
