"""Frames per second and memory of `enhance video` by several models, and of FFmpeg's bicubic.

    python benchmarks/video_peers.py [--sizes 180x144:30,480x270:8,960x540:3] [--rounds 1]
        [--models frvsr-real,sisr,realesr_animevideov3_x4] [--lengths 60,600,3000 --small 64x48]

A size is followed by the number of frames. Each case is the whole command in a process of its own,
with one thread to compute in, over an H.264 video of smooth moving noise. It runs once with two
frames and once with so many more; what is told is the difference, which is what each further frame
takes: start and loading are in neither. All cases of a size run in turns. The seconds of a clock
tell little where other programs run; the CPU seconds of a frame are those of all its threads,
decoder and encoder included. FFmpeg encodes with the same codec, preset and quality.

With ``--lengths`` it tells the peak memory over videos of so many frames instead. A model that is
not shipped is found in the folder of $ENHANCE_WEIGHTS, see `enhance weights import`.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg
from video import make_frames, write_video

from enhance_cli.io.video.codecs import CODECS

FEW = 2
FFMPEG = "FFmpeg bicubic"


@dataclass(frozen=True)
class Cost:
    """What a process took: seconds, CPU seconds and MiB."""

    seconds: float
    cpu: float
    memory: float


def command_of(case: str, source: Path, target: Path) -> list[str]:
    """The command of a case."""
    if case == FFMPEG:
        codec = CODECS["h264"]
        program = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", "-threads", "1"]
        program += ["-i", str(source), "-vf", "scale=iw*4:ih*4:flags=bicubic", "-threads", "1"]
        return [*program, "-preset", codec.preset, "-crf", str(codec.crf), str(target)]
    program = [sys.executable, "-m", "enhance_cli", "video", str(source), "-o", str(target)]
    return [*program, "--overwrite", "--quiet", "--model", case]


def measure(case: str, source: Path, folder: Path, package: Path | None = None) -> Cost:
    """Run a case, by another checkout of the program if one is given."""
    command = command_of(case, source, folder / "out.mp4")
    start = time.perf_counter()
    variables = {"OMP_NUM_THREADS": "1"} | ({"PYTHONPATH": str(package)} if package else {})
    process = subprocess.Popen(command, cwd=folder, env={**os.environ, **variables})
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{case}: status {status}")
    cpu = usage.ru_utime + usage.ru_stime
    return Cost(time.perf_counter() - start, cpu, usage.ru_maxrss / 1024)


def write_source(path: Path, size: str, count: int) -> None:
    """A video of so many frames; long ones repeat a second of 25."""
    width, height = map(int, size.split("x"))
    frames = make_frames(min(count, 25), height, width)
    write_video(path, frames.repeat(count // len(frames) + 1, 1, 1, 1)[:count])


def compare_speed(size: str, more: int, cases: list[str], rounds: int, folder: Path) -> str:
    """The table of a size, as Markdown."""
    few, many = folder / "few.mp4", folder / "many.mp4"
    write_source(few, size, FEW)
    write_source(many, size, FEW + more)
    found: dict[str, list[tuple[Cost, Cost]]] = {case: [] for case in cases}
    for case in cases:
        measure(case, few, folder)  # compiles what is not yet
    for _ in range(rounds):
        for case, pairs in found.items():
            pairs.append((measure(case, few, folder), measure(case, many, folder)))
    lines = [
        "| case | frames per second | CPU seconds a frame | ratio | peak memory (MiB) |",
        "| --- | --- | --- | --- | --- |",
    ]
    base = 0.0
    for case, pairs in found.items():
        seconds = statistics.median(last.seconds - first.seconds for first, last in pairs) / more
        cpu = statistics.median(last.cpu - first.cpu for first, last in pairs) / more
        base = base or cpu
        memory = max(last.memory for _, last in pairs)
        told = f"{1 / seconds:.2f} | {cpu:.3f} | {cpu / base:.2f} | {memory:.0f}"
        lines.append(f"| {case} | {told} |")
    return "\n".join(lines)


def compare_memory(size: str, lengths: list[int], model: str, folder: Path) -> str:
    """Peak memory over videos of several lengths, as Markdown."""
    lines = ["| frames | peak memory (MiB) | CPU seconds |", "| --- | --- | --- |"]
    for count in lengths:
        write_source(folder / "in.mp4", size, count)
        cost = measure(model, folder / "in.mp4", folder)
        lines.append(f"| {count} | {cost.memory:.0f} | {cost.cpu:.1f} |")
    return "\n".join(lines)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", default="180x144:30,480x270:8,960x540:3")
    parser.add_argument("--models", default="frvsr-real,frvsr-3-64,sisr")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--lengths", default="")
    parser.add_argument("--small", default="64x48")
    arguments = parser.parse_args()
    models = arguments.models.split(",")
    with tempfile.TemporaryDirectory() as name:
        if arguments.lengths:
            lengths = [int(length) for length in arguments.lengths.split(",")]
            print(f"\n{models[0]}, {arguments.small}\n")  # noqa: T201
            print(compare_memory(arguments.small, lengths, models[0], Path(name)))  # noqa: T201
            return
        for entry in arguments.sizes.split(","):
            size, more = entry.split(":")
            print(f"\n{size}, {more} frames\n")  # noqa: T201
            cases = [*models, FFMPEG]
            table = compare_speed(size, int(more), cases, arguments.rounds, Path(name))
            print(table, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
