"""Decoding in a process of its own, so that a file that crashes a decoder harms no other.

LibRaw, libvips, libheif and the libraries inside Pillow are native code that reads whatever a file
holds. A crash there would end the program with all that is still to be done, and a decoder that
hangs could not even be interrupted. In the other process both concern one file, which is named.
The process lives as long as the batch. It gets limits of time and of memory, which the system
enforces. Windows has no such limits: there a process that hangs is ended by a thread of its own,
and memory is not limited.
"""

import faulthandler
import os
import pickle
import signal
import struct
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import RawIOBase
from pathlib import Path
from traceback import walk_tb
from typing import Any, TypeVar

from enhance_cli.errors import EnhanceError, InputError, describe, one_line
from enhance_cli.io.libraries import DECODERS
from enhance_cli.io.memory import free_memory

try:
    import resource
except ImportError:
    resource = None  # type: ignore[assignment]

Result = TypeVar("Result")

SECONDS, SECONDS_PER_MEGABYTE = 60.0, 2.0  # of computing; a slow machine needs a tenth of it
_WAITING = 10  # times as long may a file take that waits for other programs or a network drive
_MEMORY_SHARE, _LEAST_MEMORY = 0.9, 2**30
_PIPE_BYTES = 2**20
# With which exit codes a process ends that takes too long, or that the system kills.
_OVERDUE = (-signal.SIGPROF, -signal.SIGALRM) if resource else (1,)
_KILLED = -signal.SIGKILL if resource else None
_SERVE = "from enhance_cli.io.isolation import serve; serve()"


class DecoderError(Exception):
    """A decoder raised what it did not foresee; the text tells what."""


@contextmanager
def decoding_apart(wanted: bool) -> Iterator[None]:
    """Let :func:`decode` use other processes in the body of a ``with`` statement, if it is wanted.

    Each thread that decodes gets one.
    """
    global _processes
    before, _processes = _processes, _Processes() if wanted else None
    try:
        yield
    finally:
        if _processes is not None:
            _processes.end()
        _processes = before


def decode(function: Callable[..., Result], path: Path, **options: Any) -> Result:
    """Read a file, in the other process if :func:`decoding_apart` has one.

    A decoder that hangs in this process ends it, with a line that names the file and exit code 1:
    nothing else stops native code.

    Args:
        function: reads a file: (path, options) -> result. It is found by its name in its module.
        path: the file.
        options: its further arguments. ``notice`` is called here, whichever process decodes.

    Raises:
        EnhanceError: as the function does.
        InputError: if the decoder crashes, hangs or takes too much memory.
        DecoderError: if it raises in the other process what nobody foresaw.
    """
    if _processes is None:
        with _watched(path):
            return function(path, **options)
    return _processes.of_this_thread().run(function, path, **options)


@contextmanager
def _watched(path: Path) -> Iterator[None]:
    """End this process if it computes too long in the body of a ``with`` statement."""
    seconds, start, ended = _enough_seconds(path, SECONDS), time.process_time(), threading.Event()

    def watch() -> None:
        while not ended.wait(1):
            if time.process_time() - start > seconds:
                sys.stderr.write(one_line(f"error: {path}: {_too_long(seconds)}") + "\n")
                sys.stderr.flush()
                os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def _enough_seconds(path: Path, least: float) -> float:
    """How long decoding a file may compute."""
    size = 0
    with suppress(OSError):
        size = path.stat().st_size
    return least + SECONDS_PER_MEGABYTE * size / 1e6


def _too_long(seconds: float) -> str:
    return f"decoding did not end within {seconds:.0f} seconds, convert it anew"


class DecodingProcess:
    """A process that decodes one file after another; after a crash a new one takes its place.

    Args:
        seconds: how long a file may compute, besides what its size allows.
        memory: bytes that it may take; None for nine tenths of what is free.
    """

    def __init__(self, seconds: float = SECONDS, memory: int | None = None) -> None:
        self._seconds, self._memory = seconds, memory
        self._start()

    def _start(self) -> None:
        self._program = subprocess.Popen(
            [sys.executable, "-c", _SERVE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        for pipe in (self._program.stdin, self._program.stdout):
            _widen(pipe)

    def run(self, function: Callable[..., Result], path: Path, **options: Any) -> Result:
        """Call a function there; see :func:`decode`."""
        notice = options.pop("notice", None)
        limits = self._limits(path)
        try:
            if self._program.poll() is not None:
                self._start()
            _send(self._program.stdin, (function, path, options, notice is not None, limits))
            while True:
                kind, value = _receive(self._program.stdout)
                if kind == "notice":
                    notice(value)
                elif kind == "error":
                    raise value
                else:
                    return value  # type: ignore[no-any-return]
        except (EOFError, BrokenPipeError) as error:
            raise InputError(f"{path}: {self._why_ended(limits)}") from error
        except BaseException as error:
            if not isinstance(error, Exception):
                self.end()  # What it says of this file must not be taken for the next one's.
            raise

    def end(self) -> None:
        """End the process, whatever it does."""
        self._program.kill()
        for pipe in (self._program.stdin, self._program.stdout):
            if pipe is not None:
                pipe.close()
        self._program.wait()

    def _limits(self, path: Path) -> tuple[float, int]:
        memory = self._memory or max(int(_MEMORY_SHARE * free_memory()[0]), _LEAST_MEMORY)
        return _enough_seconds(path, self._seconds), memory

    def _why_ended(self, limits: tuple[float, int]) -> str:
        code = self._program.wait()
        self.end()
        if code in _OVERDUE:
            return _too_long(limits[0])
        if code == _KILLED:
            return "decoding was killed, perhaps since memory ran out; cut it into parts"
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return f"its decoder crashed ({name}): it is damaged or made to do so, convert it anew"


class _Processes:
    """A process for each thread that decodes, from its first file on."""

    def __init__(self) -> None:
        self._own = threading.local()
        self._all: list[DecodingProcess] = []

    def of_this_thread(self) -> DecodingProcess:
        """The process of the thread that asks."""
        if not hasattr(self._own, "process"):
            self._own.process = DecodingProcess()
            self._all.append(self._own.process)
        return self._own.process  # type: ignore[no-any-return]

    def end(self) -> None:
        """End all processes."""
        for process in self._all:
            process.end()


_processes: _Processes | None = None


def serve() -> None:
    """What the other process does: it answers requests until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The first process decides what Ctrl-C does.
    requests, answers = (os.fdopen(os.dup(number), mode, 0) for number, mode in _ENDS)
    silence = os.open(os.devnull, os.O_RDWR)
    for number, _ in _ENDS:
        os.dup2(silence, number)  # Nobody else reads or writes there.
    if not os.environ.get("ENHANCE_DEBUG"):
        os.dup2(silence, 2)  # libtiff, for one, tells there what is told as an error anyway.
    while True:
        try:
            function, path, options, tells, limits = _receive(requests)
        except EOFError:
            return
        if tells:
            options["notice"] = lambda text: _send(answers, ("notice", text))
        try:
            with _limited(*limits):
                answer = "done", function(path, **options)
        except Exception as error:
            answer = "error", portable(error)
        _send(answers, answer)


_ENDS = ((0, "rb"), (1, "wb"))


@contextmanager
def _limited(seconds: float, memory: int) -> Iterator[None]:
    """Let the system end this process if it computes too long, and refuse it too much memory."""
    if resource is None:
        faulthandler.dump_traceback_later(_WAITING * seconds, exit=True, file=2)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
        return
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        memory = min(memory, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (memory, hard))
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, _WAITING * seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)


def portable(error: Exception) -> Exception:
    """An exception that arrives in the other process as what it is there."""
    if not isinstance(error, EnhanceError):
        if os.environ.get("ENHANCE_DEBUG"):
            traceback.print_exception(error)
        if comes_from_decoder(error) and not isinstance(error, OSError | MemoryError):
            return DecoderError(describe(error))
    try:
        copy: Exception = pickle.loads(pickle.dumps(error))
    except Exception:  # whatever its constructor makes of its arguments
        copy = RuntimeError(describe(error))
    return copy


def comes_from_decoder(error: Exception) -> bool:
    """Whether an exception was raised in a library that was decoding a file for us."""
    if isinstance(error, DecoderError):
        return True
    modules = [frame.f_globals.get("__name__", "") for frame, _ in walk_tb(error.__traceback__)]
    ours = [place for place, name in enumerate(modules) if name.startswith("enhance_cli.")]
    if not ours or modules[ours[-1]].endswith("writing"):
        return False
    return any(name.partition(".")[0] in DECODERS for name in modules[ours[-1] :])


def _send(pipe: Any, value: Any) -> None:
    """Write an object to a pipe; large arrays go as they are."""
    buffers: list[pickle.PickleBuffer] = []
    parts = [memoryview(pickle.dumps(value, protocol=5, buffer_callback=buffers.append))]
    parts += [buffer.raw() for buffer in buffers]
    pipe.write(struct.pack(f"<{len(parts) + 1}Q", len(parts), *map(len, parts)))
    for part in parts:
        while part:
            part = part[pipe.write(part) :]


def _receive(pipe: Any) -> Any:
    """Read an object from a pipe.

    Raises:
        EOFError: if the other process is gone.
    """
    (count,) = struct.unpack("<Q", _read(pipe, 8))
    sizes = struct.unpack(f"<{count}Q", _read(pipe, 8 * count))
    data, *buffers = [_read(pipe, size) for size in sizes]
    return pickle.loads(data, buffers=buffers)


def _read(pipe: RawIOBase, size: int) -> bytearray:
    data = bytearray(size)
    rest = memoryview(data)
    while rest:
        count = pipe.readinto(rest)
        if not count:
            raise EOFError
        rest = rest[count:]
    return data


def _widen(pipe: Any) -> None:
    """Let a pipe hold more, so that fewer turns are taken; only Linux can do that."""
    with suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
