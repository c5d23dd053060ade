"""``enhance weights`` and ``enhance models``."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from enhance_cli.architectures import ARCHITECTURES, MODELS
from enhance_cli.engine.checkpoint import (
    build,
    read_checkpoint_info,
    read_tensors,
    save_checkpoint,
)

WEIGHTS = Path(__file__).resolve().parents[2] / "weights"


def test_models_lists_all_with_parameters_and_macs(enhance: Callable):
    ran = enhance("models", "--json")
    assert ran.code == 0
    rows = {row["name"]: row for row in json.loads(ran.out)}
    assert rows.keys() == MODELS.keys()
    for row in rows.values():
        assert row.keys() >= {
            "name",
            "task",
            "architecture",
            "scale",
            "parameters",
            "macs",
            "macs_input",
            "weights",
            "scores",
        }
    assert rows["enet-e-x4"]["parameters"] == 852_867


def test_models_without_weights_are_listed(
    enhance: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("enhance_cli.engine.weight_files._PACKAGE", tmp_path / "nowhere")
    monkeypatch.setenv("ENHANCE_CACHE", str(tmp_path))
    assert all(row["weights"] is None for row in json.loads(enhance("models", "--json").out))
    assert "enet-e-x4" in enhance("models").out


def test_people_read_every_model_in_a_line_of_100_columns(
    enhance: Callable, monkeypatch: pytest.MonkeyPatch
):
    """Also where it goes into a file or a pipe; nothing is wrapped and no dictionary is shown."""
    monkeypatch.delenv("COLUMNS", raising=False)
    lines = enhance("models").out.splitlines()
    assert max(map(len, lines)) <= 100
    words = [line.split() for line in lines if line.strip()]
    groups: dict[str, list[str]] = {}
    for first, *_ in words[1:]:
        if first.endswith(":"):
            groups[first[:-1]] = []
        else:
            groups[next(reversed(groups))].append(first)
    for task, names in groups.items():
        assert names == [
            name for name, spec in MODELS.items() if ARCHITECTURES[spec.architecture].task == task
        ]
    assert {name for names in groups.values() for name in names} == MODELS.keys()
    assert "  0.85 M  yes      Set14 28.2" in "\n".join(lines)
    assert max(map(len, enhance("weights", "list").out.splitlines())) <= 100


def test_shipped_weights_are_listed_shown_and_verified(enhance: Callable):
    rows = {row["name"]: row for row in json.loads(enhance("weights", "list", "--json").out)}
    assert rows.keys() >= {"enet-e-x2", "enet-e-x4"}
    for name in ("enet-e-x2", "enet-e-x4"):
        assert rows[name]["sha256"] == "right"
        assert rows[name]["scores"].keys() >= {"set5", "set14"}
        shown = json.loads(enhance("weights", "show", name, "--json").out)
        assert shown["contract"]["halo"] == 23
        assert shown["manifest"]["data"]
    ran = enhance("weights", "verify")
    assert ran.code == 0, ran.err
    assert "enet-e-x4: sha256 right, every tensor loads" in ran.out
    table = enhance("weights", "list").out
    assert "0.85 M" in table
    assert "Set14" in table


def test_verify_finds_a_changed_file(
    enhance: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ENHANCE_WEIGHTS", str(tmp_path))
    for name in ("enet-e-x4.safetensors", "MANIFEST.toml"):
        shutil.copy(WEIGHTS / name, tmp_path / name)
    assert enhance("weights", "verify", "enet-e-x4").code == 0
    path = tmp_path / "enet-e-x4.safetensors"
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    ran = enhance("weights", "verify")
    assert ran.code == 1
    assert "sha256 is not that of the manifest" in ran.err


def test_names_that_are_not_there(enhance: Callable):
    ran = enhance("weights", "show", "enet-f")
    assert ran.code == 2
    assert "choose from" in ran.err
    assert enhance("weights", "show", "./nowhere.safetensors").code == 1


def test_a_damaged_file_is_listed_as_such(
    enhance: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ENHANCE_WEIGHTS", str(tmp_path))
    (tmp_path / "enet-e-x4.safetensors").write_bytes(b"nothing")
    ran = enhance("weights", "list", "--json")
    assert ran.code == 1
    assert "not a readable safetensors file" in next(
        row["error"] for row in json.loads(ran.out) if row["name"] == "enet-e-x4"
    )


@pytest.fixture
def foreign() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    spec = MODELS["enet-e-x4"]
    return build(ARCHITECTURES[spec.architecture], spec.config).state_dict()


@pytest.mark.parametrize(
    "wrap", [lambda s: s, lambda s: {"state_dict": s}, lambda s: {"params_ema": s, "iteration": 3}]
)
def test_import_of_a_pickled_state_dict(
    wrap: Callable, foreign: dict, tmp_path: Path, enhance: Callable
):
    torch.save(wrap(foreign), tmp_path / "their.pth")
    ran = enhance(
        "weights",
        "import",
        tmp_path / "their.pth",
        "--model",
        "enet-e-x4",
        "-o",
        tmp_path / "ours.safetensors",
    )
    assert ran.code == 0, ran.err
    info = read_checkpoint_info(tmp_path / "ours.safetensors")
    assert info.name == "enet-e-x4"
    tensors = read_tensors(tmp_path / "ours.safetensors")
    assert all(torch.equal(tensors[key], foreign[key]) for key in foreign)


def test_import_of_plain_safetensors(foreign: dict, tmp_path: Path, enhance: Callable):
    save_file(foreign, tmp_path / "their.safetensors")
    out = tmp_path / "ours.safetensors"
    assert (
        enhance(
            "weights", "import", tmp_path / "their.safetensors", "--model", "enet-e-x4", "-o", out
        ).code
        == 0
    )
    before = hashlib.sha256(out.read_bytes()).hexdigest()
    ran = enhance(
        "weights", "import", tmp_path / "their.safetensors", "--model", "enet-e-x4", "-o", out
    )
    assert ran.code == 1
    assert "exists already" in ran.err
    assert hashlib.sha256(out.read_bytes()).hexdigest() == before
    assert load_file(out).keys() == foreign.keys()


def test_import_of_ours_in_half_precision_keeps_its_notes(tmp_path: Path, enhance: Callable):
    spec = MODELS["enet-e-x4"]
    architecture = ARCHITECTURES[spec.architecture]
    network = build(architecture, spec.config)
    source = tmp_path / "run.safetensors"
    save_checkpoint(source, network, architecture, spec.name, training={"step": 7})
    out = tmp_path / "half.safetensors"
    assert enhance("weights", "import", source, "--model", spec.name, "--half", "-o", out).code == 0
    assert {tensor.dtype for tensor in read_tensors(out).values()} == {torch.float16}
    assert read_checkpoint_info(out).training == {"step": 7}


class Trap:
    """A pickle that would run code."""

    def __reduce__(self) -> tuple:
        return (print, ("unpickled!",))


@pytest.mark.parametrize("name", ["code.pth", "text.pth", "gone.pth", "list.pth", "short.pth"])
def test_what_import_refuses(name: str, foreign: dict, tmp_path: Path, enhance: Callable):
    torch.save(Trap(), tmp_path / "code.pth")
    (tmp_path / "text.pth").write_text("hello")
    torch.save([1, 2], tmp_path / "list.pth")
    foreign.pop("hr.bias")
    torch.save(foreign, tmp_path / "short.pth")
    ran = enhance(
        "weights",
        "import",
        tmp_path / name,
        "--model",
        "enet-e-x4",
        "-o",
        tmp_path / "ours.safetensors",
    )
    assert ran.code == 1
    assert len(ran.err.splitlines()) == 1
    assert "unpickled!" not in ran.out
    assert not (tmp_path / "ours.safetensors").exists()
