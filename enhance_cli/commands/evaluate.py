"""``enhance evaluate``: score models and pictures."""

from pathlib import Path
from typing import Annotated

import typer

from enhance_cli.commands import options


def evaluate(
    dataset: Annotated[
        str | None, typer.Option(metavar="NAME", help="set5, set14, bsd100 or urban100.")
    ] = None,
    predictions: Annotated[
        Path | None, typer.Option("--pred", metavar="DIR", help="Pictures made elsewhere.")
    ] = None,
    references: Annotated[
        Path | None, typer.Option("--gt", metavar="DIR", help="Their ground truth.")
    ] = None,
    models: Annotated[
        list[str] | None,
        typer.Option("--model", metavar="NAME", show_default="all of the scale",
                     help="May be repeated; bicubic is always beside it."),
    ] = None,
    weights: options.Weights = None,
    scale: options.Scale = None,
    protocol: Annotated[
        str, typer.Option(metavar="y-crop|rgb", help="What is compared.")
    ] = "y-crop",
    metrics: Annotated[
        str, typer.Option(metavar="NAME,...", help="psnr, ssim, mae.")
    ] = "psnr,ssim",
    border: Annotated[
        int | None, typer.Option(help="Pixels that y-crop cuts off.", min=0,
                                 show_default="the scale"),
    ] = None,
    data_root: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of datasets.",
                     show_default="$ENHANCE_DATA, then the cache"),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the numbers as CSV too.")
    ] = None,
    tile: options.Tile = "auto",
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    json: options.Json = False,
    quiet: options.Quiet = False,
    no_progress: options.NoProgress = False,
) -> None:
    """Score models on a benchmark, or one folder of pictures against another."""
    from enhance_cli.tasks.evaluate import EvaluationRequest, run_evaluate
    from enhance_cli.tasks.talk import Talk

    request = EvaluationRequest(
        dataset=dataset, predictions=predictions, references=references, models=models or (),
        weights=weights, scale=scale, protocol=protocol,
        metrics=[name.strip() for name in metrics.split(",") if name.strip()], border=border,
        data_root=data_root, csv=csv, tile=options.parse_tile(tile), device=device,
        precision=precision,
    )
    raise typer.Exit(run_evaluate(
        request, Talk(json=json, quiet=quiet, progress=not no_progress)))
