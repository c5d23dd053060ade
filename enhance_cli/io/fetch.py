"""Published files that are fetched once, checked and kept."""

import hashlib
import http.client
import urllib.error
import urllib.request
from pathlib import Path
from typing import BinaryIO

from enhance_cli.errors import InputError
from enhance_cli.io.files import replacing

_PIECE = 1 << 20
_SECONDS = 30  # without a byte, after which the network counts as down


def has_sha256(path: Path, sha256: str) -> bool:
    """Whether a file's sha256 is ``sha256``, or begins with it.

    Raises:
        InputError: if the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}), check its permissions"
        ) from error
    return digest.startswith(sha256.lower())


def fetch(url: str, folder: Path, name: str, sha256: str, *, hint: str = "") -> Path:
    """The file ``folder/name``, fetched from ``url`` if it is not there.

    It appears whole or not at all; a transfer that broke off leaves nothing and starts over.

    Args:
        url: http or https address.
        folder: of the cache, made if need be.
        name: of the file in it.
        sha256: hexadecimal digest, or its first digits.
        hint: another way out, ending the message when the network fails.

    Returns:
        The path of the checked file.

    Raises:
        InputError: if the network or the server fails, or a file, cached or fetched, is not the
            one wanted.
        OutputError: if the cache cannot be written.
    """
    path = folder / name
    if path.exists():
        if not has_sha256(path, sha256):
            raise InputError(
                f"{path}: not the published file (its sha256 does not begin with {sha256[:8]}), "
                "remove it to have it fetched again"
            )
        return path
    with replacing(path) as temporary:
        try:
            with temporary.open("wb") as file:
                _download(url, file)
        except _TransferError as error:
            also = f", or {hint}" if hint else ""
            raise InputError(
                f"{url}: cannot be fetched ({error}); put the file at {path} by hand{also}"
            ) from error
        if not has_sha256(temporary, sha256):
            raise InputError(
                f"{url}: what came is not the published file (its sha256 does not begin with "
                f"{sha256[:8]}), try again or put the file at {path} by hand"
            )
    return path


class _TransferError(Exception):
    """The network or the server failed; not an OSError, which the disc raises too."""


def _download(url: str, file: BinaryIO) -> None:
    try:
        answer = urllib.request.urlopen(url, timeout=_SECONDS)
    except urllib.error.HTTPError as error:
        error.close()
        raise _TransferError(f"the server answers {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        reason = getattr(error.reason, "strerror", None) or error.reason
        raise _TransferError(f"no connection: {reason}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _TransferError(f"no connection: {error}") from error
    with answer:
        expected = answer.headers.get("Content-Length", "")
        received = 0
        while True:
            try:
                piece = answer.read(_PIECE)
            except (OSError, http.client.HTTPException) as error:
                raise _TransferError(f"it broke off after {received} bytes") from error
            if not piece:
                break
            file.write(piece)
            received += len(piece)
    if expected.isdigit() and received != int(expected):
        raise _TransferError(f"it broke off after {received} of {expected} bytes")
