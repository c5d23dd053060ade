"""From options to a run: overrides, data, starting weights, and what a user is told."""

import json
import signal
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from enhance_cli.architectures import ARCHITECTURES, MODELS
from enhance_cli.engine.checkpoint import (
    build,
    load_network,
    read_checkpoint_info,
    save_checkpoint,
)
from enhance_cli.errors import CheckpointError, DatasetError, UnknownNameError, UsageError
from enhance_cli.resize import imresize
from enhance_cli.training import run as run_module
from enhance_cli.training.loop import Optimisation, Report, step_generator
from enhance_cli.training.recipes import RECIPES
from enhance_cli.training.resume import CURVE_COLUMNS
from enhance_cli.training.run import _names, list_recipes, override, run_recipe
from enhance_cli.training.superres import SuperResolutionRecipe

CPU = torch.device("cpu")
RECIPE = RECIPES["enet-e-x4"]
SUPERRES = [name for name in RECIPES if RECIPES[name].architecture == "enhancenet"]
TINY = ("channels=8", "blocks=1", "patch=8", "batch=4", "steps=4", "validate_every=2")


def photo(seed: int, height: int = 50, width: int = 45) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    rough = torch.rand(3, height // 4 + 1, width // 4 + 1, generator=generator)
    return (imresize(rough, 4)[:, :height, :width].clamp(0, 1) * 255).round().to(torch.uint8)


def write(path: Path, image: Tensor) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(path)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for index in range(3):
        write(tmp_path / "photos" / f"{index}.png", photo(index))
    return tmp_path / "photos"


def run(
    data: Path, out: Path, *overrides: str, recipe: str = "enet-e-x4", **options: Any
) -> Report:
    options = {"device": "cpu", "quiet": True} | options
    return run_recipe(recipe, data, out=out, overrides=(*TINY, *overrides), **options)


# --- overrides -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("assignment", "path", "value"),
    [
        ("patch=48", "patch", 48),
        ("l1_share=0.5", "l1_share", 0.5),
        ("l1_share=1", "l1_share", 1.0),
        ("steps=10", "optimisation.steps", 10),
        ("learning_rate=5e-4", "optimisation.learning_rate", 5e-4),
        ("schedule=constant", "optimisation.schedule", "constant"),
        ('schedule="one-cycle"', "optimisation.schedule", "one-cycle"),
        ("betas=[0.5, 0.6]", "optimisation.betas", (0.5, 0.6)),
        ("scale=2", "config.scale", 2),
        ("channels=16", "config.channels", 16),
    ],
)
def test_override_changes_one_value(assignment: str, path: str, value: object) -> None:
    before = asdict(RECIPE)
    changed = asdict(override(RECIPE, [assignment]))
    assert asdict(RECIPE) == before
    expected = dict(before)
    inner = expected
    *way, last = path.split(".")
    for name in way:
        inner[name] = dict(inner[name])
        inner = inner[name]
    inner[last] = value
    assert changed == expected
    assert type(inner[last]) is type(value)


def test_overrides_are_made_in_order_and_value_may_hold_an_equals_sign() -> None:
    changed = override(RECIPE, ["steps=1", "patch=9", "steps=2", "summary=a=b"])
    assert (changed.optimisation.steps, changed.patch, changed.summary) == (2, 9, "a=b")
    assert override(RECIPE, []) == RECIPE


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_name_that_the_message_lists_can_be_set(name: str) -> None:
    recipe = RECIPES[name]
    with pytest.raises(UnknownNameError) as caught:
        override(recipe, ["no_such_value=1"])
    listed = str(caught.value).split("choose from ")[1].split(", ")
    values: dict[str, object] = {}
    parts = [asdict(recipe)]
    for part in parts:
        values |= {k: v for k, v in part.items() if not isinstance(v, dict)}
        parts += [v for v in part.values() if isinstance(v, dict)]
    assert len(listed) == len(set(listed))  # or one of two could never be set
    assert sorted(listed) == sorted(values)
    for key in listed:
        assert override(recipe, [f"{key}={json.dumps(values[key])}"]) == recipe


def test_unknown_name_is_suggested() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'learning_rate'") as caught:
        override(RECIPE, ["learning_rat=1"])
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
        "patch=null",
        "steps=true",
        "learning_rate=high",
        "learning_rate=true",
        "betas=0.9",
        "schedule=3",
        "scale=[4]",
        "scale=4.0",
        "config={}",
        "optimisation=3",
    ],
)
def test_values_of_another_type_are_refused(assignment: str) -> None:
    with pytest.raises(UsageError) as caught:
        override(RECIPE, [assignment])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "assignment",
    [
        "schedule=linear",
        "architecture=resnet",
        "scale=3",
        "validate_every=0",
        "steps=0",
        "batch=0",
        "patch=0",
        "betas=[0.9]",
        "learning_rate=NaN",
        "channels=0",
    ],
)
def test_values_that_no_run_can_use_are_refused(
    photos: Path, tmp_path: Path, assignment: str
) -> None:
    """Neither a traceback nor, as for an unknown schedule, another one in silence."""
    with pytest.raises(UsageError) as caught:
        run(photos, tmp_path / "run", assignment)
    # With another scale it would be another model, which is said instead.
    told = "another model" if "scale" in assignment else assignment.split("=")[0]
    assert told in str(caught.value)
    assert not (tmp_path / "run").exists()


# --- recipes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_recipe_can_be_built(name: str) -> None:
    recipe = RECIPES[name]
    assert recipe.name == name
    architecture = ARCHITECTURES[recipe.architecture]
    network = build(architecture, architecture.config(**recipe.config), "meta")
    if name in MODELS:
        assert recipe.architecture == MODELS[name].architecture
        assert architecture.config(**recipe.config) == MODELS[name].config
    if architecture.task == "superres":
        assert f"x{network.contract.scale}" in name
    assert recipe.batch > 0
    assert recipe.summary
    assert "\n" not in recipe.summary


def test_every_model_has_a_recipe() -> None:
    assert set(MODELS) <= set(RECIPES)


def test_list_names_every_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    list_recipes()
    lines = capsys.readouterr().out.splitlines()
    for recipe in RECIPES.values():
        assert any(line.startswith(recipe.name) for line in lines)


def test_unknown_recipe(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'enet-e-x4'"):
        run(photos, tmp_path / "run", recipe="enet-x4")


# --- runs ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SUPERRES)
def test_a_run_makes_a_model_that_says_what_it_is(photos: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "run"
    finished = run(photos, out, recipe=name)
    assert not finished.interrupted
    assert finished.step == finished.steps == 4
    assert sorted(path.name for path in out.iterdir()) == sorted(
        ["curve.csv", "last.safetensors", f"{name}.safetensors", "state.safetensors"]
    )
    info = read_checkpoint_info(out / f"{name}.safetensors")
    assert info.name == name
    assert info.config.channels == 8
    assert info.training["data"] == "2 photographs"  # of three, one is held out
    assert info.training["recipe"]["optimisation"]["steps"] == 4
    assert info.training["step"] in (2, 4)
    assert info.training["validation_psnr_y"] == pytest.approx(finished.best, abs=1e-4)
    network = load_network(info)
    with torch.no_grad():
        made = network(torch.rand(1, 3, 5, 7))
    assert made.shape == (1, 3, 5 * info.contract.scale, 7 * info.contract.scale)
    header, *rows = (out / "curve.csv").read_text().splitlines()
    assert header == ",".join(CURVE_COLUMNS)
    assert [row.split(",")[0] for row in rows] == ["2", "4"]


def same_weights(left: Path, right: Path) -> bool:
    first, second = load_file(left), load_file(right)
    return first.keys() == second.keys() and all(
        torch.equal(value, second[key]) for key, value in first.items()
    )


def test_no_time_at_all_still_makes_progress(photos: Path, tmp_path: Path) -> None:
    run(photos, tmp_path / "whole")
    for step in range(1, 5):
        finished = run(photos, tmp_path / "parts", minutes=0, resume=step > 1)
        assert finished.step == step
        assert not finished.interrupted
    for name in ("state", "last", "enet-e-x4"):
        file = f"{name}.safetensors"
        assert same_weights(tmp_path / "whole" / file, tmp_path / "parts" / file)


@pytest.mark.parametrize("minutes", [None, 60.0])
def test_ctrl_c_is_told_from_running_out_of_time(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, minutes: float | None
) -> None:
    show = run_module._Display.show

    def press(self: Any, report: Report) -> None:
        show(self, report)
        if report.step == 1:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(run_module._Display, "show", press)
    finished = run(photos, tmp_path / "run", minutes=minutes)
    assert finished.step < 4
    assert finished.interrupted


def test_progress_goes_to_stderr_and_quiet_says_nothing(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(photos, tmp_path / "run", quiet=False, minutes=0)
    said = capsys.readouterr()
    assert said.out == ""
    assert "2 photographs" in said.err
    assert "--resume" in said.err
    run(photos, tmp_path / "run", quiet=True, resume=True)
    said = capsys.readouterr()
    assert said.out == said.err == ""


@pytest.mark.parametrize("change", ["learning_rate=1e-3", "seed=5", "batch=2", "l1_share=0.5"])
def test_resuming_with_other_options_is_refused(photos: Path, tmp_path: Path, change: str) -> None:
    run(photos, tmp_path / "run", minutes=0)
    with pytest.raises(CheckpointError, match="other settings"):
        run(photos, tmp_path / "run", change, resume=True)
    run(photos, tmp_path / "run", resume=True)


def test_resuming_with_other_photos_or_precision_is_refused(photos: Path, tmp_path: Path) -> None:
    run(photos, tmp_path / "run", minutes=0)
    with pytest.raises(CheckpointError, match="other settings"):
        run(photos, tmp_path / "run", resume=True, precision="bf16")
    write(photos / "more.png", photo(9))
    with pytest.raises(CheckpointError, match="other settings"):
        run(photos, tmp_path / "run", resume=True)


def test_nothing_to_resume(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="nothing to resume"):
        run(photos, tmp_path / "run", resume=True)


# --- starting weights ------------------------------------------------------------------------


def recipe(scale: int = 4, **changes: Any) -> SuperResolutionRecipe:
    return replace(
        RECIPES[f"enet-e-x{scale}"],
        config={"scale": scale, "channels": 8, "blocks": 1},
        patch=8,
        batch=4,
        optimisation=Optimisation(steps=4, validate_every=2),
        **changes,
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_starting_from_another_scale_takes_what_fits(
    photos: Path, tmp_path: Path, dtype: torch.dtype
) -> None:
    architecture = ARCHITECTURES["enhancenet"]
    torch.manual_seed(7)
    larger = build(architecture, architecture.config(**recipe(4).config))
    path = tmp_path / "x4.safetensors"
    save_checkpoint(path, larger, architecture, "x4", dtype=dtype)
    tensors = load_file(path)
    prepared = recipe(2).prepare(photos, None, CPU, tensors)
    own = prepared.network.state_dict()
    assert set(tensors) - set(own) == {"up2.weight", "up2.bias"}
    for key, value in own.items():
        assert torch.equal(value, tensors[key].float()), key
    back = recipe(4).prepare(photos, None, CPU, dict(own)).network.state_dict()
    fresh = recipe(4).prepare(photos, None, CPU).network.state_dict()
    for key, value in back.items():
        assert torch.equal(value, (fresh if key.startswith("up2") else own)[key]), key


def test_starting_weights_reach_the_run(photos: Path, tmp_path: Path) -> None:
    """With a learning rate of nothing, the weights come out as they went in."""
    architecture = ARCHITECTURES["enhancenet"]
    torch.manual_seed(7)
    network = build(architecture, architecture.config(**recipe(4).config))
    save_checkpoint(tmp_path / "init.safetensors", network, architecture, "x4")
    run(photos, tmp_path / "run", "learning_rate=0", init=tmp_path / "init.safetensors")
    for key, value in load_file(tmp_path / "run" / "last.safetensors").items():
        assert torch.allclose(value, network.state_dict()[key], rtol=0, atol=1e-7)


@pytest.mark.parametrize("content", ["foreign", "not finite", "garbage", "missing"])
def test_starting_weights_that_fit_nowhere(photos: Path, tmp_path: Path, content: str) -> None:
    path = tmp_path / "init.safetensors"
    if content == "foreign":
        save_file({"conv.weight": torch.zeros(3), "head.weight": torch.zeros(4)}, path)
    elif content == "not finite":
        save_file({"head.bias": torch.full((8,), torch.nan)}, path)
    elif content == "garbage":
        path.write_bytes(b"not a checkpoint" * 9)
    with pytest.raises(CheckpointError) as caught:
        run(photos, tmp_path / "run", init=path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_the_seed_makes_the_starting_weights(photos: Path) -> None:
    def start(seed: int) -> Tensor:
        torch.rand(seed + 1)  # whatever was drawn before
        changed = override(recipe(4), [f"seed={seed}"])
        weight: Tensor = changed.prepare(photos, None, CPU).network.state_dict()["head.weight"]
        return weight

    assert torch.equal(start(1), start(1))
    assert not torch.equal(start(1), start(2))


# --- photographs -----------------------------------------------------------------------------


def paint(folder: Path, count: int, size: int = 36) -> None:
    """Photographs that can be told apart by their red: number ``i`` is all ``5 * i``."""
    for index in range(count):
        image = torch.full((3, size, size), 128, dtype=torch.uint8)
        image[0] = 5 * index
        write(folder / f"{index:03}.png", image)


def colours_seen(prepared: Any, folder_scale: int = 4) -> tuple[set[int], set[int]]:
    """The numbers of the photographs in many training batches, and in validation."""
    trained: set[int] = set()
    validated: set[int] = set()

    class Spy(torch.nn.Module):
        def forward(self, frame: Tensor) -> Tensor:
            found = (frame[:, 0, 3, 3] * 255 / 5).round().int().tolist()
            (trained if frame.shape[-1] == 8 else validated).update(found)
            return imresize(frame, folder_scale)

    prepared.network = Spy()
    for step in range(60):
        prepared.loss(step, step_generator(0, step), slice(None))
    prepared.validate(prepared.network)
    return trained, validated


@pytest.mark.parametrize("count", [2, 20, 21, 41])
def test_held_out_photographs_are_never_trained_on(tmp_path: Path, count: int) -> None:
    paint(tmp_path, count)
    prepared = recipe(4).prepare(tmp_path, None, CPU)
    trained, validated = colours_seen(prepared)
    assert not trained & validated
    assert trained | validated == set(range(count))
    assert len(validated) == -(-count // 20)
    assert prepared.data == f"{len(trained)} photographs"


def test_a_folder_to_validate_on_leaves_all_others_to_train_on(tmp_path: Path) -> None:
    paint(tmp_path / "both", 5)
    (tmp_path / "held").mkdir()
    for index in (1, 4):
        name = f"{index:03}.png"
        (tmp_path / "both" / name).rename(tmp_path / "held" / name)
    trained, validated = colours_seen(recipe(4).prepare(tmp_path / "both", tmp_path / "held", CPU))
    assert trained == {0, 2, 3}
    assert validated == {1, 4}


def test_a_single_photograph_is_too_few(tmp_path: Path) -> None:
    write(tmp_path / "one" / "a.png", photo(0))
    with pytest.raises(DatasetError, match="too few"):
        run(tmp_path / "one", tmp_path / "run")
    run(tmp_path / "one", tmp_path / "run", validation=tmp_path / "one")


@pytest.mark.parametrize("part", ["data", "validation"])
def test_a_folder_without_photographs(photos: Path, tmp_path: Path, part: str) -> None:
    (tmp_path / "none").mkdir()
    folders = {"data": photos, "validation": photos} | {part: tmp_path / "none"}
    with pytest.raises(DatasetError, match="none"):
        run(folders["data"], tmp_path / "run", validation=folders["validation"])


def test_photographs_smaller_than_a_patch(tmp_path: Path) -> None:
    for index in range(3):
        write(tmp_path / "photos" / f"{index}.png", photo(index, 31, 80))
    with pytest.raises(DatasetError, match="32x32"):
        run(tmp_path / "photos", tmp_path / "run")


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(torch.zeros(3, 40, 40, dtype=torch.uint8), id="black"),
        pytest.param(torch.full((3, 40, 40), 255, dtype=torch.uint8), id="white"),
        pytest.param(photo(5, 8, 8), id="nothing left within the border"),
        pytest.param(photo(5, 3, 60), id="smaller than the scale"),
    ],
)
def test_an_awkward_validation_photograph_does_not_spoil_the_score(
    photos: Path, tmp_path: Path, image: Tensor
) -> None:
    """One infinite or undefined score would make the best checkpoint the first one, or none."""
    write(tmp_path / "held" / "a.png", photo(8))
    write(tmp_path / "held" / "b.png", image)
    prepared = recipe(4).prepare(photos, tmp_path / "held", CPU)
    torch.nn.init.zeros_(prepared.network.out.weight)  # type: ignore[union-attr, arg-type]
    with torch.no_grad():
        score = prepared.validate(prepared.network)
    assert 5 < score < 101


def test_only_awkward_photographs_to_validate_on_is_an_error(photos: Path, tmp_path: Path) -> None:
    write(tmp_path / "held" / "a.png", photo(5, 7, 7))
    with pytest.raises(DatasetError):
        run(photos, tmp_path / "run", validation=tmp_path / "held")


def test_a_recipe_keeps_its_scale(photos: Path, tmp_path: Path) -> None:
    """A x2 network must not be saved as enet-e-x4."""
    with pytest.raises(UsageError, match="another model than enet-e-x4"):
        run_recipe("enet-e-x4", photos, out=tmp_path / "run", overrides=["scale=2"], quiet=True)


@pytest.mark.parametrize("name", RECIPES)
def test_every_name_that_set_takes_means_one_thing(name: str) -> None:
    names = _names(RECIPES[name])
    assert sorted(set(names)) == sorted(names)
