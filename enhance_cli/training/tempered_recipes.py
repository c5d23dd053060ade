"""The recipes of dissertation 003, ch. 4, and that of the classifier which judges drawn digits."""

from enhance_cli.architectures import MODELS
from enhance_cli.training.classification import ClassifierStage
from enhance_cli.training.optimisation import Optimisation
from enhance_cli.training.stages import Recipe, make_recipe, named_network
from enhance_cli.training.tempered import TemperedStage
from enhance_cli.training.tempering import LensPlan

# The chapter trains for up to millions of steps at 1e-4, with K of 10,000 or 100,000. What two
# cores can train in an hour is some thousands; they need a higher rate, and K is 1000.
_PLAN = Optimisation(
    steps=3000,
    learning_rate=5e-4,
    schedule="constant",
    warmup=0.0,
    betas=(0.5, 0.999),  # Radford et al. (2016)
    clip=1e9,
    ema=0.0,
    validate_every=250,
    keep="last",
)
_DATASETS = {"digits": "colour-mnist", "mnist": "mnist", "faces": "faces-32"}
# Of the three, WGAN-GP learns colour digits best by the step.
_OBJECTIVES = {"digits": "wgan-gp", "mnist": "gan", "faces": "lsgan"}


def _gan(model: str) -> Recipe:
    family, _, kind = model.rpartition("-")
    width = LensPlan().lens_width if kind == "tempered" else 0
    stage = TemperedStage(
        config=MODELS[model].config,
        dataset=_DATASETS[family],
        objective=_OBJECTIVES[family],
        updates=5 if _OBJECTIVES[family] == "wgan-gp" else 1,
        lens=LensPlan(lens_width=width, lens_steps=1000),
        mirror=family == "faces",
        optimisation=_PLAN,
    )
    return make_recipe(model, stage)


def _classifier() -> Recipe:
    plan = Optimisation(steps=2000, learning_rate=2e-3, clip=1e9, validate_every=500)
    stage = ClassifierStage(
        **named_network("digits-classifier"),
        optimisation=plan,
    )
    return make_recipe("digits-classifier", stage)


TEMPERED_RECIPES: tuple[Recipe, ...] = (
    *(_gan(name) for name, spec in MODELS.items() if spec.architecture == "dcgan"),
    _classifier(),
)
