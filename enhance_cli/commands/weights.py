"""``enhance weights``: look at checkpoints and bring foreign ones in."""

from pathlib import Path
from typing import Annotated

import typer

from enhance_cli.commands import options

app = typer.Typer(no_args_is_help=True, help="List, show, verify and import weights.")

Names = Annotated[
    list[str] | None, typer.Argument(metavar="[NAME|FILE]...", help="Default: all found.")
]


@app.command("list")
def list_weights(json: options.Json = False) -> None:
    """List the weights that can be found, with what is known of them."""
    from enhance_cli.tasks.inspect import run_list

    raise typer.Exit(run_list(as_json=json))


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME|FILE")], json: options.Json = False
) -> None:
    """Show everything known of one model's weights or of a checkpoint file."""
    from enhance_cli.tasks.inspect import run_show

    raise typer.Exit(run_show(name, as_json=json))


@app.command()
def verify(names: Names = None) -> None:
    """Check sha256 against the manifest, and load every tensor strictly."""
    from enhance_cli.tasks.inspect import run_verify

    raise typer.Exit(run_verify(names or []))


@app.command("import")
def import_weights(
    source: Annotated[Path, typer.Argument(help="A .safetensors, .pth or .pt file.")],
    model: Annotated[str, typer.Option(metavar="NAME", help="The model that it is.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Checkpoint to write.")],
    half: Annotated[bool, typer.Option("--half", help="Store 16-bit floats.")] = False,
    overwrite: options.Overwrite = False,
) -> None:
    """Make a checkpoint of a state dict, foreign or ours; only tensors are ever unpickled."""
    from enhance_cli.tasks.inspect import run_import

    raise typer.Exit(run_import(source, model, output, half=half, overwrite=overwrite))
