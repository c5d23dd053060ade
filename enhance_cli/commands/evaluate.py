"""``enhance evaluate``: score models and pictures."""

from pathlib import Path
from typing import Annotated

import typer

from enhance_cli import defaults
from enhance_cli.commands import options
from enhance_cli.evaluation.benchmarks import (
    BENCHMARKS,
    CLIP_PROTOCOL,
    EXPERIMENTS,
    PICTURE_PROTOCOLS,
    SQUARE_PROTOCOLS,
    known_metrics,
    names_by_kind,
)

# Headings of the help.
MEASURES = "How results are compared"
SETS = "Sets of pictures (mnist, faces, frechet, fid, prd)"
STUDIES = "Experiments"

_DATASETS = "; ".join(
    f"{kind}s: {', '.join(names)}" for kind, names in names_by_kind(BENCHMARKS).items()
)


def evaluate(
    dataset: Annotated[
        str | None,
        typer.Option(metavar="NAME", help=f"The benchmark to score models on. {_DATASETS}."),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            "--pred",
            metavar="DIR",
            help="Score the pictures or clips of this folder, made elsewhere, against --gt.",
        ),
    ] = None,
    references: Annotated[
        Path | None,
        typer.Option("--gt", metavar="DIR", help="The folder of the ground truth of --pred."),
    ] = None,
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            rich_help_panel=options.MODEL,
            metavar="NAME",
            show_default="all of the scale, or the default",
            help="Score this model or baseline. May be repeated. What a model must beat, such as "
            "bicubic enlargement, is always scored beside it.",
        ),
    ] = None,
    weights: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH",
            rich_help_panel=options.MODEL,
            help="Score the model in this checkpoint file, for example one that you have trained. "
            "May be repeated.",
        ),
    ] = None,
    temperature: Annotated[
        list[float] | None,
        typer.Option(
            metavar="0-1",
            rich_help_panel=options.MODEL,
            show_default=f"{defaults.DRAWING_TEMPERATURE:g}",
            help="How freely models with chance in them draw when they enlarge. May be repeated: "
            "each is scored by itself.",
        ),
    ] = None,
    scale: Annotated[int | None, options.scale("2|4")] = None,
    strategy: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=options.MODEL,
            metavar="baseline|faster1|faster2|fastest",
            show_default="none of them",
            help="Cut and merge dark pictures in one of the thesis's four ways, to compare their "
            "quality.",
        ),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=MEASURES,
            metavar="|".join((*PICTURE_PROTOCOLS, *SQUARE_PROTOCOLS, CLIP_PROTOCOL)),
            help="What is compared: luma without a border, all of RGB, luma of small squares that "
            "are cut from the pictures first, or luma of video.",
            show_default="y-crop, for dark pictures and lpips rgb, for video video-y",
        ),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...",
            rich_help_panel=MEASURES,
            help=f"Measures to report, of {', '.join(known_metrics())}. Of "
            "pictures, lpips compares them as people do, and frechet and fid all of them together; "
            "with --pred and --gt, frechet, fid and prd compare whole sets.",
            show_default="psnr,ssim, for dark pictures all",
        ),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|PATH",
            rich_help_panel=SETS,
            help="Network that frechet, fid, prd and lpips look through: inception, squeezenet "
            "or a file of weights for one of them.",
            show_default="inception if it has been fetched, else squeezenet",
        ),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(
            rich_help_panel=SETS,
            help="Compare so many pictures on each side, for mnist and faces; fewer are quicker.",
            min=1,
            show_default="all",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            rich_help_panel=SETS,
            help="Seed of random draws and clusterings, for mnist, faces, whole sets and models "
            "that draw.",
            min=0,
            max=2**63 - 1,
            show_default="0",
        ),
    ] = None,
    border: Annotated[
        int | None,
        typer.Option(
            rich_help_panel=MEASURES,
            help="Leave out so many pixels at each side, in protocols y-crop and video-y.",
            min=0,
            show_default="the scale, for dark pictures and video 0",
        ),
    ] = None,
    phase: Annotated[
        str | None,
        options.phase(
            "Which pixel of its cell of the large frame each pixel of a small frame of video "
            "samples. Choose first to compare with published figures on Vid4 with blur degradation."
        ),
    ] = None,
    wear: Annotated[
        str | None,
        typer.Option(
            metavar="jpeg|jpeg-75|jpeg-85|jpeg-90|jpeg-95|noise|blur|all",
            show_default="none of them",
            help="Wear out the small pictures before they are enlarged, as those on people's disks "
            "are: by JPEG of quality 50 or the one named, by noise of 15 levels, by blur, or by "
            "all of these at random.",
        ),
    ] = None,
    study: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=STUDIES,
            metavar="|".join(EXPERIMENTS),
            show_default="none of them",
            help="Make an experiment in place of plain scores: a closer look at video models, "
            "or, with modes and mnist, at the measures of samples.",
        ),
    ] = None,
    row: Annotated[
        int | None,
        typer.Option(
            rich_help_panel=STUDIES,
            help="The row of every frame that --study profile shows.",
            min=0,
            show_default="the middle",
        ),
    ] = None,
    study_frames: Annotated[
        int | None,
        typer.Option(
            rich_help_panel=STUDIES,
            help="Look at so many frames of each clip in a study; fewer are quicker.",
            min=6,
            show_default="all, for drift 600",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            rich_help_panel=STUDIES,
            metavar="DIR",
            help="Write the pictures of --study profile here.",
        ),
    ] = None,
    data_root: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            rich_help_panel=options.FILES,
            help="Look for datasets in this folder.",
            show_default="$ENHANCE_DATA, then the cache",
        ),
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", rich_help_panel=options.FILES, help="Write the numbers as CSV too."
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html|FILE.md",
            rich_help_panel=options.FILES,
            help="Write the tables and figures as a page too, in HTML or in Markdown.",
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on where an interrupted run of the same command stopped, or score only "
            "what failed in it.",
        ),
    ] = False,
    tile: options.Tile = defaults.TILE,
    device: options.Device = defaults.DEVICE,
    precision: options.Precision = defaults.PRECISION,
    backend: options.Backend = "torch",
    json: options.Json = False,
    quiet: options.Quiet = False,
    no_progress: options.NoProgress = False,
) -> None:
    """Score models on a benchmark, or one folder of pictures or clips against another."""
    from enhance_cli.evaluation import request as asked
    from enhance_cli.evaluation.runner import run_evaluation
    from enhance_cli.talk import Talk

    names = None
    if metrics is not None:
        names = tuple(name.strip() for name in metrics.split(",") if name.strip())
    request = asked.EvaluationRequest(
        asked.Subject(dataset, predictions, references, study, wear, data_root),
        asked.ModelChoice(
            tuple(models or ()),
            tuple(weights or ()),
            scale,
            strategy,
            options.parse_tile(tile),
            device,
            precision,
            backend,
            tuple(temperature or ()),
        ),
        asked.Comparison(protocol, names, border, phase),
        asked.SampleOptions(features, count, seed),
        asked.StudyOptions(row, study_frames, output),
        asked.Destination(csv, report),
        resume,
    )
    raise typer.Exit(run_evaluation(request, Talk(json=json, quiet=quiet, no_progress=no_progress)))
