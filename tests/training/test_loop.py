"""The training loop: a pure function of settings, data and seed, however often it is stopped."""

import math
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_tasks import (
    PLAN,
    TASKS,
    Contest,
    Regression,
    RegressionStage,
    assert_same_run,
    ctrl_c_at,
    described,
    log_rows,
    notes,
    regression,
    run,
    super_resolution,
)
from torch import Tensor

from enhance_cli.engine import checkpoint
from enhance_cli.errors import CheckpointError, EnhanceError, OutputError
from enhance_cli.training import resume
from enhance_cli.training.loop import Report
from enhance_cli.training.optimisation import step_generator


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every task, run without a stop."""
    found = {}
    for name, make in TASKS.items():
        found[name] = tmp_path_factory.mktemp(name)
        report = run(found[name], make)
        assert report.step == report.steps == PLAN.steps
    return found


@pytest.mark.parametrize("stop", [1, 4, 6])
@pytest.mark.parametrize("name", TASKS)
def test_resuming_at_any_step_changes_nothing(
    tmp_path: Path, whole: dict[str, Path], name: str, stop: int
) -> None:
    assert run(tmp_path, ctrl_c_at(stop, TASKS[name])).step == stop
    report = run(tmp_path, TASKS[name], resume=True)
    assert report.step == PLAN.steps
    assert_same_run(tmp_path, whole[name])


@pytest.mark.parametrize("name", TASKS)
def test_stopping_after_every_step_changes_nothing(
    tmp_path: Path, whole: dict[str, Path], name: str
) -> None:
    """No time at all is one step each, as ``--minutes 0`` gives."""
    for step in range(1, PLAN.steps + 1):
        assert run(tmp_path, TASKS[name], seconds=0, resume=step > 1).step == step
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
    assert [row["step"] for row in log_rows(tmp_path)] == ["3", "6"]
    run(tmp_path, resume=True)
    assert_same_run(tmp_path, whole["regression"])


def test_resuming_a_finished_run_leaves_it_as_it_is(tmp_path: Path, whole: dict[str, Path]) -> None:
    run(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.suffix != ".csv"}
    report = run(tmp_path, resume=True)
    assert report.step == report.steps == PLAN.steps
    assert {path: path.read_bytes() for path in before} == before
    assert_same_run(tmp_path, whole["regression"])


def test_the_same_run_twice_is_the_same(tmp_path: Path, whole: dict[str, Path]) -> None:
    for name, make in TASKS.items():
        run(tmp_path / name, make)
        assert_same_run(tmp_path / name, whole[name])


def test_another_seed_is_another_run(tmp_path: Path, whole: dict[str, Path]) -> None:
    run(tmp_path, lambda: regression(replace(PLAN, seed=4)))
    assert log_rows(tmp_path) != log_rows(whole["regression"])


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
    assert notes(tmp_path / "last.safetensors")["step"] == 2
    assert described(tmp_path / "state.safetensors")["step"] == "2"
    assert log_rows(tmp_path) == []


def test_seconds_add_up_over_resumed_runs(tmp_path: Path) -> None:
    spent = []
    for part in range(4):
        run(tmp_path, seconds=0, resume=part > 0)
        spent.append(float(described(tmp_path / "state.safetensors")["seconds"]))
    assert spent == sorted(spent)
    assert len(set(spent)) == 4


@pytest.mark.parametrize("name", TASKS)
def test_a_state_of_other_settings_is_refused(tmp_path: Path, name: str) -> None:
    run(tmp_path, ctrl_c_at(4, TASKS[name]))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(CheckpointError, match=r"state\.safetensors.*settings.*other") as caught:
        run(tmp_path, TASKS[name], resume=True, fingerprint="others")
    assert "\n" not in str(caught.value)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_setting_of_a_later_version_is_no_difference_while_it_is_off(tmp_path: Path) -> None:
    run(tmp_path, ctrl_c_at(4), fingerprint='{"batch": 4, "losses": {"psnr": 1}}')
    on = '{"batch": 4, "copies": 0, "losses": {"psnr": 1, "grid": 2}}'
    with pytest.raises(CheckpointError, match="other settings .losses:.* 'grid': 2") as caught:
        run(tmp_path, resume=True, fingerprint=on)
    assert "copies" not in str(caught.value)
    off = '{"batch": 4, "copies": 0, "losses": {"psnr": 1, "grid": [0.0]}, "more": {"a": null}}'
    assert run(tmp_path, resume=True, fingerprint=off).step == PLAN.steps


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
        patch.setattr(checkpoint, "save_file", half)
        with pytest.raises(EnhanceError, match="No space left"):
            run(tmp_path, resume=True, save_every_seconds=-1)
    assert state.read_bytes() == before
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    run(tmp_path, resume=True)
    assert described(state)["step"] == str(PLAN.steps)


def test_the_state_is_saved_as_often_as_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[int] = []
    save = resume.RunState.save

    def note(state: resume.RunState, path: Path, fingerprint: str) -> None:
        saved.append(state.step)
        save(state, path, fingerprint)

    monkeypatch.setattr(resume.RunState, "save", note)
    run(tmp_path / "often", save_every_seconds=-1.0)
    assert saved == list(range(1, PLAN.steps + 1))
    saved.clear()
    run(tmp_path / "seldom", save_every_seconds=1e9)
    assert saved == [PLAN.steps]


# --- descending -----------------------------------------------------------------------------


def test_a_step_is_adam_s(tmp_path: Path) -> None:
    """Eight steps by hand: batches, rates, clipping and moments as documented."""
    plan = replace(PLAN, clip=0.05)
    task = regression(plan)
    run(tmp_path, lambda: task)
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
    for mine, theirs in zip(parameters, task.network.parameters(), strict=True):
        assert torch.allclose(mine, theirs, rtol=0, atol=2e-5)


class Diverging(Regression):
    """Loses its head at the fifth step."""

    def loss(self, step: int, generator: torch.Generator, share: slice) -> Tensor:
        loss = super().loss(step, generator, share)
        return loss * math.nan if step == 4 else loss


@pytest.mark.parametrize("every", [1, 6])
def test_a_loss_that_is_not_finite_is_an_error(tmp_path: Path, every: int) -> None:
    with pytest.raises(EnhanceError, match=r"model: the loss is nan at step \d.*learning rate"):
        run(
            tmp_path,
            lambda: Diverging(RegressionStage(optimisation=replace(PLAN, validate_every=every))),
        )


def test_weights_that_diverged_never_replace_good_ones(tmp_path: Path) -> None:
    with pytest.raises(EnhanceError):
        run(tmp_path, Diverging, save_every_seconds=-1)
    for path in tmp_path.glob("*.safetensors"):
        for key, value in load_file(path).items():
            assert value.isfinite().all(), (path.name, key)
    assert (tmp_path / "model.safetensors").exists()


def test_the_error_names_the_last_good_checkpoint(tmp_path: Path) -> None:
    """That of step 4, for the fifth step has the bad loss; no step comes after it."""
    plan = replace(PLAN, validate_every=2, keep="last")
    with pytest.raises(
        EnhanceError, match=r"nan at step 5; .*model.safetensors is kept, of step 4"
    ):
        run(tmp_path, lambda: Diverging(RegressionStage(optimisation=plan)))
    assert notes(tmp_path / "model.safetensors")["step"] == 4
    plan = replace(PLAN, validate_every=6)
    with pytest.raises(EnhanceError, match="no checkpoint had been written yet"):
        run(tmp_path / "none", lambda: Diverging(RegressionStage(optimisation=plan)))


class Exploding(Contest):
    """Its adversary's gradient is infinite in the fifth step, though no loss is."""

    def losses(
        self, step: int, generator: torch.Generator, share: slice
    ) -> tuple[Tensor, Tensor | None]:
        loss, rival = super().losses(step, generator, share)
        assert self.adversary is not None
        weight = next(self.adversary.parameters())
        if step == 4:
            rival = (weight - weight.detach()).abs().sqrt().sum()
        return loss, rival


def test_a_spoilt_adversary_ends_the_run_too(tmp_path: Path) -> None:
    with pytest.raises(EnhanceError, match="nan at step 5; .*of step 4"):
        run(tmp_path, Exploding, save_every_seconds=-1)
    for key, value in load_file(tmp_path / "state.safetensors").items():
        assert value.isfinite().all(), key


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
