"""``enhance models``: what there is."""

import typer

from enhance_cli.commands import options


def models(json: options.Json = False) -> None:
    """List every model with its size, its weights and its scores."""
    from enhance_cli.tasks.inspect import run_models

    raise typer.Exit(run_models(as_json=json))
