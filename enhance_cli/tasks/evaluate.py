"""Score models on benchmarks, and pictures made elsewhere."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from enhance_cli.architectures import ARCHITECTURES, MODELS
from enhance_cli.data.benchmarks import (
    DATASETS,
    Pair,
    data_roots,
    load_pairs,
    match_folders,
)
from enhance_cli.data.dark_sets import DARK_DATASETS
from enhance_cli.data.picture_sets import PICTURE_SETS
from enhance_cli.data.video_sets import VIDEO_DATASETS
from enhance_cli.engine.catalogue import cache_folder, find_weights, load_model, resolve_name
from enhance_cli.engine.device import choose_device, choose_dtype
from enhance_cli.engine.tiled import TilePlan, run_tiled
from enhance_cli.errors import DatasetError, UsageError
from enhance_cli.io.image import read_image
from enhance_cli.metrics.protocols import score
from enhance_cli.resize import imresize
from enhance_cli.talk import Talk
from enhance_cli.tasks.score_report import Publication, publish
from enhance_cli.tasks.scores import Scores, check_names

Enlarge = Callable[[Tensor], Tensor]  # (C, h, w) uint8 levels -> (C, scale * h, scale * w)


@dataclass(frozen=True)
class EvaluationRequest:
    """The options of ``enhance evaluate``; see its help."""

    dataset: str | None = None
    predictions: Path | None = None
    references: Path | None = None
    models: Sequence[str] = ()
    weights: Path | None = None
    scale: int | None = None
    protocol: str = "y-crop"
    metrics: Sequence[str] = ("psnr", "ssim")
    border: int | None = None
    data_root: Path | None = None
    csv: Path | None = None
    report: Path | None = None
    tile: int | None = None
    device: str = "auto"
    precision: str = "auto"


def run_evaluate(request: EvaluationRequest, talk: Talk) -> int:
    """Score, and print a table, JSON or CSV.

    Returns:
        The exit code.

    Raises:
        EnhanceError: for unknown names, absent data, or pictures that do not match.
    """
    _check_names(request)
    if request.dataset is not None:
        results = _score_models(request, request.dataset, talk)
    elif request.predictions is not None and request.references is not None:
        results = _score_folder(request, request.predictions, request.references)
    else:
        raise UsageError("give --dataset NAME, or --pred DIR and --gt DIR")
    publish(
        results,
        Publication(
            title=_title(request),
            dataset=request.dataset or str(request.references),
            protocol=request.protocol,
            kind="image",
            metrics=request.metrics,
            csv=request.csv,
            report=request.report,
        ),
        talk,
    )
    return 0


def _check_names(request: EvaluationRequest) -> None:
    check_names([request.protocol], request.metrics)
    if request.dataset is not None:
        check_names(
            [],
            request.metrics,
            [request.dataset],
            [*DATASETS, *DARK_DATASETS, *VIDEO_DATASETS, *PICTURE_SETS],
        )
    if request.dataset is not None and (request.predictions or request.references):
        raise UsageError("give either --dataset or --pred and --gt, not both")


def _score_models(request: EvaluationRequest, dataset: str, talk: Talk) -> list[Scores]:
    device = choose_device(request.device)
    dtype = choose_dtype(request.precision, device)
    runners: dict[str, Enlarge] = {}
    scale = request.scale
    loaded = []
    for name, weights in _chosen_models(request):
        model = load_model(
            "superres", name=name, weights=weights, scale=request.scale, device=device, dtype=dtype
        )
        if scale is not None and scale != model.contract.scale:
            raise UsageError("the models have different scales, evaluate them one by one")
        scale = model.contract.scale
        loaded.append(model)
    scale = scale or 4
    pairs = load_pairs(dataset, scale, data_roots(request.data_root, cache_folder()))
    runners["bicubic"] = lambda image: _bicubic(image, scale)
    plan = TilePlan(tile=request.tile)
    for model in loaded:
        label = model.info.name if model.info.name not in runners else f"{model.info.name}*"
        runners[label] = lambda image, model=model: run_tiled(  # type: ignore[misc]
            model.network,
            model.contract,
            image.float() / 255,
            plan,
            device=device,
            dtype=dtype,
            levels=torch.uint8,
        )
    results = [Scores(name) for name in runners]
    with talk.progress(f"{dataset} x{scale}", len(pairs), "pictures") as bar:
        for pair in pairs:
            reference, source = _read_pair(pair, scale)
            for result, run in zip(results, runners.values(), strict=True):
                estimate = run(source.expand(3, -1, -1))
                result.images.append(_score_one(request, pair, estimate, reference, scale))
            bar.advance()
    return results


def _chosen_models(request: EvaluationRequest) -> list[tuple[str | None, Path | None]]:
    """Names and paths to load: those asked for, else every model of the scale with weights."""
    chosen: list[tuple[str | None, Path | None]] = [
        (resolve_name("superres", name, request.scale), None)
        for name in request.models
        if name != "bicubic"
    ]
    if request.weights is not None:
        chosen.append((None, request.weights))
    if chosen or request.models:
        return chosen
    scale = request.scale or 4
    return [
        (name, None)
        for name, spec in MODELS.items()
        if ARCHITECTURES[spec.architecture].task == "superres"
        and spec.config.scale == scale
        and find_weights(name)
    ]


def _score_folder(request: EvaluationRequest, predictions: Path, references: Path) -> list[Scores]:
    result = Scores(predictions.name)
    for pair in match_folders(predictions, references):
        assert pair.source is not None
        estimate, reference = _read(pair.source), _read(pair.reference)
        result.images.append(_score_one(request, pair, estimate, reference, request.scale or 4))
    return [result]


def _score_one(
    request: EvaluationRequest, pair: Pair, estimate: Tensor, reference: Tensor, scale: int
) -> dict[str, Any]:
    border = scale if request.border is None else request.border
    try:
        numbers = score(
            _unit(estimate), _unit(reference), request.protocol, border, request.metrics
        )
    except ValueError as error:
        raise DatasetError(f"{pair.name}: {error}") from error
    return {"name": pair.name, **numbers}


def _unit(levels: Tensor) -> Tensor:
    return levels.double() / torch.iinfo(levels.dtype).max


def _read(path: Path) -> Tensor:
    """(C, H, W) levels of a picture's colour, C = 1 or 3."""
    return torch.from_numpy(read_image(path).pixels).permute(2, 0, 1)


def _read_pair(pair: Pair, scale: int) -> tuple[Tensor, Tensor]:
    """Reference and source, 8-bit (C, H, W).

    Raises:
        DatasetError: if their sizes do not fit together.
    """
    reference = _read(pair.reference)
    if reference.dtype != torch.uint8:
        raise DatasetError(f"{pair.reference}: 16-bit, benchmarks are 8-bit pictures")
    if pair.source is None:
        height, width = (side - side % scale for side in reference.shape[-2:])
        reference = reference[:, :height, :width]
        return reference, imresize(reference, 1 / scale)
    source = _read(pair.source)
    if tuple(side * scale for side in source.shape[-2:]) != tuple(reference.shape[-2:]):
        raise DatasetError(
            f"{pair.source}: {source.shape[-1]}x{source.shape[-2]} is not 1/{scale} of its "
            f"reference, {reference.shape[-1]}x{reference.shape[-2]}"
        )
    return reference, source


def _bicubic(image: Tensor, scale: int) -> Tensor:
    """The baseline, in floating point and rounded once."""
    return imresize(image.double(), scale).round().clamp(0, 255).to(torch.uint8)


def _title(request: EvaluationRequest) -> str:
    return f"{request.dataset or request.references} ({request.protocol})"
