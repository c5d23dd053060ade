"""``enhance superres``: enlarge pictures."""

from typing import Annotated

import typer

from enhance_cli import defaults
from enhance_cli.commands import options
from enhance_cli.io.jobs import FileOptions
from enhance_cli.sizes import parse_size
from enhance_cli.talk import Talk

_DEFAULTS = defaults.TASKS["superres"]
_LOWEST, _LOW = defaults.WORN_QUALITY
_DEFAULT_MODELS = (
    f"{_DEFAULTS.model}; {_DEFAULTS.variants['worn']} for what has noise of more than "
    f"{defaults.WORN_NOISE} levels of 255, or is or was a JPEG of a quality below {_LOWEST}; for "
    f"what is enlarged more than {defaults.WORN_SCALE} times below {_LOW}, and for WebP and AVIF "
    f"with losses; with --texture {_DEFAULTS.variants['textured']} in place of {_DEFAULTS.model}"
)
# Heading of the help.
DRAWING = "Models that draw (vdvae-sr)"


def parse_pages(text: str) -> int:
    """Read the value of ``--pages``; 0 stands for all.

    Raises:
        BadParameter: if it is neither ``first`` nor ``all`` nor a number from 1 on.
    """
    if text in ("first", "all"):
        return int(text == "first")
    if not (text.isascii() and text.isdigit() and int(text)):
        raise typer.BadParameter(f"{text}: must be first, all, or the number of a page from 1 on")
    return int(text)


Pages = Annotated[
    int | None,
    typer.Option(
        "--pages",
        metavar="first|all|N",
        parser=parse_pages,
        show_default="first",
        rich_help_panel=options.FILES,
        help="Which pictures are enlarged of a file that holds several, as TIFF and MPO (3D "
        "photographs) can. All pages of a TIFF come into one TIFF; where the output is in another "
        "format, each becomes a file of its own: scan_x4-1.png, scan_x4-2.png and so on.",
    ),
]


Temperature = Annotated[
    float | None,
    typer.Option(
        metavar="0-1",
        show_default=f"{defaults.DRAWING_TEMPERATURE:g}",
        rich_help_panel=DRAWING,
        help="How freely detail is drawn: 0 keeps to the mean of what is likely, which is truest "
        "and softest; 1 draws from all that is likely.",
    ),
]
Samples = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        show_default="1",
        rich_help_panel=DRAWING,
        help="Give so many answers, as photo_x4_1.png, photo_x4_2.png and so on. Each takes as "
        "long as one.",
    ),
]
Uncertainty = Annotated[
    bool,
    typer.Option(
        "--uncertainty",
        rich_help_panel=DRAWING,
        help="Also show how far the samples are apart at each pixel, as photo_x4_spread.png with a "
        "legend: dark where the input leaves little doubt, bright where detail is invented.",
    ),
]
Consistent = Annotated[
    bool,
    typer.Option(
        "--consistent",
        help="Change each result as little as possible so that it gives the input again when it is "
        "reduced (bicubic). It is a fixed operation, for inputs without noise or JPEG blocks.",
    ),
]


def superres(
    inputs: Annotated[
        list[str],
        options.inputs("The pictures to enlarge: files, folders, or patterns such as '*.jpg'."),
    ],
    output: options.Output = None,
    scale: Annotated[str | None, options.scale("The networks enlarge 2 or 4 times")] = None,
    size: options.Size = None,
    model: Annotated[str | None, options.model(_DEFAULT_MODELS)] = None,
    texture: Annotated[
        float | None,
        typer.Option(
            metavar="0-1",
            show_default="what the model draws by itself",
            min=0,
            max=1,
            rich_help_panel=options.MODEL,
            help="How much texture is drawn: 0 keeps to what the input shows, which is truest and "
            "somewhat soft; 1 draws the detail that is likely there, which looks sharper and may "
            "be invented. It blends the weights of two models and takes no longer.",
        ),
    ] = None,
    temperature: Temperature = None,
    samples: Samples = None,
    uncertainty: Uncertainty = False,
    seed: Annotated[int | None, options.seed(DRAWING)] = None,
    consistent: Consistent = False,
    weights: options.Weights = None,
    tile: options.Tile = defaults.TILE,
    device: options.Devices = defaults.DEVICE,
    ray: options.Ray = None,
    jobs: options.Jobs = 1,
    precision: options.Precision = defaults.PRECISION,
    backend: options.Backend = defaults.BACKEND,
    quality: options.Quality = None,
    pages: Pages = None,
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
    """Enlarge pictures to any size, with detail that plain interpolation would blur.

    Bit depth, transparency, metadata and colour profile stay as they are. The result of
    `photo.png` is `photo_x4.png`, or `photo_1080p.png` with --size 1080p, beside the input, unless
    -o says otherwise.
    """
    from enhance_cli.tasks.superres import SuperResolutionRequest, run_superres
    from enhance_cli.tasks.superres_drawing import DrawingOptions

    workers = options.worker_options(device, ray)
    request = SuperResolutionRequest(
        files=FileOptions(inputs, output, recursive, overwrite, skip_existing, sidecar, jobs),
        model=options.model_options(
            model, weights, workers.devices[0], precision, tile, texture, backend
        ),
        size=parse_size(scale, size),
        quality=quality,
        metadata=not no_metadata,
        page=1 if pages is None else pages or None,
        drawing=DrawingOptions(temperature, samples, uncertainty, seed),
        consistent=consistent,
        workers=workers,
    )
    talk = Talk(json, quiet, verbose, no_progress, dry_run, json_lines)
    raise typer.Exit(run_superres(request, talk))
