"""Recipes of several stages: a run in one go is the run that was stopped and resumed."""

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny_tasks import assert_same_run, log_rows, notes, photo, tiny_stage, write_photo
from torch import Tensor

from enhance_cli.errors import CheckpointError, OutputError, UsageError
from enhance_cli.training import run as run_module
from enhance_cli.training.loop import Report
from enhance_cli.training.optimisation import Optimisation
from enhance_cli.training.recipes import RECIPES
from enhance_cli.training.run import run_recipe
from enhance_cli.training.stages import Recipe
from enhance_cli.training.start import EarlierStage, NamedModel, read_start

FIRST = Optimisation(steps=4, validate_every=2, learning_rate=2e-3, ema=0.5)
STEPS = (4, 3)


def two_stages(keep: str = "best") -> Recipe:
    first = tiny_stage(optimisation=replace(FIRST, keep=keep))
    last = replace(FIRST, steps=3, learning_rate=1e-3)
    return Recipe(
        "tiny", "", (first, tiny_stage(start=(EarlierStage(1),), l1_share=0.0, optimisation=last))
    )


@pytest.fixture(autouse=True)
def recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RECIPES, "tiny", two_stages())


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for index in range(3):
        write_photo(folder / f"{index}.png", photo(index, 50, 45))
    return folder


def run(photos: Path, out: Path, **options: Any) -> Report:
    return run_recipe("tiny", photos, out=out, **{"device": "cpu", "quiet": True} | options)


def assert_same(left: Path, right: Path) -> None:
    for folder in ("stage-1", "."):
        assert_same_run(left / folder, right / folder, ("tiny", "last"))


def test_stopping_after_every_step_of_every_stage_changes_nothing(
    photos: Path, tmp_path: Path
) -> None:
    """To the bit: no time at all is one step each."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert run(photos, whole).step == 3
    for part, step in enumerate([1, 2, 3, 4, 1, 2, 3]):
        assert run(photos, parts, minutes=0, resume=part > 0).step == step
    assert_same(whole, parts)
    before = {path: path.read_bytes() for path in parts.rglob("*.safetensors")}
    run(photos, parts, resume=True)
    assert {path: path.read_bytes() for path in before} == before


def test_stages_one_by_one_are_the_whole_run(photos: Path, tmp_path: Path) -> None:
    run(photos, tmp_path / "whole")
    for stage in (1, 2):
        run(photos, tmp_path / "parts", stage=stage)
    assert_same(tmp_path / "whole", tmp_path / "parts")
    made = notes(tmp_path / "whole" / "tiny.safetensors")
    assert (made["stage"], made["recipe"]["start"]) == ("2 of 2", ["stage 1"])


@pytest.mark.parametrize("keep", ["best", "last"])
def test_a_stage_begins_with_what_the_one_before_it_keeps(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: str
) -> None:
    scores = iter([5.0, 3.0, 1.0, 1.0])
    monkeypatch.setattr(
        "enhance_cli.training.superres.SuperResolution.validate", lambda *_: next(scores)
    )
    monkeypatch.setitem(RECIPES, "tiny", two_stages(keep))
    seen: dict[str, Tensor] = {}
    train = run_module.train

    def spy(task: Any, out: Path, *rest: Any, **options: Any) -> Report:
        seen.update({k: v.clone() for k, v in task.network.state_dict().items()})
        return train(task, out, *rest, **options)

    monkeypatch.setattr(run_module, "train", spy)
    run(photos, tmp_path)
    first = tmp_path / "stage-1"
    assert notes(first / "tiny.safetensors")["step"] == (2 if keep == "best" else 4)
    for key, value in load_file(first / "tiny.safetensors").items():
        assert torch.equal(seen[key], value)
    same = all(
        torch.equal(value, seen[key])
        for key, value in load_file(first / "last.safetensors").items()
    )
    assert same == (keep == "last")


def test_a_stage_has_its_own_loss_and_plan(photos: Path, tmp_path: Path) -> None:
    run(photos, tmp_path)
    assert [row["step"] for row in log_rows(tmp_path / "stage-1")] == ["2", "4"]
    assert [row["step"] for row in log_rows(tmp_path)] == ["2", "3"]
    # Squared errors are far smaller than absolute ones.
    assert float(log_rows(tmp_path)[-1]["loss"]) < 0.4 * float(
        log_rows(tmp_path / "stage-1")[-1]["loss"]
    )


def test_minutes_count_over_all_stages(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(photos, tmp_path, stage=1)
    run(photos, tmp_path, minutes=0, resume=True, quiet=False)
    assert "stopped at stage 2, step 1 of 3; go on with --resume" in capsys.readouterr().err
    assert run(photos, tmp_path, resume=True).step == 3


def test_ctrl_c_in_the_last_step_of_a_stage_ends_the_run(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = run_module.train

    def stopped(*rest: Any, **options: Any) -> Report:
        return replace(train(*rest, **options), signal=signal.SIGINT)

    monkeypatch.setattr(run_module, "train", stopped)
    assert run(photos, tmp_path).signal
    assert not (tmp_path / "state.safetensors").exists()


def test_steps_and_settings_are_for_every_stage(photos: Path, tmp_path: Path) -> None:
    run(photos, tmp_path, overrides=["steps=1", "batch=2"])
    for folder in ("stage-1", "."):
        made = notes(tmp_path / folder / "tiny.safetensors")
        assert (made["step"], made["recipe"]["batch"]) == (1, 2)


def test_a_later_stage_needs_the_one_before_it(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"stage 1 has left no weights.*--stage 1.*--init"):
        run(photos, tmp_path / "run", stage=2)
    with pytest.raises(UsageError, match="--stage 3: tiny has 2 stages"):
        run(photos, tmp_path / "run", stage=3)
    assert not (tmp_path / "run").exists()


def test_a_later_stage_may_begin_elsewhere(photos: Path, tmp_path: Path) -> None:
    run(photos, tmp_path / "other")
    init = tmp_path / "other" / "last.safetensors"
    run(photos, tmp_path / "run", stage=2, init=init, overrides=["learning_rate=0"])
    for key, value in load_file(init).items():
        made = load_file(tmp_path / "run" / "last.safetensors")[key]
        assert torch.allclose(made, value, rtol=0, atol=1e-7)


def test_a_run_of_other_settings_is_not_gone_on_with(photos: Path, tmp_path: Path) -> None:
    """Not even where only a stage that is done had others."""
    run(photos, tmp_path, stage=1)
    with pytest.raises(OutputError, match="a run lies here already"):
        run(photos, tmp_path)
    with pytest.raises(CheckpointError, match=r"stage-1.*other settings.*batch: 4, now 2"):
        run(photos, tmp_path, resume=True, overrides=["batch=2"])
    assert run(photos, tmp_path, resume=True).step == 3


def test_a_start_of_several_weights_takes_the_last_that_has_a_tensor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import save_file

    (tmp_path / "stage-1").mkdir()
    (tmp_path / "models").mkdir()
    monkeypatch.setenv("ENHANCE_WEIGHTS", str(tmp_path / "models"))
    save_file({"a": torch.zeros(2), "b": torch.zeros(2)}, tmp_path / "stage-1/tiny.safetensors")
    save_file({"b": torch.ones(2)}, tmp_path / "models" / "sisr.safetensors")
    found = read_start((EarlierStage(1), NamedModel("sisr")), tmp_path, "tiny", 2)
    assert found is not None
    assert {key: float(value.sum()) for key, value in found.items()} == {"a": 0.0, "b": 2.0}
    assert read_start((), tmp_path, "tiny", 2) is None
    with pytest.raises(CheckpointError, match="enhance train no-model"):
        read_start((NamedModel("no-model"),), tmp_path, "tiny", 2)


def test_a_recipe_cannot_begin_a_stage_from_a_later_one() -> None:
    with pytest.raises(ValueError, match="stage 1 cannot begin from stage 2"):
        Recipe("tiny", "", (tiny_stage(start=(EarlierStage(2),)), tiny_stage()))
