"""Whatever is wrong with one input, the others are worked on and everything is told."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import PngImagePlugin, TiffImagePlugin
from safetensors import SafetensorError

from enhance_cli.errors import InputError
from enhance_cli.io.image import Picture, write_image
from enhance_cli.tasks.attempt import alone

Run = Callable[..., object]


@pytest.fixture
def tiny(tiny_weights: dict[int, Path]) -> list[object]:
    return ["--weights", tiny_weights[4]]


def save(path: Path, side: int = 5) -> Path:
    write_image(path, Picture(np.full((side, side, 3), 90, np.uint8)))
    return path


def palette_without_colours(path: Path) -> Path:
    """A PNG of palette indices that lacks its palette; Pillow fails an assertion on it."""
    file = BytesIO(b"\x89PNG\r\n\x1a\n")
    file.seek(0, os.SEEK_END)
    PngImagePlugin.putchunk(file, b"IHDR", b"\0\0\0\2\0\0\0\2\x08\3\0\0\0")
    PngImagePlugin.putchunk(file, b"IDAT", zlib.compress(bytes(6)))
    PngImagePlugin.putchunk(file, b"IEND", b"")
    path.write_bytes(file.getvalue())
    return path


@pytest.mark.parametrize("command", ["superres", "lowlight"])
def test_a_damaged_file_does_not_end_a_batch(command: str, tmp_path: Path, enhance: Run):
    first, last = save(tmp_path / "a.png"), save(tmp_path / "z.png")
    bad = palette_without_colours(tmp_path / "bad.png")
    ran = enhance(command, first, bad, last, "-o", tmp_path / "out", "--json")
    document = json.loads(ran.out)
    assert ran.code == 1
    assert sorted(entry["status"] for entry in document["results"]) == ["failed", "ok", "ok"]
    assert len(list((tmp_path / "out").iterdir())) == 2
    assert sum("bad.png" in line for line in ran.err.splitlines()) == 1


@pytest.mark.parametrize(
    "error",
    [
        AssertionError(),
        Exception("bare"),
        MemoryError(),
        SafetensorError("No space left on device"),
        OSError(errno.ENOSPC, "No space left on device"),
        RecursionError("too deep"),
    ],
)
def test_no_exception_ends_a_batch(
    error: Exception, tmp_path: Path, enhance: Run, tiny: list, monkeypatch: pytest.MonkeyPatch
):
    write = write_image

    def fail_once(path: Path, *rest: object) -> None:
        if "bad" in path.name:
            raise error
        write(path, *rest)

    monkeypatch.setattr("enhance_cli.tasks.superres.write_image", fail_once)
    save(tmp_path / "bad.png"), save(tmp_path / "good.png")
    ran = enhance("superres", tmp_path, *tiny, "--json")
    assert ran.code == 1
    assert [entry["status"] for entry in json.loads(ran.out)["results"]] == ["ok", "failed"]
    assert (tmp_path / "good_x4.png").exists()
    assert ran.err.splitlines()[-2].startswith(f"error: {tmp_path}/bad.png: ")


def test_a_decoder_that_fails_is_told_from_a_fault_of_ours(monkeypatch: pytest.MonkeyPatch):
    decode, source = TiffImagePlugin.ImageFileDirectory_v2, Path("a.tif")
    damaged = "a.tif: damaged, or of a kind that cannot be read "
    with pytest.raises(InputError, match=damaged), alone(source, ""):
        decode(b"no directory")
    ours = "a.tif: KeyError: 'oops'. This is a fault of enhance"
    with pytest.raises(InputError, match=ours), alone(source, ""):
        raise KeyError("oops")
    monkeypatch.setenv("ENHANCE_DEBUG", "1")
    with pytest.raises(SyntaxError), alone(source, ""):
        decode(b"no directory")


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (signal.SIGTERM, "terminated"),
        (signal.SIGINT, "interrupted"),
        (signal.SIGHUP, "the terminal was closed"),
    ],
)
def test_a_signal_is_told_in_one_line_and_leaves_nothing(
    number: signal.Signals, said: str, tmp_path: Path, tiny: list
):
    source = save(tmp_path / "a.png", side=1500)
    command = [sys.executable, "-m", "enhance_cli", "superres", source, "-v", *map(str, tiny)]
    background = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]  # as a shell runs it there
    with subprocess.Popen([*background, *command], stderr=subprocess.PIPE, text=True) as ran:
        assert ran.stderr is not None
        ran.stderr.readline()  # the model is loaded, and the work begins
        time.sleep(0.1)
        ran.send_signal(number)
        assert ran.stderr.read() == f"error: {said}\n"
    assert ran.returncode == 128 + number
    assert list(tmp_path.iterdir()) == [source]
