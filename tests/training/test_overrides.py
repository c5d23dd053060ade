"""Settings changed by ``--set``: names, types, and values that no run can use."""

import json
from dataclasses import asdict, fields, is_dataclass, replace
from typing import Any

import pytest

from enhance_cli.errors import UnknownNameError, UsageError
from enhance_cli.training.overrides import override, setting_names
from enhance_cli.training.perceptual import LossWeights
from enhance_cli.training.recipes import RECIPES

STAGE = replace(RECIPES["enet-e-x4"].stages[-1], losses=LossWeights(psnr=1.0))
# One recipe of each kind.
KINDS = ("enet-e-x4", "sid-fcn", "sid-net", "frvsr-real", "faces-vae-blur", "mnist-restore-skip")


@pytest.mark.parametrize(
    ("assignment", "path", "value"),
    [
        ("patch=48", "patch", 48),
        ("l1_share=1", "l1_share", 1.0),
        ("l1_share=.5", "l1_share", 0.5),
        ("steps=10", "optimisation.steps", 10),
        ("optimisation.steps=10", "optimisation.steps", 10),
        ("learning_rate=5e-4", "optimisation.learning_rate", 5e-4),
        ("schedule=constant", "optimisation.schedule", "constant"),
        ('schedule="one-cycle"', "optimisation.schedule", "one-cycle"),
        ("betas=[0.5, 0.6]", "optimisation.betas", (0.5, 0.6)),
        ("scale=2", "config.scale", 2),
    ],
)
def test_override_changes_one_value(assignment: str, path: str, value: object) -> None:
    before = asdict(STAGE)
    changed = asdict(override(STAGE, [assignment]))
    assert asdict(STAGE) == before
    inner: dict[str, Any] = before
    *way, last = path.split(".")
    for name in way:
        inner = inner[name]
    inner[last] = value
    assert changed == before
    assert type(inner[last]) is type(value)


def test_overrides_are_made_together_and_the_last_counts() -> None:
    """Losses all of which are 0 are refused, so a loss can only be changed for another at once."""
    for order in (["euclidean=1", "psnr=0"], ["psnr=0", "euclidean=1"]):
        losses = override(STAGE, order).losses
        assert (losses.euclidean, losses.psnr) == (1, 0)
    with pytest.raises(UsageError, match="--set patch=9 --set psnr=0: weights of losses"):
        override(STAGE, ["patch=9", "psnr=0"])
    changed = override(STAGE, ["steps=1", "patch=9", "steps=2"])
    assert (changed.optimisation.steps, changed.patch) == (2, 9)
    assert override(STAGE, []) == STAGE


@pytest.mark.parametrize("name", KINDS)
def test_every_name_that_the_message_lists_can_be_set(name: str) -> None:
    stage = RECIPES[name].stages[-1]
    with pytest.raises(UnknownNameError) as caught:
        override(stage, ["no_such_value=1"])
    listed = str(caught.value).split("choose from ")[1].split(", ")
    assert sorted(listed) == sorted(setting_names(stage))
    values: dict[str, object] = {}
    parts: list[Any] = [stage]
    for part in parts:
        held = {entry.name: getattr(part, entry.name) for entry in fields(part)}
        values |= {key: value for key, value in held.items() if not is_dataclass(value)}
        parts += [value for value in held.values() if is_dataclass(value)]
    assert sorted(listed) == sorted(values.keys() - {"start"})
    for key in listed:
        assert override(stage, [f"{key}={json.dumps(values[key])}"]) == stage


@pytest.mark.parametrize("name", KINDS)
def test_every_name_that_set_takes_means_one_thing(name: str) -> None:
    names = setting_names(RECIPES[name].stages[-1])
    assert sorted(set(names)) == sorted(names)


def test_unknown_name_is_suggested() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'learning_rate'") as caught:
        override(STAGE, ["learning_rat=1"])
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "assignment",
    [
        "steps",
        "",
        "steps=fast",
        "steps=1.5",
        "steps=",
        'steps="5"',
        "steps=true",
        "learning_rate=high",
        "betas=0.9",
        "schedule=3",
        "scale=[4]",
    ],
)
def test_values_of_another_type_are_refused(assignment: str) -> None:
    with pytest.raises(UsageError) as caught:
        override(STAGE, [assignment])
    assert "\n" not in str(caught.value)


UNUSABLE = {
    "enet-real-x4": "soft_share=0.3 small_copies=1 flat_share=0.3",
    "enet-real-e-x4": "flat_share=0.3",
    "enet-e-x4": "schedule=linear keep=both architecture=resnet validate_every=0 steps=0 batch=0 "
    "soft_share=0.6 small_copies=-1 flat_share=1 patch=0 betas=[0.9] learning_rate=NaN channels=0",
    "sid-fcn": "low_ratio=0.5 high_ratio=2 batch=0 alpha=1.5 beta=-1 samples=0 alpha=NaN "
    "prior_deviation=-1 error=cubic",
    "frvsr-10-128": "short_share=1.5 made_share=NaN photos=3 flow_weight=NaN weight=1.5 "
    "data_consistency.damping=0 flow.passes=0",
    "frvsr-real": 'blur=[2,1] blur=[1] blur=["a","b"] blur=1.5 blur=[0,Infinity] codec=vp9 '
    "noise=2 compressed=-1",
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_values_that_no_run_can_use_are_refused(name: str) -> None:
    """Neither a traceback nor, as for an unknown schedule, another one in silence."""
    for assignment in UNUSABLE[name].split():
        with pytest.raises(UsageError) as caught:
            override(RECIPES[name].stages[0], [assignment]).make_network(None)
        assert assignment.split("=")[0] in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_message_names_the_settings_that_are_wrong() -> None:
    with pytest.raises(UsageError, match=r"^--set batch=0: batch must be at least 1, not 0$"):
        override(STAGE, ["horizon=0", "steps=1", "batch=0"])
    with pytest.raises(UsageError, match="^--set seed=-1: seed must be from 0"):
        override(STAGE, ["seed=-1"])


@pytest.mark.parametrize("name", ["start", "optimisation", "config"])
def test_parts_cannot_be_set(name: str) -> None:
    with pytest.raises((UsageError, UnknownNameError)):
        override(STAGE, [f"{name}={{}}"])
