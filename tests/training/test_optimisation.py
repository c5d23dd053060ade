"""Schedules of the learning rate, and what an average is made of."""

import math
from typing import Any

import pytest

from enhance_cli.training.optimisation import Optimisation


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


def test_milestone_schedule() -> None:
    """Thesis 000, ch. 6.1.6: a tenth of the rate from an epoch on."""
    found = rates(schedule="milestone", warmup=0.0, milestone=0.25)
    assert set(found[:250]) == {2.0}
    assert set(found[250:]) == {0.2}


def test_a_stage_may_end_on_the_way_of_a_longer_schedule() -> None:
    plan = Optimisation(steps=300, horizon=1000, learning_rate=2.0)
    assert [plan.rate(step) for step in range(300)] == rates(schedule="cosine")[:300]


@pytest.mark.parametrize(("steps", "epoch", "last"), [(128, 32, 4), (130, 32, 4), (4, 32, 4)])
def test_shares_of_the_last_epochs_make_a_mean(steps: int, epoch: int, last: int) -> None:
    plan = Optimisation(steps=steps, ema=0.0, last_epochs=last, epoch=epoch)
    average, ends = 0.0, [steps - epoch * i for i in range(last) if steps - epoch * i > 0]
    for step in range(1, steps + 1):
        average += (step - average) * plan.average_share(step)
    assert average == pytest.approx(sum(ends) / len(ends))


@pytest.mark.parametrize(
    "settings",
    [
        {"horizon": 5, "steps": 9},
        {"last_epochs": 2},
        {"keep": "worst"},
        {"milestone": 1.5},
        {"epoch": 0},
    ],
)
def test_plans_that_cannot_be(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        Optimisation(**settings)
