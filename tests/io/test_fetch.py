"""Fetching of published files, from a server in this process."""

import hashlib
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from enhance_cli.errors import EnhanceError, InputError, OutputError
from enhance_cli.io.fetch import fetch, has_sha256

CONTENT = bytes(range(256)) * 5000  # more than one piece
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """/good, /other, /cut (ends too early the first time), /moved, and nothing else."""

    asked: list[str] = []  # noqa: RUF012 (emptied by the fixture)

    def do_GET(self) -> None:  # noqa: N802 (the name is http.server's)
        self.asked.append(self.path)
        body = {"/good": CONTENT, "/cut": CONTENT, "/other": b"a page that says no"}.get(self.path)
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/good")
            self.end_headers()
        elif body is None:
            self.send_error(404)
        else:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            first = self.path == "/cut" and self.asked.count("/cut") == 1
            self.wfile.write(body[:1_100_000] if first else body)

    def log_message(self, *_: object) -> None:
        """Silence."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(Handler, "asked", [])
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def said(error: pytest.ExceptionInfo[EnhanceError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def test_fetched_once_and_kept(server: str, tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there"
    path = fetch(f"{server}/good", folder, "net.pth", SHA256)
    assert path == folder / "net.pth"
    assert path.read_bytes() == CONTENT
    assert fetch(f"{server}/good", folder, "net.pth", SHA256) == path
    assert Handler.asked == ["/good"]
    assert list(folder.iterdir()) == [path]


def test_redirection_and_the_first_digits_of_a_sum(server: str, tmp_path: Path) -> None:
    path = fetch(f"{server}/moved", tmp_path, "a", SHA256[:8].upper())
    assert path.read_bytes() == CONTENT
    assert has_sha256(path, SHA256)
    assert not has_sha256(path, "0" + SHA256[:7])


def test_another_file_is_refused(server: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        fetch(f"{server}/other", tmp_path, "a.pth", SHA256)
    text = said(error)
    assert f"{server}/other" in text
    assert SHA256[:8] in text
    assert str(tmp_path / "a.pth") in text
    assert not list(tmp_path.iterdir())


def test_a_cached_file_that_is_another(server: str, tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    path.write_bytes(CONTENT[1:])
    with pytest.raises(InputError) as error:
        fetch(f"{server}/good", tmp_path, "a.pth", SHA256)
    assert str(path) in said(error)
    assert "remove it" in said(error)
    assert path.read_bytes() == CONTENT[1:]
    assert not Handler.asked


def test_not_on_the_server(server: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        fetch(f"{server}/none", tmp_path, "a.pth", SHA256, hint="use another network")
    text = said(error)
    assert "404" in text
    assert text.endswith(f"put the file at {tmp_path / 'a.pth'} by hand, or use another network")
    assert not list(tmp_path.iterdir())


def test_broken_off_then_started_over(server: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="broke off after 1100000 of 1280000 bytes") as error:
        fetch(f"{server}/cut", tmp_path, "a.pth", SHA256)
    said(error)
    assert not list(tmp_path.iterdir())
    assert fetch(f"{server}/cut", tmp_path, "a.pth", SHA256).read_bytes() == CONTENT


def test_no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.socket() as taken:  # bound and not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/net.pth"
        with pytest.raises(InputError) as error:
            fetch(url, tmp_path / "cache", "net.pth", SHA256)
    text = said(error)
    assert text.startswith(f"{url}: cannot be fetched (no connection: ")
    assert str(tmp_path / "cache" / "net.pth") in text


def test_no_address(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be fetched"):
        fetch("nonsense", tmp_path, "a", SHA256)


def test_places_that_cannot_be_written_or_read(server: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        fetch(f"{server}/good", tmp_path / "file", "a", SHA256)
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="cannot be read"):
        fetch(f"{server}/good", tmp_path, "folder", SHA256)
