"""``enhance evaluate`` for models that draw pictures, and for whole folders of pictures."""

import csv
import json
import math
import re
from base64 import b64decode
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from enhance_cli.architectures import ARCHITECTURES, squeezenet
from enhance_cli.architectures.autoencoder import Autoencoder, AutoencoderConfig
from enhance_cli.engine.checkpoint import build, save_checkpoint
from enhance_cli.engine.features import FEATURES, LPIPS_FILE
from enhance_cli.evaluation import set_scores
from enhance_cli.metrics import prd

TEST, HELD = 24, 25  # pictures of the tiny sets
DIGITS = AutoencoderConfig(
    side=28, padding=2, channels=1, latent=3, width=2, kernel=4, components=2
)
FACES = AutoencoderConfig(latent=3, width=2, components=2, blur_kernel=3)
SCORES = {"frechet", "f8", "f1_8", "max_precision", "max_recall", "high_frequencies"}
SOURCES = ["reconstruction", "gaussian", "mixture", "interpolation"]


@pytest.fixture(autouse=True)
def few_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two clusterings from one start each, for time."""
    monkeypatch.setattr(prd, "_STARTS", 1)
    monkeypatch.setattr(
        set_scores, "precision_recall_curve", partial(prd.precision_recall_curve, runs=2)
    )


def bars(count: int, seed: int, colours: int = 0, side: int = 28) -> np.ndarray:
    """Soft bars in random places, uint8 (N, side, side[, colours])."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side]
    angle = rng.uniform(0, np.pi, (count, 1, 1))
    shift = rng.uniform(-side / 4, side / 4, (count, 1, 1))
    across = (rows - side / 2) * np.cos(angle) + (columns - side / 2) * np.sin(angle) - shift
    values = np.clip(side / 9 - np.abs(across), 0, 1)
    if colours:
        values = values[..., None] * rng.uniform(0.3, 1, (count, 1, 1, colours))
    return np.round(255 * values).astype(np.uint8)


def write_digits(path: Path, test: int = TEST, train: int = 6 * HELD) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        path,
        x_train=bars(train, 0),
        y_train=(np.arange(train) % 10).astype(np.uint8),
        x_test=bars(test, 1),
        y_test=(np.arange(test) % 10).astype(np.uint8),
    )


def write_faces(path: Path) -> None:
    files = []
    for pixels in bars(5 * HELD, 2, 3, 64):
        file = BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=90)
        files.append(file.getvalue())
    np.savez(
        path,
        data=np.frombuffer(b"".join(files), np.uint8),
        offsets=np.cumsum([0, *map(len, files)]),
    )


def random_features(path: Path, seed: int) -> None:
    """A SqueezeNet that has learnt nothing, but whose features differ from picture to picture."""
    torch.manual_seed(seed)
    network = squeezenet.SqueezeNet()
    for parameter in network.parameters():
        if parameter.ndim > 1:
            torch.nn.init.kaiming_normal_(parameter)
        else:
            torch.nn.init.zeros_(parameter)
    save_file(network.state_dict(), path)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root of data with both sets, and a SqueezeNet and LPIPS of random weights."""
    folder = tmp_path_factory.mktemp("samples") / "data"
    write_digits(folder / "generative" / "mnist.npz")
    write_faces(folder / "generative" / "faces64.npz")
    (folder / "nets").mkdir()
    random_features(folder / "nets" / FEATURES["squeezenet"].filename, 0)
    save_file(
        {
            f"lin{layer}.weight": torch.rand(1, channels, 1, 1)
            for layer, channels in enumerate(squeezenet.MAP_CHANNELS)
        },
        folder / "nets" / LPIPS_FILE,
    )
    return folder


def fill_densities(network: Autoencoder) -> None:
    own = network.densities
    own.gaussian_factor.copy_(torch.eye(own.latent))
    own.mixture_weights.copy_(torch.tensor([0.25, 0.75]))
    own.mixture_means.copy_(torch.randn(2, own.latent))
    own.mixture_factors.copy_(torch.eye(own.latent).expand(2, -1, -1) / 2)


def save(folder: Path, name: str, config: AutoencoderConfig, *, fitted: bool = True) -> Path:
    torch.manual_seed(len(name))
    entry = ARCHITECTURES["autoencoder"]
    network = build(entry, config).eval()
    assert isinstance(network, Autoencoder)
    if fitted:
        fill_densities(network)
    save_checkpoint(folder / f"{name}.safetensors", network, entry, name)
    return folder / f"{name}.safetensors"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny models: with a prior, with fitted densities, with neither; and with a likelihood."""
    folder = tmp_path_factory.mktemp("models")
    save(folder, "digits-vae", replace(DIGITS, posterior="gaussian", prior=True))
    save(folder, "digits-rae", DIGITS)
    save(folder, "digits-ae", DIGITS, fitted=False)
    save(
        folder,
        "faces-vae-white",
        replace(FACES, posterior="gaussian", prior=True, likelihood="white"),
    )
    save(
        folder,
        "faces-vae-blur",
        replace(FACES, posterior="gaussian", prior=True, likelihood="blur"),
    )
    return folder


@pytest.fixture
def score(
    root: Path, weights: Path, tmp_path: Path, enhance: Callable, monkeypatch: pytest.MonkeyPatch
) -> Callable:
    """``enhance evaluate`` in this little world."""
    monkeypatch.setenv("COLUMNS", "200")  # side by side with other processes pytest says 80
    monkeypatch.setenv("ENHANCE_WEIGHTS", str(weights))
    monkeypatch.setenv("ENHANCE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ENHANCE_DATA", raising=False)
    monkeypatch.setattr("enhance_cli.engine.catalogue._PACKAGE", tmp_path / "elsewhere" / "x")
    return partial(enhance, "evaluate", "--data-root", root)


def document(ran) -> dict:
    assert ran.code == 0, ran.err
    return json.loads(ran.out)


# --- models ---------------------------------------------------------------------------------------


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

    def draw(network: Autoencoder, density: str, count: int, *, seed: int) -> Tensor:
        asked.append((network.config.prior, density, count))
        return torch.zeros(count, network.config.latent)

    monkeypatch.setattr("enhance_cli.evaluation.samples.draw_codes", draw)
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


def test_weights_beside_a_model_of_the_same_name(score: Callable, weights: Path):
    found = document(
        score(
            "--dataset",
            "mnist",
            "--model",
            "digits-ae",
            "--weights",
            weights / "digits-ae.safetensors",
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
    [("set5", "--features"), ("vid4", "--count"), ("synthetic-dark", "--seed")],
)
def test_options_of_samples_elsewhere(score: Callable, dataset: str, option: str):
    ran = score("--dataset", dataset, option, 1)
    assert ran.code == 2
    assert f"{option} 1: of no use with --dataset {dataset}" in ran.err


def test_unknown_dataset_names_these_too(score: Callable):
    ran = score("--dataset", "cifar")
    assert ran.code == 2
    assert "faces" in ran.err and "mnist" in ran.err


def test_too_few_pictures_in_the_set(score: Callable, tmp_path: Path, root: Path):
    write_digits(tmp_path / "small" / "mnist.npz", test=19)
    (tmp_path / "small" / "nets").symlink_to(root / "nets")
    ran = score("--dataset", "mnist", "--data-root", tmp_path / "small")
    assert ran.code == 1
    assert "has 19 pictures, precision and recall need at least 20" in ran.err


def test_features_that_are_nowhere(score: Callable, tmp_path: Path):
    write_digits(tmp_path / "bare" / "mnist.npz")
    ran = score("--dataset", "mnist", "--data-root", tmp_path / "bare")
    assert (ran.code, len(ran.err.splitlines())) == (1, 3 - 2)
    assert FEATURES["squeezenet"].filename in ran.err and "--features inception" in ran.err


def test_features_from_a_file(score: Callable, tmp_path: Path, root: Path):
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


# --- the study ------------------------------------------------------------------------------------


def test_modes_of_tiny_digits(score: Callable, tmp_path: Path, root: Path):
    write_digits(tmp_path / "more" / "mnist.npz", test=50, train=250)
    (tmp_path / "more" / "nets").symlink_to(root / "nets")
    options = ("--dataset", "mnist", "--study", "modes", "--data-root", tmp_path / "more")
    found = document(score(*options, "--json"))
    assert (found["study"], found["count"]) == ("modes", 25)
    assert [result["classes"] for result in found["results"]] == list(range(1, 11))
    assert set(found["results"][0]) == {"classes"} | SCORES - {"high_frequencies"}
    ran = score(
        *options, "--count", 20, "--csv", tmp_path / "m.csv", "--report", tmp_path / "m.html"
    )
    assert ran.code == 0, ran.err
    assert "F1/8 (precision)" in ran.out
    with (tmp_path / "m.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 10
    assert (tmp_path / "m.html").read_text().count("<figure>") == 3


def test_modes_need_labels_and_pictures(score: Callable, tmp_path: Path):
    ran = score("--dataset", "faces", "--study", "modes")
    assert ran.code == 2 and "add --dataset mnist" in ran.err
    ran = score("--study", "modes")
    assert ran.code == 2 and "add --dataset mnist" in ran.err
    ran = score("--dataset", "mnist", "--study", "modes")
    assert ran.code == 1 and "precision and recall need at least 20" in ran.err


@pytest.mark.slow
def test_modes_of_mnist(score: Callable, shared_data: Path):
    """What fig. 5.5 and 5.12 show: the distance cannot tell dropped from added classes."""
    found = document(
        score(
            "--dataset",
            "mnist",
            "--study",
            "modes",
            "--count",
            500,
            "--json",
            "--data-root",
            shared_data,
        )
    )
    recall = {result["classes"]: result["f8"] for result in found["results"]}
    precision = {result["classes"]: result["f1_8"] for result in found["results"]}
    distance = {result["classes"]: result["frechet"] for result in found["results"]}
    assert all(recall[i] < recall[i + 1] for i in range(1, 5))
    assert recall[1] < 0.5 and min(recall[i] for i in range(5, 11)) > 0.95
    assert min(precision[i] for i in range(2, 6)) > 0.9
    assert precision[10] < precision[7] < precision[5] - 0.04
    assert precision[10] < 0.92
    # Q4 and Q6: of one distance, and on opposite sides of the diagonal.
    assert min(distance, key=distance.__getitem__) == 5
    assert 0.5 < distance[4] / distance[6] < 2
    assert recall[4] < precision[4] - 0.02 and precision[6] < recall[6] - 0.01


# --- folders --------------------------------------------------------------------------------------


def fill(folder: Path, count: int, seed: int, name: str = "{:03}.png", side: int = 40) -> Path:
    folder.mkdir(parents=True)
    for index, pixels in enumerate(bars(count, seed, 3, side)):
        Image.fromarray(pixels).save(folder / name.format(index))
    return folder


def test_equal_folders(score: Callable, tmp_path: Path):
    """Under other names and in another order."""
    fill(tmp_path / "a", 22, 5)
    (tmp_path / "b").mkdir()
    for index, path in enumerate(sorted((tmp_path / "a").iterdir())):
        (tmp_path / "b" / f"{(7 * index) % 22:02}-of-22.png").write_bytes(path.read_bytes())
    found = document(
        score(
            "--pred",
            tmp_path / "a",
            "--gt",
            tmp_path / "b",
            "--metrics",
            "frechet,prd,jsd",
            "--json",
        )
    )
    result = found["results"][0]
    assert result.pop("frechet") == pytest.approx(0, abs=1e-6)
    assert result.pop("model") == "a"
    assert result.pop("jsd") == 0
    assert result == {
        key: pytest.approx(1, abs=1e-9) for key in ("f8", "f1_8", "max_precision", "max_recall")
    }


def test_precision_is_of_the_predictions(score: Callable, tmp_path: Path):
    """Half of what is drawn is nothing like the reference: precision falls, recall does not."""
    fill(tmp_path / "gt", 20, 5)
    fill(tmp_path / "pred", 20, 5)
    for path in list((tmp_path / "gt").iterdir()):
        (tmp_path / "gt" / f"again-{path.name}").write_bytes(path.read_bytes())
    rng = np.random.default_rng(0)
    for index in range(20):
        Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(
            tmp_path / "pred" / f"noise{index}.png"
        )
    result = document(
        score(
            "--pred", tmp_path / "pred", "--gt", tmp_path / "gt", "--metrics", "prd,jsd", "--json"
        )
    )["results"][0]
    assert result["max_precision"] == pytest.approx(0.5, abs=0.03)
    assert result["max_recall"] == pytest.approx(1, abs=0.03)
    assert result["f8"] > result["f1_8"]
    assert 0 < result["jsd"] < 1


def test_folders_of_other_sizes_and_kinds(score: Callable, tmp_path: Path):
    """Grey and transparent files, odd sides; the larger folder is drawn from, and it is said."""
    fill(tmp_path / "gt", 24, 5)
    fill(tmp_path / "pred", 20, 6)
    Image.fromarray(bars(1, 1)[0]).save(tmp_path / "pred" / "grey.png")
    Image.fromarray(bars(1, 1, 4, 65)[0]).save(tmp_path / "pred" / "alpha.png")
    options = ("--pred", tmp_path / "pred", "--gt", tmp_path / "gt")
    ran = score(
        *options,
        "--metrics",
        "frechet,prd",
        "--csv",
        tmp_path / "f.csv",
        "--report",
        tmp_path / "f.html",
    )
    assert ran.code == 0, ran.err
    assert "22 and 24 pictures" in ran.err and "22 of the 24 were drawn" in ran.err
    assert "22 pictures for 512 features" in ran.err
    assert "Frechet distance" in ran.out and "(SqueezeNet" in ran.out
    with (tmp_path / "f.csv").open(newline="") as file:
        row = next(csv.DictReader(file))
    assert list(row) == ["model", "frechet", "f8", "f1_8", "max_precision", "max_recall"]
    assert (tmp_path / "f.html").read_text().count("<figure>") == 1
    alone = document(score(*options, "--metrics", "frechet", "--json"))
    assert alone["results"][0]["frechet"] == float(row["frechet"])  # of all pictures
    assert len(alone["notes"]) == 2


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--metrics", "frechet,psnr"], 2, "psnr compare pictures in pairs, frechet whole sets"),
        (["--metrics", "lpips,prd"], 2, "lpips compare pictures in pairs, prd whole sets"),
        (["--metrics", "frechet,sharp"], 2, "unknown metric 'sharp'"),
        (["--metrics", "fid"], 2, "gives no FID"),
        (["--metrics", "lpips", "--features", "inception"], 2, "weights for squeezenet only"),
        (["--metrics", "lpips", "--protocol", "cmyk"], 2, "unknown protocol 'cmyk'"),
        (["--metrics", "prd", "--protocol", "rgb"], 2, "--protocol rgb: of no use"),
        (["--metrics", "lpips", "--seed", 3], 2, "--seed 3: of no use with --metrics lpips"),
        (["--metrics", "prd", "--count", 3], 2, "--count 3: of no use with --pred and --gt"),
        (["--metrics", "prd", "--model", "digits-ae"], 2, "--model digits-ae: of no use"),
        (["--metrics", "psnr", "--seed", 3], 2, "--seed 3: of no use with --pred and --gt"),
        (["--metrics", "prd", "--gt", "one"], 1, "one: too few pictures for prd"),
        (["--metrics", "frechet", "--gt", "one"], 1, "needs at least 2, not 1"),
        (["--metrics", "frechet", "--gt", "empty"], 1, "empty: no pictures in this folder"),
        (["--metrics", "frechet", "--gt", "absent"], 1, "absent: no such folder"),
        (["--metrics", "frechet", "--gt", "bad"], 1, "005.png"),
        (["--metrics", "lpips", "--gt", "other"], 1, "sizes differ"),
    ],
)
def test_folders_that_do_not_suit(
    score: Callable,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list,
    code: int,
    said: str,
):
    monkeypatch.chdir(tmp_path)
    for name, count in (("good", 21), ("bad", 21), ("one", 1), ("empty", 0)):
        fill(tmp_path / name, count, 1)
    fill(tmp_path / "other", 21, 1, side=41)
    whole = (tmp_path / "bad" / "005.png").read_bytes()
    (tmp_path / "bad" / "005.png").write_bytes(whole[: len(whole) // 2])
    ran = score("--pred", "good", "--gt", "good", *options, "--csv", "out.csv")
    assert (ran.code, ran.out) == (code, "")
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1
    assert not (tmp_path / "out.csv").exists()


def test_one_folder_is_not_enough(score: Callable, tmp_path: Path):
    ran = score("--pred", tmp_path, "--metrics", "frechet")
    assert ran.code == 2 and "give --pred DIR and --gt DIR" in ran.err


def test_lpips_of_pairs(score: Callable, tmp_path: Path):
    """0 for equal pictures, the more the more they differ; psnr beside it, of RGB."""
    fill(tmp_path / "gt", 3, 5)
    for name, step in (("same", 0), ("near", 8), ("far", 60)):
        (tmp_path / name).mkdir()
        rng = np.random.default_rng(1)
        for path in (tmp_path / "gt").iterdir():
            pixels = np.asarray(Image.open(path)).astype(int)
            noisy = pixels + rng.integers(-step, step + 1, pixels.shape)
            Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(
                tmp_path / name / path.name
            )
    means = []
    for name in ("same", "near", "far"):
        ran = score(
            "--pred", tmp_path / name, "--gt", tmp_path / "gt", "--metrics", "psnr,lpips", "--json"
        )
        found = document(ran)
        assert found["protocol"] == "rgb"
        assert list(found["results"][0]["mean"]) == ["psnr", "lpips"]
        assert len(found["results"][0]["images"]) == 3
        assert "SqueezeNet 1.1" in found["notes"][0] and found["notes"][0] in ran.err
        means.append(found["results"][0]["mean"]["lpips"])
    assert means[0] == pytest.approx(0, abs=1e-6)
    assert means[0] < means[1] < means[2]
