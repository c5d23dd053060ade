"""Pictures against their truth, one after the other: enlarged by models, or made elsewhere."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from enhance_cli.data.benchmarks import Pair, load_pairs, match_folders
from enhance_cli.data.squares import cut_square
from enhance_cli.data.wear import WEAR, wear_out
from enhance_cli.defaults import DRAWING_TEMPERATURE, SCALE
from enhance_cli.engine.catalogue import Model
from enhance_cli.engine.drawing import NoiseField, draw_answer
from enhance_cli.engine.runnable import Runnable
from enhance_cli.engine.tiled import TilePlan, run_tiled
from enhance_cli.errors import DatasetError, UnknownNameError, UsageError
from enhance_cli.evaluation.benchmarks import SQUARE_PROTOCOLS, SQUARE_SCALE, Measures
from enhance_cli.evaluation.case import Case, Evaluation
from enhance_cli.evaluation.models import checkpoints, find_roots, load_enlargers
from enhance_cli.evaluation.perception import open_perception, summarise
from enhance_cli.evaluation.request import EvaluationRequest
from enhance_cli.evaluation.scores import Column, Results, Score, ScoreReport, Table
from enhance_cli.io.image import read_image, read_rgb8
from enhance_cli.levels import to_planes, to_values
from enhance_cli.metrics import METRICS
from enhance_cli.metrics.protocols import score as measure
from enhance_cli.resize import imresize
from enhance_cli.talk import Talk

PictureEnlarger = Callable[[Tensor], Tensor]  # (3, h, w) uint8 levels -> (3, scale * h, scale * w)


def open_images(request: EvaluationRequest, measures: Measures, talk: Talk) -> Evaluation:
    """The pictures of a dataset, enlarged by bicubic interpolation and by every model.

    Raises:
        EnhanceError: for unknown models, and data or weights that are absent.
    """
    models, scale = load_enlargers("superres", request.models, talk)
    plan = TilePlan(tile=request.models.tile)
    enlargers: dict[str, PictureEnlarger] = {
        "bicubic": partial(_enlarge_bicubic, scale=scale),
        **{
            name: partial(_enlarge, model=model, plan=plan)
            for name, model in _settle_chance(models, request).items()
        },
    }

    wear = request.subject.wear
    if wear is not None and wear not in WEAR:
        raise UnknownNameError("wear", wear, WEAR)
    pairs = load_pairs(request.subject.name, scale, find_roots(request))
    perception = open_perception(request, measures, len(pairs), talk)
    side, comparison, notes = SQUARE_PROTOCOLS.get(measures.protocol), measures, perception.notes
    if side is not None:
        comparison = replace(measures, protocol="y-crop", border=measures.border or 0)
        notes = [*notes, _square_note(measures.protocol, side, scale)]

    def score_pair(pair: Pair) -> dict[str, Score]:
        reference, source = _read_pair(pair, scale) if side is None else _read_square(pair, side)
        if wear is not None:
            source = wear_out(wear, reference.expand(3, -1, -1), scale, pair.name)
        source = source.expand(3, -1, -1)
        scores = {}
        for name, enlarge in enlargers.items():
            estimate = enlarge(source)
            scores[name] = compare_pictures(pair.name, estimate, reference, comparison, scale)
            scores[name].update(perception.look(estimate, reference.expand(3, -1, -1)))
        return scores

    return Evaluation(
        f"{request.subject.name} x{scale}",
        "pictures",
        _cases(pairs, score_pair),
        partial(report_pictures, request=request, measures=measures, kind="image", notes=notes),
        checkpoints(models),
    )


def open_pairs(request: EvaluationRequest, measures: Measures, talk: Talk) -> Evaluation:
    """The pictures of two folders, paired by their names, and compared by LPIPS too if wanted.

    Raises:
        EnhanceError: for folders that do not match, and weights that are absent.
    """
    predictions, references = request.subject.folders
    pairs = match_folders(predictions, references)
    perception = open_perception(request, measures, len(pairs), talk)

    def score_pair(pair: Pair) -> dict[str, Score]:
        assert pair.source is not None
        paths = pair.source, pair.reference
        estimate, reference = map(_read_levels, paths)
        scale = request.models.scale or SCALE
        found = compare_pictures(pair.name, estimate, reference, measures, scale)
        if perception.distance is not None:
            found.update(perception.look(*(to_planes(read_rgb8(path)) for path in paths)))
        return {predictions.name: found}

    return Evaluation(
        predictions.name,
        "pictures",
        _cases(pairs, score_pair),
        partial(
            report_pictures,
            request=request,
            measures=measures,
            kind="image",
            notes=perception.notes,
        ),
    )


def _cases(pairs: Sequence[Pair], score_pair: Callable[[Pair], dict[str, Score]]) -> list[Case]:
    return [
        Case(
            pair.name,
            lambda advance, pair=pair: score_pair(pair),  # type: ignore[misc]
            files=[path for path in (pair.reference, pair.source) if path],
        )
        for pair in pairs
    ]


def _settle_chance(models: dict[str, Model], request: EvaluationRequest) -> dict[str, Runnable]:
    """The models, those that draw once for each temperature that is asked for, which they are
    named after.

    Raises:
        UsageError: if a temperature is out of range, or nothing has chance in it.
    """
    asked = request.models.temperatures
    for temperature in asked:
        if not 0 <= temperature <= 1:
            raise UsageError(f"--temperature {temperature:g}: must be from 0 to 1")
    settled: dict[str, Runnable] = {}
    for name, model in models.items():
        if not model.contract.draws:
            settled[name] = model
            continue
        for temperature in asked or (DRAWING_TEMPERATURE,):
            label = f"{name} ({temperature:g})" if asked else name
            settled[label] = draw_answer(model, temperature, NoiseField(request.seed))
    if not any(model.contract.draws for model in models.values()):
        for option, value in (("--temperature", asked[:1]), ("--seed", request.samples.seed)):
            if value not in (None, ()):
                raise UsageError(f"{option}: no model here has chance in it, leave it out")
    return settled


def _read_levels(path: Path) -> Tensor:
    """(C, H, W) levels of a picture's colour, C = 1 or 3."""
    return to_planes(read_image(path).pixels)


def _read_reference(path: Path) -> Tensor:
    """uint8 (C, H, W) levels of a picture's colour, C = 1 or 3.

    Raises:
        DatasetError: if it has 16 bits.
    """
    reference = _read_levels(path)
    if reference.dtype != torch.uint8:
        raise DatasetError(f"{path}: 16-bit, benchmarks are 8-bit pictures")
    return reference


def _read_pair(pair: Pair, scale: int) -> tuple[Tensor, Tensor]:
    """Reference and small picture, uint8 (C, H, W) and (C, h, w).

    Raises:
        DatasetError: if their sizes do not fit together.
    """
    reference = _read_reference(pair.reference)
    if pair.source is None:
        height, width = (side - side % scale for side in reference.shape[-2:])
        reference = reference[:, :height, :width]
        return reference, imresize(reference, 1 / scale)
    source = _read_levels(pair.source)
    if tuple(side * scale for side in source.shape[-2:]) != tuple(reference.shape[-2:]):
        raise DatasetError(
            f"{pair.source}: {source.shape[-1]}x{source.shape[-2]} is not 1/{scale} of its "
            f"reference, {reference.shape[-1]}x{reference.shape[-2]}"
        )
    return reference, source


def _square_note(protocol: str, side: int, scale: int) -> str:
    """What must be said beside figures of squares.

    Raises:
        UsageError: if the models enlarge by another factor than the thesis's.
    """
    if scale != SQUARE_SCALE:
        raise UsageError(
            f"--protocol {protocol}: is of pictures enlarged {SQUARE_SCALE} times, not {scale}: "
            f"choose models of x{SQUARE_SCALE}"
        )
    return (
        f"{protocol}: the shorter side is resized to {side} pixels (bilinear), also where it is "
        f"smaller, the middle {side}x{side} cut out, reduced {scale} times (bicubic) and enlarged; "
        "luma of all of it is compared"
    )


def _read_square(pair: Pair, side: int) -> tuple[Tensor, Tensor]:
    """The middle of a reference and its reduced copy, uint8 (C, side, side) and (C, s, s)."""
    square = cut_square(_read_reference(pair.reference), side)
    return square, imresize(square, 1 / SQUARE_SCALE)


def _enlarge_bicubic(image: Tensor, scale: int) -> Tensor:
    """The baseline, in floating point and rounded once."""
    return imresize(image.double(), scale).round().clamp(0, 255).to(torch.uint8)


def _enlarge(image: Tensor, model: Runnable, plan: TilePlan) -> Tensor:
    return run_tiled(model, to_values(image), plan, levels=torch.uint8)


def compare_pictures(
    name: str, estimate: Tensor, reference: Tensor, measures: Measures, scale: int = 1
) -> Score:
    """Score a picture by all measures that need no network.

    Args:
        name: of the case.
        estimate, reference: (C, H, W) levels, or values in [0, 1] in floating point.
        measures: how to compare; those that need a network get a place, and no value.
        scale: of the picture, for borders that follow it.

    Raises:
        DatasetError: if the sizes differ, or too little is left to measure.
    """
    metrics = [metric for metric in measures.metrics if metric in METRICS]
    border = scale if measures.border is None else measures.border
    values, truth = (to_values(picture, torch.float64) for picture in (estimate, reference))
    try:
        numbers = measure(values, truth, measures.protocol, border, metrics)
    except ValueError as error:
        raise DatasetError(str(error)) from error
    return {"name": name, **{metric: numbers.get(metric) for metric in measures.metrics}}


def metric_column(metric: str, model: str = "") -> Column:
    """A column for a metric, of a model if one is named, with unit and decimals worth showing."""
    known, above = METRICS.get(metric), f"{model}\n" if model else ""
    unit = f" ({known.unit})" if known and known.unit else ""
    decimals = known.decimals if known else 4
    return Column(f"{above}{metric}", f"{above}{metric.upper()}{unit}", decimals)


def report_pictures(
    results: Results,
    request: EvaluationRequest,
    measures: Measures,
    kind: str,
    notes: Sequence[str] = (),
) -> ScoreReport:
    """A line for each picture or clip and the means, a column for each model and metric.

    Args:
        results: of all models, over the same cases.
        request, measures: what was asked for.
        kind: heading of the column of names.
        notes: what must be said beside the figures.
    """
    metrics = measures.metrics
    rows: list[Score] = [{} for _ in range(max(map(len, results.values())) + 1)]
    lines: list[Score] = []
    described: list[Score] = []
    columns = [Column("name", kind)]
    for model, scores in results.items():
        means = {metric: summarise(scores, metric) for metric in metrics}
        described.append({"model": model, "mean": means, "images": scores})
        columns += [metric_column(metric, model) for metric in metrics]
        for row, score in zip(rows, [*scores, {"name": "mean", **means}], strict=True):
            row["name"] = score["name"]
            row.update({f"{model}\n{metric}": score[metric] for metric in metrics})
            lines.append({"model": model, "image": score["name"], **score})
    title = f"{request.subject.name} ({measures.protocol}{request.conditions})"
    return ScoreReport(
        title,
        {"protocol": measures.protocol},
        described,
        [Table(title, rows, columns, means=True)],
        lines,
        ["model", "image", *metrics],
        notes=notes,
    )
