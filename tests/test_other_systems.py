"""What only Unix has is not needed: everything loads and works without it, as on Windows."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from enhance_cli.io.image import Picture, write_image

# Python runs it before all else, in the processes that the program starts too.
WINDOWS = """
import os, signal, sys
import psutil  # which has other parts for Windows
for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[name] = None
for name in ("getuid", "sysconf", "sched_getaffinity", "O_NOFOLLOW"):
    delattr(os, name)
for name in ("SIGHUP", "SIGPROF", "SIGALRM", "setitimer", "ITIMER_PROF"):
    delattr(signal, name)
"""
LOAD_ALL = """
import importlib, pkgutil, enhance_cli
for module in pkgutil.walk_packages(enhance_cli.__path__, "enhance_cli."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""
HANG = """
import sys
from pathlib import Path
import misbehaving_decoders
from enhance_cli.io import isolation
from enhance_cli.io.image import read_image
isolation._WAITING = 1
process = isolation.DecodingProcess(seconds=1)
try:
    process.run(misbehaving_decoders.hang, Path(sys.argv[1]))
except isolation.InputError as error:
    print(error)
print(process.run(read_image, Path(sys.argv[1])).height)
process.end()
"""


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a Python that lacks what Windows lacks."""
    folder = tmp_path_factory.mktemp("windows")
    (folder / "sitecustomize.py").write_text(WINDOWS)
    tests = Path(__file__).parent
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(tests), *sys.path])}


def run(windows: dict[str, str], *arguments: object) -> str:
    ran = subprocess.run(
        [sys.executable, *map(str, arguments)], env=windows, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_every_module_loads(windows: dict[str, str]):
    run(windows, "-c", LOAD_ALL)


def test_a_batch_is_enlarged(
    windows: dict[str, str], tmp_path: Path, tiny_weights: dict[int, Path]
):
    for name in ("a.png", "b.png"):
        write_image(tmp_path / name, Picture(np.full((8, 9, 3), 90, np.uint8)))
    out = f"{tmp_path / 'large'}/"
    told = run(
        windows, *("-m", "enhance_cli", "superres", tmp_path, "-o", out), *("--jobs", 2),
        *("--weights", tiny_weights[4], "--json"),
    )  # fmt: skip
    assert [row["width"] for row in json.loads(told)["results"]] == [36, 36]
    assert sorted(path.name for path in Path(out).iterdir()) == ["a_x4.png", "b_x4.png"]


def test_a_decoder_that_hangs_is_ended(windows: dict[str, str], tmp_path: Path):
    write_image(tmp_path / "a.png", Picture(np.full((8, 9, 3), 90, np.uint8)))
    told = run(windows, "-c", HANG, tmp_path / "a.png")
    assert "decoding did not end within" in told
    assert told.endswith("\n8\n")
