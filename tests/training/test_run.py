"""From options to a run: data, starting weights, resumption, and what a user is told."""

import hashlib
import json
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_tasks import photo, tiny_stage, write_photo

from enhance_cli.architectures import ARCHITECTURES
from enhance_cli.engine.checkpoint import (
    build,
    load_network,
    read_checkpoint_info,
    read_metadata,
    save_checkpoint,
)
from enhance_cli.errors import CheckpointError, UnknownNameError, UsageError
from enhance_cli.training import run as run_module
from enhance_cli.training.loop import Report
from enhance_cli.training.optimisation import Optimisation
from enhance_cli.training.recipes import RECIPES
from enhance_cli.training.resume import LOG_COLUMNS
from enhance_cli.training.run import NO_INIT, run_recipe
from enhance_cli.training.stages import Recipe
from enhance_cli.training.start import NamedModel

SHORT = tiny_stage(optimisation=Optimisation(steps=4, validate_every=2))


@pytest.fixture(autouse=True)
def recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RECIPES, "tiny", Recipe("tiny", "", (SHORT,)))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for index in range(3):
        write_photo(tmp_path / "photos" / f"{index}.png", photo(index, 50, 45))
    return tmp_path / "photos"


def run(data: Path, out: Path, *overrides: str, recipe: str = "tiny", **options: Any) -> Report:
    options = {"device": "cpu", "quiet": True} | options
    return run_recipe(recipe, data, out=out, overrides=overrides, **options)


def test_a_run_makes_a_model_that_says_what_it_is(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    finished = run(photos, out)
    assert not finished.signal
    assert finished.step == finished.steps == 4
    assert sorted(path.name for path in out.iterdir()) == [
        "curve.csv",
        "last.safetensors",
        "state.safetensors",
        "tiny.safetensors",
    ]
    info = read_checkpoint_info(out / "tiny.safetensors")
    assert info.name == "tiny"
    assert info.config == SHORT.config
    assert info.training["data"] == "2 photographs"  # of three, one is held out
    assert info.training["recipe"]["name"] == "tiny"
    assert info.training["recipe"]["optimisation"]["steps"] == 4
    assert info.training["step"] in (2, 4)
    assert info.training["validation_psnr_y"] == pytest.approx(finished.best, abs=1e-4)
    network = load_network(info)
    with torch.no_grad():
        assert network(torch.rand(1, 3, 5, 7)).shape == (1, 3, 20, 28)
    header, *rows = (out / "curve.csv").read_text().splitlines()
    assert header == ",".join(LOG_COLUMNS)
    assert [row.split(",")[0] for row in rows] == ["2", "4"]


def test_unknown_recipe(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'enet-e-x4'"):
        run(photos, tmp_path / "run", recipe="enet-e-x44")


def test_a_recipe_keeps_its_scale(photos: Path, tmp_path: Path) -> None:
    """A x2 network must not be saved as enet-e-x4."""
    with pytest.raises(UsageError, match="another model than enet-e-x4"):
        run(photos, tmp_path / "run", "scale=2", recipe="enet-e-x4")


def same_weights(left: Path, right: Path) -> bool:
    first, second = load_file(left), load_file(right)
    return first.keys() == second.keys() and all(
        torch.equal(value, second[key]) for key, value in first.items()
    )


def test_no_time_at_all_still_makes_progress(photos: Path, tmp_path: Path) -> None:
    run(photos, tmp_path / "whole")
    for step in range(1, 5):
        finished = run(photos, tmp_path / "parts", minutes=0, resume=step > 1)
        assert finished.step == step
        assert not finished.signal
    for name in ("state", "last", "tiny"):
        file = f"{name}.safetensors"
        assert same_weights(tmp_path / "whole" / file, tmp_path / "parts" / file)


@pytest.mark.parametrize(
    ("minutes", "number", "word"),
    [(None, signal.SIGINT, "interrupted"), (60.0, signal.SIGTERM, "terminated")],
)
def test_signals_are_told_from_running_out_of_time(
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    enhance: Callable,
    minutes: float | None,
    number: int,
    word: str,
) -> None:
    show = run_module._Display.show

    def press(self: Any, report: Report) -> None:
        show(self, report)
        if report.step == 1:
            signal.raise_signal(number)

    monkeypatch.setattr(run_module._Display, "show", press)
    finished = run(photos, tmp_path / "run", minutes=minutes)
    assert finished.step < 4
    assert finished.signal == number
    options = ["--out", tmp_path / "again", "--device", "cpu"]
    ran = enhance("train", "tiny", "--data", photos, *options)
    assert ran.code == 128 + number
    assert f"error: {word}" in ran.err


def test_progress_goes_to_stderr_and_quiet_says_nothing(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(photos, tmp_path / "run", quiet=False, minutes=0)
    said = capsys.readouterr()
    assert said.out == ""
    assert "2 photographs" in said.err
    assert "--resume" in said.err
    run(photos, tmp_path / "run", quiet=True, resume=True)
    said = capsys.readouterr()
    assert said.out == said.err == ""


@pytest.mark.parametrize("change", ["learning_rate=1e-3", "seed=5", "batch=2", "l1_share=0.5"])
def test_resuming_with_other_options_is_refused(photos: Path, tmp_path: Path, change: str) -> None:
    run(photos, tmp_path / "run", minutes=0)
    with pytest.raises(CheckpointError, match="other settings"):
        run(photos, tmp_path / "run", change, resume=True)
    run(photos, tmp_path / "run", resume=True)


def test_resuming_with_other_photos_or_precision_is_refused(photos: Path, tmp_path: Path) -> None:
    run(photos, tmp_path / "run", minutes=0)
    with pytest.raises(CheckpointError, match="other settings"):
        run(photos, tmp_path / "run", resume=True, precision="bf16")
    write_photo(photos / "0.png", photo(9))  # as many as before
    with pytest.raises(CheckpointError, match="other settings.*files"):
        run(photos, tmp_path / "run", resume=True)


def test_resuming_with_another_validation_is_refused_and_a_moved_folder_is_not(
    photos: Path, tmp_path: Path
) -> None:
    run(photos, tmp_path / "run", minutes=0)
    moved = photos.rename(tmp_path / "moved")
    with pytest.raises(CheckpointError, match="other settings.*files"):
        run(moved, tmp_path / "run", resume=True, validation=moved)
    assert run(moved, tmp_path / "run", resume=True).step == 4


def test_a_state_that_did_not_note_its_files_goes_on(photos: Path, tmp_path: Path) -> None:
    run(photos, tmp_path / "run", minutes=0)
    path = tmp_path / "run" / "state.safetensors"
    metadata, tensors = read_metadata(path), load_file(path)
    known = json.loads(metadata["fingerprint"])
    del known["files"]
    save_file(tensors, path, {**metadata, "fingerprint": json.dumps(known)})
    assert run(photos, tmp_path / "run", resume=True).step == 4


@pytest.mark.gpu
def test_a_run_on_a_gpu_goes_on_from_between_two_validations(photos: Path, tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    assert run(photos, tmp_path / "run", minutes=0, device="cuda").step == 1
    assert run(photos, tmp_path / "run", resume=True, device="cuda").step == 4


def test_nothing_to_resume(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="nothing to resume"):
        run(photos, tmp_path / "run", resume=True)


# --- starting weights -------------------------------------------------------------------------


def test_starting_weights_reach_the_run(photos: Path, tmp_path: Path) -> None:
    """With a learning rate of nothing, the weights come out as they went in."""
    architecture = ARCHITECTURES["enhancenet"]
    torch.manual_seed(7)
    network = build(architecture, SHORT.config)
    save_checkpoint(tmp_path / "init.safetensors", network, architecture, "x4")
    init = tmp_path / "init.safetensors"
    run(photos, tmp_path / "run", "learning_rate=0", init=init, minutes=0)
    run(photos, tmp_path / "run", "learning_rate=0", init=init, resume=True)
    told = read_checkpoint_info(tmp_path / "run" / "tiny.safetensors").training["init"]
    assert told == {
        "file": "init.safetensors",
        "sha256": hashlib.sha256(init.read_bytes()).hexdigest(),
    }
    for key, value in load_file(tmp_path / "run" / "last.safetensors").items():
        assert torch.allclose(value, network.state_dict()[key], rtol=0, atol=1e-7)


@pytest.mark.parametrize("content", ["foreign", "not finite", "garbage", "missing"])
def test_starting_weights_that_fit_nowhere(photos: Path, tmp_path: Path, content: str) -> None:
    path = tmp_path / "init.safetensors"
    if content == "foreign":
        save_file({"conv.weight": torch.zeros(3), "head.weight": torch.zeros(4)}, path)
    elif content == "not finite":
        save_file({"head.bias": torch.full((8,), torch.nan)}, path)
    elif content == "garbage":
        path.write_bytes(b"not a checkpoint" * 9)
    with pytest.raises(CheckpointError) as caught:
        run(photos, tmp_path / "run", init=path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_recipe_may_begin_from_a_model_or_from_nothing(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    architecture = ARCHITECTURES["enhancenet"]
    torch.manual_seed(7)
    network = build(architecture, SHORT.config)
    (tmp_path / "models").mkdir()
    monkeypatch.setenv("ENHANCE_WEIGHTS", str(tmp_path / "models"))
    save_checkpoint(tmp_path / "models" / "base.safetensors", network, architecture, "base")
    stage = replace(SHORT, start=(NamedModel("base"),))
    monkeypatch.setitem(RECIPES, "tiny", Recipe("tiny", "", (stage,)))
    for name, init in (("base", None), ("fresh", NO_INIT)):
        run(photos, tmp_path / name, "learning_rate=0", init=init)
        made = load_file(tmp_path / name / "last.safetensors")["head.weight"]
        assert torch.allclose(made, network.state_dict()["head.weight"]) == (name == "base")
