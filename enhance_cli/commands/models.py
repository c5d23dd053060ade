"""``enhance models``: which models there are."""

import typer

from enhance_cli.commands import options


def models(json: options.Json = False) -> None:
    """List every model: what it is for, its size, whether its weights are here, its scores.

    MACs are the multiplications and additions for an input of the size that is named beside.
    """
    from enhance_cli.tasks.inspect import run_models

    raise typer.Exit(run_models(as_json=json))
