"""Fetch published files once, check them and keep them."""

import hashlib
import http.client
import urllib.error
import urllib.request
from pathlib import Path
from typing import BinaryIO

from enhance_cli.errors import InputError
from enhance_cli.io.files import replacing

_PIECE = 1 << 20
_SECONDS = 30  # so long without a byte, and the network counts as down


def has_sha256(path: Path, sha256: str) -> bool:
    """Whether the sha256 of a file is ``sha256``, or begins with it.

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
    """Give the path of ``folder/name``, after fetching the file if it is not there yet.

    The file appears whole or not at all: a transfer that breaks off leaves nothing behind.

    Args:
        url: http or https address of the file.
        folder: the cache, which is made if there is none.
        name: name of the file in the cache.
        sha256: hexadecimal digest of the file, or the first digits of it.
        hint: what else the user could do; it ends the message when the network fails.

    Raises:
        InputError: if the network or the server fails, or if the digest of the file, kept or
            fetched, is another.
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
    """The network or the server failed. This is no OSError, since the disc raises those too."""


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
