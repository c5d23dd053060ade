"""A lens before EnhanceNet's discriminator."""

from dataclasses import fields, replace
from pathlib import Path
from typing import cast

import pytest
import torch
from safetensors.torch import load_file
from tiny_tasks import CPU, assert_same_run, photo, run, tiny_stage

from enhance_cli.data.patches import PatchSampler
from enhance_cli.engine.checkpoint import load_network, read_checkpoint_info
from enhance_cli.errors import UsageError
from enhance_cli.training.optimisation import Optimisation
from enhance_cli.training.overrides import override
from enhance_cli.training.perceptual import LossWeights, fine_detail
from enhance_cli.training.recipes import RECIPES
from enhance_cli.training.superres import SuperResolution, reduce_photos
from enhance_cli.training.tempered_superres import (
    TemperedSuperResolution,
    TemperedSuperResolutionStage,
)
from enhance_cli.training.tempering import LensPlan

PLAN = Optimisation(steps=4, validate_every=2, learning_rate=1e-3, ema=0.5)


def stage(*assignments: str) -> TemperedSuperResolutionStage:
    plain = tiny_stage()
    shared = {one.name: getattr(plain, one.name) for one in fields(plain)} | {
        "l1_share": 0.0,
        "batch": 2,
        "optimisation": PLAN,
        "losses": LossWeights(euclidean=1.0, adversarial=0.1, head_start=0, winning=1.0),
    }
    made = TemperedSuperResolutionStage(**shared, lens=LensPlan(lens_width=2, lens_steps=3))
    return cast(TemperedSuperResolutionStage, override(made, assignments))


def task(*assignments: str) -> SuperResolution:
    own = stage(*assignments)
    pairs = PatchSampler([photo(1), photo(2)], 4, own.patch, CPU)
    held = reduce_photos([photo(3, 40, 44)], 4)
    criterion = own.make_criterion(Path(), CPU)
    return own.make_task(own.make_network(None), pairs, "2 photographs", criterion, held, CPU)


def test_the_discriminator_is_shown_what_the_lens_makes_of_true_detail() -> None:
    made = task()
    assert isinstance(made, TemperedSuperResolution)
    adversary = made.criterion.adversary
    assert adversary is not None
    seen = []
    adversary.discriminator.register_forward_hook(lambda _m, given, _o: seen.append(given[0]))
    estimate, true = torch.rand(2, 2, 3, 32, 32)
    made.criterion.losses(estimate, true, step=0)
    lensed = made.network.get_submodule("lens")(fine_detail(true))
    assert any(torch.equal(one, lensed) for one in seen)
    assert not any(torch.equal(one, fine_detail(true)) for one in seen)


def test_each_loss_reaches_its_own_networks() -> None:
    made = task()
    loss, own = made.losses(0, torch.Generator().manual_seed(0), slice(None))
    loss.backward()
    assert all(p.grad is not None for p in made.network.parameters())
    assert made.adversary is not None and own is not None
    assert all(p.grad is None for p in made.adversary.parameters())
    lens = made.network.get_submodule("lens")
    before = [p.grad.clone() for p in lens.parameters()]  # type: ignore[union-attr]
    own.backward()
    assert all(p.grad is not None for p in made.adversary.parameters())
    for mine, gradient in zip(lens.parameters(), before, strict=True):
        assert mine.grad is not None and torch.equal(mine.grad, gradient)


def test_a_resumed_run_equals_one_that_was_not_stopped(tmp_path: Path) -> None:
    """To the bit; the checkpoint is that of the enlarging network alone."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run(whole, task)
    for part in range(PLAN.steps):
        run(parts, task, resume=part > 0, seconds=0)
    assert_same_run(whole, parts)
    assert any("network.lens" in key for key in load_file(whole / "state.safetensors"))
    load_network(read_checkpoint_info(whole / "model.safetensors"))


def test_without_a_lens_it_is_the_other_stage(tmp_path: Path) -> None:
    run(tmp_path / "one", lambda: task("lens_width=0"))
    own = stage("lens_width=0")
    plain = replace(tiny_stage(), l1_share=0.0, batch=2, losses=own.losses, optimisation=PLAN)

    def other() -> SuperResolution:
        pairs = PatchSampler([photo(1), photo(2)], 4, own.patch, CPU)
        held = reduce_photos([photo(3, 40, 44)], 4)
        network, criterion = plain.make_network(None), plain.make_criterion(Path(), CPU)
        return SuperResolution(plain, network, pairs, "2 photographs", criterion, held, CPU)

    run(tmp_path / "two", other)
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    assert all(torch.equal(one[key], two[key]) for key in two)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("lens_steps=0", "lens_steps=0: must be from 1 to the 4 steps"),
        ("lens_steps=5", "lens_steps=5: must be from 1 to the 4 steps"),
        ("l1_share=0.5", "lens_steps=3: must be from 1 to the 2 steps"),
        ("adversarial=0", "adversarial must be above 0"),
    ],
)
def test_settings_that_cannot_be(assignment: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        task(assignment)


def test_the_recipe_has_the_lens_in_place_of_the_rule() -> None:
    (own,) = RECIPES["enet-pat-x4-tempered"].stages
    assert isinstance(own, TemperedSuperResolutionStage)
    assert own.losses.winning == 1  # which nothing reaches
    assert own.lens.lens_width and own.lens.lens_steps <= own.optimisation.steps
