"""``enhance train``: make weights from photographs, or from the data of a recipe."""

import json
from pathlib import Path
from typing import Annotated

import typer

from enhance_cli.commands import options
from enhance_cli.defaults import MOST_SEED
from enhance_cli.errors import UsageError


def train(
    context: typer.Context,
    recipe: Annotated[
        str | None, typer.Argument(help="The recipe to train; --list shows all of them.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="What to train on: a folder of photographs, for video a folder of clips, for "
            "low light also the folder of the SID dataset, for digits mnist.npz, for faces "
            "faces64.npz."
        ),
    ] = None,
    validation: Annotated[
        Path | None,
        typer.Option(
            help="What to validate on, of the same kind as --data. By default a part of --data "
            "is held out for that."
        ),
    ] = None,
    photos: Annotated[
        Path | None,
        typer.Option(
            help="For video: a folder of photographs, which are set in motion and train the "
            "network beside the clips. Recipes that teach the flow need it."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the run, by default runs/RECIPE. Stages before the last one have "
            "folders of their own in it."
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Go on where the run in --out stopped, in whichever stage that was."
        ),
    ] = False,
    stage: Annotated[
        int | None,
        typer.Option(
            help="Run only this stage of the recipe, counted from 1. It begins from what the "
            "stages before it have left in --out, or from --init.",
            min=1,
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            help="Stop after so many minutes, over all stages; --resume goes on later.", min=0
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            help="Give every stage that runs so many steps in place of the recipe's, for instance "
            "for a short trial. Their schedules of the learning rate become as long.",
            min=1,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            help="Seed of the first weights and of the batches; the same seed repeats a run.",
            min=0,
            max=MOST_SEED,
        ),
    ] = None,
    init: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH|none",
            help="Checkpoint from which the first stage that runs begins, in place of what the "
            "recipe says; those of its tensors are taken that fit. With none it begins with fresh "
            "weights.",
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Change a setting in all stages of the recipe; can be given several times. An "
            "unknown name is answered with those that there are.",
        ),
    ] = None,
    listing: Annotated[
        bool, typer.Option("--list", help="Show the recipes with their stages, and stop.")
    ] = False,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    quiet: options.Quiet = False,
) -> None:
    """Train the model RECIPE on photographs, or on the data that it is for.

    A recipe has one or more stages, each of which begins where the one before it ended. A run can
    be stopped at any time: --resume goes on step for step as if it had not been. Under torchrun
    its processes share every batch.
    """
    from enhance_cli.training.run import list_recipes, run_recipe

    if listing:
        list_recipes()
        return
    if recipe is None or data is None:
        raise UsageError("give a recipe and --data DIR, or --list to see the recipes")
    named = list(overrides or [])
    named += [f"photos={json.dumps(str(photos))}"] if photos is not None else []
    named += ["horizon=0", f"steps={steps}"] if steps is not None else []
    named += [f"seed={seed}"] if seed is not None else []
    finished = run_recipe(
        recipe,
        data,
        validation=validation,
        out=out or Path("runs") / recipe,
        resume=resume,
        stage=stage,
        minutes=minutes,
        init=init,
        overrides=named,
        device=device,
        precision=precision,
        quiet=quiet,
    )
    if finished.signal:
        context.exit(128 + finished.signal)
