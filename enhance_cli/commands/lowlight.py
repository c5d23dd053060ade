"""``enhance lowlight``: brighten dark pictures."""

from pathlib import Path
from typing import Annotated

import typer

from enhance_cli.commands import options
from enhance_cli.io.jobs import FileOptions
from enhance_cli.talk import Talk

Strategy = Annotated[
    str | None,
    typer.Option(
        metavar="baseline|faster1|faster2|fastest",
        help="Cut into patches of 256 and merge as the thesis does, best to fastest.",
        show_default="baseline where a model needs patches, else large exact tiles",
    ),
]
Ratio = Annotated[
    str,
    typer.Option(
        metavar="auto|NUMBER",
        help="Amplification: how many times more exposed the picture should have been.",
    ),
]
Like = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Amplify by the ratio of this file's exposure, as its "
        "metadata tell it, to the input's.",
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="See: enhance models.",
        show_default="sid-fcn for RAW, sid-fcn-srgb for pictures",
    ),
]
Grayscale = Annotated[
    bool, typer.Option("--grayscale", help="Grey results: cleaner, with more detail.")
]
Size = Annotated[
    str,
    typer.Option(
        metavar="full|half",
        help="Half is a quarter of the pixels, with less noise; the thesis's models know no other.",
    ),
]
Bits = Annotated[
    int | None,
    typer.Option(
        metavar="8|16",
        help="Bits per sample of the output.",
        show_default="those of the input, 8 for RAW",
    ),
]


def lowlight(
    inputs: options.Inputs,
    output: options.Output = None,
    strategy: Strategy = None,
    ratio: Ratio = "auto",
    like: Like = None,
    model: Model = None,
    weights: options.Weights = None,
    grayscale: Grayscale = False,
    size: Size = "full",
    bits: Bits = None,
    tile: options.Tile = "auto",
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    quality: options.Quality = None,
    recursive: options.Recursive = False,
    overwrite: options.Overwrite = False,
    skip_existing: options.SkipExisting = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    no_progress: options.NoProgress = False,
    dry_run: options.DryRun = False,
) -> None:
    """Brighten and denoise dark pictures: camera RAW files, and JPEG, PNG, TIFF and the like.

    The ratio is chosen for each picture and told; it is noted in the result's metadata too. The
    result lies beside the input as {stem}_bright.png (RAW) or {stem}_bright.{ext}, unless -o
    says otherwise.
    """
    from enhance_cli.tasks.lowlight import LowLightRequest, run_lowlight

    request = LowLightRequest(
        files=FileOptions(inputs, output, recursive, overwrite, skip_existing),
        model=options.model_options(model, weights, device, precision, tile),
        strategy=strategy,
        ratio=ratio,
        like=like,
        grayscale=grayscale,
        size=size,
        bits=bits,
        quality=quality,
    )
    talk = Talk(json=json, quiet=quiet, verbose=verbose, no_progress=no_progress, dry_run=dry_run)
    raise typer.Exit(run_lowlight(request, talk))
