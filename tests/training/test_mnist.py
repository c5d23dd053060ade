"""The MNIST experiments: data, measures, and a small run of every recipe."""

import csv
import json
import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from enhance_cli.architectures import ARCHITECTURES
from enhance_cli.architectures.mnist import MNIST_ARCHITECTURES
from enhance_cli.data.mnist import read_mnist
from enhance_cli.engine.checkpoint import read_checkpoint_info
from enhance_cli.errors import CheckpointError, DatasetError, UsageError
from enhance_cli.training.loop import Report
from enhance_cli.training.mnist import (
    MNIST_RECIPES,
    DigitTask,
    MnistStage,
    invert,
    pixels,
)
from enhance_cli.training.objectives import HybridObjective
from enhance_cli.training.optimisation import step_generator
from enhance_cli.training.overrides import override
from enhance_cli.training.recipes import RECIPES
from enhance_cli.training.run import run_recipe
from enhance_cli.training.stages import Recipe

CPU = torch.device("cpu")
ERRORS = 4.5  # standard errors that a Monte-Carlo mean may be off; the seeds are fixed
BY_NAME = {recipe.name: recipe for recipe in MNIST_RECIPES}
SMALL = ("batch=16", "draws=2", "steps=60", "validate_every=30", "learning_rate=3e-3")
NAMES = sorted(BY_NAME)


def small(name: str, *overrides: str) -> MnistStage:
    size = (
        ("hidden=16", "width=4")
        if hasattr(BY_NAME[name].stages[0].config, "width")
        else ("hidden=16",)
    )
    changed = override(BY_NAME[name].stages[0], [*size, *SMALL, *overrides])
    assert isinstance(changed, MnistStage)
    return changed


def digits(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Bars with soft edges, one place and direction for each class, shifted a little."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, count)
    rows, columns = np.mgrid[:28, :28]
    angle = np.pi * labels[:, None, None] / 10
    middle = 13.5 + rng.uniform(-3, 3, (2, count, 1, 1))
    across = (rows - middle[0]) * np.cos(angle) + (columns - middle[1]) * np.sin(angle)
    along = (rows - middle[0]) * np.sin(angle) - (columns - middle[1]) * np.cos(angle)
    stroke = np.clip(2.5 - np.abs(across), 0, 1) * np.clip(9 - np.abs(along), 0, 1)
    return np.round(255 * stroke).astype(np.uint8), labels.astype(np.uint8)


def write(path: Path, **changes: Any) -> Path:
    """An ``mnist.npz`` of few digits, with some arrays changed or, if None, left out."""
    arrays: dict[str, Any] = {}
    for seed, (part, count) in enumerate((("train", 70), ("test", 20))):
        arrays[f"x_{part}"], arrays[f"y_{part}"] = digits(count, seed)
    kept = {key: value for key, value in (arrays | changes).items() if value is not None}
    np.savez(path, **kept)
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("digits") / "mnist.npz")


@pytest.fixture
def run(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Report]:
    """Train a small version of a recipe as ``enhance train`` does."""
    for entry in MNIST_ARCHITECTURES:
        monkeypatch.setitem(ARCHITECTURES, entry.name, entry)

    def start(name: str, *overrides: str, out: Path = tmp_path / "run", **options: Any) -> Report:
        monkeypatch.setitem(RECIPES, name, Recipe(name, "", (small(name, *overrides),)))
        return run_recipe(name, data, out=out, device="cpu", quiet=True, **options)

    return start


def prepare(name: str, data: Path, *overrides: str) -> DigitTask:
    return small(name, *overrides).prepare(data, None, CPU)


# --- data ------------------------------------------------------------------------------------


def test_the_file_or_its_folder_is_read(data: Path) -> None:
    for path in (data, data.parent):
        mnist = read_mnist(path)
        assert (len(mnist.train), len(mnist.test)) == (70, 20)
        x, y = digits(70, 0)
        assert np.array_equal(mnist.train.pictures.numpy(), x)
        assert mnist.train.labels.dtype == torch.int64
        assert mnist.train.labels.tolist() == y.tolist()


X, Y = digits(70, 0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"y_test": None}, "holds no y_test"),
        ({"x_train": None, "y_train": None}, "holds no x_train and no y_train"),
        ({"x_train": X[:, :27]}, "uint8 (70, 27, 28), must be"),
        ({"x_train": X / 255}, "float64"),
        ({"x_test": X[:0], "y_test": Y[:0]}, "x_test is uint8 (0, 28, 28)"),
        ({"y_train": Y[:69]}, "70 integers from 0 to 9"),
        ({"y_train": Y + 10}, "integers from 0 to 9"),
        ({"y_train": Y - 20.0}, "integers from 0 to 9"),
        ({"y_train": np.full(70, None)}, "not an npz file"),
    ],
)
def test_a_file_with_something_else(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    path = write(tmp_path / "mnist.npz", **changes)
    with pytest.raises(DatasetError) as caught:
        read_mnist(path)
    message = str(caught.value)
    assert str(path) in message
    assert said in message
    assert "\n" not in message


@pytest.mark.parametrize("content", [b"", b"not an archive", b"PK\x03\x04 cut off", b"\x93NUMPY"])
def test_a_file_that_is_no_archive(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mnist.npz").write_bytes(content)
    with pytest.raises(DatasetError, match="not an npz file"):
        read_mnist(tmp_path)


def test_a_single_array_and_a_damaged_archive(tmp_path: Path, data: Path) -> None:
    np.save(tmp_path / "one.npy", X)
    with pytest.raises(DatasetError, match="not an npz file"):
        read_mnist(tmp_path / "one.npy")
    whole = bytearray(data.read_bytes())
    whole[9000:9100] = bytes(value ^ 1 for value in whole[9000:9100])
    (tmp_path / "mnist.npz").write_bytes(whole)
    with pytest.raises(DatasetError, match="not an npz file"):
        read_mnist(tmp_path)


def test_a_damaged_compressed_archive(tmp_path: Path, data: Path) -> None:
    with np.load(data) as arrays:
        np.savez_compressed(tmp_path / "mnist.npz", **arrays)
    assert torch.equal(read_mnist(tmp_path).test.labels, read_mnist(data).test.labels)
    damaged = bytearray((tmp_path / "mnist.npz").read_bytes())
    damaged[200:400] = bytes(200)
    (tmp_path / "mnist.npz").write_bytes(damaged)
    with pytest.raises(DatasetError, match="not an npz file"):
        read_mnist(tmp_path)


def test_no_file(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.npz"):
        with pytest.raises(DatasetError, match="no such file, give --data"):
            read_mnist(path)


def test_another_file_validates(data: Path, tmp_path: Path) -> None:
    x, y = digits(30, 9)
    other = write(tmp_path / "other.npz", x_test=x, y_test=y)
    prepared = small("mnist-ae").prepare(data, other, CPU)
    assert torch.equal(prepared._held.pictures, torch.from_numpy(x))
    assert torch.equal(prepared._train.pictures, read_mnist(data).train.pictures)


# --- recipes ---------------------------------------------------------------------------------


def test_the_recipes_are_those_of_the_thesis() -> None:
    table_1 = {
        "mnist-ae": 2,
        "mnist-vae-2": 2,
        "mnist-vae-5": 5,
        "mnist-vae-10": 10,
        "mnist-vae-50": 50,
        "mnist-vae-cnn": 10,
        "mnist-cvae": 10,
    }
    assert set(BY_NAME) == {*table_1, "mnist-restore-skip", "mnist-restore"}
    for name, latent in table_1.items():
        recipe = BY_NAME[name].stages[0]
        assert recipe.config.latent == latent
        assert recipe.task == "reconstruct"
        assert recipe.architecture == ("mnist-cnn" if name == "mnist-vae-cnn" else "mnist-mlp")
        plain = HybridObjective(alpha=0.0, prior_deviation=0.0)
        assert recipe.objective == (plain if name == "mnist-ae" else HybridObjective())
    for name, skips in (("mnist-restore-skip", True), ("mnist-restore", False)):
        recipe = BY_NAME[name].stages[0]
        assert (recipe.architecture, recipe.task) == ("mnist-cnn", "restore")
        assert recipe.config.skips == skips
        assert recipe.objective == HybridObjective(alpha=1.0, beta=1.0)


@pytest.mark.parametrize("name", NAMES)
def test_adam_has_its_standard_settings_for_200_epochs(name: str) -> None:
    recipe = BY_NAME[name].stages[0]
    plan, adam = recipe.optimisation, torch.optim.Adam([torch.zeros(1)]).defaults
    assert (plan.learning_rate, plan.betas) == (adam["lr"], adam["betas"])
    assert {plan.rate(step) for step in (0, 1, 6000, 11_999)} == {adam["lr"]}
    assert plan.steps * recipe.batch == 200 * 60_000
    assert plan.ema == 0
    assert recipe.draws == 10


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_survives_json_and_an_override_by_itself(name: str) -> None:
    recipe = BY_NAME[name].stages[0]
    assert json.loads(json.dumps(asdict(recipe)))["objective"] == asdict(recipe.objective)
    values = {
        **asdict(recipe.config),
        **asdict(recipe.objective),
        **asdict(recipe.optimisation),
        "batch": recipe.batch,
        "draws": recipe.draws,
    }
    assert override(recipe, [f"{k}={json.dumps(v)}" for k, v in values.items()]) == recipe


@pytest.mark.parametrize(
    ("name", "assignment"),
    [
        ("mnist-ae", "alpha=0.5"),
        ("mnist-ae", "samples=2"),
        ("mnist-vae-2", "prior=itself"),
        ("mnist-vae-cnn", "prior=picture"),
        ("mnist-restore", "task=reconstruct"),
        ("mnist-vae-2", "task=restore"),
        ("mnist-vae-2", "task=paint"),
        ("mnist-vae-2", "batch=0"),
        ("mnist-vae-2", "draws=0"),
        ("mnist-vae-2", "architecture=enhancenet"),
        ("mnist-vae-2", "alpha=2.0"),
    ],
)
def test_overrides_that_make_no_experiment(name: str, assignment: str) -> None:
    with pytest.raises(UsageError) as caught:
        override(BY_NAME[name], [assignment])
    assert "\n" not in str(caught.value)


def test_sizes_may_change_but_not_what_the_name_says() -> None:
    recipe = BY_NAME["mnist-vae-10"].stages[0]
    assert override(recipe, ["hidden=9", "alpha=0.5", "steps=3"]).identity == recipe.identity
    for change in ("latent=9", "prior=label"):
        assert override(recipe, [change]).identity != recipe.identity
    assert len({recipe.stages[0].identity for recipe in MNIST_RECIPES}) == 9


@pytest.mark.parametrize("overrides", [("latent=0",), ("prior=cat",), ("batch=71",)])
def test_a_recipe_that_cannot_be_prepared(data: Path, overrides: tuple[str, ...]) -> None:
    with pytest.raises(UsageError) as caught:
        prepare("mnist-vae-2", data, *overrides)
    assert "\n" not in str(caught.value)


# --- inverted pixels -------------------------------------------------------------------------


def test_half_of_the_pixels_are_inverted_and_what_is_left_is_the_distance_from_grey() -> None:
    x = torch.rand(50, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    y = invert(x, torch.Generator().manual_seed(2))
    same, turned = y == x, (y - (1 - x)).abs() < 1e-6
    assert (same | turned).all()
    assert abs(same.double().mean() - 0.5) < ERRORS * 0.5 / math.sqrt(x.numel())
    assert torch.allclose((y - 0.5).abs(), (x - 0.5).abs(), atol=1e-6)


def test_nothing_is_left_of_black_and_white() -> None:
    generator = torch.Generator().manual_seed(0)
    for value in (0.0, 1.0):
        y = invert(torch.full((100, 1, 28, 28), value), generator)
        assert set(y.unique().tolist()) == {0.0, 1.0}
        assert abs(y.mean() - 0.5) < ERRORS * 0.5 / math.sqrt(y.numel())


# --- batches ---------------------------------------------------------------------------------


def batches(prepared: DigitTask, steps: range, share: slice = slice(0, None, 1)) -> list[Tensor]:
    """The clean pictures that the steps see."""
    seen: list[Tensor] = []
    condition = prepared.condition

    def spy(x: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        seen.append(x)
        return condition(x, labels, generator)

    prepared.condition = spy  # type: ignore[method-assign]
    for step in steps:
        prepared.loss(step, step_generator(0, step), share)
    return seen


def test_an_epoch_shows_each_digit_once_in_an_order_of_its_own(data: Path) -> None:
    seen = batches(prepare("mnist-vae-2", data, "batch=35"), range(4))
    first, second = torch.cat(seen[:2]).flatten(1), torch.cat(seen[2:]).flatten(1)
    every = pixels(read_mnist(data).train, slice(None)).flatten(1)
    for epoch in (first, second):
        assert torch.equal(epoch.sum(1).sort().values, every.sum(1).sort().values)
    assert not torch.equal(first, second)
    assert not torch.equal(first, every)


def test_processes_share_a_batch_and_have_noise_of_their_own(data: Path) -> None:
    prepared = prepare("mnist-restore", data)
    (whole,) = batches(prepared, range(1))
    halves = [batches(prepared, range(1), slice(rank, None, 2))[0] for rank in (0, 1)]
    assert torch.equal(torch.stack(halves, 1).flatten(0, 1), whole)

    prepared = prepare("mnist-vae-2", data)
    prepared._train.pictures.fill_(7)  # all alike, so that only the noise can differ
    losses = [prepared.loss(0, step_generator(0, 0), slice(rank, None, 2)) for rank in (0, 1)]
    assert losses[0] != losses[1]


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_makes_weights_batches_and_noise(data: Path, name: str) -> None:
    def losses(seed: int) -> list[float]:
        torch.rand(seed + 1)  # whatever was drawn before
        prepared = prepare(name, data, f"seed={seed}")
        return [
            prepared.loss(step, step_generator(seed, step), slice(0, None, 1)).item()
            for step in (0, 1)
        ]

    assert losses(1) == losses(1)
    assert losses(1) != losses(2)


# --- measures --------------------------------------------------------------------------------


class Known(nn.Module):
    """q(z|x) is N(0, 0.04) around x, the prior's mean is y, and a picture is its code."""

    def prior(self, y: Tensor) -> tuple[Tensor, Any]:
        return y.flatten(1), None

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.flatten(1), torch.full_like(x.flatten(1), math.log(0.04))

    def decode(self, z: Tensor, context: Any) -> Tensor:
        return z.view(-1, 1, 28, 28)


def test_reconstruction_is_measured_as_the_sse_of_samples_without_a_half(data: Path) -> None:
    score = prepare("mnist-vae-10", data, "draws=10").validate(Known())
    # SSE / 0.04 is chi-squared with 784 degrees of freedom, of variance 2 * 784.
    standard_error = 0.04 * math.sqrt(2 * 784 / (20 * 10))
    assert abs(-score - 0.04 * 784) < ERRORS * standard_error


def test_an_autoencoder_is_measured_without_samples(data: Path) -> None:
    prepared = prepare("mnist-ae", data)
    assert prepared.validate(Known()) == 0
    x = pixels(read_mnist(data).test, slice(None))
    with torch.no_grad():
        expected = (prepared.network(x) - x).square().sum() / 20
        assert -prepared.validate(prepared.network) == pytest.approx(expected.item(), rel=1e-5)


def test_restoration_is_measured_as_l1_at_the_prior_s_mean(data: Path) -> None:
    score = prepare("mnist-restore", data, "draws=10").validate(Known())
    # An inverted pixel is wrong by |1 - 2 x|, with probability 0.5.
    wrong = (1 - 2 * pixels(read_mnist(data).test, slice(None)).double()).abs()
    variance = wrong.square().sum() / 4 / 20**2 / 10
    assert abs(-score - wrong.sum() / 2 / 20) < ERRORS * variance.sqrt()


@pytest.mark.parametrize("name", NAMES)
def test_scores_of_the_same_weights_are_the_same(data: Path, name: str) -> None:
    prepared = prepare(name, data)
    with torch.no_grad():
        assert prepared.validate(prepared.network) == prepared.validate(prepared.network)


# --- runs ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_run_learns_and_writes_its_figures(
    data: Path, tmp_path: Path, run: Callable[..., Report], name: str
) -> None:
    untrained = prepare(name, data)
    with torch.no_grad():
        before = untrained.validate(untrained.network)
    finished = run(name)
    with (tmp_path / "run" / "curve.csv").open() as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert losses[1] < losses[0]
    assert finished.best > before
    info = read_checkpoint_info(tmp_path / "run" / "last.safetensors")
    assert info.name == name
    assert info.architecture.name == BY_NAME[name].stages[0].architecture
    notes = info.training
    assert (notes["step"], notes["epochs"], notes["data"]) == (60, 15.0, "70 digits")
    assert notes["recipe"]["optimisation"]["steps"] == 60
    measure = "l1" if "restore" in name else "sse"
    assert finished.validation == pytest.approx(-notes[f"validation_{measure}"], abs=1e-4)
    assert 0 < notes[f"train_{measure}"] < -before


def test_figures_are_those_of_the_weights_beside_them(
    data: Path, tmp_path: Path, run: Callable[..., Report]
) -> None:
    run("mnist-vae-2")
    prepared = prepare("mnist-vae-2", data)
    prepared.network.load_state_dict(load_file(tmp_path / "run" / "last.safetensors"))
    notes = read_checkpoint_info(tmp_path / "run" / "last.safetensors").training
    with torch.no_grad():
        prepared.validate(prepared.network)
    for key, value in prepared._figures.items():
        assert notes[key] == pytest.approx(value, abs=1e-4)


def test_what_was_not_measured_has_no_figures(tmp_path: Path, run: Callable[..., Report]) -> None:
    run("mnist-vae-2", minutes=0)
    notes = read_checkpoint_info(tmp_path / "run" / "last.safetensors").training
    assert notes["step"] == 1
    assert not [key for key in notes if key.endswith("_sse")]


def test_parts_of_a_run_make_the_whole(tmp_path: Path, run: Callable[..., Report]) -> None:
    short = ("steps=3", "validate_every=2")
    run("mnist-restore-skip", *short, out=tmp_path / "whole")
    for step in (1, 2, 3):
        report = run(
            "mnist-restore-skip", *short, out=tmp_path / "parts", minutes=0, resume=step > 1
        )
        assert report.step == step
    whole, parts = (load_file(tmp_path / part / "last.safetensors") for part in ("whole", "parts"))
    assert all(torch.equal(value, parts[key]) for key, value in whole.items())


def test_a_run_starts_from_weights_that_fit(
    data: Path, tmp_path: Path, run: Callable[..., Report]
) -> None:
    run("mnist-restore", "steps=1", out=tmp_path / "first")
    tensors = load_file(tmp_path / "first" / "last.safetensors")
    own = small("mnist-vae-cnn").prepare(data, None, CPU, tensors).network.state_dict()
    for key, value in own.items():
        assert torch.equal(value, tensors[key]), key
    with pytest.raises(CheckpointError):
        small("mnist-vae-cnn").prepare(data, None, CPU, {"other": torch.zeros(3)})


@pytest.mark.parametrize("change", ["alpha=0.5", "samples=5", "beta=4", "prior_deviation=0.5"])
def test_the_other_objectives_run_too(run: Callable[..., Report], change: str) -> None:
    objective = ("alpha=0.5",) if change.startswith("prior") else ()
    report = run("mnist-restore", "steps=2", *objective, change)
    assert math.isfinite(report.loss)


def test_skip_connections_reach_the_decoder(data: Path) -> None:
    """Inverted copies of one digit that differ in a pixel give different pictures."""
    network = cast(Any, prepare("mnist-restore-skip", data).network)
    y = pixels(read_mnist(data).test, slice(0, 1))
    with torch.no_grad():
        mean, _ = network.prior(y)
        assert not torch.equal(network.decode(mean, network.prior(1 - y)[1]), network(y))
