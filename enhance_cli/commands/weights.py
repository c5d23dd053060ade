"""``enhance weights``: look at checkpoints and bring foreign ones in."""

from pathlib import Path
from typing import Annotated

import typer

from enhance_cli.commands import options

app = typer.Typer(
    no_args_is_help=True,
    help="List, show, check, calibrate and import the weights of models.",
)

Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[NAME|FILE]...",
        show_default="all that can be found",
        help="Models by name, or checkpoint files.",
    ),
]


@app.command("list")
def list_weights(json: options.Json = False) -> None:
    """List the weights that can be found, the data they were trained on, and their scores."""
    from enhance_cli.tasks.inspect import run_list

    raise typer.Exit(run_list(as_json=json))


@app.command()
def show(
    name: Annotated[
        str, typer.Argument(metavar="NAME|FILE", help="A model by name, or a checkpoint file.")
    ],
    json: options.Json = False,
) -> None:
    """Show all that is known of one model's weights or of a checkpoint file."""
    from enhance_cli.tasks.inspect import run_show

    raise typer.Exit(run_show(name, as_json=json))


@app.command()
def verify(names: Names = None) -> None:
    """Check that files are whole: compare their sha256 with the manifest, and load each tensor."""
    from enhance_cli.tasks.inspect import run_verify

    raise typer.Exit(run_verify(names or []))


@app.command()
def calibrate(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME|FILE", help="A model of superres by name, or a checkpoint file."
        ),
    ],
    data: Annotated[
        Path, typer.Option(metavar="FOLDER", help="A folder of photographs to measure on.")
    ],
    count: Annotated[
        int, typer.Option("-n", "--count", min=4, help="How many photographs to use at most.")
    ] = 40,
    overwrite: options.Overwrite = False,
) -> None:
    """Measure what the layers of a model see, so that it can run in integers of 8 bits.

    The ranges are written to a file NAME.int8.json beside the checkpoint, where superres
    --precision int8 finds them. A fourth of the photographs is held out: if integers cost more
    than 0.1 dB of PSNR on those, nothing is written. This needs the extra "openvino".
    """
    from enhance_cli.tasks.calibrate import CalibrationRequest, run_calibrate

    raise typer.Exit(run_calibrate(CalibrationRequest(name, data, count, overwrite)))


@app.command("import")
def import_weights(
    source: Annotated[Path, typer.Argument(help="A file of tensors: .safetensors, .pth or .pt.")],
    name: Annotated[
        str | None,
        typer.Option(
            "--as",
            metavar="NAME",
            show_default="that of the file",
            help="The name by which --model will find the network.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            show_default="recognised by the names of the tensors",
            help="The model of enhance that the tensors are for, if they come from its network; "
            "enhance models lists names.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            show_default="where --model looks",
            help="The checkpoint to write, a .safetensors file. Without this option it is written "
            "to the folder $ENHANCE_WEIGHTS, or to the per-user cache.",
        ),
    ] = None,
    half: Annotated[
        bool,
        typer.Option(
            "--half", help="Store numbers of 16 bits: half the size, a little less exact."
        ),
    ] = False,
    int8: Annotated[
        bool,
        typer.Option(
            "--int8",
            help="Store integers of 8 bits, with a scale for each row of a tensor: a quarter of "
            "the size, less exact. What a network computes with is chosen when it is run.",
        ),
    ] = False,
    overwrite: options.Overwrite = False,
) -> None:
    """Turn the weights of another program, or of a training run, into a checkpoint.

    EDSR, ESRGAN, Real-ESRGAN and its compact networks are recognised by the names and shapes of
    their tensors. Nothing but tensors is ever read from a pickled file, so that no foreign code
    runs.
    """
    from enhance_cli.tasks.import_weights import ImportRequest, run_import

    request = ImportRequest(source, model, name, output, half, int8, overwrite)
    raise typer.Exit(run_import(request))
