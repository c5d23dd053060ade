"""``enhance evaluate`` for models that draw pictures."""

import csv
import math
import re
from base64 import b64decode
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from made_samples import (
    SCORES,
    SOURCES,
    TEST,
    document,
    random_features,
    write_digits,
)
from safetensors.torch import load_file, save_file
from torch import Tensor

from enhance_cli.architectures.autoencoder import Autoencoder
from enhance_cli.architectures.vdvae import VDVAE, Vdvae, VdvaeConfig
from enhance_cli.engine.catalogue import Model
from enhance_cli.engine.checkpoint import save_checkpoint
from enhance_cli.engine.features import FEATURES


def test_every_model_of_a_set(score: Callable):
    ran = score("--dataset", "mnist", "--json")
    found = document(ran)
    assert {key: found[key] for key in ("dataset", "protocol", "features", "count", "seed")} == {
        "dataset": "mnist",
        "protocol": "table-6.2",
        "count": TEST,
        "seed": 0,
        "features": "Frechet distance (SqueezeNet 1.1)",
    }
    results = {result["model"]: result for result in found["results"]}
    assert list(results) == ["data", "train", "digits-vae", "digits-rae", "digits-ae"]
    present = {
        name: [source for source in SOURCES if result[source]] for name, result in results.items()
    }
    assert present == {
        "data": SOURCES[:1],
        "train": SOURCES[:1],
        "digits-vae": SOURCES,
        "digits-rae": SOURCES,
        "digits-ae": ["reconstruction", "interpolation"],
    }
    for name, sources in present.items():
        assert results[name]["elbo"] is None
        for source in sources:
            numbers = results[name][source]
            assert set(numbers) == SCORES
            assert all(0 <= numbers[key] <= 1 for key in SCORES - {"frechet", "high_frequencies"})
    untrained = results["digits-rae"]["reconstruction"]
    assert untrained["frechet"] > results["data"]["reconstruction"]["frechet"]
    assert untrained["high_frequencies"] < results["data"]["reconstruction"]["high_frequencies"]
    assert any("SqueezeNet" in note and "published FID" in note for note in found["notes"])
    assert any(note.startswith(f"{TEST} pictures") for note in found["notes"])
    for note in found["notes"]:
        assert note in ran.err


def test_models_with_a_likelihood_have_a_bound(score: Callable):
    found = document(
        score(
            "--dataset",
            "faces",
            "--json",
            "--count",
            20,
            "--model",
            "faces-vae-white",
            "--model",
            "faces-vae-blur",
        )
    )
    bounds = {result["model"]: result["elbo"] for result in found["results"]}
    assert [name for name, bound in bounds.items() if bound is not None] == [
        "faces-vae-white",
        "faces-vae-blur",
    ]
    # Untrained: errors near 0.3 with a deviation of exp(-2) cost about 2 nats per value.
    assert -10 < bounds["faces-vae-white"] < 0.1
    assert bounds["faces-vae-white"] != bounds["faces-vae-blur"]


def test_a_very_deep_vae_has_draws_reconstructions_and_a_bound(score: Callable, tmp_path: Path):
    blocks = {"encoder": "64x1,64d8,8d8,1x1", "decoder": "1x1,8m1,64m8"}
    network = Vdvae(VdvaeConfig(**blocks, width=8, latent=2, mixtures=1))
    save_checkpoint(tmp_path / "tiny.safetensors", network, VDVAE, "tiny")
    ran = score(
        "--dataset", "faces", "--json", "--count", 20, "--weights", tmp_path / "tiny.safetensors"
    )
    *_, result = document(ran)["results"]
    present = [source for source in SOURCES if result[source]]
    assert (result["model"], present) == ("tiny", ["reconstruction", "gaussian"])
    assert math.isfinite(result["elbo"])


def test_the_same_seed_gives_the_same_figures(score: Callable):
    options = ("--dataset", "mnist", "--model", "digits-vae", "--count", 20, "--json")
    first = score(*options, "--seed", 3)
    assert first.out == score(*options, "--seed", 3).out
    other = document(score(*options, "--seed", 4))
    assert other["seed"] == 4
    assert document(first)["results"][2]["mixture"] != other["results"][2]["mixture"]


def test_a_model_without_loss_is_as_good_as_data(score: Callable, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Autoencoder, "encode", lambda self, x: (x.flatten(1), None))
    monkeypatch.setattr(Autoencoder, "decode", lambda self, z: z.unflatten(1, (1, 28, 28)))
    data, _, model = document(score("--dataset", "mnist", "--model", "digits-ae", "--json"))[
        "results"
    ]
    assert model["reconstruction"] == data["reconstruction"]
    # Mid-points of pixels are no digits.
    assert model["interpolation"]["frechet"] > model["reconstruction"]["frechet"]


def test_a_prior_is_drawn_from_where_there_is_one(score: Callable, monkeypatch: pytest.MonkeyPatch):
    asked = []

    def draw(model: Model, density: str, count: int, *, seed: int) -> Iterator[Tensor]:
        config = model.info.config
        asked.append((config.prior, density, count))
        yield torch.zeros(count, config.channels, config.side, config.side)

    monkeypatch.setattr("enhance_cli.evaluation.samples.draw_pictures", draw)
    document(score("--dataset", "mnist", "--count", 20, "--json"))
    assert asked == [
        (True, "prior", 20),
        (True, "mixture", 20),
        (False, "gaussian", 20),
        (False, "mixture", 20),
    ]


def test_table_csv_and_page(score: Callable, tmp_path: Path):
    ran = score(
        "--dataset",
        "faces",
        "--count",
        20,
        "--model",
        "faces-vae-white",
        "--csv",
        tmp_path / "a.csv",
        "--report",
        tmp_path / "a.html",
    )
    assert ran.code == 0, ran.err
    assert "as table 6.2" in ran.out and "as table 6.3" in ran.out and "nats/dim" in ran.out
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["model"], row["source"]) for row in rows] == [
        ("data", "reconstruction"),
        ("train", "reconstruction"),
        *(("faces-vae-white", source) for source in SOURCES),
    ]
    assert set(rows[0]) == {"model", "source", "elbo"} | SCORES
    assert rows[0]["elbo"] == "" and math.isfinite(float(rows[2]["elbo"]))
    page = (tmp_path / "a.html").read_text()
    drawings = [b64decode(text) for text in re.findall(r"base64,([^\"]+)", page)]
    assert len(drawings) == 2 and all(b"<svg" in drawing for drawing in drawings)
    assert "never compare" in page


def test_weights_beside_a_model_of_the_same_name(score: Callable, sample_models: Path):
    found = document(
        score(
            "--dataset",
            "mnist",
            "--model",
            "digits-ae",
            "--weights",
            sample_models / "digits-ae.safetensors",
            "--count",
            20,
            "--json",
        )
    )
    assert [result["model"] for result in found["results"]] == [
        "data",
        "train",
        "digits-ae",
        "digits-ae*",
    ]
    assert found["results"][2]["interpolation"] == found["results"][3]["interpolation"]


def test_without_weights_there_is_still_data(
    score: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "none").mkdir()
    monkeypatch.setenv("ENHANCE_WEIGHTS", str(tmp_path / "none"))
    ran = score("--dataset", "mnist", "--count", 20, "--json")
    assert [result["model"] for result in document(ran)["results"]] == ["data", "train"]
    assert "no weights for digits-vae" in ran.err


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--count", 19], 2, "--count 19: must be from 20"),
        (["--count", 25], 2, f"to {TEST} (the pictures of mnist)"),
        (
            ["--model", "faces-vae-white"],
            2,
            "draws 64x64 pictures of 3 channels, mnist has 28x28 of 1",
        ),
        (["--model", "digits"], 2, "unknown model 'digits'"),
        (["--model", "enet-e-x4"], 2, "is for superres, not for sample"),
        (["--features", "vgg"], 2, "unknown feature network 'vgg'"),
        (["--features", "absent.safetensors"], 1, "absent.safetensors"),
        (["--metrics", "psnr"], 2, "--metrics psnr: of no use with --dataset mnist"),
        (["--protocol", "rgb"], 2, "--protocol rgb: of no use"),
        (["--border", 0], 2, "--border 0: of no use"),
        (["--tile", 64], 2, "--tile 64: of no use"),
        (["--strategy", "fastest"], 2, "--strategy fastest: of no use"),
        (["--row", 3], 2, "--row 3: of no use"),
        (["-x4"], 2, "-x 4: of no use"),
        (["--pred", "."], 2, "--pred .: of no use"),
        (["--study", "drift"], 2, "unknown study 'drift': choose from modes"),
        (["--study", "modes", "--model", "digits-ae"], 2, "--model digits-ae: of no use"),
    ],
)
def test_options_that_do_not_suit(score: Callable, options: list, code: int, said: str):
    ran = score("--dataset", "mnist", *options)
    assert (ran.code, ran.out) == (code, "")
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("dataset", "option"),
    [("set5", "--count"), ("vid4", "--count"), ("synthetic-dark", "--seed")],
)
def test_options_of_samples_elsewhere(score: Callable, dataset: str, option: str):
    ran = score("--dataset", dataset, option, 1)
    assert ran.code == 2
    assert f"{option} 1: of no use with --dataset {dataset}" in ran.err


def test_unknown_dataset_names_these_too(score: Callable):
    ran = score("--dataset", "cifar")
    assert ran.code == 2
    assert "faces" in ran.err and "mnist" in ran.err


def test_too_few_pictures_in_the_set(score: Callable, tmp_path: Path, sample_root: Path):
    write_digits(tmp_path / "small" / "mnist.npz", test=19)
    (tmp_path / "small" / "nets").symlink_to(sample_root / "nets")
    ran = score("--dataset", "mnist", "--data-root", tmp_path / "small")
    assert ran.code == 1
    assert "has 19 pictures, precision and recall need at least 20" in ran.err


def test_features_that_are_nowhere(score: Callable, tmp_path: Path):
    write_digits(tmp_path / "bare" / "mnist.npz")
    ran = score("--dataset", "mnist", "--data-root", tmp_path / "bare")
    assert (ran.code, len(ran.err.splitlines())) == (1, 3 - 2)
    assert FEATURES["squeezenet"].filename in ran.err and "--features inception" in ran.err


def test_features_from_a_file(score: Callable, tmp_path: Path, sample_root: Path):
    """Other weights give another distance."""
    random_features(tmp_path / "own.safetensors", 7)
    one, other = (
        document(
            score(
                "--dataset",
                "mnist",
                "--model",
                "digits-ae",
                "--count",
                20,
                "--json",
                "--features",
                features,
            )
        )
        for features in ("squeezenet", tmp_path / "own.safetensors")
    )
    assert "own.safetensors" in other["notes"][0]
    assert one["results"][0] != other["results"][0]


def test_features_that_are_not_finite(score: Callable, tmp_path: Path):
    random_features(tmp_path / "own.safetensors", 7)
    tensors = load_file(tmp_path / "own.safetensors")
    tensors["fire9.expand1x1.weight"] *= 1e38
    save_file(tensors, tmp_path / "own.safetensors")
    ran = score("--dataset", "mnist", "--count", 20, "--features", tmp_path / "own.safetensors")
    assert (ran.code, ran.out) == (1, "")
    assert "own.safetensors: gives features that are not finite" in ran.err
