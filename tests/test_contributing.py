"""The worked examples of CONTRIBUTING.md can be followed word for word."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

PROJECT = Path(__file__).resolve().parents[1]
GUIDE = (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(python|diff|toml) (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def follow(project: Path, kind: str, name: str, text: str) -> None:
    """Do what a block says: a new file, changed lines, or an entry to append."""
    path = project / name
    if kind == "python":
        assert not path.exists()
        path.write_text(text, encoding="utf-8")
        return
    before = path.read_text(encoding="utf-8")
    if kind == "toml":
        path.write_text(f"{before}\n{text}", encoding="utf-8")
        return
    lines = text.splitlines(keepends=True)
    old = "".join(line[1:] for line in lines if line[0] in " -")
    new = "".join(line[1:] for line in lines if line[0] in " +")
    assert before.count(old) == 1, f"{name} has no such lines, or several:\n{old}"
    path.write_text(before.replace(old, new), encoding="utf-8")


@pytest.mark.slow
def test_the_worked_examples(tmp_path: Path):
    project, desk = tmp_path / "project", tmp_path / "desk"
    for name in ("enhance_cli", "tests"):
        shutil.copytree(
            PROJECT / name, project / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    (project / "weights").mkdir()
    for name in ("weights/MANIFEST.toml", "pyproject.toml"):
        shutil.copy(PROJECT / name, project / name)
    for kind, name, text in BLOCK.findall(GUIDE):
        follow(project, kind, name, text)
    env = {**os.environ, "PYTHONPATH": str(project)}

    def run(*arguments: str, folder: Path) -> None:
        command = [sys.executable, "-P", "-m", *arguments]
        ran = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stdout + ran.stderr

    (desk / "photos").mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 120, 112, 3), dtype=np.uint8)
    for index, one in enumerate(pixels):
        Image.fromarray(one).save(desk / "photos" / f"{index}.png")
    Image.fromarray(pixels[0, :20, :24]).save(desk / "photo.png")
    commands = re.findall(r"^    enhance (.+?)(?:  #.*)?$", GUIDE, re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        run("enhance_cli", *shlex.split(command), folder=desk)
    with Image.open(desk / "photo_x4.png") as enlarged:
        assert enlarged.size == (96, 80)
    run(
        "pytest",
        "-q",
        "tests/architectures/test_espcn.py",
        "tests/architectures/test_enhancenet.py::test_every_architecture_describes_itself",
        "tests/test_shipped.py::test_every_model_is_shipped_or_told_untrained",
        "tests/evaluation/test_benchmarks.py",
        "tests/evaluation/test_jpeg.py",
        folder=project,
    )


def test_the_files_that_are_named_exist():
    made = {name for kind, name, _ in BLOCK.findall(GUIDE) if kind == "python"}
    named = re.findall(
        r"`((?:enhance_cli|tests|weights|\.github|\.ci|benchmarks)/[\w./-]*|[\w.-]+\.(?:md|toml|txt))`",
        GUIDE,
    )
    assert len(named) > 20
    assert [name for name in named if name not in made and not (PROJECT / name).exists()] == []
