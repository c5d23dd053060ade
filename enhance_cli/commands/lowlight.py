"""``enhance lowlight``: brighten dark pictures."""

from pathlib import Path
from typing import Annotated

import typer

from enhance_cli import defaults
from enhance_cli.commands import options
from enhance_cli.io.jobs import FileOptions
from enhance_cli.talk import Talk

_DEFAULT_MODELS = (
    f"{defaults.lowlight_model(raw=True, grey=False)} for RAW, "
    f"{defaults.lowlight_model(raw=False, grey=False)} for pictures"
)

Output = Annotated[
    Path | None,
    options.output(
        "beside the input",
        "Where to write: a file for one input, a folder for several. A folder is made if there is "
        "none. A name with .dng makes of a RAW file a linear DNG for RAW editors: denoised, and as "
        "dark as the input.",
    ),
]
Strategy = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        show_default="baseline for models that need patches, else large exact tiles",
        help="How a picture is cut into patches of 256 pixels, and how these are merged again: "
        "baseline, faster1, faster2 or fastest, from the best to the quickest, as in the thesis.",
    ),
]
Ratio = Annotated[
    str,
    typer.Option(
        metavar="auto[+-STOPS]|NUMBER",
        help="How many times brighter the result is, as if it had been exposed so many times "
        "longer. auto estimates it for each picture; auto+1 makes it a stop brighter than that, "
        "auto-0.5 half a stop darker.",
    ),
]
Like = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Expose the result like this photograph of the scene: its metadata and the input's "
        "give the ratio.",
    ),
]
Black = Annotated[
    str,
    typer.Option(
        metavar="auto|file|LEVEL",
        help="The level that the pixels of a RAW file hold without light. auto takes that of the "
        "file, and corrects it where masked pixels or the darkest parts of the picture show that "
        "it is wrong. A veil over dark parts, or a cast in them, comes from a wrong level.",
    ),
]
WhiteBalance = Annotated[
    str,
    typer.Option(
        "--wb",
        metavar="camera|auto|daylight|R,G,B",
        help="The white balance of a RAW file: as the camera set it, estimated from the picture, "
        "that of the camera for daylight, or the gains of red, green and blue, such as 2,1,1.5. "
        "What camera and daylight lack in a file is estimated.",
    ),
]
Grayscale = Annotated[
    bool,
    typer.Option(
        "--grayscale",
        help="Make grey pictures: they are cleaner and show more detail, since noise spoils "
        "colours most.",
    ),
]
Size = Annotated[
    str,
    typer.Option(
        metavar="full|half",
        help="half makes the result half as wide and high, with less noise. The thesis's models "
        "can make no other size.",
    ),
]
Strength = Annotated[
    float,
    typer.Option(
        metavar="0..1",
        help="How much of the noise is taken away. Below 1 the grain of the input is blended back; "
        "0 brightens alone, and shows what the camera recorded.",
    ),
]
Curve = Annotated[
    str | None,
    typer.Option(
        metavar="|".join(defaults.CURVES),
        show_default=f"{defaults.RAW_CURVE} for RAW, {defaults.SRGB_CURVE} for pictures",
        help="How light becomes the levels of the result. camera has the contrast of a camera's "
        "pictures; flat has none, for editing afterwards; both compress highlights and keep their "
        "colours. linear keeps levels proportional to light, and cuts what is brighter than white.",
    ),
]
Bits = Annotated[
    int | None,
    typer.Option(
        metavar="8|16",
        show_default="those of the input, 8 for RAW, 16 for --curve linear",
        rich_help_panel=options.FILES,
        help="Bits of each colour in the output. 16 leave more room for editing afterwards.",
    ),
]


def lowlight(
    inputs: Annotated[
        list[str],
        options.inputs("The pictures to brighten: files, folders, or patterns such as '*.dng'."),
    ],
    output: Output = None,
    strategy: Strategy = None,
    ratio: Ratio = "auto",
    like: Like = None,
    black: Black = "auto",
    wb: WhiteBalance = "camera",
    model: Annotated[str | None, options.model(_DEFAULT_MODELS)] = None,
    weights: options.Weights = None,
    grayscale: Grayscale = False,
    size: Size = "full",
    strength: Strength = defaults.STRENGTH,
    curve: Curve = None,
    bits: Bits = None,
    tile: options.Tile = defaults.TILE,
    device: options.Devices = defaults.DEVICE,
    ray: options.Ray = None,
    jobs: options.Jobs = 1,
    precision: options.Precision = defaults.PRECISION,
    backend: options.Backend = defaults.BACKEND,
    quality: options.Quality = None,
    no_metadata: options.NoMetadata = False,
    sidecar: options.Sidecar = False,
    recursive: options.Recursive = False,
    overwrite: options.Overwrite = False,
    skip_existing: options.SkipExisting = False,
    json: options.Json = False,
    json_lines: options.JsonLines = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    no_progress: options.NoProgress = False,
    dry_run: options.DryRun = False,
) -> None:
    """Brighten and denoise dark pictures: camera RAW files, JPEG, PNG, TIFF and the like.

    How many times brighter a picture becomes is estimated from the picture, printed, and noted
    in the metadata of the result. The result of `night.dng` is `night_bright.png` and that of
    `night.jpg` is `night_bright.jpg`, beside the input, unless -o says otherwise.
    """
    from enhance_cli.tasks.lowlight import LowLightRequest, run_lowlight

    workers = options.worker_options(device, ray)
    request = LowLightRequest(
        files=FileOptions(inputs, output, recursive, overwrite, skip_existing, sidecar, jobs),
        model=options.model_options(
            model, weights, workers.devices[0], precision, tile, backend=backend
        ),
        strategy=strategy,
        ratio=ratio,
        like=like,
        black=black,
        white_balance=wb,
        grayscale=grayscale,
        size=size,
        strength=strength,
        curve=curve,
        bits=bits,
        quality=quality,
        metadata=not no_metadata,
        workers=workers,
    )
    talk = Talk(json, quiet, verbose, no_progress, dry_run, json_lines)
    raise typer.Exit(run_lowlight(request, talk))
