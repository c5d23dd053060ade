"""Classes dropped and added: ch. 5.4.1 of dissertation 003, fig. 5.5 and 5.12.

The experiment looks at the measures and not at a model: pictures of known classes stand for
samples. P has test pictures of the first five classes, Q_i as many training pictures of the first
i, each class as often as it comes there.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from enhance_cli.data.mnist import CLASSES, Digits, read_mnist
from enhance_cli.data.picture_sets import find_picture_set
from enhance_cli.engine.features import FeatureExtractor
from enhance_cli.evaluation.benchmarks import Measures
from enhance_cli.evaluation.case import Advance, Case, Evaluation
from enhance_cli.evaluation.figures import Curve, draw_curves
from enhance_cli.evaluation.models import find_roots
from enhance_cli.evaluation.request import EvaluationRequest
from enhance_cli.evaluation.scores import Column, Results, Score, ScoreReport, Table
from enhance_cli.evaluation.set_scores import (
    PRD_COLUMNS,
    FeatureSet,
    choose_count,
    choose_features,
    draw_from,
    draw_precision_recall,
    feature_notes,
    measure_features,
    read_curve,
)
from enhance_cli.talk import Talk

_KEPT = 5  # classes of P


def open_modes(request: EvaluationRequest, measures: Measures, talk: Talk) -> Evaluation:
    """Q_1 to Q_10 against P, a case each.

    Raises:
        EnhanceError: if there are no such digits, too few of them, or no features.
    """
    dataset = request.subject.name
    path = find_picture_set(dataset, find_roots(request))
    mnist = read_mnist(path)
    there = min(int((mnist.test.labels < _KEPT).sum()), int((mnist.train.labels < 1).sum()))
    count = choose_count(
        request.samples.count,
        there,
        few=f"{path}: {there} pictures of the first class to train on, or of the first {_KEPT} "
        "to test on",
        what="the pictures there are",
    )
    extractor = choose_features(request, talk)
    kept = _draw_classes(mnist.test, _KEPT, count, request.seed)
    drawn = [
        _draw_classes(mnist.train, classes, count, request.seed)
        for classes in range(1, CLASSES + 1)
    ]
    needed = torch.unique(torch.cat(drawn))
    measured: list[FeatureSet] = []  # of P, and of all that some Q_i holds

    def score(classes: int, advance: Advance) -> dict[str, Score]:
        if not measured:
            for digits, chosen in ((mnist.test, kept), (mnist.train, needed)):
                pictures = digits.pictures[chosen][:, None]
                measured.append(measure_features(extractor, pictures, advance))
        reference, training = measured
        samples = training.features[torch.searchsorted(needed, drawn[classes - 1])]
        return {"Q": {"classes": classes, **reference.compare(FeatureSet(samples), request.seed)}}

    cases = [
        Case(f"Q{classes}", partial(score, classes), count, [path])
        for classes in range(1, CLASSES + 1)
    ]
    cases[0] = replace(cases[0], steps=2 * count + len(needed))
    report = partial(_report, request=request, extractor=extractor, count=count)
    return Evaluation(f"{dataset} modes", "pictures", cases, report, [extractor.path])


def _draw_classes(digits: Digits, classes: int, count: int, seed: int) -> Tensor:
    """Indices of ``count`` pictures of the first classes."""
    return draw_from((digits.labels < classes).nonzero().flatten(), count, seed)


def _report(
    results: Results, request: EvaluationRequest, extractor: FeatureExtractor, count: int
) -> ScoreReport:
    rows = results["Q"]
    distance = Column("frechet", extractor.name, 1)
    columns = [Column("classes", "classes of Q"), distance, *PRD_COLUMNS]
    title = (
        f"mnist, {count} pictures: P of the first {_KEPT} classes against Q of the first "
        f"1 to {CLASSES} (as figures 5.5 and 5.12)"
    )
    return ScoreReport(
        title,
        {"features": extractor.name, "count": count, "seed": request.seed},
        rows,
        [Table(title, rows, columns)],
        rows,
        [column.key for column in columns],
        lambda: _draw(rows, distance),
        feature_notes(extractor, count),
    )


def _draw(rows: Sequence[Score], distance: Column) -> list[tuple[bytes, str]]:
    x = [row["classes"] for row in rows]

    def curve(column: Column) -> Curve:
        return Curve(column.heading, x, [row[column.key] for row in rows])

    panels: dict[str, list[Curve]] = {
        f"classes dropped, Q1 to Q{_KEPT}": [],
        f"classes added, Q{_KEPT} to Q{CLASSES}": [],
    }
    dropped, added = panels.values()
    for classes, row in zip(x, rows, strict=True):
        line = read_curve(f"Q{classes}", row)
        dropped += [line] if classes <= _KEPT else []
        added += [line] if classes >= _KEPT else []
    label, measure = "classes of Q", distance.heading
    return [
        (
            draw_curves({"": [curve(distance)]}, label, measure, yscale="log"),
            f"{measure} by the classes of Q; P has {_KEPT} (as the left of figure 5.5)",
        ),
        (
            draw_curves({"": [curve(column) for column in PRD_COLUMNS[:2]]}, label, "F"),
            f"F8 and F1/8 by the classes of Q; P has {_KEPT}",
        ),
        draw_precision_recall(panels, "Precision and recall (as the middle of figure 5.5)"),
    ]
