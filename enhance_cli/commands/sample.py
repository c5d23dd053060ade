"""``enhance sample``: draw pictures from a generative model."""

from pathlib import Path
from typing import Annotated

import typer

from enhance_cli import defaults
from enhance_cli.commands import options
from enhance_cli.io.jobs import FileOptions
from enhance_cli.talk import Talk

Files = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="FILE", show_default=False, help="More pictures, files or folders to reconstruct."
    ),
]
Count = Annotated[
    int | None,
    typer.Option(
        "--count",
        "-n",
        metavar="N",
        show_default=str(defaults.SAMPLE_COUNT),
        help="How many samples are drawn.",
    ),
]
Temperature = Annotated[
    float | None,
    typer.Option(
        metavar="0-2",
        show_default=f"{defaults.TEMPERATURE:g}",
        help="How far samples may be from the usual: below 1 they are safer and more alike, above "
        "1 odder.",
    ),
]
Density = Annotated[
    str | None,
    typer.Option(
        metavar="prior|gaussian|mixture",
        show_default="mixture",
        help="The distribution that the codes of samples are drawn from. mixture fits the "
        "training pictures best; prior is for models that were trained towards it.",
    ),
]
Interpolate = Annotated[
    tuple[Path, Path] | None,
    typer.Option(
        metavar="A B",
        show_default=False,
        help="Draw the way from picture A to picture B instead of samples.",
    ),
]
Steps = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        show_default=str(defaults.INTERPOLATION_STEPS),
        help="How many pictures an interpolation has, with both ends.",
    ),
]
Reconstruct = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILE...",
        show_default=False,
        help="Put these pictures (files, folders or patterns) through the autoencoder and draw "
        "what comes out, to see what it can and cannot represent.",
    ),
]
Columns = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        show_default="about a square",
        rich_help_panel=options.FILES,
        help="How many pictures stand side by side in a grid.",
    ),
]
Zoom = Annotated[
    int,
    typer.Option(
        metavar="1-16",
        rich_help_panel=options.FILES,
        help="Draw each pixel this many pixels wide and high, since the pictures are small.",
    ),
]
GridOutput = Annotated[
    Path | None,
    options.output(
        "samples.png",
        "Where to write: a file for one grid of all pictures, a folder for a file each.",
    ),
]


def sample(
    files: Files = None,
    output: GridOutput = None,
    model: Annotated[str | None, options.model(defaults.TASKS["sample"].model)] = None,
    weights: options.Weights = None,
    count: Count = None,
    temperature: Temperature = None,
    density: Density = None,
    interpolate: Interpolate = None,
    steps: Steps = None,
    reconstruct: Reconstruct = None,
    columns: Columns = None,
    zoom: Zoom = 1,
    seed: options.Seed = None,
    device: options.Device = defaults.DEVICE,
    precision: options.Precision = defaults.PRECISION,
    recursive: options.Recursive = False,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    no_progress: options.NoProgress = False,
    dry_run: options.PlainDryRun = False,
) -> None:
    """Draw pictures of faces or digits from a generative model.

    New pictures are drawn, unless --interpolate or --reconstruct asks for others. They are put
    side by side into one file, or with `-o FOLDER` into files of their own: `00000.png` and so
    on, or `face_reconstructed.png` for `face.jpg`.
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
