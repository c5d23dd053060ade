"""Training of low-light networks: objectives, what is saved, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dark_tasks import CPU, PLAIN, direct, loss, prepare, random, tiny, write_photos
from PIL import Image
from safetensors.torch import load_file

from enhance_cli.architectures import ARCHITECTURES, pix2pix
from enhance_cli.colour import LUMINANCE, compress_range, noise_planes, render
from enhance_cli.engine.checkpoint import build, load_network, read_checkpoint_info
from enhance_cli.errors import CheckpointError, UsageError
from enhance_cli.metrics.quality import psnr
from enhance_cli.training.lowlight import LowLight, LowLightStage
from enhance_cli.training.objectives import HybridObjective
from enhance_cli.training.optimisation import step_generator
from enhance_cli.training.overrides import override
from enhance_cli.training.recipes import RECIPES
from enhance_cli.training.run import run_recipe
from enhance_cli.training.stages import Recipe

OBJECTIVES = {
    "elbo": HybridObjective(alpha=1.0),
    "half, divided": HybridObjective(alpha=0.5, divided=True),
    "half, undivided": HybridObjective(alpha=0.5),
    "half, divided, at the mean": HybridObjective(alpha=0.5, divided=True, prior_deviation=0.0),
    "gsnn": HybridObjective(alpha=0.0),
    "two samples": HybridObjective(alpha=0.5, samples=2),
    "plain": PLAIN,
}
LOWLIGHT = [name for name in RECIPES if isinstance(RECIPES[name].stages[-1], LowLightStage)]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_photos(tmp_path_factory.mktemp("photos"))


def mean_loss(task: LowLight) -> float:
    with torch.no_grad():
        return sum(loss(task, step).item() for step in range(1000, 1006)) / 6


# --- objectives ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "source"),
    [*((name, "raw") for name in OBJECTIVES), ("plain", "srgb"), ("half, divided", "srgb")],
)
def test_training_lowers_the_loss(photos: Path, name: str, source: str) -> None:
    task = prepare(tiny(OBJECTIVES[name], config={"source": source}), photos)
    assert task.network.training
    before = mean_loss(task)
    score = task.validate(task.network.eval())
    optimiser = torch.optim.Adam(task.network.parameters(), lr=1e-2)
    task.network.train()
    for step in range(20):
        optimiser.zero_grad()
        loss(task, step).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    assert mean_loss(task) < 0.97 * before
    assert task.validate(task.network.eval()) > score + 0.1


def test_relative_losses_weigh_every_picture_alike(photos: Path) -> None:
    """The mean of logarithms: of single pictures, whatever their own size."""
    plain, relative = (prepare(tiny(relative=flag), photos) for flag in (False, True))
    with torch.no_grad():
        singles = [(loss(plain, 3, slice(i, i + 1)) + 1e-5).log() for i in range(4)]
        assert torch.allclose(loss(relative, 3), torch.stack(singles).mean(), atol=1e-5)


def test_relative_squared_errors_are_the_psnr(photos: Path) -> None:
    """But for sign and scale, for the share of the compressed values, and above 50 dB."""
    task = prepare(tiny(relative=True, error="squared"), photos)
    pairs = task.source.draw(4, step_generator(1, 3))
    with torch.no_grad():
        made, truth = task.network(pairs.dark), pairs.clean
        shown, target = (render(part, pairs.camera_to_srgb, "camera") for part in (made, truth))
        errors = (shown - target).square() + 0.1 * (
            compress_range(made) - compress_range(truth)
        ).square()
        expected = (errors.flatten(1).mean(1) / 2 + 1e-5).log().mean()
        assert loss(task, 3).item() == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_parameter_learns_and_no_other_is_made(photos: Path, name: str) -> None:
    objective = OBJECTIVES[name]
    task = prepare(tiny(objective), photos)
    for step in range(3):  # weights that start at nothing pass nothing on
        loss(task, step).backward()  # type: ignore[no-untyped-call]
    for key, parameter in task.network.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
    encoder = any(key.startswith("encoder.") for key, _ in task.network.named_parameters())
    assert encoder == (objective.alpha > 0)


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"colours": 1},
        {"source": "srgb"},
        {"source": "srgb", "colours": 1},
        {"noise_plane": True},
        {"source": "srgb", "noise_plane": True, "bounded": True},
    ],
)
def test_plain_loss_by_hand(photos: Path, config: dict[str, Any]) -> None:
    """The error of what is shown, and a tenth of that of compressed values."""
    task = prepare(tiny(config=config), photos)
    contract = task.model.contract
    pairs = task.source.draw(4, step_generator(1, 5))
    y, clean = pairs.dark, pairs.clean
    y = torch.cat([y, noise_planes(y, contract.channels_in - y.shape[1])], 1)
    if contract.channels_out == 1:
        clean = (clean * LUMINANCE.view(3, 1, 1)).sum(1, keepdim=True)
    curve = "srgb" if config.get("source") == "srgb" else "camera"
    with torch.no_grad():
        made = task.network(y)
    shown, target = (render(part, pairs.camera_to_srgb, curve) for part in (made, clean))
    expected = (shown - target).abs().mean() + 0.1 * (
        compress_range(made) - compress_range(clean)
    ).abs().mean()
    assert loss(task, 5).item() == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize("step", [0, 7])
def test_losses_of_the_shares_average_to_the_loss(photos: Path, step: int) -> None:
    """Of the plain loss: samples of codes differ between numbers of processes."""
    for source in ("raw", "srgb"):
        task = prepare(tiny(PLAIN, config={"source": source}), photos)
        with torch.no_grad():
            whole, even, odd = (
                loss(task, step, share).item()
                for share in (slice(None), slice(0, None, 2), slice(1, None, 2))
            )
        assert whole == pytest.approx((even + odd) / 2, rel=1e-5)
        assert even != pytest.approx(odd, rel=1e-3)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_loss_is_a_function_of_step_and_seed(photos: Path, name: str) -> None:
    losses = []
    for _ in range(2):
        task = prepare(tiny(OBJECTIVES[name]), photos)
        torch.rand(7)  # whatever was drawn in between
        losses.append([loss(task, step).item() for step in (0, 1, 0)])
    assert losses[0] == losses[1]
    assert losses[0][0] == losses[0][2] != losses[0][1]


def test_dropout_is_a_function_of_step_and_seed_too(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a resumed run is not the whole one."""
    monkeypatch.setattr(pix2pix, "_WIDTHS", (2,) * 7)
    monkeypatch.setattr(pix2pix, "LATENT", 2)
    task = direct("pix2pix", {})
    task.network.train()
    with torch.no_grad():
        for parameter in task.network.parameters():
            parameter.mul_(20)
        assert loss(task).item() == loss(task).item()


def test_validation_is_the_mean_psnr_of_what_is_shown(photos: Path) -> None:
    task = prepare(tiny(), photos)
    scores = []
    for pairs in task.source.validation():
        assert len(pairs.dark) == 1
        with torch.no_grad():
            made = task.network(pairs.dark)
        shown, target = (
            render(part, pairs.camera_to_srgb, "camera") for part in (made, pairs.clean)
        )
        scores.append(psnr(shown, target, 1.0))
    assert len(scores) == 3
    with torch.no_grad():
        assert task.validate(task.network) == pytest.approx(np.mean(scores), abs=1e-3)


# --- what is saved ---------------------------------------------------------------------------


@pytest.mark.parametrize("objective", [PLAIN, HybridObjective(alpha=0.5, divided=True)])
def test_a_run_saves_the_test_time_network(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, objective: HybridObjective
) -> None:
    monkeypatch.setitem(RECIPES, "tiny", Recipe("tiny", "", (tiny(objective),)))
    report = run_recipe("tiny", photos, out=tmp_path / "run", device="cpu", quiet=True)
    assert report.step == 8
    for name in ("tiny", "last"):
        path = tmp_path / "run" / f"{name}.safetensors"
        info = read_checkpoint_info(path)
        assert info.name == "tiny"
        assert info.training["data"] == "2 photographs"
        assert info.training["recipe"]["objective"]["alpha"] == objective.alpha
        assert info.training["step"] in (4, 8)
        network = load_network(info)
        assert set(load_file(path)) == set(network.state_dict())
        with torch.no_grad():
            assert network(random(1, 4, 16, 32)).shape == (1, 3, 32, 64)
    best = read_checkpoint_info(tmp_path / "run" / "tiny.safetensors")
    assert best.training["validation_psnr"] == pytest.approx(report.best, abs=1e-4)
    state = load_file(tmp_path / "run" / "state.safetensors")
    assert any("encoder." in key for key in state) == (objective.alpha > 0)


def test_the_same_run_makes_the_same_weights_however_often_it_is_stopped(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = tiny(HybridObjective(alpha=0.5, divided=True))
    monkeypatch.setitem(RECIPES, "tiny", Recipe("tiny", "", (stage,)))
    for name in ("one", "two"):
        run_recipe("tiny", photos, out=tmp_path / name, device="cpu", quiet=True)
    for step in range(8):
        run_recipe(
            "tiny",
            photos,
            out=tmp_path / "parts",
            device="cpu",
            quiet=True,
            minutes=0,
            resume=step > 0,
        )
    first = load_file(tmp_path / "one" / "last.safetensors")
    for other in ("two", "parts"):
        second = load_file(tmp_path / other / "last.safetensors")
        for key, value in first.items():
            assert torch.equal(value, second[key]), (other, key)


# --- starting weights ------------------------------------------------------------------------


def test_grey_starts_from_what_fits_of_colour(photos: Path) -> None:
    torch.manual_seed(5)
    architecture = ARCHITECTURES["sid-fcn"]
    colour = build(architecture, architecture.config(width=2, latent=2)).state_dict()
    made = prepare(tiny(config={"colours": 1}), photos, init=colour).model.state_dict()
    fresh = prepare(tiny(config={"colours": 1}), photos).model.state_dict()
    taken = {key for key, value in made.items() if value.shape == colour[key].shape}
    assert "down.blocks.0.0.weight" in taken
    assert "out.weight" not in taken
    assert len(taken) > 0.7 * len(made)
    for key, value in made.items():
        assert torch.equal(value, (colour if key in taken else fresh)[key]), key


def test_an_encoder_s_weights_fit_nowhere(photos: Path) -> None:
    task = prepare(tiny(HybridObjective()), photos)
    own = {f"encoder.{k}": v for k, v in task.training_model.encoder.state_dict().items()}
    with pytest.raises(CheckpointError, match="--init") as caught:
        prepare(tiny(), photos, init=own)
    assert "\n" not in str(caught.value)


# --- what is refused -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recipe", "patch", "rule"),
    [
        ("sid-fcn", 0, "a multiple of 32"),
        ("sid-fcn", -32, "a multiple of 32"),
        ("sid-fcn", 48, "a multiple of 32"),
        ("sid-fcn-srgb", 16, "a multiple of 32"),
        ("sid-net-small", 256, "must be 512"),
        ("sid-net-srgb", 512, "must be 256"),
        ("pix2pix", 192, "must be 512"),
    ],
)
def test_patches_that_do_not_fit(
    photos: Path, recipe: str, patch: int, rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pix2pix, "_WIDTHS", (2,) * 7)
    settings = [f"patch={patch}"]
    if recipe != "pix2pix":
        settings += ["width=1", "latent=2"]
    with pytest.raises(UsageError) as caught:
        override(RECIPES[recipe].stages[-1], settings).prepare(photos, None, CPU)
    assert f"--set patch={patch}: must be" in str(caught.value)
    assert rule in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("assignment", ["width=0", "latent=0", "colours=2", "source=jpeg"])
def test_networks_that_cannot_be(assignment: str) -> None:
    with pytest.raises(UsageError) as caught:
        override(RECIPES["sid-fcn"].stages[0], [assignment]).make_network(None)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("recipe", "setting"), [("sid-fcn", "colours=1"), ("sid-fcn-grey", "source=srgb")]
)
def test_a_recipe_keeps_what_goes_in_and_out(
    photos: Path, tmp_path: Path, recipe: str, setting: str
) -> None:
    with pytest.raises(UsageError, match="another model"):
        run_recipe(recipe, photos, out=tmp_path / "run", overrides=[setting], quiet=True)
    assert not (tmp_path / "run").exists()


# --- recipes ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def large_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("large")
    for index in range(2):
        rough = (random(3, 20, 20, seed=index) * 255).to(torch.uint8)
        Image.fromarray(rough.permute(1, 2, 0).numpy()).resize((520, 516)).save(
            folder / f"{index}.png"
        )
    return folder


@pytest.mark.parametrize("name", LOWLIGHT)
def test_every_recipe_takes_a_step(
    large_photos: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pix2pix, "_WIDTHS", (2,) * 7)
    monkeypatch.setattr(pix2pix, "LATENT", 3)
    settings = ["batch=2"]
    settings += [] if name == "pix2pix" else ["width=1", "latent=3"]
    settings += ["patch=64"] if name.startswith("sid-fcn") else []
    task = override(RECIPES[name].stages[-1], settings).prepare(large_photos, None, CPU)
    value = task.loss(0, step_generator(0, 0), slice(None))
    value.backward()
    assert value.isfinite()
    assert task.data == "1 photographs"
    assert task.unit == "dB"
    with torch.no_grad():
        assert 0 < task.validate(task.network.eval()) < 100
