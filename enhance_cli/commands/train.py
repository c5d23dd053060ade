"""``enhance train``: make weights from photographs, or other data of a recipe."""

from pathlib import Path
from typing import Annotated

import typer

from enhance_cli.commands import options
from enhance_cli.errors import UsageError


def train(
    context: typer.Context,
    recipe: Annotated[str | None, typer.Argument(help="What to train; see --list.")] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder of photographs; for low light also the SID dataset's, for "
            "mnist recipes mnist.npz."
        ),
    ] = None,
    validation: Annotated[
        Path | None,
        typer.Option(help="What to validate on [default: a part of --data that is held out]."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run [default: runs/RECIPE].")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from --out.")] = False,
    minutes: Annotated[
        float | None, typer.Option(help="Stop, resumably, after so long.", min=0)
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Length of the schedule.", min=1)] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of weights and batches.", min=0, max=2**31 - 1)
    ] = None,
    init: Annotated[
        Path | None, typer.Option(help="Checkpoint to start from, where its tensors fit.")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change a value of the recipe."),
    ] = None,
    listing: Annotated[bool, typer.Option("--list", help="Show the recipes and stop.")] = False,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    quiet: options.Quiet = False,
) -> None:
    """Train RECIPE on a folder of photographs, or on the data that it is for.

    Needs no more than the data: --resume goes on where a run stopped, step for step as if it
    had not. Under torchrun the batch is shared by its processes.
    """
    from enhance_cli.training.run import list_recipes, run_recipe

    if listing:
        list_recipes()
        return
    if recipe is None or data is None:
        raise UsageError("give a recipe and --data DIR, or --list to see the recipes")
    named = list(overrides or [])
    named += [f"steps={steps}"] if steps is not None else []
    named += [f"seed={seed}"] if seed is not None else []
    finished = run_recipe(
        recipe,
        data,
        validation=validation,
        out=out or Path("runs") / recipe,
        resume=resume,
        minutes=minutes,
        init=init,
        overrides=named,
        device=device,
        precision=precision,
        quiet=quiet,
    )
    if finished.interrupted:
        context.exit(130)
