"""The experiment of dissertation 003, ch. 5.4.1, with the measures at hand. To add one: its line.

It looks at the measures, not at a model: pictures of known classes stand for samples.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from enhance_cli.data.benchmarks import data_roots
from enhance_cli.data.mnist import CLASSES, Digits, read_mnist
from enhance_cli.data.picture_sets import find_picture_set
from enhance_cli.engine.catalogue import cache_folder
from enhance_cli.engine.device import choose_device
from enhance_cli.engine.features import FeatureExtractor
from enhance_cli.errors import DatasetError, UnknownNameError, UsageError
from enhance_cli.metrics.frechet import FeatureStatistics, frechet_distance
from enhance_cli.metrics.prd import CLUSTERS, PrecisionRecall, precision_recall_curve
from enhance_cli.talk import Talk, print_json
from enhance_cli.tasks.sample_scores import (
    PRD_AXES,
    PRD_MEASURES,
    UNIT,
    SampleEvaluationRequest,
    choose_features,
    draw_from,
    feature_notes,
    picture_bar,
    prd_curve_of,
    prd_numbers,
    set_features,
)
from enhance_cli.tasks.score_report import Curve, draw_curves, write_report
from enhance_cli.tasks.scores import print_table, write_csv

_KEPT = 5  # classes of P
_NAMES = {
    "f8": "F8 (recall)",
    "f1_8": "F1/8 (precision)",
    "max_precision": "max precision",
    "max_recall": "max recall",
}


@dataclass(frozen=True)
class ModeScore:
    """How Q_i compares with P.

    Attributes:
        classes: i, those that Q_i is drawn from.
        frechet: distance.
        curve: precision and recall.
    """

    classes: int
    frechet: float
    curve: PrecisionRecall


def run_sample_study(request: SampleEvaluationRequest, talk: Talk) -> int:
    """Run a study, and print a table or JSON, and write CSV and a page.

    Returns:
        The exit code.

    Raises:
        EnhanceError: for unknown names, absent data or features, or what cannot be written.
    """
    if request.study not in STUDIES:
        raise UnknownNameError("study", str(request.study), STUDIES)
    return STUDIES[request.study](request, talk)


def _study_modes(request: SampleEvaluationRequest, talk: Talk) -> int:
    """Classes dropped and added (fig. 5.5 and 5.12).

    P has test pictures of the first five classes, Q_i as many training pictures of the first i,
    each class as often as it comes there.
    """
    if request.dataset != "mnist":
        raise UsageError(
            f"--study modes: needs pictures with labels, which {request.dataset} has "
            "not: add --dataset mnist"
        )
    roots = data_roots(request.data_root, cache_folder())
    path = find_picture_set(request.dataset, roots)
    mnist = read_mnist(path)
    count = _choose_count(request, path, mnist.test, mnist.train)
    extractor = choose_features(request.features, roots, choose_device(request.device), talk)
    reference = _draw_classes(mnist.test, _KEPT, count, request.seed)
    drawn = [
        _draw_classes(mnist.train, classes, count, request.seed)
        for classes in range(1, CLASSES + 1)
    ]
    needed = torch.unique(torch.cat(drawn))
    with picture_bar("mnist modes", count + len(needed) + CLASSES * count, talk) as advance:
        features = _features(extractor, mnist.test, reference, advance)
        of_needed = _features(extractor, mnist.train, needed, advance)
        statistics = FeatureStatistics.from_features(features)
        scores = []
        for classes, chosen in enumerate(drawn, 1):
            samples = of_needed[torch.searchsorted(needed, chosen)]
            scores.append(
                ModeScore(
                    classes,
                    frechet_distance(FeatureStatistics.from_features(samples), statistics),
                    precision_recall_curve(features, samples, seed=request.seed),
                )
            )
            advance(count)
    _tell(request, scores, extractor, count, talk)
    return 0


def _choose_count(request: SampleEvaluationRequest, path: Path, test: Digits, train: Digits) -> int:
    there = min(int((test.labels < _KEPT).sum()), int((train.labels < 1).sum()))
    if there < CLUSTERS:
        raise DatasetError(
            f"{path}: {there} pictures of the first class to train on, or of the first {_KEPT} to "
            f"test on, precision and recall need at least {CLUSTERS}"
        )
    if request.count is None:
        return there
    if not CLUSTERS <= request.count <= there:
        raise UsageError(
            f"--count {request.count}: must be from {CLUSTERS} (the clusters of "
            f"precision and recall) to {there} (the pictures there are)"
        )
    return request.count


def _draw_classes(digits: Digits, classes: int, count: int, seed: int) -> Tensor:
    """Indices of ``count`` pictures of the first classes."""
    return draw_from((digits.labels < classes).nonzero().flatten(), count, seed)


def _features(
    extractor: FeatureExtractor, digits: Digits, chosen: Tensor, advance: Callable[[int], None]
) -> Tensor:
    return set_features(extractor, digits.pictures[chosen][:, None], advance)


def _tell(
    request: SampleEvaluationRequest,
    scores: list[ModeScore],
    extractor: FeatureExtractor,
    count: int,
    talk: Talk,
) -> None:
    header = ["classes of Q", extractor.name, *_NAMES.values()]
    rows = [
        [
            str(score.classes),
            f"{score.frechet:.1f}",
            *(f"{getattr(score.curve, name):.3f}" for name in PRD_MEASURES),
        ]
        for score in scores
    ]
    title = (
        f"mnist, {count} pictures: P of the first {_KEPT} classes against Q of the first "
        "1 to 10 (as figures 5.5 and 5.12)"
    )
    notes = feature_notes(extractor, count)
    results: list[dict[str, Any]] = [
        {"classes": score.classes, "frechet": score.frechet, **prd_numbers(score.curve)}
        for score in scores
    ]
    if request.csv is not None:
        write_csv(request.csv, list(results[0]), [list(result.values()) for result in results])
    if request.report is not None:
        write_report(request.report, title, header, rows, _draw(scores, extractor.name), notes)
    if talk.json:
        print_json(
            {
                "dataset": request.dataset,
                "study": request.study,
                "features": extractor.name,
                "count": count,
                "seed": request.seed,
                "notes": notes,
                "results": results,
            }
        )
    else:
        print_table(title, [header, *rows], means=False, quiet=talk.quiet)
    for note in notes:
        talk.console.print(note)


def _draw(scores: list[ModeScore], measure: str) -> list[tuple[bytes, str]]:
    x = [score.classes for score in scores]
    summaries = [
        Curve(_NAMES[name], x, [getattr(score.curve, name) for score in scores])
        for name in ("f8", "f1_8")
    ]
    curves = {
        f"classes dropped, Q1 to Q{_KEPT}": scores[:_KEPT],
        f"classes added, Q{_KEPT} to Q{CLASSES}": scores[_KEPT - 1 :],
    }
    panels = {
        title: [prd_curve_of(f"Q{score.classes}", score.curve) for score in part]
        for title, part in curves.items()
    }
    return [
        (
            draw_curves(
                {"": [Curve(measure, x, [score.frechet for score in scores])]},
                "classes of Q",
                measure,
                yscale="log",
            ),
            f"{measure} by the classes of Q; P has {_KEPT} (as the left of figure 5.5)",
        ),
        (
            draw_curves({"": summaries}, "classes of Q", "F"),
            f"F8 and F1/8 by the classes of Q; P has {_KEPT}",
        ),
        (
            draw_curves(panels, *PRD_AXES, marked=False, limits=UNIT),
            "Precision and recall (as the middle of figure 5.5)",
        ),
    ]


STUDIES: dict[str, Callable[[SampleEvaluationRequest, Talk], int]] = {"modes": _study_modes}
