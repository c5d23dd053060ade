"""Every command of the README runs."""

import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from enhance_cli.io.dng import write_dng

PROJECT = Path(__file__).resolve().parents[1]


def commands() -> list[str]:
    """The README's indented lines that call the program, comments cut off."""
    lines = (PROJECT / "README.md").read_text(encoding="utf-8").splitlines()
    return [line.split("#")[0].strip() for line in lines if line.startswith("    enhance ")]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the files that the README's examples name."""
    photo = Image.open(PROJECT / "examples" / "astronaut.png").resize((48, 40))
    for name in (
        "photo.jpg",
        "photo.png",
        "icon.png",
        "album/2020/a.jpg",
        "album/b.png",
        "results/one.png",
        "truth/one.png",
        "photos/1.png",
        "photos/2.png",
        "held_out/3.png",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        photo.save(tmp_path / name)
    for name in ("night.ARW", "dark/night.dng"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        levels = np.random.default_rng(0).integers(250, 330, (40, 48), dtype=np.uint16)
        write_dng(
            tmp_path / name,
            levels,
            white=4095,
            black=256,
            as_shot_neutral=(0.5, 1, 0.6),
            color_matrix=np.eye(3),
        )
    photo.resize((48, 40)).save(tmp_path / "dark" / "photo.png")
    (tmp_path / "frames").mkdir()
    for index in range(3):
        photo.crop((index, 0, index + 32, 24)).save(tmp_path / "frames" / f"{index:03d}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_there_are_commands_to_test():
    assert len(commands()) >= 10


@pytest.fixture
def film(desk: Path) -> Path:
    """The video that the examples name, made as the demo makes its own."""
    pytest.importorskip("av")
    script = [
        sys.executable,
        PROJECT / "examples" / "pan.py",
        desk / "photo.png",
        desk / "old.mp4",
        "--frames",
        "30",
        "--width",
        "40",
        "--height",
        "32",
    ]
    subprocess.run(script, check=True)
    return desk / "old.mp4"


@pytest.mark.parametrize("command", commands())
def test_command(command: str, desk: Path, enhance: Callable, request: pytest.FixtureRequest):
    arguments = shlex.split(command)[1:]
    if "--dataset" in arguments:
        request.getfixturevalue("shared_data")
        if "synthetic-dark" in arguments or "video-val" in arguments:
            pytest.skip("takes minutes; the same command is tested on a small set")
        # The models' figures have a test of their own.
        arguments += ["--count", "20"] if "faces" in arguments else ["--model", "bicubic"]
    if "train" in arguments and "--list" not in arguments:
        small = {"enet-e-x4": ["patch=4", "blocks=1"], "sid-fcn": ["patch=32", "width=2"]}
        quick = ["--steps", "1", "--set", "batch=1"]
        for value in small[arguments[1]]:
            quick += ["--set", value]
        if "--resume" in arguments:
            begin = [word for word in arguments if word != "--resume"]
            assert enhance(*begin, *quick).code == 0
        arguments += quick
    if "old.mp4" in arguments:
        request.getfixturevalue("film")
    if "--weights" in arguments:
        path = desk / arguments[arguments.index("--weights") + 1]
        path.parent.mkdir(parents=True)
        path.write_bytes((PROJECT / "weights" / "enet-e-x4.safetensors").read_bytes())
    ran = enhance(*arguments)
    assert ran.code == 0, ran.err
