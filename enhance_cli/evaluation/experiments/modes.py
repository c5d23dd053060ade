"""Classes dropped and added: ch. 5.4.1 of dissertation 003, fig. 5.5 and 5.12.

The experiment looks at the measures and not at a model: pictures of known classes stand for
samples. P has test pictures of the first five classes, Q_i as many training pictures of the first
i, each class as often as it comes there.
"""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from enhance_cli.data.mnist import CLASSES, Digits, read_mnist
from enhance_cli.data.picture_sets import find_picture_set
from enhance_cli.engine.features import FeatureExtractor
from enhance_cli.evaluation.benchmarks import Measures
from enhance_cli.evaluation.case import Advance, Case, Evaluation, Score, Scores
from enhance_cli.evaluation.figures import Curve, draw_curves
from enhance_cli.evaluation.models import find_roots
from enhance_cli.evaluation.report import Figure, Report, Table, decimal
from enhance_cli.evaluation.request import EvaluationRequest
from enhance_cli.evaluation.set_scores import (
    PRD_HEADINGS,
    FeatureSet,
    choose_count,
    choose_features,
    curve_tensors,
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
    dataset = str(request.subject.dataset)
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
    judge = _Judge(extractor, mnist.test, mnist.train, count, request.seed)
    return Evaluation(
        f"{dataset} modes",
        "pictures",
        [
            Case(
                f"Q{classes}",
                partial(judge.score, classes),
                count + (judge.preparation if classes == 1 else 0),
            )
            for classes in range(1, CLASSES + 1)
        ],
        partial(_report, request=request, extractor=extractor, count=count),
        [extractor.path],
    )


def _draw_classes(digits: Digits, classes: int, count: int, seed: int) -> Tensor:
    """Indices of ``count`` pictures of the first classes."""
    return draw_from((digits.labels < classes).nonzero().flatten(), count, seed)


class _Judge:
    """Compares training pictures of some classes with test pictures of the first five.

    Args:
        extractor: of the features that are compared.
        test, train: where pictures are drawn from.
        count: pictures on each side.
        seed: of draws and clusterings.
    """

    def __init__(
        self, extractor: FeatureExtractor, test: Digits, train: Digits, count: int, seed: int
    ) -> None:
        self._extractor, self._test, self._train = extractor, test, train
        self._count, self._seed = count, seed
        self._drawn = [
            _draw_classes(train, classes, count, seed) for classes in range(1, CLASSES + 1)
        ]
        self._needed = torch.unique(torch.cat(self._drawn))

        self.preparation = count + len(self._needed)
        self._features: tuple[FeatureSet, Tensor] | None = None

    def score(self, classes: int, advance: Advance) -> dict[str, Score]:
        """Judge Q_i; the first time, ``preparation`` pictures are looked at before."""
        if self._features is None:
            kept = _draw_classes(self._test, _KEPT, self._count, self._seed)
            reference = self._measure(self._test, kept, advance)
            self._features = reference, self._measure(self._train, self._needed, advance).features
        reference, needed = self._features
        chosen = torch.searchsorted(self._needed, self._drawn[classes - 1])
        numbers, curve = reference.compare(FeatureSet(needed[chosen]), self._seed)
        advance(self._count)
        return {"Q": Score({"classes": classes, **numbers}, curve_tensors(curve))}

    def _measure(self, digits: Digits, chosen: Tensor, advance: Advance) -> FeatureSet:
        return measure_features(self._extractor, digits.pictures[chosen][:, None], advance)


def _report(
    results: Sequence[Scores], request: EvaluationRequest, extractor: FeatureExtractor, count: int
) -> Report:
    (result,) = results
    title = (
        f"mnist, {count} pictures: P of the first {_KEPT} classes against Q of the first "
        f"1 to {CLASSES} (as figures 5.5 and 5.12)"
    )
    notes = feature_notes(extractor, count)
    table = [
        ["classes of Q", extractor.name, *PRD_HEADINGS.values()],
        *(
            [
                str(values["classes"]),
                decimal(values["frechet"], 1),
                *(decimal(values[name], 3) for name in PRD_HEADINGS),
            ]
            for values in result.values
        ),
    ]
    return Report(
        title,
        {
            "dataset": request.subject.dataset,
            "study": request.subject.study,
            "features": extractor.name,
            "count": count,
            "seed": request.seed,
            "notes": notes,
            "results": result.values,
        },
        [Table(title, table)],
        [list(result.values[0]), *(list(values.values()) for values in result.values)],
        lambda: _draw(result, extractor.name),
        notes,
    )


def _draw(result: Scores, measure: str) -> list[Figure]:
    x = [values["classes"] for values in result.values]

    def curve(name: str, metric: str) -> Curve:
        return Curve(name, x, [values[metric] for values in result.values])

    summaries = [curve(PRD_HEADINGS[name], name) for name in ("f8", "f1_8")]
    distance = draw_curves({"": [curve(measure, "frechet")]}, "classes of Q", measure, yscale="log")
    titles = {
        f"classes dropped, Q1 to Q{_KEPT}": range(1, _KEPT + 1),
        f"classes added, Q{_KEPT} to Q{CLASSES}": range(_KEPT, CLASSES + 1),
    }
    panels = {
        title: [
            read_curve(f"Q{score.values['classes']}", score)
            for score in result.scores
            if score.values["classes"] in classes
        ]
        for title, classes in titles.items()
    }
    return [
        Figure(
            distance,
            f"{measure} by the classes of Q; P has {_KEPT} (as the left of figure 5.5)",
        ),
        Figure(
            draw_curves({"": summaries}, "classes of Q", "F"),
            f"F8 and F1/8 by the classes of Q; P has {_KEPT}",
        ),
        draw_precision_recall(panels, "Precision and recall (as the middle of figure 5.5)"),
    ]
