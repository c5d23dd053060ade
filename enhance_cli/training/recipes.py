"""The recipes. To add one: its line here."""

from enhance_cli.training.loop import Optimisation
from enhance_cli.training.superres import SuperResolutionRecipe

RECIPES: dict[str, SuperResolutionRecipe] = {
    recipe.name: recipe
    for recipe in (
        SuperResolutionRecipe(
            name="enet-e-x4",
            summary="EnhanceNet x4, squared error (dissertation 003, ENet-E of table 2.3)",
            architecture="enhancenet",
            config={"scale": 4},
        ),
        SuperResolutionRecipe(
            name="enet-e-x2",
            summary="EnhanceNet x2, squared error (dissertation 003, ENet-E of table 2.4)",
            architecture="enhancenet",
            config={"scale": 2},
            patch=48,
        ),
    )
}
