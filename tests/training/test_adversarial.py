"""Adversarial losses at known logits, the pausing discriminator, and runs with an adversary."""

import csv
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_tasks import assert_same_run, notes, run, super_resolution, tiny_stage
from torch import Tensor, nn

from enhance_cli.training.adversarial import Adversary, discriminator_loss, generator_loss
from enhance_cli.training.optimisation import Optimisation
from enhance_cli.training.perceptual import LossWeights
from enhance_cli.training.superres import SuperResolution


def logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def test_losses_at_known_probabilities() -> None:
    """Eq. 2.7 and 2.8; the first is the one that does not saturate."""
    made = torch.tensor([logit(0.25), logit(0.5)])
    true = torch.tensor([logit(0.8), logit(0.5)])
    expected = -(math.log(0.25) + math.log(0.5)) / 2
    assert float(generator_loss(made)) == pytest.approx(expected)
    expected = -(math.log(0.8) + math.log(0.5)) / 2 - (math.log(0.75) + math.log(0.5)) / 2
    assert float(discriminator_loss(true, made)) == pytest.approx(expected)
    assert float(generator_loss(torch.tensor([-200.0]))) == 200  # no logarithm of 0


class MeanLevel(nn.Module):
    """Logits that grow with the brightness of a picture."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(4.0))

    def forward(self, pictures: Tensor) -> Tensor:
        return self.slope * (pictures.mean((1, 2, 3)) - 0.5)


def plain(level: float) -> Tensor:
    return torch.full((2, 3, 4, 4), level)


def test_each_loss_has_gradients_for_its_own_network_only() -> None:
    adversary = Adversary(MeanLevel(), winning=0.8)
    made = plain(0.25).requires_grad_()
    loss, own = adversary.losses(made, plain(0.5))
    loss.backward()
    (slope,) = adversary.parameters()
    assert slope.grad is None
    assert made.grad is not None
    made.grad = None
    assert own is not None
    own.backward()
    assert slope.grad is not None
    assert made.grad is None


def test_the_discriminator_pauses_after_batches_that_it_won() -> None:
    """In the step after, and only if it did well on both; logits 4 and -4 are 98 % sure."""
    adversary = Adversary(MeanLevel(), winning=0.9)
    level = {"won": (-0.5, 1.5), "lost on made": (1.0, 1.5), "lost on true": (-0.5, 0.0)}
    trained = []
    for batch in ("won", "lost on made", "won", "lost on true", "won", "won", "won"):
        made, true = level[batch]
        trained.append(adversary.losses(plain(made), plain(true))[1] is not None)
    assert trained == [True, False, True, False, True, False, False]
    expected = 1 / (1 + math.exp(-4))
    assert adversary.performance.tolist() == pytest.approx([expected, expected])


def adversarial_task() -> SuperResolution:
    plan = Optimisation(steps=4, validate_every=2, learning_rate=1e-3, ema=0.5)
    losses = LossWeights(euclidean=1.0, adversarial=0.1, winning=0.6)
    return super_resolution(tiny_stage(l1_share=0.0, batch=2, losses=losses, optimisation=plan))


def test_a_resumed_run_equals_one_that_was_not_stopped(tmp_path: Path) -> None:
    """To the bit, the discriminator, its moments and its performance included."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run(whole, adversarial_task)
    for part in range(4):
        run(parts, adversarial_task, resume=part > 0, seconds=0)
    assert_same_run(whole, parts)
    state = load_file(whole / "state.safetensors")
    performance = state["adversary.performance"].tolist()
    names = ["discriminator_on_true", "discriminator_on_made"]
    told = notes(whole / "last.safetensors")
    assert [told[name] for name in names] == pytest.approx(performance, abs=1e-3)
    with (whole / "curve.csv").open(newline="") as file:
        last = list(csv.DictReader(file))[-1]
    assert [float(last[name]) for name in names] == pytest.approx(performance, abs=1e-3)
    assert min(performance) > 0
    assert state["adversary_adam.0.exp_avg"].abs().sum() > 0
    assert not any("adversary" in key for key in load_file(whole / "last.safetensors"))
