"""A whole folder of pictures against another: Frechet distance, precision and recall, JSD.

The files may have any names and numbers, since sets are compared and not pairs.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from enhance_cli.engine.features import FeatureExtractor
from enhance_cli.errors import DatasetError
from enhance_cli.evaluation.benchmarks import Measures
from enhance_cli.evaluation.case import Advance, Case, Evaluation
from enhance_cli.evaluation.request import EvaluationRequest
from enhance_cli.evaluation.scores import Column, Results, Score, ScoreReport, Table
from enhance_cli.evaluation.set_scores import (
    PICTURES_AT_ONCE,
    PRD_COLUMNS,
    FeatureSet,
    check_fid,
    choose_features,
    draw_precision_recall,
    feature_notes,
    measure_batches,
    read_curve,
)
from enhance_cli.io.image import find_images, read_rgb8
from enhance_cli.levels import to_planes, to_values
from enhance_cli.metrics.distribution import LEVELS, histogram_divergence, luminance_histogram
from enhance_cli.metrics.prd import CLUSTERS
from enhance_cli.talk import Talk

_LEAST = {"frechet": 2, "fid": 2, "prd": CLUSTERS, "jsd": 1}
_PIXELS_AT_ONCE = 1 << 20


def open_sets(request: EvaluationRequest, measures: Measures, talk: Talk) -> Evaluation:
    """Two folders, a single case.

    Raises:
        EnhanceError: for folders that are absent or too small, and features that are absent or
            do not suit.
    """
    folders = request.subject.folders
    predictions, references = (_find(folder, measures.metrics) for folder in folders)
    extractor = choose_features(request, talk)
    check_fid(extractor, measures.metrics)
    name = folders[0].name

    def score(advance: Advance) -> dict[str, Score]:
        made, truth = (_read_set(paths, extractor, advance) for paths in (predictions, references))
        return {name: _compare(measures, request.seed, made, truth)}

    files = [*predictions, *references]
    notes = feature_notes(extractor, min(len(predictions), len(references)))
    report = partial(_report, request=request, measure=extractor.name, notes=notes)
    cases = [Case(name, score, len(files), files)]
    return Evaluation(name, "pictures", cases, report, [extractor.path])


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


def _compare(measures: Measures, seed: int, made: PictureSet, truth: PictureSet) -> Score:
    (drawn, histogram), (reference, true_histogram) = made, truth
    found: Score = {}
    for metric in measures.metrics:
        if metric == "jsd":
            found[metric] = histogram_divergence(histogram, true_histogram)
        elif metric == "prd":
            found.update(reference.precision_recall(drawn, seed))
        else:
            found[metric] = drawn.frechet(reference)
    return found


def _report(
    results: Results, request: EvaluationRequest, measure: str, notes: Sequence[str]
) -> ScoreReport:
    """One line, a column for each number."""
    ((name, (score,)),) = results.items()
    row = {"model": name, **score}
    keys = [key for key in row if not key.startswith("_")]
    known = [column._replace(decimals=4) for column in PRD_COLUMNS]
    known += [Column("model", "pictures"), Column("jsd", "JSD of luminance", 4)]
    known += [Column("frechet", measure, 1), Column("fid", measure, 1)]
    columns = {column.key: column for column in known}

    def draw() -> list[tuple[bytes, str]]:
        if "_recall" not in score:
            return []
        return [draw_precision_recall({"": [read_curve(name, score)]}, "Precision and recall")]

    title = f"{request.subject.predictions} against {request.subject.references}"
    return ScoreReport(
        title,
        {"protocol": "sets", "features": measure, "seed": request.seed},
        [row],
        [Table(title, [row], [columns[key] for key in keys])],
        [row],
        keys,
        draw,
        [*notes, *([score["_note"]] if score.get("_note") else [])],
    )
