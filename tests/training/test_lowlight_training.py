"""Training of low-light networks: darkness, objectives, what is saved, and what is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from enhance_cli.architectures import ARCHITECTURES, pix2pix
from enhance_cli.colour import LUMINANCE, compress_range, estimate_noise, linear_to_srgb, render
from enhance_cli.data.darkness import DarkPairs, pack
from enhance_cli.engine.checkpoint import build, load_network, read_checkpoint_info
from enhance_cli.errors import CheckpointError, DatasetError, UsageError
from enhance_cli.metrics.quality import psnr
from enhance_cli.resize import imresize
from enhance_cli.training.loop import Optimisation, step_generator
from enhance_cli.training.lowlight import LowLight, LowLightRecipe, TrainingModel, make_example
from enhance_cli.training.objectives import Objective
from enhance_cli.training.recipes import RECIPES
from enhance_cli.training.run import override, run_recipe

CPU = torch.device("cpu")
PLAIN = Objective(alpha=0.0, prior_deviation=0.0)
OBJECTIVES = {
    "elbo": Objective(alpha=1.0),
    "half, divided": Objective(alpha=0.5, divided=True),
    "half, undivided": Objective(alpha=0.5),
    "half, divided, at the mean": Objective(alpha=0.5, divided=True, prior_deviation=0.0),
    "gsnn": Objective(alpha=0.0),
    "two samples": Objective(alpha=0.5, samples=2),
    "plain": PLAIN,
}
LOWLIGHT = [name for name, recipe in RECIPES.items() if isinstance(recipe, LowLightRecipe)]


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for index in range(3):
        rough = random(3, 8, 9, seed=index)
        image = (imresize(rough, 12)[:, :96, :101].clamp(0, 1) * 255).round().to(torch.uint8)
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / f"{index}.png")
    return folder


def tiny(objective: Objective = PLAIN, **changes: Any) -> LowLightRecipe:
    config = {"width": 2, "latent": 2} | changes.pop("config", {})
    recipe = LowLightRecipe(
        name="tiny",
        summary="for the tests",
        architecture="sid-fcn",
        config=config,
        patch=32,
        batch=4,
        objective=objective,
        optimisation=Optimisation(steps=8, learning_rate=3e-3, validate_every=4, seed=1),
    )
    return replace(recipe, **changes)


def prepare(recipe: LowLightRecipe, photos: Path, **options: Any) -> LowLight:
    made = recipe.prepare(photos, photos, CPU, **options)
    assert isinstance(made, LowLight)
    return made


def loss(experiment: LowLight, step: int = 0, share: slice = slice(None)) -> Tensor:
    return experiment.loss(step, step_generator(1, step), share)


def mean_loss(experiment: LowLight) -> float:
    with torch.no_grad():
        return sum(loss(experiment, step).item() for step in range(1000, 1006)) / 6


# --- objectives ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "source"),
    [*((name, "raw") for name in OBJECTIVES), ("plain", "srgb"), ("half, divided", "srgb")],
)
def test_training_lowers_the_loss(photos: Path, name: str, source: str) -> None:
    experiment = prepare(tiny(OBJECTIVES[name], config={"source": source}), photos)
    assert experiment.network.training
    before = mean_loss(experiment)
    score = experiment.validate(experiment.network.eval())
    optimiser = torch.optim.Adam(experiment.network.parameters(), lr=1e-2)
    experiment.network.train()
    for step in range(20):
        optimiser.zero_grad()
        loss(experiment, step).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    assert mean_loss(experiment) < 0.97 * before
    assert experiment.validate(experiment.network.eval()) > score + 0.1


def test_relative_losses_weigh_every_picture_alike(photos: Path) -> None:
    """The mean of logarithms: of single pictures, whatever their own size."""
    plain, relative = (prepare(tiny(relative=flag), photos) for flag in (False, True))
    with torch.no_grad():
        singles = [loss(plain, 3, slice(i, i + 1)).log() for i in range(4)]
        assert torch.allclose(loss(relative, 3), torch.stack(singles).mean(), atol=1e-5)


def test_relative_squared_errors_are_the_psnr(photos: Path) -> None:
    """But for sign and scale, and for the share of the compressed values."""
    experiment = prepare(tiny(relative=True, error="squared"), photos)
    pairs = experiment.source.draw(4, step_generator(1, 3))
    with torch.no_grad():
        made, truth = experiment.network(pairs.dark), pairs.clean
        shown, target = (render(part, pairs.camera_to_srgb, "camera") for part in (made, truth))
        errors = (shown - target).square() + 0.1 * (
            compress_range(made) - compress_range(truth)
        ).square()
        expected = (errors.flatten(1).mean(1) / 2).log().mean()
        assert loss(experiment, 3).item() == pytest.approx(float(expected), rel=1e-4)


def test_srgb_is_validated_on_both_kinds_of_files(photos: Path) -> None:
    pairs = list(prepare(tiny(config={"source": "srgb"}), photos).source.validation())
    assert [len(pair.dark) for pair in pairs] == [2, 2, 2]
    assert [len(pair.dark) for pair in prepare(tiny(), photos).source.validation()] == [1, 1, 1]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_parameter_learns_and_no_other_is_made(photos: Path, name: str) -> None:
    objective = OBJECTIVES[name]
    experiment = prepare(tiny(objective), photos)
    for step in range(3):  # weights that start at nothing pass nothing on
        loss(experiment, step).backward()  # type: ignore[no-untyped-call]
    for key, parameter in experiment.network.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
    encoder = any(key.startswith("encoder.") for key, _ in experiment.network.named_parameters())
    assert encoder == (objective.alpha > 0)


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"colours": 1},
        {"source": "srgb"},
        {"source": "srgb", "colours": 1},
        {"noise_plane": True},
        {"source": "srgb", "noise_plane": True},
    ],
)
def test_plain_loss_by_hand(photos: Path, config: dict[str, Any]) -> None:
    """The error of what is shown, and a tenth of that of compressed values."""
    experiment = prepare(tiny(config=config), photos)
    contract = experiment.model.network.contract
    pairs = experiment.source.draw(4, step_generator(1, 5))
    y, clean = pairs.dark, pairs.clean
    if contract.channels_in > y.shape[1]:
        noise = estimate_noise(compress_range(y)).view(4, 1, 1, 1).expand(-1, 1, *y.shape[-2:])
        y = torch.cat([y, noise], 1)
    if contract.channels_out == 1:
        clean = (clean * LUMINANCE.view(3, 1, 1)).sum(1, keepdim=True)
    curve = "srgb" if config.get("source") == "srgb" else "camera"
    with torch.no_grad():
        made = experiment.network(y)
    shown, target = (render(part, pairs.camera_to_srgb, curve) for part in (made, clean))
    expected = (shown - target).abs().mean() + 0.1 * (
        compress_range(made) - compress_range(clean)
    ).abs().mean()
    assert loss(experiment, 5).item() == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize("step", [0, 7])
def test_losses_of_the_shares_average_to_the_loss(photos: Path, step: int) -> None:
    """Of the plain loss: samples of codes differ between numbers of processes."""
    for source in ("raw", "srgb"):
        experiment = prepare(tiny(PLAIN, config={"source": source}), photos)
        with torch.no_grad():
            whole, even, odd = (
                loss(experiment, step, share).item()
                for share in (slice(None), slice(0, None, 2), slice(1, None, 2))
            )
        assert whole == pytest.approx((even + odd) / 2, rel=1e-5)
        assert even != pytest.approx(odd, rel=1e-3)


def test_more_processes_than_a_batch_holds(photos: Path) -> None:
    experiment = prepare(tiny(batch=2), photos)
    with pytest.raises(UsageError, match="batch=2") as caught:
        loss(experiment, 0, slice(2, None, 3))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_loss_is_a_function_of_step_and_seed(photos: Path, name: str) -> None:
    losses = []
    for _ in range(2):
        experiment = prepare(tiny(OBJECTIVES[name]), photos)
        torch.rand(7)  # whatever was drawn in between
        losses.append([loss(experiment, step).item() for step in (0, 1, 0)])
    assert losses[0] == losses[1]
    assert losses[0][0] == losses[0][2] != losses[0][1]


def test_dropout_is_a_function_of_step_and_seed_too(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a resumed run is not the whole one."""
    monkeypatch.setattr(pix2pix, "_WIDTHS", (2,) * 7)
    monkeypatch.setattr(pix2pix, "LATENT", 2)
    experiment = direct("pix2pix", {})
    experiment.network.train()
    with torch.no_grad():
        for parameter in experiment.network.parameters():
            parameter.mul_(20)
        assert loss(experiment).item() == loss(experiment).item()


# --- examples --------------------------------------------------------------------------------


class Fixed:
    """The same pairs each time."""

    summary = "fixed pairs"

    def __init__(self, pairs: DarkPairs) -> None:
        self.pairs = pairs

    def draw(self, count: int, generator: torch.Generator) -> DarkPairs:
        return self.pairs

    def validation(self) -> Any:
        return iter([self.pairs.take(slice(0, 1))])


def some_pairs(planes: int, side: int, count: int = 1) -> DarkPairs:
    clean = random(count, 3, side, side, seed=1)
    dark = pack(clean) if planes == 4 else clean
    dark = dark * 1.5 - 0.2
    matrix = torch.tensor([[1.4, -0.3, -0.1], [-0.2, 1.3, -0.1], [0.0, -0.4, 1.4]])
    return DarkPairs(dark, clean, matrix.expand(count, 3, 3))


def direct(architecture: str, config: dict[str, Any], planes: int = 4) -> LowLight:
    """An experiment of a network that works on patches, without photographs of 512 pixels."""
    torch.manual_seed(0)
    made = ARCHITECTURES[architecture]
    network = build(made, made.config(**config))
    recipe = LowLightRecipe(
        name="tiny", summary="", architecture=architecture, config=config, patch=512, batch=1
    )
    pairs = some_pairs(planes, 512 if planes == 4 else 256)
    return LowLight(recipe, TrainingModel(network, True), Fixed(pairs))


@pytest.mark.parametrize(("planes", "grey"), [(4, False), (4, True), (3, False), (3, True)])
def test_the_thesis_s_networks_see_patches(planes: int, grey: bool) -> None:
    """Half the sensor's size for RAW, the file's for sRGB."""
    config = {"width": 1, "latent": 2, "channels_in": planes, "channels_out": 1 if grey else 3}
    experiment = direct("sid-net", config, planes)
    pairs = next(iter(experiment.source.validation()))
    example = make_example(pairs, experiment.model.network.contract)
    means = torch.nn.functional.avg_pool2d(pairs.clean, 2) if planes == 4 else pairs.clean
    curve = "camera" if planes == 4 else "srgb"
    assert torch.allclose(example.target, render(means, pairs.camera_to_srgb, curve, grey))
    assert torch.equal(example.x, example.target)
    assert example.y.shape == (1, planes, 256, 256)
    assert example.y.min() == 0
    assert example.y.max() <= 1
    if planes == 4:
        assert torch.equal(example.y, pairs.dark.clamp(0, 1))
    else:
        assert torch.allclose(example.y, linear_to_srgb(pairs.dark.clamp(0, 1)))
    estimate = random(*example.target.shape, seed=4) * 2 - 0.5
    assert torch.allclose(
        example.error(estimate), (estimate - example.target).abs().sum((1, 2, 3)), rtol=1e-5
    )
    assert torch.equal(example.show(estimate), estimate.clamp(0, 1))
    assert loss(experiment).item() > 0


def test_the_error_of_the_clean_picture_is_nothing() -> None:
    for config in ({}, {"colours": 1}, {"source": "srgb"}):
        network = build(
            ARCHITECTURES["sid-fcn"],
            ARCHITECTURES["sid-fcn"].config(width=1, latent=1, **config),
            "meta",
        )
        planes = 3 if "source" in config else 4
        pairs = some_pairs(planes, 32, 2)
        example = make_example(pairs, network.contract)  # type: ignore[arg-type]
        assert example.error(example.x).tolist() == [0, 0]
        assert torch.equal(example.show(example.x), example.target)
        assert (example.error(example.x + 0.01) > 0).all()


def test_validation_is_the_mean_psnr_of_what_is_shown(photos: Path) -> None:
    experiment = prepare(tiny(), photos)
    scores = []
    for pairs in experiment.source.validation():
        assert len(pairs.dark) == 1
        with torch.no_grad():
            made = experiment.network(pairs.dark)
        shown, target = (
            render(part, pairs.camera_to_srgb, "camera") for part in (made, pairs.clean)
        )
        scores.append(psnr(shown, target, 1.0))
    assert len(scores) == 3
    with torch.no_grad():
        assert experiment.validate(experiment.network) == pytest.approx(np.mean(scores), abs=1e-3)


def test_validation_is_the_same_each_time(photos: Path) -> None:
    one, other = (prepare(tiny(seed_of), photos) for seed_of in (PLAIN, Objective()))
    loss(one, 3)
    for first, second, again in zip(
        one.source.validation(), other.source.validation(), one.source.validation(), strict=True
    ):
        assert torch.equal(first.dark, second.dark)
        assert torch.equal(first.dark, again.dark)
        assert torch.equal(first.clean, second.clean)


def test_batches_are_of_the_recipe_s_patch_and_ratios(photos: Path) -> None:
    experiment = prepare(tiny(low_ratio=2.0, high_ratio=3.0, batch=6, patch=64), photos)
    pairs = experiment.source.draw(6, step_generator(1, 0))
    assert pairs.dark.shape == (6, 4, 32, 32)
    assert pairs.clean.shape == (6, 3, 64, 64)
    # At so small a ratio the dark picture resembles the clean one.
    likeness = torch.corrcoef(torch.stack([pairs.dark.flatten(), pack(pairs.clean).flatten()]))
    assert likeness[0, 1] > 0.7


@pytest.mark.parametrize("source", ["raw", "srgb"])
def test_noise_is_another_at_every_step(tmp_path: Path, source: str) -> None:
    """Or a network could learn it by heart."""
    for index in range(2):
        Image.new("RGB", (40, 40), (120, 120, 120)).save(tmp_path / f"{index}.png")
    recipe = tiny(config={"source": source}, low_ratio=20.0, high_ratio=20.0, batch=16)
    experiment = prepare(recipe, tmp_path)

    def noise(step: int) -> Tensor:
        dark = experiment.source.draw(16, step_generator(1, step)).dark
        centred = dark - dark.mean((2, 3), keepdim=True)
        return (centred / (centred.std((2, 3), keepdim=True) + 1e-6)).flatten()

    assert torch.equal(noise(0), noise(0))
    first, second = noise(0), noise(1)
    assert torch.corrcoef(torch.stack([first, second]))[0, 1].abs() < 0.1
    # Nor is it the same for the pictures of a batch.
    halves = first.view(2, -1)
    assert torch.corrcoef(halves)[0, 1].abs() < 0.1


# --- what is saved ---------------------------------------------------------------------------


@pytest.mark.parametrize("objective", [PLAIN, Objective(alpha=0.5, divided=True)])
def test_a_run_saves_the_test_time_network(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, objective: Objective
) -> None:
    monkeypatch.setitem(RECIPES, "tiny", tiny(objective))
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
    monkeypatch.setitem(RECIPES, "tiny", tiny(Objective(alpha=0.5, divided=True)))
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
    made = prepare(tiny(config={"colours": 1}), photos, init=colour).model.network.state_dict()
    fresh = prepare(tiny(config={"colours": 1}), photos).model.network.state_dict()
    taken = {key for key, value in made.items() if value.shape == colour[key].shape}
    assert "down.blocks.0.0.weight" in taken
    assert "out.weight" not in taken
    assert len(taken) > 0.7 * len(made)
    for key, value in made.items():
        assert torch.equal(value, (colour if key in taken else fresh)[key]), key


def test_an_encoder_s_weights_fit_nowhere(photos: Path) -> None:
    experiment = prepare(tiny(Objective()), photos)
    own = {f"encoder.{k}": v for k, v in experiment.model.encoder.state_dict().items()}
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
        override(RECIPES[recipe], settings).prepare(photos, None, CPU)
    assert f"--set patch={patch}: must be" in str(caught.value)
    assert rule in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "assignment",
    [
        "low_ratio=0.5",
        "high_ratio=2",
        "batch=0",
        "alpha=1.5",
        "beta=-1",
        "samples=0",
        "prior_deviation=-1",
        "architecture=resnet",
        "learning_rate=-1",
        "alpha=NaN",
        "error=cubic",
    ],
)
def test_settings_that_no_run_can_use(assignment: str) -> None:
    with pytest.raises(UsageError) as caught:
        override(RECIPES["sid-fcn"], [assignment])
    assert assignment.split("=")[0] in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("assignment", ["width=0", "latent=0", "colours=2", "source=jpeg"])
def test_networks_that_cannot_be(photos: Path, assignment: str) -> None:
    with pytest.raises(UsageError) as caught:
        override(RECIPES["sid-fcn"], [assignment]).prepare(photos, None, CPU)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("setting", ["colours=1", "source=srgb"])
def test_a_recipe_keeps_what_goes_in_and_out(photos: Path, tmp_path: Path, setting: str) -> None:
    with pytest.raises(UsageError, match="another model"):
        run_recipe("sid-fcn", photos, out=tmp_path / "run", overrides=[setting], quiet=True)
    assert not (tmp_path / "run").exists()


def test_photographs_that_hold_no_patch(photos: Path) -> None:
    with pytest.raises(DatasetError, match="128x128"):
        prepare(tiny(patch=128), photos)


def test_photographs_too_small_to_validate_on(photos: Path, tmp_path: Path) -> None:
    Image.new("RGB", (31, 200)).save(tmp_path / "small.png")
    with pytest.raises(DatasetError, match="as large as 32"):
        tiny().prepare(photos, tmp_path, CPU)


def test_held_out_photographs_are_cut_in_the_middle(photos: Path, tmp_path: Path) -> None:
    pixels = np.zeros((33, 100, 3), np.uint8)
    pixels[:, 2:98] = 255
    Image.fromarray(pixels).save(tmp_path / "framed.png")
    (pairs,) = tiny().prepare(photos, tmp_path, CPU).source.validation()
    assert pairs.clean.shape == (1, 3, 32, 96)
    assert pairs.clean.min() > 0.99  # the frame is outside


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
    large_photos: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pix2pix, "_WIDTHS", (2,) * 7)
    monkeypatch.setattr(pix2pix, "LATENT", 3)
    settings = ["batch=2"]
    settings += [] if name == "pix2pix" else ["width=1", "latent=3"]
    settings += ["patch=64"] if name.startswith("sid-fcn") else []
    experiment = override(RECIPES[name], settings).prepare(large_photos, None, CPU)
    value = experiment.loss(0, step_generator(0, 0), slice(None))
    value.backward()
    assert value.isfinite()
    assert experiment.data == "1 photographs"
    assert experiment.unit == "dB"
    with torch.no_grad():
        assert 0 < experiment.validate(experiment.network.eval()) < 100
    path = tmp_path / "model.safetensors"
    experiment.save(path, experiment.network.state_dict(), 3, 20.5)
    info = read_checkpoint_info(path)
    assert info.name == name
    assert info.training["validation_psnr"] == 20.5
    load_network(info)


def test_objectives_of_the_recipes() -> None:
    """Table 3 and ch. 6.1.5: beta is 2, for Pix2Pix 10; batches of 5, Adam at 1e-4."""
    for name in LOWLIGHT:
        recipe = RECIPES[name]
        if name.startswith("sid-fcn"):
            continue
        assert recipe.batch == 5
        assert recipe.objective == Objective(beta=10.0 if name == "pix2pix" else 2.0)
        assert recipe.optimisation.learning_rate == 1e-4
        assert recipe.optimisation.steps == 4000 * 161 // 5
