"""The training loop: a pure function of recipe, data and seed, however often it is stopped."""

import csv
import json
import math
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from enhance_cli.architectures import ARCHITECTURES
from enhance_cli.data.patches import PatchSampler, load_photos
from enhance_cli.engine.checkpoint import build
from enhance_cli.errors import CheckpointError, EnhanceError, OutputError
from enhance_cli.resize import imresize
from enhance_cli.training import loop, resume
from enhance_cli.training.loop import (
    Optimisation,
    Report,
    step_generator,
)
from enhance_cli.training.resume import CURVE_COLUMNS
from enhance_cli.training.superres import SuperResolution, SuperResolutionRecipe

# These tests look at every step's report.
train = partial(loop.train, report_every_seconds=0.0)

CPU = torch.device("cpu")
PLAN = Optimisation(steps=8, learning_rate=0.02, validate_every=3, seed=3)


class Regression:
    """Smallest experiment: fit sin(x) with a few units; keeps what it was asked to save."""

    def __init__(self, scores: list[float] | None = None) -> None:
        torch.manual_seed(0)
        self.network: nn.Module = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))
        self.network.register_buffer("count", torch.zeros((), dtype=torch.int64))
        self.scores = scores
        self.validated: list[dict[str, Tensor]] = []
        self.saved: list[tuple[str, int, float]] = []

    def loss(self, step: int, generator: torch.Generator, share: slice) -> Tensor:
        x = torch.randn(8, 1, generator=generator)[share]
        return (self.network(x) - torch.sin(2 * x)).square().mean()

    def validate(self, network: nn.Module) -> float:
        assert not network.training
        self.validated.append({k: v.clone() for k, v in network.state_dict().items()})
        if self.scores is not None:
            return self.scores[len(self.validated) - 1]
        x = torch.linspace(-2, 2, 50)[:, None]
        return -float((network(x) - torch.sin(2 * x)).square().mean())

    def save(self, path: Path, tensors: dict[str, Tensor], step: int, score: float) -> None:
        self.saved.append((path.name, step, score))
        save_file(
            {k: v.contiguous() for k, v in tensors.items()},
            path,
            metadata={"step": str(step), "score": repr(score)},
        )


def photo(seed: int, height: int = 61, width: int = 74) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    rough = torch.rand(3, height // 4 + 1, width // 4 + 1, generator=generator)
    return (imresize(rough, 4)[:, :height, :width].clamp(0, 1) * 255).round().to(torch.uint8)


def tiny_recipe(scale: int = 4, **changes: Any) -> SuperResolutionRecipe:
    recipe = SuperResolutionRecipe(
        name="tiny",
        summary="for the tests",
        architecture="enhancenet",
        config={"scale": scale, "channels": 8, "blocks": 1},
        patch=8,
        batch=4,
        optimisation=PLAN,
    )
    return replace(recipe, **changes)


def super_resolution(recipe: SuperResolutionRecipe | None = None) -> SuperResolution:
    """As ``recipe.prepare`` makes it, from photographs in memory."""
    recipe = recipe or tiny_recipe()
    architecture = ARCHITECTURES[recipe.architecture]
    torch.manual_seed(recipe.optimisation.seed)
    network = build(architecture, architecture.config(**recipe.config))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return SuperResolution(recipe, network, [photo(1), photo(2)], [photo(3, 40, 44)], CPU)


EXPERIMENTS: dict[str, Callable[[], Any]] = {
    "regression": Regression,
    "super-resolution": super_resolution,
}


def run(
    out: Path, make: Callable[[], Any] = Regression, plan: Optimisation = PLAN, **options: Any
) -> Report:
    """Train a fresh copy of the experiment, as a new process would."""
    options = {"fingerprint": "settings", "device": CPU} | options
    return train(make(), plan, out, "model", **options)


def ctrl_c_at(step: int, make: Callable[[], Any] = Regression) -> Callable[[], Any]:
    """Makes the experiment with a user who presses Ctrl-C during that step, counted from 1."""

    def interrupted() -> Any:
        experiment = make()
        whole = experiment.loss

        def loss(index: int, generator: torch.Generator, share: slice) -> Tensor:
            if index == step - 1:
                signal.raise_signal(signal.SIGINT)
            return whole(index, generator, share)  # type: ignore[no-any-return]

        experiment.loss = loss
        return experiment

    return interrupted


def curve(out: Path) -> list[dict[str, str]]:
    with (out / "curve.csv").open(newline="") as file:
        reader = csv.DictReader(file)
        assert tuple(reader.fieldnames or ()) == CURVE_COLUMNS
        return [{k: v for k, v in row.items() if k != "seconds"} for row in reader]


def described(path: Path) -> dict[str, str]:
    with safe_open(path, framework="pt") as file:
        return dict(file.metadata())


def assert_same_run(left: Path, right: Path) -> None:
    """Bit-identical weights, averages, moments and counters, and the same curve."""
    for name in ("state", "model", "last"):
        first, second = (load_file(out / f"{name}.safetensors") for out in (left, right))
        assert first.keys() == second.keys()
        for key, value in first.items():
            assert torch.equal(value, second[key]), (name, key)
    states = [described(out / "state.safetensors") for out in (left, right)]
    for key in ("fingerprint", "step", "best"):
        assert states[0][key] == states[1][key]
    assert curve(left) == curve(right)


# --- stopping and resuming -------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every experiment, run without a stop."""
    found = {}
    for name, make in EXPERIMENTS.items():
        found[name] = tmp_path_factory.mktemp(name)
        report = run(found[name], make)
        assert report.step == report.steps == PLAN.steps
    return found


@pytest.mark.parametrize("stop", range(1, PLAN.steps))
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_resuming_at_any_step_changes_nothing(
    tmp_path: Path, whole: dict[str, Path], name: str, stop: int
) -> None:
    assert run(tmp_path, ctrl_c_at(stop, EXPERIMENTS[name])).step == stop
    report = run(tmp_path, EXPERIMENTS[name], resume=True)
    assert report.step == PLAN.steps
    assert_same_run(tmp_path, whole[name])


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_stopping_after_every_step_changes_nothing(
    tmp_path: Path, whole: dict[str, Path], name: str
) -> None:
    """No time at all is one step each, as ``--minutes 0`` gives."""
    for step in range(1, PLAN.steps + 1):
        assert run(tmp_path, EXPERIMENTS[name], seconds=0, resume=step > 1).step == step
    assert_same_run(tmp_path, whole[name])


def test_resuming_in_bfloat16_changes_nothing(tmp_path: Path) -> None:
    for out, stops in ((tmp_path / "whole", []), (tmp_path / "parts", [2, 5])):
        for index, stop in enumerate([*stops, 0]):
            run(out, ctrl_c_at(stop, super_resolution), dtype=torch.bfloat16, resume=index > 0)
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


def test_resuming_after_a_crash_repeats_the_lost_steps(
    tmp_path: Path, whole: dict[str, Path]
) -> None:
    """A power cut at step 7, the state last saved at step 4: row 6 must not be there twice."""

    class PowerCut(BaseException):
        pass

    run(tmp_path, ctrl_c_at(4))

    def cut(report: Report) -> None:
        if report.step == 7:
            raise PowerCut

    with pytest.raises(PowerCut):
        run(tmp_path, resume=True, report=cut)
    assert [row["step"] for row in curve(tmp_path)] == ["3", "6"]
    run(tmp_path, resume=True)
    assert_same_run(tmp_path, whole["regression"])


def test_resuming_a_finished_run_leaves_it_as_it_is(tmp_path: Path, whole: dict[str, Path]) -> None:
    run(tmp_path)
    experiment = Regression()
    report = train(
        experiment, PLAN, tmp_path, "model", fingerprint="settings", device=CPU, resume=True
    )
    assert report.step == report.steps == PLAN.steps
    assert experiment.saved == []
    assert_same_run(tmp_path, whole["regression"])


def test_the_same_run_twice_is_the_same(tmp_path: Path, whole: dict[str, Path]) -> None:
    for name, make in EXPERIMENTS.items():
        run(tmp_path / name, make)
        assert_same_run(tmp_path / name, whole[name])


def test_another_seed_is_another_run(tmp_path: Path, whole: dict[str, Path]) -> None:
    run(tmp_path, plan=replace(PLAN, seed=4))
    assert curve(tmp_path) != curve(whole["regression"])


def test_ctrl_c_is_ours_only_while_training(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    seen = []
    run(tmp_path, report=lambda _: seen.append(signal.getsignal(signal.SIGINT)))
    assert before not in seen
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(ZeroDivisionError):
        run(tmp_path / "other", report=lambda _: 1 // 0)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_run_is_not_begun_over_another(tmp_path: Path) -> None:
    run(tmp_path)
    before = (tmp_path / "state.safetensors").read_bytes()
    with pytest.raises(OutputError, match="--resume or choose another --out"):
        run(tmp_path)
    assert (tmp_path / "state.safetensors").read_bytes() == before


def test_a_stopped_run_leaves_a_state_and_the_newest_average(tmp_path: Path) -> None:
    report = run(tmp_path, ctrl_c_at(2))
    assert report.step == 2
    assert report.steps == PLAN.steps
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "curve.csv",
        "last.safetensors",
        "state.safetensors",
    ]
    assert described(tmp_path / "last.safetensors")["step"] == "2"
    assert described(tmp_path / "state.safetensors")["step"] == "2"
    assert curve(tmp_path) == []


def test_seconds_add_up_over_resumed_runs(tmp_path: Path) -> None:
    spent = []
    for part in range(4):
        run(tmp_path, seconds=0, resume=part > 0)
        spent.append(float(described(tmp_path / "state.safetensors")["seconds"]))
    assert spent == sorted(spent)
    assert len(set(spent)) == 4


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_state_of_other_settings_is_refused(tmp_path: Path, name: str) -> None:
    run(tmp_path, ctrl_c_at(4, EXPERIMENTS[name]))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(CheckpointError, match=r"state\.safetensors.*settings.*other") as caught:
        run(tmp_path, EXPERIMENTS[name], resume=True, fingerprint="others")
    assert "\n" not in str(caught.value)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_nothing_to_resume(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="nothing to resume"):
        run(tmp_path / "new", resume=True)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "foreign"])
def test_a_damaged_state_is_refused(tmp_path: Path, damage: str) -> None:
    run(tmp_path, ctrl_c_at(4))
    path = tmp_path / "state.safetensors"
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-4])
    elif damage == "foreign":
        save_file({"a": torch.zeros(1)}, path)
    else:
        path.write_text("" if damage == "empty" else "no state" * 20)
    with pytest.raises(CheckpointError, match=r"state\.safetensors") as caught:
        run(tmp_path, resume=True)
    assert "\n" not in str(caught.value)


def test_the_state_appears_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fills up while the state is written costs no more than the steps since."""
    run(tmp_path, ctrl_c_at(4))
    state = tmp_path / "state.safetensors"
    before = state.read_bytes()

    def half(tensors: dict[str, Tensor], path: Path, **_: object) -> None:
        assert path != state
        path.write_bytes(b"half a file")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(resume, "save_file", half)
        with pytest.raises(EnhanceError, match="No space left"):
            run(tmp_path, resume=True, save_every_seconds=-1)
    assert state.read_bytes() == before
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    run(tmp_path, resume=True)
    assert described(state)["step"] == str(PLAN.steps)


def test_the_state_is_saved_as_often_as_asked(tmp_path: Path) -> None:
    steps: dict[float, list[int]] = {}
    for seconds in (-1.0, 1e9):
        out = tmp_path / str(seconds)
        experiment = Regression()
        train(
            experiment, PLAN, out, "model", fingerprint="", device=CPU, save_every_seconds=seconds
        )
        steps[seconds] = [step for name, step, _ in experiment.saved if name.startswith("last")]
    assert steps == {-1.0: list(range(1, 9)), 1e9: [8]}


# --- what is validated and kept --------------------------------------------------------------


def averages(decay: float, out: Path) -> list[dict[str, Tensor]]:
    """The running averages after each step, by hand from the live weights."""
    experiment = Regression()
    average = {k: v.clone().double() for k, v in experiment.network.state_dict().items()}
    found: list[dict[str, Tensor]] = []

    def follow(report: Report) -> None:
        share = min(decay, (1 + report.step) / (10 + report.step))
        for key, value in experiment.network.state_dict().items():
            average[key] = share * average[key] + (1 - share) * value.double()
        found.append(dict(average))

    train(
        experiment,
        replace(PLAN, ema=decay),
        out,
        "model",
        fingerprint="",
        device=CPU,
        report=follow,
    )
    live = experiment.network.state_dict()
    assert not torch.allclose(live["0.weight"].double(), average["0.weight"], atol=1e-4)
    return found


@pytest.mark.parametrize("decay", [0.999, 0.3])
def test_the_running_average_is_what_is_saved(tmp_path: Path, decay: float) -> None:
    expected = averages(decay, tmp_path)
    last = load_file(tmp_path / "last.safetensors")
    for key, value in expected[-1].items():
        assert torch.allclose(last[key].double(), value, rtol=0, atol=1e-6), key
    best = load_file(tmp_path / "model.safetensors")
    step = int(described(tmp_path / "model.safetensors")["step"])
    for key, value in expected[step - 1].items():
        assert torch.allclose(best[key].double(), value, rtol=0, atol=1e-6), key


def test_no_averaging_keeps_the_weights_themselves(tmp_path: Path) -> None:
    experiment = Regression()
    train(experiment, replace(PLAN, ema=0.0), tmp_path, "model", fingerprint="", device=CPU)
    for key, value in load_file(tmp_path / "last.safetensors").items():
        assert torch.equal(value, experiment.network.state_dict()[key])


def test_the_best_by_validation_is_kept(tmp_path: Path) -> None:
    experiment = Regression(scores=[1.0, 3.0, 2.0, 3.0])
    plan = replace(PLAN, validate_every=2)
    reports: list[Report] = []
    report = train(
        experiment, plan, tmp_path, "model", fingerprint="", device=CPU, report=reports.append
    )
    assert [entry[:2] for entry in experiment.saved if entry[0] == "model.safetensors"] == [
        ("model.safetensors", 2),
        ("model.safetensors", 4),
    ]
    assert described(tmp_path / "model.safetensors") == {"step": "4", "score": "3.0"}
    for key, value in load_file(tmp_path / "model.safetensors").items():
        assert torch.equal(value, experiment.validated[1][key])
    assert report.best == 3.0
    assert [entry.validation for entry in reports] == [None, 1, None, 3, None, 2, None, 3]
    assert [entry.best for entry in reports] == [-math.inf, 1, 1, 3, 3, 3, 3, 3]
    assert [float(row["validation"]) for row in curve(tmp_path)] == [1, 3, 2, 3]


def test_the_best_is_remembered_over_a_stop(tmp_path: Path) -> None:
    plan = replace(PLAN, validate_every=2)
    run(tmp_path, ctrl_c_at(5, lambda: Regression(scores=[5.0, 1.0])), plan)
    report = run(tmp_path, lambda: Regression(scores=[4.0, 4.5]), plan, resume=True)
    assert report.best == 5.0
    assert described(tmp_path / "model.safetensors") == {"step": "2", "score": "5.0"}


def test_last_is_described_by_its_own_score(tmp_path: Path) -> None:
    """Not by the best one's: a checkpoint says what it is."""
    run(tmp_path, lambda: Regression(scores=[1.0, 3.0, 2.0, 0.5]), replace(PLAN, validate_every=2))
    assert described(tmp_path / "last.safetensors") == {"step": "8", "score": "0.5"}


def test_a_score_that_is_no_number_is_never_the_best(tmp_path: Path) -> None:
    plan = replace(PLAN, validate_every=2)
    run(tmp_path, lambda: Regression(scores=[math.nan, 1.0, math.nan, 0.0]), plan)
    assert described(tmp_path / "model.safetensors") == {"step": "4", "score": "1.0"}


def test_notes_of_an_unfinished_run_are_strict_json(tmp_path: Path) -> None:
    """Before the first validation there is no score; ``-Infinity`` is not JSON."""
    run(tmp_path, ctrl_c_at(1, super_resolution))

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    notes = json.loads(described(tmp_path / "last.safetensors")["training"], parse_constant=refuse)
    assert notes["step"] == 1


def test_validating_does_not_disturb_training(tmp_path: Path) -> None:
    for every in (1, 100):
        run(tmp_path / str(every), plan=replace(PLAN, validate_every=every))
    first, second = (load_file(tmp_path / name / "state.safetensors") for name in ("1", "100"))
    for key, value in first.items():
        assert torch.equal(value, second[key]), key
    assert [row["step"] for row in curve(tmp_path / "1")] == [str(i) for i in range(1, 9)]
    assert [row["step"] for row in curve(tmp_path / "100")] == ["8"]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_loss_falls_and_the_score_rises(tmp_path: Path, name: str) -> None:
    rate = 0.03 if name == "regression" else 0.003
    plan = Optimisation(steps=120, learning_rate=rate, validate_every=30, ema=0.9)
    recipe = tiny_recipe(l1_share=1.0, optimisation=plan)
    run(tmp_path, Regression if name == "regression" else lambda: super_resolution(recipe), plan)
    losses = [float(row["loss"]) for row in curve(tmp_path)]
    scores = [float(row["validation"]) for row in curve(tmp_path)]
    assert losses[-1] < 0.9 * losses[0]
    assert scores[-1] > scores[0]


def test_the_curve_holds_the_mean_loss_since_the_last_row(tmp_path: Path) -> None:
    losses: list[float] = []
    run(tmp_path, report=lambda report: losses.append(report.loss))
    means = [sum(losses[a:b]) / (b - a) for a, b in ((0, 3), (3, 6), (6, 8))]
    rows = curve(tmp_path)
    assert [row["step"] for row in rows] == ["3", "6", "8"]
    for row, mean in zip(rows, means, strict=True):
        assert float(row["loss"]) == pytest.approx(mean, rel=1e-5)
    assert [float(row["learning_rate"]) for row in rows] == pytest.approx(
        [PLAN.rate(step - 1) for step in (3, 6, 8)], rel=1e-3
    )


# --- descending ------------------------------------------------------------------------------


def test_a_step_is_adam_s(tmp_path: Path) -> None:
    """Eight steps by hand: batches, rates, clipping and moments as documented."""
    plan = replace(PLAN, clip=0.05)
    experiment = Regression()
    train(experiment, plan, tmp_path, "model", fingerprint="", device=CPU)
    other = Regression()
    parameters = list(other.network.parameters())
    first, second = (
        [torch.zeros_like(p, dtype=torch.float64) for p in parameters] for _ in range(2)
    )
    clipped = 0
    for step in range(plan.steps):
        loss = other.loss(step, step_generator(plan.seed, step), slice(None))
        gradients = [g.double() for g in torch.autograd.grad(loss, parameters)]
        norm = float(torch.cat([g.flatten() for g in gradients]).norm())
        clipped += norm > plan.clip
        with torch.no_grad():
            for i, gradient in enumerate(gradients):
                gradient = gradient * min(1, plan.clip / norm)
                first[i] = 0.9 * first[i] + 0.1 * gradient
                second[i] = 0.99 * second[i] + 0.01 * gradient**2
                mean = first[i] / (1 - 0.9 ** (step + 1))
                square = second[i] / (1 - 0.99 ** (step + 1))
                parameters[i] -= plan.rate(step) * mean / (square.sqrt() + 1e-8)
    assert clipped > plan.steps // 2
    for mine, theirs in zip(parameters, experiment.network.parameters(), strict=True):
        assert torch.allclose(mine, theirs, rtol=0, atol=2e-5)


class Diverging(Regression):
    """Loses its head at the fifth step."""

    def loss(self, step: int, generator: torch.Generator, share: slice) -> Tensor:
        loss = super().loss(step, generator, share)
        return loss * math.nan if step == 4 else loss


@pytest.mark.parametrize("every", [1, 5, 6, 100])
def test_a_loss_that_is_not_finite_is_an_error(tmp_path: Path, every: int) -> None:
    with pytest.raises(EnhanceError, match=r"model: the loss is nan at step \d.*learning rate"):
        run(tmp_path, Diverging, replace(PLAN, validate_every=every))


def test_weights_that_diverged_never_replace_good_ones(tmp_path: Path) -> None:
    with pytest.raises(EnhanceError):
        run(tmp_path, Diverging, save_every_seconds=-1)
    for path in tmp_path.glob("*.safetensors"):
        for key, value in load_file(path).items():
            assert value.isfinite().all(), (path.name, key)
    assert (tmp_path / "model.safetensors").exists()


def test_every_step_has_its_own_random_numbers() -> None:
    drawn = {
        tuple(torch.rand(4, generator=step_generator(seed, step)).tolist())
        for seed in range(20)
        for step in range(200)
    }
    assert len(drawn) == 4000
    assert torch.equal(
        torch.rand(4, generator=step_generator(5, 6)), torch.rand(4, generator=step_generator(5, 6))
    )


# --- schedules -------------------------------------------------------------------------------


def rates(**options: Any) -> list[float]:
    plan = Optimisation(steps=1000, learning_rate=2.0, **options)
    return [plan.rate(step) for step in range(1000)]


def test_cosine_schedule() -> None:
    found = rates(schedule="cosine", warmup=0.1)
    assert max(found) == found[100] == 2.0
    assert 0 < found[0] < 0.03
    steps = [b - a for a, b in zip(found[:100], found[1:101], strict=True)]
    assert max(steps) - min(steps) < 1e-12  # a straight line up to the peak
    assert found[100:] == sorted(found[100:], reverse=True)
    assert found[550] == pytest.approx(1.0)
    assert found[325] == pytest.approx(1 + math.sqrt(0.5))
    assert 0 < found[-1] < 1e-4


def test_one_cycle_schedule() -> None:
    found = rates(schedule="one-cycle")
    assert found[0] < 1e-3
    assert max(found) == found[300] == 2.0
    assert found[:301] == sorted(found[:301])
    assert found[300:] == sorted(found[300:], reverse=True)
    assert found[150] == pytest.approx(1.0)
    assert found[650] == pytest.approx(1.0)
    assert 0 < found[-1] < 1e-4


def test_constant_schedule() -> None:
    found = rates(schedule="constant", warmup=0.05)
    assert found[:51] == sorted(set(found[:51]))
    assert set(found[50:]) == {2.0}
    assert set(rates(schedule="constant", warmup=0.0)) == {2.0}


@pytest.mark.parametrize("schedule", ["cosine", "one-cycle", "constant"])
@pytest.mark.parametrize("steps", [1, 2, 3, 7])
def test_short_schedules_stay_in_range(schedule: Any, steps: int) -> None:
    plan = Optimisation(steps=steps, learning_rate=0.5, schedule=schedule)
    found = [plan.rate(step) for step in range(steps)]
    assert all(0 <= rate <= 0.5 for rate in found)
    assert steps == 1 or max(found) > 0.05


# --- the super-resolution objective ----------------------------------------------------------


def bicubic_only(experiment: SuperResolution) -> SuperResolution:
    nn.init.zeros_(experiment.network.out.weight)  # type: ignore[union-attr, arg-type]
    return experiment


def test_loss_is_l1_then_the_squared_error() -> None:
    recipe = tiny_recipe(l1_share=0.5)
    experiment = bicubic_only(super_resolution(recipe))
    sampler = PatchSampler([photo(1), photo(2)], 4, recipe.patch, CPU)
    for step in range(PLAN.steps):
        frame_lr, frame_hr = sampler.batch(recipe.batch, step_generator(0, step))
        error = imresize(frame_lr, 4) - frame_hr
        expected = error.abs().mean() if step < 4 else error.square().mean()
        made = experiment.loss(step, step_generator(0, step), slice(None))
        assert made.item() == pytest.approx(expected.item(), rel=1e-5)


def test_losses_of_the_shares_average_to_the_loss() -> None:
    experiment = super_resolution()
    for step in (0, PLAN.steps - 1):
        losses = [
            experiment.loss(step, step_generator(0, step), share)
            for share in (slice(None), slice(0, None, 2), slice(1, None, 2))
        ]
        assert losses[0].item() == pytest.approx((losses[1] + losses[2]).item() / 2, rel=1e-5)


def test_validation_is_the_published_measure(shared_data: Path) -> None:
    """A residual of zero scores what bicubic does on Set5."""
    held = load_photos(shared_data / "benchmarks" / "Set5" / "x4")[::2]  # HR sorts before LR
    assert [photo.shape[-1] for photo in held] == [512, 288, 256, 280, 228]
    made = super_resolution()
    experiment = bicubic_only(SuperResolution(made.recipe, made.network, [photo(1)], held, CPU))
    with torch.no_grad():
        assert experiment.validate(experiment.network) == pytest.approx(28.43, abs=0.005)


# --- several processes -----------------------------------------------------------------------

WORKER = """
import os, sys
from pathlib import Path
import torch
sys.path.insert(0, sys.argv[1])
import test_loop as tests

torch.set_num_threads(1)
out, rank = Path(sys.argv[2]), int(os.environ["RANK"])
for name, make in tests.EXPERIMENTS.items():
    tests.run(out / name, make)

make = tests.ctrl_c_at(4) if rank == 1 else tests.Regression
report = tests.run(out / "stopped", make)
(out / f"rank{rank}").write_text(str(report.step))
torch.distributed.barrier()  # the first process writes the state that both read
tests.run(out / "stopped", resume=True)
"""


def test_two_processes_train_as_one(tmp_path: Path, whole: dict[str, Path]) -> None:
    """The same weights but for the order of sums; a stop of one is a stop of all."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = os.environ | {
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    here = str(Path(__file__).parent)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, here, str(tmp_path)],
            env=common | {"RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        errors = [process.communicate(timeout=240)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], "\n".join(errors)
    for name, alone in whole.items():
        for file in ("last", "model"):
            both, one = (load_file(out / f"{file}.safetensors") for out in (tmp_path / name, alone))
            for key, value in one.items():
                assert torch.allclose(both[key], value, rtol=0, atol=1e-5), (name, file, key)
        for left, right in zip(curve(tmp_path / name), curve(alone), strict=True):
            assert left["step"] == right["step"]
            assert float(left["loss"]) == pytest.approx(float(right["loss"]), rel=1e-4)
            assert float(left["validation"]) == pytest.approx(float(right["validation"]), abs=1e-3)
    assert [(tmp_path / f"rank{rank}").read_text() for rank in range(2)] == ["4", "4"]
    assert_same_run(tmp_path / "stopped", tmp_path / "regression")
