"""The recipes. To add one: its line here. A recipe has the name of the model that it makes."""

from dataclasses import asdict
from typing import Any

from enhance_cli.architectures import MODELS
from enhance_cli.training.superres import SuperResolutionRecipe


def _superres(model: str, **settings: Any) -> SuperResolutionRecipe:
    spec = MODELS[model]
    return SuperResolutionRecipe(
        name=model, summary=spec.summary, architecture=spec.architecture,
        config=asdict(spec.config), **settings,
    )


RECIPES: dict[str, SuperResolutionRecipe] = {
    recipe.name: recipe
    for recipe in (
        _superres("enet-e-x4", patch=32),
        _superres("enet-e-x2", patch=48),
    )
}
