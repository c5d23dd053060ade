"""``enhance evaluate``: score models and pictures."""

from pathlib import Path
from typing import Annotated, Any

import typer

from enhance_cli.commands import options


def evaluate(
    dataset: Annotated[
        str | None,
        typer.Option(metavar="NAME",
                     help="set5, set14, bsd100, urban100; sid, lol or synthetic-dark.")
    ] = None,
    predictions: Annotated[
        Path | None, typer.Option("--pred", metavar="DIR", help="Pictures made elsewhere.")
    ] = None,
    references: Annotated[
        Path | None, typer.Option("--gt", metavar="DIR", help="Their ground truth.")
    ] = None,
    models: Annotated[
        list[str] | None,
        typer.Option("--model", metavar="NAME", show_default="all of the scale, or the default",
                     help="May be repeated; bicubic, or what low light must beat, is beside it."),
    ] = None,
    weights: options.Weights = None,
    scale: options.Scale = None,
    strategy: Annotated[
        str | None,
        typer.Option(metavar="baseline|faster1|faster2|fastest", show_default="none of them",
                     help="How to cut and merge dark pictures, as the thesis does."),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(metavar="y-crop|rgb", help="What is compared.",
                     show_default="y-crop, for dark pictures rgb"),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(metavar="NAME,...", help="psnr, ssim, mae, jsd.",
                     show_default="psnr,ssim, for dark pictures all"),
    ] = None,
    border: Annotated[
        int | None, typer.Option(help="Pixels that y-crop cuts off.", min=0,
                                 show_default="the scale, for dark pictures 0"),
    ] = None,
    data_root: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of datasets.",
                     show_default="$ENHANCE_DATA, then the cache"),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the numbers as CSV too.")
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE.html", help="Write the table, and figures, as a page too."),
    ] = None,
    tile: options.Tile = "auto",
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    json: options.Json = False,
    quiet: options.Quiet = False,
    no_progress: options.NoProgress = False,
) -> None:
    """Score models on a benchmark, or one folder of pictures against another."""
    from enhance_cli.data.dark_sets import DARK_DATASETS
    from enhance_cli.tasks.talk import Talk

    talk = Talk(json=json, quiet=quiet, progress=not no_progress)
    shared: dict[str, Any] = {
        "models": models or (), "weights": weights, "border": border, "data_root": data_root,
        "csv": csv, "report": report, "tile": options.parse_tile(tile), "device": device,
        "precision": precision,
    }
    if protocol is not None:
        shared["protocol"] = protocol
    if metrics is not None:
        shared["metrics"] = [name.strip() for name in metrics.split(",") if name.strip()]
    if dataset in DARK_DATASETS:
        from enhance_cli.tasks.evaluate_dark import DarkEvaluationRequest, run_evaluate_dark

        _refuse(dataset, {"-x": scale, "--pred": predictions, "--gt": references})
        dark = DarkEvaluationRequest(dataset=dataset, strategy=strategy, **shared)
        raise typer.Exit(run_evaluate_dark(dark, talk))
    from enhance_cli.tasks.evaluate import EvaluationRequest, run_evaluate

    _refuse(dataset, {"--strategy": strategy})
    request = EvaluationRequest(dataset=dataset, predictions=predictions, references=references,
                                scale=scale, **shared)
    raise typer.Exit(run_evaluate(request, talk))


def _refuse(dataset: str | None, given: dict[str, object]) -> None:
    """Say of options that mean nothing here."""
    from enhance_cli.errors import UsageError

    for name, value in given.items():
        if value is not None:
            where = f"with --dataset {dataset}" if dataset else "with --pred and --gt"
            raise UsageError(f"{name} {value}: of no use {where}, leave it out")
