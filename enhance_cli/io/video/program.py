"""The program ffmpeg, asked where FFmpeg's libraries as PyAV offers them do not suffice."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import psutil

_PATIENCE = 60.0  # seconds between two looks at the time that the program has worked


def find_program() -> str | None:
    """The path of the program that comes with imageio-ffmpeg, None if it is missing.

    The environment variable ``IMAGEIO_FFMPEG_EXE`` can name another one.
    """
    try:
        from imageio_ffmpeg import get_ffmpeg_exe

        return str(get_ffmpeg_exe())
    except (ImportError, RuntimeError, OSError):  # The second where the package has none inside.
        return None


def hint() -> str:
    """What helps besides, to be put behind an error: nothing if the program is there."""
    return "" if find_program() else ", or run: pip install imageio-ffmpeg, which may mend it"


def run_program(arguments: Sequence[str]) -> str | None:
    """Run the program without questions.

    Args:
        arguments: those behind the name of the program.

    Returns:
        What it writes to standard output; None if it is missing, fails, or has not worked for a
        while, as where it waits for a disk that is gone.
    """
    program = find_program()
    if program is None:
        return None
    command = [program, "-hide_banner", "-nostdin", "-v", "error", *arguments]
    try:
        started = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            errors="replace",
        )
    except OSError:
        return None
    with started:
        said = _wait(started)
    return said if started.returncode == 0 else None


def _wait(started: "subprocess.Popen[str]") -> str:
    """All that a program writes to its standard output; one that does not go on is ended."""
    worked = None
    try:
        while True:
            with suppress(subprocess.TimeoutExpired):
                return started.communicate(timeout=_PATIENCE)[0]
            with suppress(psutil.NoSuchProcess):
                before, worked = worked, psutil.Process(started.pid).cpu_times()[:2]
                if worked == before:
                    started.kill()
    except BaseException:
        started.kill()
        raise


def place_of(path: Path) -> str:
    """A path as the program takes it, which takes a name with a colon for an address."""
    return f"file:{path.absolute()}"


def read_frame_times(path: Path, stream: int, time_base: Fraction) -> list[int]:
    """The times of all frames of a video stream, where packets do not tell all of them.

    The program fills in what is missing from the times of decoding and the rate; PyAV passes on
    only what packets say. All frames are decoded for this.

    Args:
        path: the file.
        stream: the index of the stream.
        time_base: the seconds of the unit that times are wanted in.

    Returns:
        The times in the order of the frames; empty if the program is missing or cannot tell them.
    """
    said = run_program(
        [
            *("-i", place_of(path), "-map", f"0:{stream}", "-copyts"),
            *("-fps_mode", "passthrough", "-enc_time_base", "demux", "-f", "framecrc", "-"),
        ]
    )
    unit, times = Fraction(1), list[int]()
    for line in (said or "").splitlines():
        if line.startswith("#tb 0:"):
            unit = Fraction(line.partition(":")[2].strip()) / time_base
        elif not line.startswith("#"):
            times.append(round(int(line.split(",")[2]) * unit))
    return times


def can_copy_stream(path: Path, stream: int, container: str) -> bool:
    """Whether the program copies a stream of a file into a container, by its FFmpeg's name."""
    trial = ("-map", f"0:{stream}", "-c", "copy", "-t", "0", "-f", container, "-y", os.devnull)
    return run_program(["-i", place_of(path), *trial]) is not None


def copy_streams(
    source: Path,
    streams: Sequence[int],
    target: Path,
    container: str,
    options: Mapping[str, str],
    late: Fraction,
) -> bool:
    """Copy streams of a file into an output that is finished, behind those that are there.

    PyAV copies no stream that it has no decoder for, but the program does.

    Args:
        source: the file.
        streams: the indices of its streams.
        target: the output, which is replaced if all goes well.
        container: FFmpeg's name of its format.
        options: those of the muxer.
        late: the seconds by which all times are moved towards 0.

    Returns:
        Whether the streams were copied.
    """
    made = target.with_name(f"{target.stem}-more{target.suffix}")
    maps = [word for index in streams for word in ("-map", f"1:{index}")]
    muxer = [word for name, value in options.items() for word in (f"-{name}", value)]
    try:
        said = run_program(
            [
                *("-copyts", "-i", place_of(target)),
                *("-itsoffset", f"{float(-late):.6f}", "-i", place_of(source)),
                *("-map", "0", *maps, "-c", "copy", "-copy_unknown", "-map_chapters", "0"),
                *(*muxer, "-f", container, "-y", place_of(made)),
            ]
        )
        if said is not None:
            made.replace(target)
        return said is not None
    finally:
        made.unlink(missing_ok=True)
