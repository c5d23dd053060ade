"""``enhance doctor``: a whole installation, and what may be broken in one."""

import importlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import enhance_cli
from enhance_cli.tasks import doctor

WEIGHTS = Path(enhance_cli.__file__).parents[1] / "weights"


def test_a_whole_installation(enhance: Callable):
    ran = enhance("doctor", "--json")
    told = json.loads(ran.out)
    assert (ran.code, told["problems"]) == (0, []), ran.out
    assert told["versions"]["enhance"] == enhance_cli.__version__
    assert told["cpu"]["cores"] >= 1 and "fp32" in told["cpu"]["computes_in"]
    assert 0 < told["memory"]["free"] <= told["memory"]["total"]
    assert {row["status"] for row in told["weights"]} == {"ok"}
    assert "h264" in told["formats"]["videos"]["encode"]
    assert "HEIF" in told["formats"]["pictures"]["read"]
    assert told["engines"]["default"]["device"]


def test_what_is_broken_is_named(
    tmp_path: Path, enhance: Callable, monkeypatch: pytest.MonkeyPatch
):
    shutil.copy(WEIGHTS / "MANIFEST.toml", tmp_path)
    bad = tmp_path / "fast-x4.safetensors"
    data = bytearray((WEIGHTS / bad.name).read_bytes())
    data[-1] ^= 1
    bad.write_bytes(data)
    monkeypatch.setenv("ENHANCE_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("ENHANCE_DEVICE", "cuda:99")

    def refuse(name: str) -> object:
        if name == "rawpy":
            raise ImportError("libraw.so: cannot open shared object file")
        return importlib.import_module(name)

    monkeypatch.setattr(doctor, "import_module", refuse)
    ran = enhance("doctor")
    assert ran.code == 1
    problems = [line for line in ran.out.splitlines() if line.startswith("BROKEN: ")]
    assert len(problems) == 3
    assert "rawpy cannot be imported" in problems[0]
    assert "cuda:99" in problems[1]
    assert str(bad) in problems[2]
    assert "nothing is broken" not in ran.out


def test_weights_that_are_missing(enhance: Callable, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doctor, "iterate_weights", lambda: iter([]))
    monkeypatch.setattr(doctor, "find_weights", lambda _: None)
    ran = enhance("doctor", "--json")
    assert ran.code == 1
    assert "The weights of frvsr-real, for video, are missing." in json.loads(ran.out)["problems"]
