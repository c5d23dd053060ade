"""A whole folder of pictures against another: Frechet distance, precision and recall, JSD.

The files may have any names and numbers, since sets are compared and not pairs.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from enhance_cli.engine.features import FeatureExtractor
from enhance_cli.errors import DatasetError, UsageError
from enhance_cli.evaluation.benchmarks import Measures
from enhance_cli.evaluation.case import Advance, Case, Evaluation, Score, Scores
from enhance_cli.evaluation.report import Report, Table, decimal
from enhance_cli.evaluation.request import EvaluationRequest
from enhance_cli.evaluation.set_scores import (
    PICTURES_AT_ONCE,
    PRD_HEADINGS,
    FeatureSet,
    choose_features,
    compare_balanced,
    curve_tensors,
    draw_precision_recall,
    feature_notes,
    measure_batches,
    read_curve,
    summarise_curve,
)
from enhance_cli.io.image import find_images, read_rgb8
from enhance_cli.levels import to_planes, to_values
from enhance_cli.metrics.distribution import LEVELS, histogram_divergence, luminance_histogram
from enhance_cli.metrics.prd import CLUSTERS
from enhance_cli.talk import Talk

_LEAST = {"frechet": 2, "fid": 2, "prd": CLUSTERS, "jsd": 1}
_HEADINGS = {**PRD_HEADINGS, "jsd": "JSD of luminance"}
_PIXELS_AT_ONCE = 1 << 20


def open_sets(request: EvaluationRequest, measures: Measures, talk: Talk) -> Evaluation:
    """Two folders, a single case.

    Raises:
        EnhanceError: for folders that are absent or too small, and features that are absent or
            do not suit.
    """
    predictions, references = request.subject.predictions, request.subject.references
    assert predictions is not None
    assert references is not None
    files = [_find(folder, measures.metrics) for folder in (predictions, references)]
    extractor = choose_features(request, talk)
    if "fid" in measures.metrics and extractor.name != "FID":
        raise UsageError(
            f"--metrics fid: {extractor.path.name} gives no FID, which is of the "
            "official Inception weights: ask for frechet, or for --features inception"
        )

    def score(advance: Advance) -> dict[str, Score]:
        made, reference = (_read_set(paths, extractor, advance) for paths in files)
        return {predictions.name: _compare(measures, request.seed, made, reference)}

    count = sum(map(len, files))
    return Evaluation(
        predictions.name,
        "pictures",
        [Case(predictions.name, score, count, [path for paths in files for path in paths])],
        partial(_report, request=request, extractor=extractor, count=min(map(len, files))),
        [extractor.path],
    )


def _find(folder: Path, metrics: Sequence[str]) -> list[Path]:
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder")
    found = find_images(folder)
    if not found:
        raise DatasetError(f"{folder}: no pictures in this folder")
    wanting = max(metrics, key=lambda name: _LEAST[name])
    if len(found) < _LEAST[wanting]:
        why = " (its clusters)" if wanting == "prd" else ""
        raise DatasetError(
            f"{folder}: too few pictures for {wanting}, which needs at least {_LEAST[wanting]}"
            f"{why}, not {len(found)}: give more or leave {wanting} out"
        )
    return found


PictureSet = tuple[FeatureSet, Tensor]  # and the histogram of luminance of all its pictures


def _read_set(files: Sequence[Path], extractor: FeatureExtractor, advance: Advance) -> PictureSet:
    histogram = torch.zeros(LEVELS, dtype=torch.int64)

    def batches() -> Iterator[Tensor]:
        for batch in _read_batches(files):
            for picture in batch:
                histogram.add_(luminance_histogram(picture, 255.0))
            yield to_values(batch)

    return measure_batches(extractor, batches(), advance), histogram


def _read_batches(files: Sequence[Path]) -> Iterator[Tensor]:
    """uint8 (n, 3, H, W), as many as follow each other in one size and are not too much."""
    batch: list[Tensor] = []
    for path in files:
        picture = to_planes(read_rgb8(path))
        room = min(PICTURES_AT_ONCE, _PIXELS_AT_ONCE // picture[0].numel())
        if batch and (batch[0].shape != picture.shape or len(batch) >= room):
            yield torch.stack(batch)
            batch = []
        batch.append(picture)
    if batch:
        yield torch.stack(batch)


def _compare(measures: Measures, seed: int, made: PictureSet, reference: PictureSet) -> Score:
    (drawn, histogram), (true, true_histogram) = made, reference
    values: dict[str, Any] = {}
    tensors: dict[str, Tensor] = {}
    for metric in measures.metrics:
        if metric == "jsd":
            values[metric] = histogram_divergence(histogram, true_histogram)
        elif metric == "prd":
            curve, note = compare_balanced(true, drawn, seed)
            values.update(summarise_curve(curve))
            tensors = curve_tensors(curve)
            if note:
                values["note"] = note
        else:
            values[metric] = drawn.frechet(true)
    return Score(values, tensors)


def _report(
    results: Sequence[Scores], request: EvaluationRequest, extractor: FeatureExtractor, count: int
) -> Report:
    """One line, a column for each number."""
    (result,) = results
    (score,) = result.scores
    numbers = {name: value for name, value in score.values.items() if name != "note"}
    notes = feature_notes(extractor, count)
    if "note" in score.values:
        notes.append(score.values["note"])
    title = f"{request.subject.predictions} against {request.subject.references}"
    cells = [
        decimal(value, 1 if name in ("fid", "frechet") else 4) for name, value in numbers.items()
    ]
    header = ["pictures", *(_HEADINGS.get(name, extractor.name) for name in numbers)]
    return Report(
        title,
        {
            "dataset": str(request.subject.references),
            "protocol": "sets",
            "features": extractor.name,
            "seed": request.seed,
            "notes": notes,
            "results": [{"model": result.model, **numbers}],
        },
        [Table(title, [header, [result.model, *cells]])],
        [["model", *numbers], [result.model, *numbers.values()]],
        lambda: (
            [draw_precision_recall({"": [read_curve(result.model, score)]}, "Precision and recall")]
            if score.tensors
            else []
        ),
        notes,
    )
