"""What a run validates and keeps: averages of the weights, the best or the last, and its log."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny_tasks import (
    PLAN,
    TASKS,
    Regression,
    ctrl_c_at,
    log_rows,
    notes,
    regression,
    run,
    super_resolution,
    tiny_stage,
)
from torch import Tensor, nn

from enhance_cli.training.loop import Report
from enhance_cli.training.optimisation import Optimisation


def averages(plan: Optimisation, out: Path) -> list[dict[str, Tensor]]:
    """The averages after each step, by hand from the live weights."""
    task = regression(plan)
    average = {k: v.clone().double() for k, v in task.network.state_dict().items()}
    found: list[dict[str, Tensor]] = []

    def follow(report: Report) -> None:
        share = min(plan.ema, (1 + report.step) / (10 + report.step))
        for key, value in task.network.state_dict().items():
            average[key] = share * average[key] + (1 - share) * value.double()
        found.append(dict(average))

    run(out, lambda: task, report=follow)
    return found


def test_the_running_average_is_what_is_saved(tmp_path: Path) -> None:
    expected = averages(replace(PLAN, ema=0.3), tmp_path)
    for name in ("last", "model"):
        path = tmp_path / f"{name}.safetensors"
        made, step = load_file(path), notes(path)["step"]
        for key, value in expected[step - 1].items():
            assert torch.allclose(made[key].double(), value, rtol=0, atol=1e-6), (name, key)


def test_no_averaging_keeps_the_weights_themselves(tmp_path: Path) -> None:
    task = regression(replace(PLAN, ema=0.0))
    run(tmp_path, lambda: task)
    for key, value in load_file(tmp_path / "last.safetensors").items():
        assert torch.equal(value, task.network.state_dict()[key])


def test_the_mean_of_the_last_epochs_is_kept(tmp_path: Path) -> None:
    """Thesis 000, ch. 6.1.6: weights at the ends of the last epochs, here of two steps each."""
    plan = replace(PLAN, ema=0.0, last_epochs=3, epoch=2, keep="last")
    task = regression(plan)
    live: list[Tensor] = []
    run(
        tmp_path,
        lambda: task,
        report=lambda _: live.append(task.network.state_dict()["layers.0.weight"].clone()),
    )
    expected = (live[3] + live[5] + live[7]) / 3  # after steps 4, 6 and 8
    for name in ("model", "last"):
        made = load_file(tmp_path / f"{name}.safetensors")["layers.0.weight"]
        assert torch.allclose(made, expected, rtol=0, atol=1e-6)
    assert torch.equal(task.validated[0]["layers.0.weight"], live[2])  # no average yet at step 3


def scored(scores: list[float], **changes: Any) -> Regression:
    return regression(replace(PLAN, validate_every=2, **changes), scores)


def test_the_best_by_validation_is_kept(tmp_path: Path) -> None:
    task = scored([1.0, 3.0, 2.0, 3.0])
    reports: list[Report] = []
    report = run(tmp_path, lambda: task, report=reports.append)
    kept = notes(tmp_path / "model.safetensors")
    assert (kept["step"], kept["validation"], kept["data"]) == (4, 3.0, "a curve")
    for key, value in load_file(tmp_path / "model.safetensors").items():
        assert torch.equal(value, task.validated[1][key])
    assert report.best == 3.0
    assert [entry.validation for entry in reports] == [None, 1, None, 3, None, 2, None, 3]
    assert [entry.best for entry in reports] == [-math.inf, 1, 1, 3, 3, 3, 3, 3]
    assert [float(row["validation"]) for row in log_rows(tmp_path)] == [1, 3, 2, 3]


def test_the_last_is_kept_where_a_stage_says_so(tmp_path: Path) -> None:
    report = run(tmp_path, lambda: scored([1.0, 3.0, 2.0, math.nan], keep="last"))
    kept = notes(tmp_path / "model.safetensors")
    assert (kept["step"], kept["validation"], report.best) == (8, None, 3.0)


def test_the_best_is_remembered_over_a_stop(tmp_path: Path) -> None:
    run(tmp_path, ctrl_c_at(5, lambda: scored([5.0, 1.0])))
    report = run(tmp_path, lambda: scored([4.0, 4.5]), resume=True)
    assert report.best == 5.0
    assert notes(tmp_path / "model.safetensors")["step"] == 2


def test_last_is_described_by_its_own_score(tmp_path: Path) -> None:
    """Not by the best one's: a checkpoint says what it is."""
    run(tmp_path, lambda: scored([1.0, 3.0, 2.0, 0.5]))
    last = notes(tmp_path / "last.safetensors")
    assert (last["step"], last["validation"]) == (8, 0.5)


def test_a_score_that_is_no_number_is_never_the_best(tmp_path: Path) -> None:
    run(tmp_path, lambda: scored([math.nan, 1.0, math.nan, 0.0]))
    assert notes(tmp_path / "model.safetensors")["step"] == 4


def test_before_the_first_validation_there_is_no_score(tmp_path: Path) -> None:
    run(tmp_path, ctrl_c_at(1))
    last = notes(tmp_path / "last.safetensors")
    assert (last["step"], last["validation"]) == (1, None)


def test_what_validation_puts_into_buffers_is_kept(tmp_path: Path) -> None:
    """As the densities of an autoencoder's codes, which are fitted there; training sees none."""

    class Counting(Regression):
        def validate(self, network: nn.Module) -> float:
            assert network.count == 0
            network.count.fill_(7)  # type: ignore[operator, union-attr]
            return 1.0

    run(tmp_path, Counting)
    for name in ("model", "last"):
        assert load_file(tmp_path / f"{name}.safetensors")["count"] == 7
    assert load_file(tmp_path / "state.safetensors")["network.count"] == 0


def test_validating_does_not_disturb_training(tmp_path: Path) -> None:
    for every in (1, 100):
        run(
            tmp_path / str(every),
            lambda every=every: regression(replace(PLAN, validate_every=every)),
        )
    first, second = (load_file(tmp_path / name / "state.safetensors") for name in ("1", "100"))
    for key, value in first.items():
        assert torch.equal(value, second[key]), key
    assert [row["step"] for row in log_rows(tmp_path / "1")] == [str(i) for i in range(1, 9)]
    assert [row["step"] for row in log_rows(tmp_path / "100")] == ["8"]


@pytest.mark.parametrize("name", TASKS)
def test_the_loss_falls_and_the_score_rises(tmp_path: Path, name: str) -> None:
    rate = 0.03 if name == "regression" else 0.003
    plan = Optimisation(steps=120, learning_rate=rate, validate_every=30, ema=0.9)
    stage = tiny_stage(l1_share=1.0, optimisation=plan)
    run(tmp_path, lambda: regression(plan) if name == "regression" else super_resolution(stage))
    losses = [float(row["loss"]) for row in log_rows(tmp_path)]
    scores = [float(row["validation"]) for row in log_rows(tmp_path)]
    assert losses[-1] < 0.9 * losses[0]
    assert scores[-1] > scores[0]


def test_the_log_holds_the_mean_loss_since_the_last_row(tmp_path: Path) -> None:
    losses: list[float] = []
    run(tmp_path, report=lambda report: losses.append(report.loss))
    means = [sum(losses[a:b]) / (b - a) for a, b in ((0, 3), (3, 6), (6, 8))]
    rows = log_rows(tmp_path)
    assert [row["step"] for row in rows] == ["3", "6", "8"]
    for row, mean in zip(rows, means, strict=True):
        assert float(row["loss"]) == pytest.approx(mean, rel=1e-5)
    assert [float(row["learning_rate"]) for row in rows] == pytest.approx(
        [PLAN.rate(step - 1) for step in (3, 6, 8)], rel=1e-3
    )
