"""``enhance sample``: draw pictures from a generative model."""

from pathlib import Path
from typing import Annotated

import typer

from enhance_cli.commands import options
from enhance_cli.io.jobs import FileOptions
from enhance_cli.talk import Talk

Files = Annotated[
    list[str] | None,
    typer.Argument(metavar="FILE", show_default=False, help="More files for --reconstruct."),
]
Model = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="See: enhance models.", show_default="faces-vae-blur"),
]
Count = Annotated[
    int | None,
    typer.Option("--count", "-n", metavar="N", help="How many samples.", show_default="64"),
]
Temperature = Annotated[
    float | None,
    typer.Option(
        metavar="0-2",
        help="Factor on the spread of the codes: less is more usual.",
        show_default="1",
    ),
]
Density = Annotated[
    str | None,
    typer.Option(
        metavar="prior|gaussian|mixture",
        help="Of the codes that are drawn.",
        show_default="mixture",
    ),
]
Interpolate = Annotated[
    tuple[Path, Path] | None,
    typer.Option(metavar="A B", help="Go from one picture to another.", show_default=False),
]
Steps = Annotated[
    int | None,
    typer.Option(
        metavar="N", help="Pictures of an interpolation, ends included.", show_default="8"
    ),
]
Reconstruct = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILE...",
        show_default=False,
        help="Files, globs or folders to put through the autoencoder.",
    ),
]
Columns = Annotated[
    int | None, typer.Option(metavar="N", help="Of a grid.", show_default="about a square")
]
Zoom = Annotated[int, typer.Option(metavar="1-16", help="Draw each pixel so many pixels wide.")]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE|DIR",
        show_default="samples.png",
        help="A file for a grid; a folder for single pictures.",
    ),
]


def sample(
    files: Files = None,
    output: Output = None,
    model: Model = None,
    weights: options.Weights = None,
    count: Count = None,
    temperature: Temperature = None,
    density: Density = None,
    interpolate: Interpolate = None,
    steps: Steps = None,
    reconstruct: Reconstruct = None,
    columns: Columns = None,
    zoom: Zoom = 1,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    recursive: options.Recursive = False,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    no_progress: options.NoProgress = False,
    dry_run: options.DryRun = False,
) -> None:
    """Draw pictures from a generative model.

    Samples, unless --interpolate or --reconstruct is given. They go into one grid, or with
    -o DIR into single files: 00000.png and so on, or {stem}_reconstructed.png.
    """
    from enhance_cli.tasks.sample import run_sample
    from enhance_cli.tasks.sample_run import SampleRequest

    request = SampleRequest(
        files=FileOptions(files or (), output, recursive, overwrite),
        model=options.model_options(model, weights, device, precision),
        count=count,
        temperature=temperature,
        density=density,
        interpolate=interpolate,
        steps=steps,
        reconstruct=reconstruct or (),
        columns=columns,
        zoom=zoom,
        seed=seed,
    )
    talk = Talk(json=json, quiet=quiet, verbose=verbose, no_progress=no_progress, dry_run=dry_run)
    raise typer.Exit(run_sample(request, talk))
