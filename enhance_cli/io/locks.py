"""Locks by which runs of the program tell what another one is at work on.

The system frees the lock of a process that ends, however it ends, so none is ever left behind.
"""

import fcntl
import hashlib
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

# Of the temporary files and folders beside outputs; nothing else is named like that.
_TEMPORARY = re.compile(r"\.enhance-[0-9a-f]{8}-")


def named(path: Path) -> Path:
    """The same path with a name at its end, which ``.`` and ``..`` have not; ``/`` stays as it is.

    What is named after it goes into its ``parent``: ``with_name`` does not take ``/``.
    """
    return path if path.name not in ("", "..") else Path(os.path.realpath(path))


@contextmanager
def claim(target: Path) -> Iterator[bool]:
    """Claim an output for this run while the body of a ``with`` statement makes it.

    The claim holds among the processes of this user on this machine.

    Yields:
        Whether the claim is good; if not, another run is making that output.
    """
    place = hashlib.sha256(os.fsencode(os.path.realpath(target))).hexdigest()[:32]
    folder = Path(tempfile.gettempdir(), f"enhance-{os.getuid()}")
    lock = folder / f"{place}.lock"
    held: int | None = None
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        held = _lock(lock, os.O_CREAT | os.O_RDWR)
    except BlockingIOError:
        yield False
        return
    except OSError:  # Without a place for locks it is as if nobody else were at work.
        pass
    try:
        yield True
    finally:
        if held is not None:
            with suppress(OSError):
                lock.unlink()
            os.close(held)


@contextmanager
def temporary_file(path: Path) -> Iterator[Path]:
    """A new empty file beside ``path``, with its suffix, that is gone at the end.

    What killed runs have left in that folder is removed first.

    Raises:
        OSError: if it cannot be made.
    """
    with _removing_at_the_end(_new_name(path)) as temporary:
        held = _lock(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, needed=False)
        try:
            yield temporary
        finally:
            os.close(held)


@contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """A new empty folder beside ``path`` that is gone at the end; see :func:`temporary_file`."""
    with _removing_at_the_end(_new_name(path)) as temporary:
        temporary.mkdir(0o700)
        held = _lock(temporary, os.O_RDONLY, needed=False)
        try:
            yield temporary
        finally:
            os.close(held)


def _new_name(path: Path) -> Path:
    path = named(path)
    _remove_leftovers(os.path.abspath(path.parent))
    return path.parent / f".enhance-{secrets.token_hex(4)}-{path.stem[:40]}{path.suffix}"


@contextmanager
def _removing_at_the_end(temporary: Path) -> Iterator[Path]:
    """It is named before it is made: no interruption can come between and leave it behind."""
    try:
        yield temporary
    finally:
        _remove(temporary)


def _remove(path: Path) -> None:
    with suppress(OSError):  # If it could not be made there is nothing to remove.
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


@cache
def _remove_leftovers(folder: str) -> None:
    """Remove the temporary files of runs that are dead; a run that lives holds its locks."""
    with suppress(OSError):
        for name in os.listdir(folder):
            if _TEMPORARY.match(name):
                with suppress(OSError):
                    held = _lock(Path(folder, name), os.O_RDONLY | os.O_NOFOLLOW)
                    _remove(Path(folder, name))
                    os.close(held)


def _lock(path: Path, flags: int, *, needed: bool = True) -> int:
    """Open a file or folder and lock it.

    Args:
        path: what is opened.
        flags: how, as of ``os.open``.
        needed: whether it is an error if the file system has no locks.

    Returns:
        The descriptor; closing it ends the lock.

    Raises:
        BlockingIOError: if another process holds the lock.
        OSError: if the file cannot be opened or locked.
    """
    while True:
        held = os.open(path, flags, 0o600)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if needed or isinstance(error, BlockingIOError):
                os.close(held)
                raise
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(held), os.stat(path)):
                return held
        os.close(held)  # It was removed between the two calls, and perhaps made anew.
