"""Benchmarks of super-resolution: pictures that were reduced are enlarged again."""

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor

from enhance_cli.data.benchmarks import Pair, load_pairs
from enhance_cli.engine.catalogue import Model
from enhance_cli.engine.tiled import TilePlan, run_tiled
from enhance_cli.errors import DatasetError
from enhance_cli.evaluation.benchmarks import Measures
from enhance_cli.evaluation.case import Advance, Case, Evaluation, Score
from enhance_cli.evaluation.models import checkpoints, find_roots, load_enlargers
from enhance_cli.evaluation.pairs import compare_pictures, read_levels
from enhance_cli.evaluation.request import EvaluationRequest
from enhance_cli.evaluation.tables import report_pictures
from enhance_cli.levels import to_values
from enhance_cli.resize import imresize
from enhance_cli.talk import Talk

Enlarger = Callable[[Tensor], Tensor]  # (3, h, w) uint8 levels -> (3, scale * h, scale * w)


def open_images(request: EvaluationRequest, measures: Measures, talk: Talk) -> Evaluation:
    """The pictures of a dataset, enlarged by bicubic interpolation and by every model.

    Raises:
        EnhanceError: for unknown models, and data or weights that are absent.
    """
    assert request.subject.dataset is not None
    models, scale = load_enlargers("superres", request.models, talk)
    plan = TilePlan(tile=request.models.tile)
    enlargers: dict[str, Enlarger] = {
        "bicubic": partial(_enlarge_bicubic, scale=scale),
        **{name: partial(_enlarge, model=model, plan=plan) for name, model in models.items()},
    }
    return Evaluation(
        f"{request.subject.dataset} x{scale}",
        "pictures",
        [
            Case(
                pair.name,
                partial(_score_pair, pair, enlargers, scale, measures),
                files=[path for path in (pair.reference, pair.source) if path],
            )
            for pair in load_pairs(request.subject.dataset, scale, find_roots(request))
        ],
        partial(report_pictures, request=request, measures=measures, kind="image"),
        checkpoints(models),
    )


def _score_pair(
    pair: Pair, enlargers: Mapping[str, Enlarger], scale: int, measures: Measures, advance: Advance
) -> dict[str, Score]:
    reference, source = _read_pair(pair, scale)
    border = scale if measures.border is None else measures.border
    scores = {
        name: compare_pictures(
            pair.name, enlarge(source.expand(3, -1, -1)), reference, measures, border
        )
        for name, enlarge in enlargers.items()
    }
    advance(1)
    return scores


def _read_pair(pair: Pair, scale: int) -> tuple[Tensor, Tensor]:
    """Reference and small picture, uint8 (C, H, W) and (C, h, w).

    Raises:
        DatasetError: if their sizes do not fit together.
    """
    reference = read_levels(pair.reference)
    if reference.dtype != torch.uint8:
        raise DatasetError(f"{pair.reference}: 16-bit, benchmarks are 8-bit pictures")
    if pair.source is None:
        height, width = (side - side % scale for side in reference.shape[-2:])
        reference = reference[:, :height, :width]
        return reference, imresize(reference, 1 / scale)
    source = read_levels(pair.source)
    if tuple(side * scale for side in source.shape[-2:]) != tuple(reference.shape[-2:]):
        raise DatasetError(
            f"{pair.source}: {source.shape[-1]}x{source.shape[-2]} is not 1/{scale} of its "
            f"reference, {reference.shape[-1]}x{reference.shape[-2]}"
        )
    return reference, source


def _enlarge_bicubic(image: Tensor, scale: int) -> Tensor:
    """The baseline, in floating point and rounded once."""
    return imresize(image.double(), scale).round().clamp(0, 255).to(torch.uint8)


def _enlarge(image: Tensor, model: Model, plan: TilePlan) -> Tensor:
    return run_tiled(model, to_values(image), plan, levels=torch.uint8)
