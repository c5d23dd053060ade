"""``enhance evaluate`` of generators of colour digits, and ``--study triples``."""

import math
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from made_samples import SCORES, document

from enhance_cli.architectures import ARCHITECTURES
from enhance_cli.architectures.dcgan import DcganConfig
from enhance_cli.engine.checkpoint import build, save_checkpoint
from enhance_cli.evaluation.experiments.triples import divergence_from_even

WEIGHTS = Path(__file__).resolve().parents[2] / "weights"


@pytest.fixture
def generators(tmp_path: Path, score: Callable, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A generator of colour digits that has learned nothing, and the shipped classifier."""
    folder = tmp_path / "generators"
    folder.mkdir()
    shutil.copy(WEIGHTS / "digits-classifier.safetensors", folder)
    architecture = ARCHITECTURES["dcgan"]
    network = build(architecture, DcganConfig(side=28, padding=2, width=2, latent=3))
    save_checkpoint(folder / "digits-gan.safetensors", network, architecture, "digits-gan")
    monkeypatch.setenv("ENHANCE_WEIGHTS", str(folder))
    return folder


def test_a_generator_is_judged_by_what_its_prior_draws(score: Callable, generators: Path):
    found = document(score("--dataset", "colour-mnist", "--count", 20, "--json"))
    data, train, model = found["results"]
    assert [data["model"], train["model"], model["model"]] == ["data", "train", "digits-gan"]
    assert [key for key, value in model.items() if value] == ["model", "gaussian"]
    assert set(model["gaussian"]) == SCORES and model["elbo"] is None
    assert model["gaussian"]["frechet"] > data["reconstruction"]["frechet"]


def test_triples_of_a_model_and_of_the_data(score: Callable, generators: Path):
    options = ("--dataset", "colour-mnist", "--study", "triples", "--count", 20)
    first = score(*options, "--json")
    found = document(first)
    assert (found["study"], found["count"], found["seed"]) == ("triples", 20, 0)
    assert found["features"] == "Frechet distance (digits-classifier)"
    data, model = found["results"]
    assert (data["model"], model["model"]) == ("data", "digits-gan")
    for result in (data, model):
        assert 1 <= result["modes"] <= 20
        assert math.log(1000 / 20) - 1e-6 <= result["divergence"] <= math.log(1000) + 1e-6
        assert result["frechet"] >= 0
    assert model["frechet"] > data["frechet"]
    assert score(*options, "--json").out == first.out
    table = score(*options)
    assert "combinations" in table.out and "digits-gan" in table.out


def test_triples_need_three_digits(score: Callable, generators: Path):
    ran = score("--dataset", "mnist", "--study", "triples")
    assert ran.code == 2
    assert "needs digits of three channels, which mnist has not" in ran.err


def test_divergence_of_known_shares():
    every = torch.cartesian_prod(*[torch.arange(10)] * 3)
    assert divergence_from_even(every) == pytest.approx(0)
    assert divergence_from_even(every[:1].repeat(5, 1)) == pytest.approx(math.log(1000))
    half = torch.cat([every[:1], every[1:2]])
    assert divergence_from_even(half) == pytest.approx(math.log(500))
