"""Files that appear whole or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from enhance_cli.errors import OutputError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that is renamed to it on success and removed on failure.

    The temporary file keeps the suffix, since many writers choose the format by it.

    Raises:
        OutputError: if the folder cannot be made or written, or the path is a folder or device.
    """
    if path.exists() and not path.is_file():
        raise OutputError(f"{path}: not a regular file, choose another output")
    # Named before it is made, so that no interruption comes between and leaves it behind.
    temporary = path.with_name(f".{path.stem[:40]}-{secrets.token_hex(4)}{path.suffix}")
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except OSError as error:
            raise OutputError(
                f"{path}: cannot write here ({error.strerror}), choose another output with -o"
            ) from error
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)  # it was made private
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot write ({error.strerror or error})") from error
    finally:
        with suppress(OSError):  # where it could not be made there is nothing to remove
            temporary.unlink()
