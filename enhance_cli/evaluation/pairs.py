"""Pictures made elsewhere against their truth, in pairs; by LPIPS too."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from enhance_cli.data.benchmarks import Pair, match_folders
from enhance_cli.defaults import SCALE
from enhance_cli.engine.catalogue import cache_folder
from enhance_cli.engine.device import choose_device
from enhance_cli.engine.features import load_perceptual_distance
from enhance_cli.errors import DatasetError, UsageError
from enhance_cli.evaluation.benchmarks import LPIPS, Measures
from enhance_cli.evaluation.case import Advance, Case, Evaluation, Score
from enhance_cli.evaluation.models import find_roots
from enhance_cli.evaluation.request import EvaluationRequest
from enhance_cli.evaluation.set_scores import net_roots
from enhance_cli.evaluation.tables import report_pictures
from enhance_cli.io.image import read_image, read_rgb8
from enhance_cli.levels import to_planes, to_values
from enhance_cli.metrics.protocols import score
from enhance_cli.talk import Talk

Distance = Callable[[Tensor, Tensor], Tensor]  # two of (1, 3, H, W) in [0, 1] -> (1,)


def open_pairs(request: EvaluationRequest, measures: Measures, talk: Talk) -> Evaluation:
    """The pictures of two folders, paired by their names.

    Raises:
        EnhanceError: for folders that do not match, and weights that are absent.
    """
    predictions, references = request.subject.predictions, request.subject.references
    assert predictions is not None
    assert references is not None
    distance, notes = None, []
    if LPIPS in measures.metrics:
        if request.samples.features not in (None, "squeezenet"):
            raise UsageError(
                f"--features {request.samples.features}: lpips has weights for squeezenet only"
            )
        distance = load_perceptual_distance(
            roots=net_roots(find_roots(request)),
            cache=cache_folder(),
            device=choose_device(request.models.device),
        )
        notes = [
            f"lpips: {distance.name}, of the whole picture in RGB; compare it only with "
            "figures of the same network"
        ]
    pairs = match_folders(predictions, references)
    return Evaluation(
        predictions.name,
        "pictures",
        [
            Case(
                pair.name,
                partial(_score_pair, pair, distance, request.models.scale or SCALE, measures),
                files=[path for path in (pair.reference, pair.source) if path],
            )
            for pair in pairs
        ],
        partial(report_pictures, request=request, measures=measures, kind="image", notes=notes),
    )


def _score_pair(
    pair: Pair, distance: Distance | None, scale: int, measures: Measures, advance: Advance
) -> dict[str, Score]:
    assert pair.source is not None
    border = scale if measures.border is None else measures.border
    result = compare_pictures(
        pair.name, read_levels(pair.source), read_levels(pair.reference), measures, border
    )
    if distance is not None:
        result.values[LPIPS] = _measure_distance(distance, pair.source, pair.reference)
    advance(1)
    return {pair.source.parent.name: result}


def _measure_distance(distance: Distance, *paths: Path) -> float:
    pictures = (to_planes(read_rgb8(path))[None] for path in paths)
    try:
        return float(distance(*map(to_values, pictures)))
    except ValueError as error:
        raise DatasetError(str(error)) from error


def read_levels(path: Path) -> Tensor:
    """(C, H, W) levels of a picture's colour, C = 1 or 3."""
    return to_planes(read_image(path).pixels)


def compare_pictures(
    name: str, estimate: Tensor, reference: Tensor, measures: Measures, border: int
) -> Score:
    """Score a picture by all measures but LPIPS.

    Args:
        name: of the case.
        estimate, reference: (C, H, W) levels, or values in [0, 1] in floating point.
        measures: protocol and metrics; LPIPS gets a place, and no value.
        border: pixels to cut off, in protocols that cut.

    Raises:
        DatasetError: if the sizes differ, or too little is left to measure.
    """
    metrics = [metric for metric in measures.metrics if metric != LPIPS]
    try:
        numbers = score(
            to_values(estimate, torch.float64),
            to_values(reference, torch.float64),
            measures.protocol,
            border,
            metrics,
        )
    except ValueError as error:
        raise DatasetError(str(error)) from error
    return Score({"name": name, **{metric: numbers.get(metric) for metric in measures.metrics}})
