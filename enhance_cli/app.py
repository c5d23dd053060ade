"""The Typer application: commands, and errors as one line and an exit code."""

import sys
from typing import Annotated

import typer

from enhance_cli import __version__
from enhance_cli.commands.train import train
from enhance_cli.errors import EnhanceError

app = typer.Typer(name="enhance", no_args_is_help=True, pretty_exceptions_enable=False)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"enhance {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Make dark, small and low-resolution pictures and videos look right."""


app.command()(train)


def main() -> None:
    """Console entry point."""
    try:
        app()
    except EnhanceError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
