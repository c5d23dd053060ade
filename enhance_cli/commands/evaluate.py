"""``enhance evaluate``: score models and pictures."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from enhance_cli.commands import options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from enhance_cli.talk import Talk


def evaluate(
    dataset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="set5, set14, bsd100, urban100; sid, lol or synthetic-dark; vid4 or "
            "video-val; mnist or faces for models that draw pictures.",
        ),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option("--pred", metavar="DIR", help="Pictures, or clips, made elsewhere."),
    ] = None,
    references: Annotated[
        Path | None, typer.Option("--gt", metavar="DIR", help="Their ground truth.")
    ] = None,
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            metavar="NAME",
            show_default="all of the scale, or the default",
            help="May be repeated; bicubic, or what low light must beat, is beside it.",
        ),
    ] = None,
    weights: options.Weights = None,
    scale: options.Scale = None,
    strategy: Annotated[
        str | None,
        typer.Option(
            metavar="baseline|faster1|faster2|fastest",
            show_default="none of them",
            help="How to cut and merge dark pictures, as the thesis does.",
        ),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            metavar="y-crop|rgb|video-y",
            help="What is compared.",
            show_default="y-crop, for dark pictures and lpips rgb, for video video-y",
        ),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...",
            help="psnr, ssim, mae, jsd; of --pred and --gt also lpips, or of whole sets "
            "frechet, fid, prd, jsd.",
            show_default="psnr,ssim, for dark pictures all",
        ),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|PATH",
            help="Network that frechet, fid and prd look through: inception, squeezenet "
            "or a file of weights for one of them.",
            show_default="inception if it has been fetched, else squeezenet",
        ),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(help="Pictures on each side, for mnist and faces.", min=1, show_default="all"),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            help="Of samples and clusters, for mnist, faces and whole sets.",
            min=0,
            max=2**63 - 1,
            show_default="0",
        ),
    ] = None,
    border: Annotated[
        int | None,
        typer.Option(
            help="Pixels that y-crop and video-y cut off.",
            min=0,
            show_default="the scale, for dark pictures and video 0",
        ),
    ] = None,
    study: Annotated[
        str | None,
        typer.Option(
            metavar="profile|frames|blur|noise|drift|modes",
            show_default="none of them",
            help="A closer look at video models; modes, with mnist, at the measures of samples.",
        ),
    ] = None,
    row: Annotated[
        int | None, typer.Option(help="That profile looks at.", min=0, show_default="the middle")
    ] = None,
    study_frames: Annotated[
        int | None,
        typer.Option(help="That a study looks at.", min=6, show_default="all, for drift 600"),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="Folder for the pictures of profile."),
    ] = None,
    data_root: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder of datasets.", show_default="$ENHANCE_DATA, then the cache"
        ),
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
    """Score models on a benchmark, or one folder of pictures or clips against another."""
    from enhance_cli.data.picture_sets import PICTURE_SETS
    from enhance_cli.data.video_sets import VIDEO_DATASETS, holds_clips
    from enhance_cli.errors import UsageError
    from enhance_cli.talk import Talk

    talk = Talk(json=json, quiet=quiet, no_progress=no_progress)
    shared: dict[str, Any] = {
        "models": models or (),
        "weights": weights,
        "border": border,
        "data_root": data_root,
        "csv": csv,
        "report": report,
        "tile": options.parse_tile(tile),
        "device": device,
        "precision": precision,
    }
    for_video = {"--study": study, "--row": row, "--study-frames": study_frames, "-o": output}
    for_samples = {"--features": features, "--count": count, "--seed": seed}
    if protocol is not None:
        shared["protocol"] = protocol
    if metrics is not None:
        shared["metrics"] = [name.strip() for name in metrics.split(",") if name.strip()]
    if study is not None and dataset is None:
        wanted = (
            "--dataset mnist"
            if study == "modes"
            else (f"a dataset of video, add --dataset {' or '.join(VIDEO_DATASETS)}")
        )
        raise UsageError(f"--study {study}: needs {wanted}")
    if dataset in PICTURE_SETS:
        _refuse(
            dataset,
            {
                "-x": scale,
                "--strategy": strategy,
                "--protocol": protocol,
                "--metrics": metrics,
                "--border": border,
                "--pred": predictions,
                "--gt": references,
                "--tile": None if tile == "auto" else tile,
                **for_video,
                "--study": None,
            },
        )
        _evaluate_samples(
            {
                **shared,
                "dataset": dataset,
                "study": study,
                "features": features,
                "count": count,
                "seed": seed or 0,
            },
            talk,
        )
    if dataset is None and _judges_samples(shared.get("metrics", ())):
        _refuse(
            None,
            {
                "-x": scale,
                "--strategy": strategy,
                "--count": count,
                **for_video,
                "--model": ",".join(models) if models else None,
                "--weights": weights,
                "--tile": None if tile == "auto" else tile,
                "--precision": None if precision == "auto" else precision,
            },
        )
        from enhance_cli.tasks.sample_folders import FoldersRequest, run_evaluate_folders

        folders = FoldersRequest(
            predictions,
            references,
            shared["metrics"],
            features=features,
            seed=seed,
            protocol=protocol,
            border=border,
            data_root=data_root,
            csv=csv,
            report=report,
            device=device,
        )
        raise typer.Exit(run_evaluate_folders(folders, talk))
    if dataset in VIDEO_DATASETS or (
        dataset is None and references is not None and holds_clips(references)
    ):
        _refuse(dataset, {"--strategy": strategy, **for_samples})
        _evaluate_video(
            {
                **shared,
                "dataset": dataset,
                "predictions": predictions,
                "references": references,
                "scale": scale,
                "study": study,
                "row": row,
                "study_frames": study_frames,
                "output": output,
            },
            talk,
        )
    from enhance_cli.evaluation import request as asked
    from enhance_cli.evaluation.runner import run_evaluation

    request = asked.EvaluationRequest(
        asked.Subject(dataset, predictions, references, study, data_root),
        asked.ModelChoice(
            tuple(models or ()),
            weights,
            scale,
            strategy,
            options.parse_tile(tile),
            device,
            precision,
        ),
        asked.Comparison(protocol, shared.get("metrics"), border),
        asked.SampleOptions(features, count, seed),
        asked.StudyOptions(row, study_frames, output),
        asked.Destination(csv, report),
    )
    raise typer.Exit(run_evaluation(request, talk))


def _judges_samples(metrics: "Sequence[str]") -> bool:
    """Whether a measure is among them that looks through a network."""
    from enhance_cli.tasks.sample_folders import NAMES

    return any(name in NAMES for name in metrics)


def _evaluate_samples(given: dict[str, Any], talk: "Talk") -> None:
    from enhance_cli.tasks.sample_scores import SampleEvaluationRequest

    unused = ("border", "tile", "protocol", "metrics")
    request = SampleEvaluationRequest(
        **{key: value for key, value in given.items() if key not in unused}
    )
    if request.study is None:
        from enhance_cli.tasks.evaluate_samples import run_evaluate_samples

        raise typer.Exit(run_evaluate_samples(request, talk))
    from enhance_cli.tasks.sample_studies import run_sample_study

    _refuse(
        f"{request.dataset} --study {request.study}",
        {
            "--model": ",".join(request.models) or None,
            "--weights": request.weights,
            "--precision": None if request.precision == "auto" else request.precision,
        },
    )
    raise typer.Exit(run_sample_study(request, talk))


def _evaluate_video(given: dict[str, Any], talk: "Talk") -> None:
    from enhance_cli.tasks.video_runs import VideoRequest

    if given["study"] is not None:
        from enhance_cli.tasks.video_studies import run_video_study

        _refuse(
            f"{given['dataset']} --study {given['study']}",
            {
                "--border": given["border"],
                "--metrics": ",".join(given["metrics"]) if "metrics" in given else None,
            },
        )
        raise typer.Exit(run_video_study(VideoRequest(**given), talk))
    from enhance_cli.tasks.evaluate_video import run_evaluate_video

    _refuse(
        given["dataset"] and f"{given['dataset']} without --study",
        {"--row": given["row"], "--study-frames": given["study_frames"], "-o": given["output"]},
    )
    raise typer.Exit(run_evaluate_video(VideoRequest(**given), talk))


def _refuse(dataset: str | None, given: dict[str, object]) -> None:
    """Say of options that mean nothing here."""
    from enhance_cli.errors import UsageError

    for name, value in given.items():
        if value is not None:
            where = f"with --dataset {dataset}" if dataset else "with --pred and --gt"
            raise UsageError(f"{name} {value}: of no use {where}, leave it out")
