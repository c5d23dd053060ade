"""Colour digits: how many of the 1000 combinations a model draws (dissertation 003, ch. 4.4.1).

A classifier that was trained for it reads the digit in each channel. A model that has collapsed
draws few of the combinations, or many of them seldom.
"""

from functools import partial

import torch
from torch import Tensor

from enhance_cli.architectures.digit_classifier import CLASSES
from enhance_cli.data.picture_sets import PICTURE_SETS, find_picture_set
from enhance_cli.engine.catalogue import Model
from enhance_cli.engine.device import choose_device
from enhance_cli.engine.digits import (
    CLASSIFIER,
    MEASURE,
    count_modes,
    describe_digits,
    load_classifier,
    number_combinations,
    read_digits_of,
)
from enhance_cli.evaluation.benchmarks import Measures, study_title
from enhance_cli.evaluation.case import Advance, Case, Evaluation
from enhance_cli.evaluation.models import checkpoints, find_roots
from enhance_cli.evaluation.request import EvaluationRequest
from enhance_cli.evaluation.samples import draw_samples, load_fitting_models
from enhance_cli.evaluation.scores import Column, Results, Score, ScoreReport, Table
from enhance_cli.evaluation.set_scores import FeatureSet, choose_count, draw_from
from enhance_cli.metrics.frechet import bias_note
from enhance_cli.talk import Talk

_COLUMNS = (
    Column("model", "model"),
    Column("modes", f"combinations\nof {CLASSES**3}"),
    Column("divergence", "divergence\n(nats)", 3),
    Column("frechet", MEASURE.replace(" (", "\n("), 1),
)


def open_triples(request: EvaluationRequest, measures: Measures, talk: Talk) -> Evaluation:
    """Pictures that were held out, and as many samples of every model; a case each.

    Raises:
        EnhanceError: for unknown names, and data or weights that are absent.
    """
    dataset = request.subject.name
    path = find_picture_set(dataset, find_roots(request))
    sets = PICTURE_SETS[dataset].read(path)
    there = min(len(sets.test), len(sets.validation))
    count = choose_count(
        request.samples.count,
        there,
        few=f"{path}: its smallest part has {there} pictures",
        what=f"the pictures of {dataset}",
    )
    models = load_fitting_models(request, sets.test, talk)
    classifier = load_classifier(choose_device(request.models.device))
    reference = draw_from(sets.test, count, request.seed)
    measured: list[FeatureSet] = []  # of the reference

    def score(name: str, pictures: Tensor, advance: Advance) -> dict[str, Score]:
        if not measured:
            measured.append(FeatureSet(describe_digits(classifier, reference)))
        digits = read_digits_of(classifier, pictures)
        drawn = FeatureSet(describe_digits(classifier, pictures))
        advance(count)
        found = {
            "modes": count_modes(digits),
            "divergence": divergence_from_even(digits),
            "frechet": drawn.frechet(measured[0]),
        }
        return {name: {"model": name, **found}}

    def score_model(name: str, model: Model, advance: Advance) -> dict[str, Score]:
        return score(name, draw_samples(model, count, request.seed), advance)

    held = draw_from(sets.validation, count, request.seed)
    cases = [Case("data", partial(score, "data", held), count, [path])]
    cases += [
        Case(name, partial(score_model, name, model), count, [path])
        for name, model in models.items()
    ]
    dimensions = classifier.config.features * sets.test.shape[1]
    report = partial(_report, request=request, count=count, dimensions=dimensions)
    return Evaluation(f"{dataset} triples", "pictures", cases, report, checkpoints(models))


def divergence_from_even(digits: Tensor) -> float:
    """KL divergence in nats of the combinations that were drawn from all being equally likely.

    Args:
        digits: int64 (N, C) from 0 to 9.

    Returns:
        0 if each combination comes equally often, up to log(10^C) if only one comes. A finite
        number of pictures gives more than 0: about (10^C - 1) / 2N for equally likely ones.
    """
    combinations = CLASSES ** digits.shape[1]
    counts = torch.bincount(number_combinations(digits), minlength=combinations)
    shares = counts[counts > 0].double() / len(digits)
    return float((shares * (shares * combinations).log()).sum())


def _report(
    results: Results, request: EvaluationRequest, count: int, dimensions: int
) -> ScoreReport:
    rows = [score for (score,) in results.values()]
    title = f"{study_title(request)}, {count} pictures"
    return ScoreReport(
        title,
        {"features": MEASURE, "count": count, "seed": request.seed},
        rows,
        [Table(title, rows, _COLUMNS)],
        rows,
        [column.key for column in _COLUMNS],
        lambda: [],
        [
            f"the classifier is {CLASSIFIER}, which tells every picture for some digit, also those "
            "that show none; its features give another distance than FID",
            bias_note(count, dimensions),
        ],
    )
