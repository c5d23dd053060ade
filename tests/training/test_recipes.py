"""The recipes: what they make, and that they are what the manifest says made the weights."""

import shlex
from pathlib import Path

import pytest
import typer

from enhance_cli.app import app
from enhance_cli.architectures import ARCHITECTURES, MODELS
from enhance_cli.engine.checkpoint import build
from enhance_cli.engine.weight_files import read_manifest
from enhance_cli.training.lowlight import LowLightStage
from enhance_cli.training.objectives import HybridObjective
from enhance_cli.training.recipes import RECIPES
from enhance_cli.training.run import list_recipes

MANIFEST = read_manifest(Path(__file__).resolve().parents[2] / "weights")


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_recipe_can_be_built(name: str) -> None:
    recipe = RECIPES[name]
    assert recipe.name == name
    assert recipe.summary
    assert "\n" not in recipe.summary
    for stage in recipe.stages:
        network = build(ARCHITECTURES[stage.architecture], stage.config, "meta")
    if name in MODELS:
        assert stage.architecture == MODELS[name].architecture
        assert stage.config == MODELS[name].config
    if ARCHITECTURES[stage.architecture].task == "superres":
        assert f"x{network.contract.scale}" in name


def test_every_model_has_a_recipe() -> None:
    """All but those that others lend their weights."""
    assert {name for name, spec in MODELS.items() if not spec.weights_from} <= set(RECIPES)


def test_list_names_every_recipe_and_its_stages(capsys: pytest.CaptureFixture[str]) -> None:
    list_recipes()
    said = capsys.readouterr().out
    for recipe in RECIPES.values():
        assert any(line.startswith(recipe.name) for line in said.splitlines())
    assert "stage 2: 2,600 steps from stage 1" in said


@pytest.mark.parametrize(
    "name", sorted(name for name, entry in MANIFEST.items() if "recipe" in entry)
)
def test_the_manifest_s_command_runs_the_recipe_that_made_the_weights(name: str) -> None:
    entry = MANIFEST[name]
    program, command, *words = shlex.split(entry["command"])
    assert (program, command) == ("enhance", "train")
    train = typer.main.get_command(app).commands["train"]  # type: ignore[attr-defined]
    options = train.make_context("train", words).params
    assert options["recipe"] == name == entry["recipe"]
    assert options["data"] is not None
    # All that makes the weights is in the recipe.
    for option in ("overrides", "steps", "init", "stage", "seed"):
        assert not options[option], option
    lost = any("lost" in str(value) for value in entry.values())
    if lost or "untrained" in entry:
        return
    assert sum(stage.optimisation.steps for stage in RECIPES[name].stages) == entry["steps"]


def test_recipes_of_the_thesis() -> None:
    """Table 3, ch. 6.1.6, 7.1.2 and 7.2 of thesis 000."""
    betas = {"pix2pix": 10.0, "sid-net-grey": 1.0, "sid-net-srgb": 1.0}
    milestones = {"pix2pix": 1000}
    names = [name for name in RECIPES if name.startswith("sid-net") or name == "pix2pix"]
    names.remove("sid-net-small")  # which two cores have trained, over fewer steps
    assert len(names) == 5
    for name in names:
        (stage,) = RECIPES[name].stages
        assert isinstance(stage, LowLightStage)
        assert stage.batch == 5
        assert stage.objective == HybridObjective(beta=betas.get(name, 2.0))
        plan = stage.optimisation
        assert plan.steps == 4000 * 161 // 5
        epochs = plan.steps / 4000
        milestone = round(milestones.get(name, 2000) * epochs)
        assert plan.rate(0) == plan.rate(milestone - 1) == 1e-4
        assert plan.rate(milestone) == plan.rate(plan.steps - 1) == pytest.approx(1e-5)
        assert plan.betas == (0.9, 0.999)
        counted = [s for s in range(97) if plan.average_share(plan.steps - s) > 0]
        assert counted == [0, 32, 64, 96]  # the ends of the last four epochs
