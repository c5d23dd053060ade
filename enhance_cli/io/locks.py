"""Locks by which runs of the program tell what another one is at work on.

The system frees the lock of a process that ends, however it ends, so none is ever left behind.
"""

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

# Temporary files and folders beside outputs, and their locks; nothing else is named like that.
_TEMPORARY = re.compile(r"(\.enhance-[0-9a-f]{8})(-|\.lock$)")


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
    # On Windows the folder of temporary files is the user's own.
    folder = f"enhance-{os.getuid()}" if hasattr(os, "getuid") else "enhance"
    lock = Path(tempfile.gettempdir(), folder, f"{place}.lock")
    held: int | None = None
    try:
        lock.parent.mkdir(mode=0o700, exist_ok=True)
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
            _unlock(lock, held)


@contextmanager
def temporary_file(path: Path) -> Iterator[Path]:
    """A new empty file beside ``path``, with its suffix, that is gone at the end.

    What killed runs have left in that folder is removed first.

    Raises:
        OSError: if it cannot be made.
    """
    with _living(path) as temporary:
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        yield temporary


@contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """A new empty folder beside ``path`` that is gone at the end; see :func:`temporary_file`."""
    with _living(path) as temporary:
        temporary.mkdir(0o700)
        yield temporary


@contextmanager
def _living(path: Path) -> Iterator[Path]:
    """A new name for something temporary, which goes at the end, and a lock that protects it.

    The lock is a file of its own: Windows lets nobody write to one that is locked, nor rename it.
    All is named before it is made: no interruption can come between and leave it behind.
    """
    path = named(path)
    _remove_leftovers(os.path.abspath(path.parent))
    mark = f".enhance-{secrets.token_hex(4)}"
    temporary = path.parent / f"{mark}-{path.stem[:40]}{path.suffix}"
    lock = path.parent / f"{mark}.lock"
    held: int | None = None
    try:
        with suppress(OSError):  # The file system has no locks, or nothing can be made here at all.
            held = _lock(lock, os.O_CREAT | os.O_RDWR, wait=True)
        yield temporary
    finally:
        try:
            _remove(temporary)
            _unlock(lock, held)
        except BaseException:  # An interruption came between.
            _remove(temporary)
            _remove(lock)
            raise


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
            if match := _TEMPORARY.match(name):
                lock = Path(folder, f"{match[1]}.lock")
                held: int | None = None
                try:
                    held = _lock(lock, os.O_RDWR)
                except FileNotFoundError:  # Locks are made first and go last.
                    pass
                except OSError:
                    continue
                _remove(Path(folder, name))
                _unlock(lock, held)


def _lock(path: Path, flags: int, *, wait: bool = False) -> int:
    """Open a file and lock it.

    Args:
        path: what is opened; no link is followed.
        flags: how, as of ``os.open``.
        wait: whether to wait while another process holds the lock.

    Returns:
        The descriptor, for :func:`_unlock`.

    Raises:
        BlockingIOError: if another process holds the lock.
        OSError: if the file cannot be opened, or the file system has no locks.
    """
    from filelock import lock_descriptor  # takes longer to load than all else that help needs

    while True:
        held = os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o600)
        try:
            if not lock_descriptor(held, blocking=wait):
                raise BlockingIOError(f"{path} is locked")
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(held), os.stat(path)):
                    return held
        except BaseException:
            os.close(held)
            raise
        os.close(held)  # It was removed between the two calls, and perhaps made anew.


def _unlock(path: Path, held: int | None) -> None:
    """Remove the file of a lock, and end the lock if there is one.

    The file goes first, lest another process take the lock of a file that goes. Only Windows
    refuses that, and it also refuses to remove what another process has opened.
    """
    with suppress(OSError):
        path.unlink()
    if held is not None:
        os.close(held)
        if os.name == "nt":
            with suppress(OSError):
                path.unlink()
