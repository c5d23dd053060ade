"""Training of the classifier of digits."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_tasks import assert_same_run

from enhance_cli.data.mnist import Digits
from enhance_cli.engine.digits import (
    count_modes,
    describe_digits,
    load_classifier,
    read_digits_of,
)
from enhance_cli.errors import CheckpointError, UsageError
from enhance_cli.training.classification import Classification, ClassifierStage
from enhance_cli.training.loop import train
from enhance_cli.training.recipes import RECIPES

CPU = torch.device("cpu")


def stage(**settings: object) -> ClassifierStage:
    (recipe,) = RECIPES["digits-classifier"].stages
    assert isinstance(recipe, ClassifierStage)
    config = replace(recipe.config, width=2, features=8)
    plan = replace(recipe.optimisation, steps=6, validate_every=3)
    return replace(recipe, config=config, batch=8, optimisation=plan, **settings)  # type: ignore[arg-type]


def test_a_resumed_run_equals_one_that_was_not_stopped(small_sets: Path, tmp_path: Path) -> None:
    options = {"fingerprint": "", "device": CPU}
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(stage().prepare(small_sets, None, CPU), whole, "model", **options)  # type: ignore[arg-type]
    for part in range(6):
        task = stage().prepare(small_sets, None, CPU)
        train(task, parts, "model", resume=part > 0, seconds=0, **options)  # type: ignore[arg-type]
    assert_same_run(whole, parts)


def test_the_score_is_the_share_that_is_told_rightly() -> None:
    """A network that says 3 of whatever it sees."""
    pictures = torch.zeros(8, 28, 28, dtype=torch.uint8)
    held = Digits(pictures, torch.tensor([3, 1, 3, 3, 0, 9, 3, 2]))
    network = stage().make_network(None)
    task = Classification(stage(), network, held, held)
    with torch.no_grad():
        network.classes.bias[3] = 100.0  # type: ignore[union-attr, index, operator]
    assert task.validate(network) == 50


def test_more_digits_than_there_are(small_sets: Path) -> None:
    with pytest.raises(UsageError, match="batch=61: more than the 60 digits"):
        replace(stage(), batch=61).prepare(small_sets, None, CPU)


def test_channels_are_read_one_by_one() -> None:
    classifier = load_classifier(CPU)
    pictures = torch.randint(256, (7, 3, 28, 28), dtype=torch.uint8)
    digits, features = read_digits_of(classifier, pictures), describe_digits(classifier, pictures)
    assert digits.shape == (7, 3) and features.shape == (7, 3 * 64)
    for channel in range(3):
        alone = pictures[:, channel : channel + 1]
        assert torch.equal(read_digits_of(classifier, alone)[:, 0], digits[:, channel])
        own = features[:, 64 * channel : 64 * (channel + 1)]
        assert torch.allclose(describe_digits(classifier, alone), own, atol=1e-5)


def test_combinations_are_counted_once() -> None:
    digits = torch.tensor([[1, 2, 3], [3, 2, 1], [1, 2, 3], [0, 0, 0], [0, 0, 1]])
    assert count_modes(digits) == 4


def test_a_missing_classifier_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("enhance_cli.engine.weight_files._PACKAGE", tmp_path / "a" / "b")
    monkeypatch.setenv("ENHANCE_CACHE", str(tmp_path))
    monkeypatch.delenv("ENHANCE_WEIGHTS", raising=False)
    with pytest.raises(CheckpointError, match="no weights for 'digits-classifier'.*enhance train"):
        load_classifier(CPU)


@pytest.mark.slow
def test_the_shipped_classifier_reads_mnist(shared_data: Path) -> None:
    from enhance_cli.data.mnist import read_mnist

    test = read_mnist(shared_data / "generative").test
    found = read_digits_of(load_classifier(CPU), test.pictures[:, None])[:, 0]
    assert float((found == test.labels).double().mean()) == pytest.approx(0.9853, abs=5e-4)
