"""Inputs that are opened with a clear error, and outputs that appear whole or not at all."""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import IO

from enhance_cli.errors import InputError, OutputError
from enhance_cli.io.locks import temporary_file, temporary_folder


@contextmanager
def open_input(path: Path, wanted: str) -> Iterator[IO[bytes]]:
    """Open an input for reading in a ``with`` statement.

    Args:
        path: the file.
        wanted: what the file should be, as it is told to the user, e.g. ``"a picture"``.

    Raises:
        InputError: if the file is missing, empty, not a regular file, or may not be read.
    """
    try:
        if path.is_dir():
            raise InputError(f"{path}: is a folder, {wanted} is needed")
        if path.exists() and not path.is_file():  # Opening a pipe would wait for ever.
            raise InputError(f"{path}: not a regular file, {wanted} is needed")
        file = path.open("rb")
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file, check the name") from error
    except PermissionError as error:
        raise InputError(f"{path}: may not be read, change its permissions") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be opened ({error}), check the name") from error
    with file:
        if not file.peek(1):
            raise InputError(f"{path}: empty file, get a fresh copy")
        yield file


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, computed once for each time at which it was changed.

    Raises:
        OSError: if it cannot be read.
    """
    return _digest(path, path.stat().st_mtime_ns)


@cache
def _digest(path: Path, _changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that is renamed to it on success and removed on failure.

    The temporary file keeps the suffix, since many writers choose the format by it.

    Raises:
        OutputError: if the folder cannot be made or written, or the path is a folder or device.
    """
    if path.exists() and not path.is_file():
        raise OutputError(f"{path}: not a regular file, choose another output")
    with _making(path, temporary_file) as temporary:
        yield temporary
        temporary.chmod(0o666 & ~_umask())  # It was made for its owner alone.
        temporary.replace(path)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside ``path`` that becomes it on success and is removed on failure.

    If there is a folder at ``path`` already, the files of the temporary one are moved into it and
    replace those of the same names.

    Raises:
        OutputError: if the folder cannot be made or written.
    """
    with _making(path, temporary_folder) as temporary:
        yield temporary
        temporary.chmod(0o777 & ~_umask())  # It was made for its owner alone.
        if path.is_dir():
            for file in temporary.iterdir():
                file.replace(path / file.name)
        else:
            temporary.rename(path)


@contextmanager
def _making(
    path: Path, temporary: Callable[[Path], AbstractContextManager[Path]]
) -> Iterator[Path]:
    """Something temporary beside a path, and errors that tell the user what to do."""
    with ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            made = stack.enter_context(temporary(path))
        except OSError as error:
            raise OutputError(
                f"{path}: cannot write here ({error.strerror}), choose another output with -o"
            ) from error
        try:
            yield made
        except OSError as error:
            raise OutputError(f"{path}: cannot write ({error.strerror or error})") from error


@cache
def _umask() -> int:
    """The permissions that new files do not get.

    It can only be read by setting it, which is done once: other threads make files meanwhile.
    """
    umask = os.umask(0)
    os.umask(umask)
    return umask
