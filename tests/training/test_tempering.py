"""Tempered adversarial networks: the objectives of ch. 4, the lens's schedule, whole runs."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_tasks import assert_same_run, log_rows, notes
from torch import Tensor, nn

from enhance_cli.architectures import MODELS
from enhance_cli.architectures.dcgan import Generator
from enhance_cli.engine.checkpoint import load_network, read_checkpoint_info
from enhance_cli.errors import DatasetError, EnhanceError, UnknownNameError, UsageError
from enhance_cli.training.loop import train
from enhance_cli.training.overrides import override
from enhance_cli.training.recipes import RECIPES
from enhance_cli.training.tempered import TemperedStage, TemperedTraining
from enhance_cli.training.tempering import (
    GAN_OBJECTIVES,
    LensPlan,
    gradient_penalty,
    look_through,
)

CPU = torch.device("cpu")
GANS = [
    f"{family}-{kind}" for family in ("digits", "mnist", "faces") for kind in ("tempered", "gan")
]


def small(name: str, *assignments: str) -> TemperedStage:
    (recipe,) = RECIPES[name].stages
    assert isinstance(recipe, TemperedStage)
    config = replace(recipe.config, width=2, latent=4)
    plan = replace(recipe.optimisation, steps=6, validate_every=3)
    lens = replace(recipe.lens, lens_width=min(recipe.lens.lens_width, 2), lens_steps=4)
    stage = replace(recipe, config=config, batch=4, optimisation=plan, lens=lens)
    return override(stage, assignments)


def prepare(name: str, data: Path, *assignments: str) -> TemperedTraining:
    return small(name, *assignments).prepare(data, None, CPU)


def run(task: TemperedTraining, out: Path, **options: object) -> None:
    train(task, out, "model", fingerprint="", device=CPU, **options)  # type: ignore[arg-type]


# --- the method -----------------------------------------------------------------------------


def test_objectives_at_known_values() -> None:
    """Eq. 4.5 to 4.14."""
    drawn, true = torch.tensor([0.0, 2.0]), torch.tensor([1.0, -1.0])

    def log_sigmoid(x: float) -> float:
        return -math.log1p(math.exp(-x))

    gan, lsgan, wgan = (GAN_OBJECTIVES[name] for name in ("gan", "lsgan", "wgan-gp"))
    mean = [log_sigmoid(0) + log_sigmoid(2), log_sigmoid(1) + log_sigmoid(-1)]
    # log(1 - sigmoid(x)) is log(sigmoid(-x)).
    assert float(gan.generator(drawn)) == pytest.approx(-mean[0] / 2)
    on_drawn = log_sigmoid(0) + log_sigmoid(-2)
    assert float(gan.discriminator(true, drawn)) == pytest.approx(-(mean[1] + on_drawn) / 2)
    assert float(gan.lens(true)) == pytest.approx(-mean[1] / 2)
    assert float(lsgan.generator(drawn)) == pytest.approx((1 + 1) / 2)
    assert float(lsgan.discriminator(true, drawn)) == pytest.approx(4 / 2 + (0 + 4) / 2)
    assert float(lsgan.lens(true)) == pytest.approx(1.0)
    assert float(wgan.generator(drawn)) == -1
    assert float(wgan.discriminator(true, drawn)) == 1 - 0
    assert float(wgan.lens(true)) == 0
    assert [gan.penalised, lsgan.penalised, wgan.penalised] == [False, False, True]


def test_the_gradient_penalty_is_that_of_a_slope() -> None:
    """A discriminator whose gradient has the norm 3 everywhere: (3 - 1)^2."""
    judge = nn.Sequential(nn.Flatten(), nn.Linear(12, 1, bias=False), nn.Flatten(0))
    nn.init.constant_(judge[1].weight, 3 / math.sqrt(12))  # type: ignore[arg-type]
    true, drawn = torch.rand(5, 3, 2, 2), torch.rand(5, 3, 2, 2)
    penalty = gradient_penalty(judge, true, drawn, torch.Generator().manual_seed(0))
    assert float(penalty.detach()) == pytest.approx(4, rel=1e-5)
    penalty.backward()
    assert judge[1].weight.grad.norm() == pytest.approx(4, rel=1e-5)  # 2 (3 - 1)


def test_lambda_falls_like_a_sine_and_stays_0() -> None:
    """Eq. 4.4, figure 4.2."""
    plan = LensPlan(lens_steps=100)
    weights = [plan.weight(step) for step in (0, 50, 99, 100, 5000)]
    assert weights == pytest.approx([1, 1 - math.sqrt(0.5), 1 - math.cos(math.pi / 200), 0, 0])
    assert weights[3:] == [0, 0]
    assert replace(plan, lens_weight="fixed").weight(5000) == 1


class Total(nn.Module):
    """Says how bright pictures are, times a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(2.0))

    def forward(self, pictures: Tensor) -> Tensor:
        return self.slope * pictures.sum((1, 2, 3))


def test_the_lens_descends_both_of_its_losses_and_nobody_else_does() -> None:
    """Eq. 4.2 and 4.3 for a lens that adds a constant to each of 4 values."""
    shift = nn.Parameter(torch.tensor(0.5))
    lens = nn.Module()
    lens.forward = lambda pictures: pictures + shift  # type: ignore[method-assign]
    judge, true = Total(), torch.zeros(3, 1, 2, 2)
    shown, loss = look_through(lens, true, judge, GAN_OBJECTIVES["wgan-gp"].lens, 0.25)
    assert torch.equal(shown, torch.full_like(true, 0.5)) and not shown.requires_grad
    assert float(loss.detach()) == pytest.approx(0.25 * 2 * 4 * 0.5 + 0.5**2)
    loss.backward()
    assert float(shift.grad) == pytest.approx(0.25 * 2 * 4 + 2 * 0.5)  # type: ignore[arg-type]
    assert judge.slope.grad is None


# --- stages and runs ------------------------------------------------------------------------


def test_recipes_are_those_of_the_chapter() -> None:
    assert {name for name, spec in MODELS.items() if spec.architecture == "dcgan"} == set(GANS)
    for name in GANS:
        (stage,) = RECIPES[name].stages
        assert isinstance(stage, TemperedStage)
        family, _, kind = name.partition("-")
        objectives = {"mnist": "gan", "digits": "wgan-gp", "faces": "lsgan"}
        assert stage.objective == objectives[family]
        assert stage.config.normalised == (family == "mnist")
        assert bool(stage.lens.lens_width) == (kind == "tempered")
        assert stage.lens.lens_steps <= stage.optimisation.steps
        assert stage.batch in (32, 64)


@pytest.mark.parametrize("name", GANS)
def test_a_run_gives_a_checkpoint_that_draws(name: str, small_sets: Path, tmp_path: Path) -> None:
    task = prepare(name, small_sets)
    run(task, tmp_path)
    info = read_checkpoint_info(tmp_path / "model.safetensors")
    assert info.architecture.name == "dcgan" and info.training["step"] == 6
    assert ("modes" in info.training) == ("faces" not in name)
    network = load_network(info)
    assert isinstance(network, Generator)
    config = task.stage.config
    pictures = network.decode(torch.randn(3, config.latent))
    assert pictures.shape == (3, config.channels, config.side, config.side)
    assert pictures.min() >= 0 and pictures.max() <= 1
    for key, value in task.network.generator.state_dict().items():
        assert torch.equal(network.state_dict()[key], value), key


def gan(data: Path) -> TemperedTraining:
    return prepare("mnist-tempered", data)


def wgan(data: Path) -> TemperedTraining:
    return prepare("digits-tempered", data, "updates=3")


def faces(data: Path) -> TemperedTraining:
    return prepare("faces-gan", data)


@pytest.mark.parametrize("make", [gan, wgan, faces])
def test_a_resumed_run_equals_one_that_was_not_stopped(
    make: Callable[[Path], TemperedTraining], small_sets: Path, tmp_path: Path
) -> None:
    """To the bit, with the lens, the discriminator and the moments of all optimisers."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run(make(small_sets), whole)
    for part in range(6):
        run(make(small_sets), parts, resume=part > 0, seconds=0)
    assert_same_run(whole, parts)


def test_with_and_without_a_lens_everything_else_begins_alike(small_sets: Path) -> None:
    """Ch. 4.4: identical weights for the GANs with and without a lens; another seed, others."""
    tempered, plain = prepare("digits-tempered", small_sets), prepare("digits-gan", small_sets)
    other = prepare("digits-gan", small_sets, "seed=1")
    for mine, theirs, others in zip(
        (tempered.network.generator, tempered.adversary),
        (plain.network.generator, plain.adversary),
        (other.network.generator, other.adversary),
        strict=True,
    ):
        assert mine is not None and theirs is not None and others is not None
        ours, same = mine.state_dict(), theirs.state_dict()
        assert all(torch.equal(value, same[key]) for key, value in ours.items())
        assert not all(torch.equal(value, others.state_dict()[key]) for key, value in ours.items())


def test_each_loss_reaches_its_own_networks(small_sets: Path) -> None:
    task = gan(small_sets)
    rival = task.adversary
    assert rival is not None and task.network.lens is not None
    loss, own = task.losses(0, torch.Generator().manual_seed(0), slice(None))
    loss.backward()
    assert all(p.grad is not None for p in task.network.parameters())
    assert all(p.grad is None for p in rival.parameters())
    before = [p.grad.clone() for p in task.network.parameters()]  # type: ignore[union-attr]
    assert own is not None
    own.backward()
    assert all(p.grad is not None for p in rival.parameters())
    after = [p.grad for p in task.network.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_a_lens_without_an_adversary_becomes_the_identity(small_sets: Path) -> None:
    """K of 1: from the second step on there is only the squared error."""
    task = prepare("digits-tempered", small_sets, "lens_steps=1", "lens_width=4")
    lens = task.network.lens
    assert lens is not None
    optimiser = torch.optim.Adam(lens.parameters(), lr=3e-3)
    changes = []
    for step in range(1, 60):
        loss, _ = task.losses(step, torch.Generator().manual_seed(step), slice(None))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        true = 2 * torch.rand(2, 3, 32, 32) - 1
        changes.append(float((lens(true) - true).detach().square().mean()))
    assert changes[-1] < 0.25 * changes[0]


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (["lens_steps=0"], "lens_steps=0: must be from 1 to the 6 steps"),
        (["lens_steps=7"], "lens_steps=7: must be from 1 to the 6 steps"),
        (["batch=51"], "batch=51: more than the 50 pictures"),
        (["normalised=true"], "objective=wgan-gp: .*normalised=false"),
        (["dataset=faces"], "dataset=faces: has pictures of 64x64 pixels and 3 channels, .*28x28"),
        (["dataset=mnist"], "dataset=mnist: has pictures of 28x28 pixels and 1 channels"),
    ],
)
def test_settings_that_do_not_go_with_the_data(
    small_sets: Path, assignments: list[str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        prepare("digits-tempered", small_sets, *assignments)


def test_without_a_schedule_k_does_not_matter(small_sets: Path) -> None:
    prepare("digits-tempered", small_sets, "lens_steps=0", "lens_weight=fixed")
    prepare("digits-gan", small_sets, "lens_steps=0")


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("batch=1", "batch must be at least 2"),
        ("updates=0", "updates must be at least 1"),
        ("lens_width=-1", "lens_width must be 0 or more"),
        ("lens_weight=rising", "choose from falling, fixed"),
    ],
)
def test_impossible_settings(assignment: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        small("digits-tempered", assignment)


def test_unknown_names() -> None:
    with pytest.raises(UnknownNameError, match="unknown objective 'hinge'"):
        small("digits-tempered", "objective=hinge")
    with pytest.raises(UnknownNameError, match="unknown dataset 'cifar'"):
        small("digits-tempered", "dataset=cifar")


def test_pictures_of_another_size_are_refused(tmp_path: Path) -> None:
    arrays = {f"x_{part}": np.zeros((20, 32, 32), np.uint8) for part in ("train", "test")}
    labels = {f"y_{part}": np.zeros(20, np.uint8) for part in ("train", "test")}
    np.savez(tmp_path / "mnist.npz", **arrays, **labels)
    with pytest.raises(DatasetError, match=r"\(20, 32, 32\), must be uint8 \(N, 28, 28\)"):
        prepare("digits-tempered", tmp_path)


def test_one_picture_is_too_few_to_validate_on(tmp_path: Path) -> None:
    arrays = {f"x_{part}": np.zeros((6, 28, 28), np.uint8) for part in ("train", "test")}
    labels = {f"y_{part}": np.zeros(6, np.uint8) for part in ("train", "test")}
    np.savez(tmp_path / "mnist.npz", **arrays, **labels)
    with pytest.raises(DatasetError, match="one picture is too few to validate on"):
        prepare("digits-tempered", tmp_path)


def test_a_loss_that_is_no_number_stops_the_run(small_sets: Path, tmp_path: Path) -> None:
    """A rate at which everything overflows; what was kept before is whole and named."""
    task = prepare("digits-tempered", small_sets, "validate_every=2")
    whole = task.losses

    def losses(step: int, *rest: object) -> tuple[Tensor, Tensor | None]:
        loss, own = whole(step, *rest)  # type: ignore[arg-type]
        return loss, own * math.inf if step == 2 and own is not None else own

    task.losses = losses  # type: ignore[method-assign]
    with pytest.raises(EnhanceError, match="at step 3; .*model.safetensors is kept, of step 2"):
        run(task, tmp_path)
    assert notes(tmp_path / "model.safetensors")["step"] == 2
    assert [row["step"] for row in log_rows(tmp_path)] == ["2"]
