"""Temporary files of runs that are dead go away, and two runs do not make one output."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from enhance_cli.errors import OutputError
from enhance_cli.io import locks
from enhance_cli.io.files import replacing
from enhance_cli.io.image import Picture, write_image
from enhance_cli.io.locks import claim, temporary_file, temporary_folder

PICTURE = Picture(np.full((4, 5, 3), 90, np.uint8))
KILLED = """
import os, signal, sys
from pathlib import Path
from enhance_cli.io import locks
from enhance_cli.io.files import replacing, replacing_folder
with replacing(Path(sys.argv[1], "a.png")), replacing_folder(Path(sys.argv[1], "b")) as folder:
    (folder / "0.png").write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_what_a_killed_run_left_goes_and_all_else_stays(tmp_path: Path):
    ran = subprocess.run([sys.executable, "-c", KILLED, tmp_path])
    assert ran.returncode == -signal.SIGKILL
    assert len(names(tmp_path)) == 4  # a file, a folder, and a lock of each
    (tmp_path / ".enhance-notes").write_text("mine")
    write_image(tmp_path / "c.png", PICTURE)
    assert names(tmp_path) == {"c.png", ".enhance-notes"}


@pytest.mark.parametrize("step", ["_remove", "_unlock"])
def test_an_interruption_of_the_cleaning_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
):
    clean, interrupted = getattr(locks, step), []

    def interrupt(*what: object) -> None:
        if not interrupted:
            interrupted.append(True)
            raise KeyboardInterrupt
        clean(*what)

    monkeypatch.setattr(locks, step, interrupt)
    with pytest.raises(KeyboardInterrupt), temporary_folder(tmp_path / "a.png"):
        pass
    assert not names(tmp_path)


def test_what_a_living_run_makes_stays(tmp_path: Path):
    alive, place = tmp_path / "alive", tmp_path / "place"
    alive.mkdir(), place.mkdir()
    with temporary_file(alive / "a.png") as file, temporary_folder(alive / "b") as folder:
        made = names(alive)
        for name in made:  # Each folder is looked at once, so they come into another.
            os.rename(alive / name, place / name)
        write_image(place / "c.png", PICTURE)
        assert {file.name, folder.name} < made
        assert names(place) == {"c.png", *made}


def test_a_claim_holds_until_its_end(tmp_path: Path):
    target = tmp_path / "a.png"
    for _ in range(2):
        with claim(target) as first, claim(tmp_path / "." / "a.png") as second:
            assert (first, second) == (True, False)
        with claim(target) as free:
            assert free


def test_file_systems_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", refuse)
    with claim(tmp_path / "a.png") as free:
        assert free
    temporary = {".enhance-01234567-a.png", ".enhance-01234567.lock"}
    for name in temporary:  # Nobody can tell whether their run is alive.
        (tmp_path / name).touch()
    write_image(tmp_path / "a.png", PICTURE)
    assert names(tmp_path) == {"a.png", *temporary}


@pytest.mark.parametrize("option", [None, "--overwrite", "--skip-existing"])
def test_another_run_is_making_the_output(
    option: str | None, tmp_path: Path, enhance: Callable, tiny_weights: dict[int, Path]
):
    write_image(tmp_path / "a.png", PICTURE)
    options = ["--weights", tiny_weights[4], *filter(None, [option])]
    with claim(tmp_path / "a_x4.png"):
        ran = enhance("superres", tmp_path / "a.png", *options, "--json")
    (row,) = json.loads(ran.out)["results"]
    skips = option == "--skip-existing"
    assert (ran.code, row["status"]) == ((0, "skipped") if skips else (1, "failed")), ran.err
    assert "another run is making" in ran.err
    assert names(tmp_path) == {"a.png"}


def test_another_run_has_made_the_output_meanwhile(
    tmp_path: Path,
    enhance: Callable,
    tiny_weights: dict[int, Path],
    monkeypatch: pytest.MonkeyPatch,
):
    for name in ("a.png", "b.png"):
        write_image(tmp_path / name, PICTURE)

    def write(path: Path, *rest: object) -> None:
        write_image(path, *rest)
        (tmp_path / "b_x4.png").touch()

    monkeypatch.setattr("enhance_cli.tasks.superres.write_image", write)
    ran = enhance("superres", tmp_path, "--weights", tiny_weights[4])
    assert ran.code == 1
    assert "b_x4.png: exists already, add --overwrite or --skip-existing" in ran.err
    assert (tmp_path / "b_x4.png").read_bytes() == b""


def test_a_folder_that_cannot_be_written(tmp_path: Path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(OutputError, match="cannot write here"),
        replacing(tmp_path / "file" / "a.png"),
    ):
        pytest.fail("it began")
