"""Benchmarks of low light: dark pictures with a known truth."""

from collections.abc import Callable, Mapping
from functools import partial

from torch import Tensor

from enhance_cli.architectures.spec import Contract
from enhance_cli.data.dark_sets import DARK_DATASETS, DarkCase, DarkScene, View, load_cases
from enhance_cli.defaults import lowlight_model
from enhance_cli.engine.amplification import choose_ratio
from enhance_cli.engine.brighten import DarkImage, brighten
from enhance_cli.engine.catalogue import Model
from enhance_cli.engine.strategies import STRATEGIES
from enhance_cli.engine.tiled import TilePlan
from enhance_cli.errors import UnknownNameError, UsageError
from enhance_cli.evaluation.baselines import BASELINES
from enhance_cli.evaluation.benchmarks import BENCHMARKS, Measures
from enhance_cli.evaluation.case import Advance, Case, Evaluation, Score
from enhance_cli.evaluation.dark_report import report_dark_pictures
from enhance_cli.evaluation.models import checkpoints, find_roots, load_models
from enhance_cli.evaluation.pairs import compare_pictures
from enhance_cli.evaluation.request import EvaluationRequest
from enhance_cli.metrics.distribution import luminance_histogram
from enhance_cli.talk import Talk

Enhance = Callable[[DarkScene, float], Tensor]  # scene, ratio -> shown (C, H, W) in [0, 1]


def open_dark_pictures(request: EvaluationRequest, measures: Measures, talk: Talk) -> Evaluation:
    """The pictures of a dataset, brightened by classical methods and by every model.

    Models of different kinds (of RAW files or of sRGB pictures, in colour or in grey) see
    different versions of a dataset; each version has its own cases, and its own baselines.

    Raises:
        EnhanceError: for unknown names, and data or weights that are absent.
    """
    dataset = request.subject.dataset
    assert dataset is not None
    usual_source = DARK_DATASETS[dataset].sources[0]
    usual = lowlight_model(raw=usual_source == "raw", grey=False)
    plan = _choose_plan(request)
    models = load_models(
        "lowlight",
        request.models,
        usual=[usual],
        baselines=BENCHMARKS[dataset].baselines,
        left="baselines",
        talk=talk,
    )
    views = list(dict.fromkeys(_view_of(model.contract) for model in models.values()))
    roots = find_roots(request)
    cases = []
    for view in views or [View(usual_source)]:
        label = f" ({view.label})" if len(views) > 1 else ""
        enhancers: dict[str, Enhance] = {
            f"{name}{label}": enhance
            for name, enhance in BASELINES[view.source].items()
            if name in request.models.names
            or not any(name in BENCHMARKS[dataset].baselines for name in request.models.names)
        }
        for name, model in models.items():
            if _view_of(model.contract) == view:
                enhancers[name] = partial(_run_model, model, plan)
        if not enhancers:
            raise UsageError(
                f"--model {request.models.names[0]}: no baseline for {view.source} input, choose "
                f"from {', '.join(BASELINES[view.source])}"
            )
        cases += [
            Case(case.name, partial(_score_case, case, enhancers, measures))
            for case in load_cases(dataset, view, roots)
        ]
    return Evaluation(
        dataset,
        "pictures",
        cases,
        partial(report_dark_pictures, request=request, measures=measures),
        checkpoints(models),
    )


def _choose_plan(request: EvaluationRequest) -> TilePlan:
    name, tile = request.models.strategy, request.models.tile
    if name is None:
        return TilePlan(tile=tile)
    if name not in STRATEGIES:
        raise UnknownNameError("strategy", name, STRATEGIES)
    if tile is not None:
        raise UsageError(f"--strategy {name} has tiles of its own, leave --tile out")
    return STRATEGIES[name]


def _view_of(contract: Contract) -> View:
    """What a model takes and gives; the thesis's RAW networks give half of the sensor's size."""
    return View(
        source="raw" if contract.is_raw else "srgb",
        half=contract.is_raw and not contract.is_linear,
        grey=contract.channels_out == 1,
    )


def _run_model(model: Model, plan: TilePlan, scene: DarkScene, ratio: float) -> Tensor:
    return brighten(model, _dark_image(scene), ratio, plan)


def _dark_image(scene: DarkScene) -> DarkImage:
    return DarkImage(scene.planes, scene.gains, scene.camera_to_srgb)


def _score_case(
    case: DarkCase, enhancers: Mapping[str, Enhance], measures: Measures, advance: Advance
) -> dict[str, Score]:
    scene = case.load()
    reference = scene.reference()
    # Where nobody knows the ratio it is chosen as by ``enhance lowlight --ratio auto``.
    ratio = case.ratio or round(choose_ratio(_dark_image(scene).balanced()), 4)
    known = {"name": case.name, "ratio": ratio, "iso": case.iso}
    if not case.ratio:
        known["ratio_chosen"] = True
    counts = luminance_histogram(reference, 1.0)
    scores = {}
    for name, enhance in enhancers.items():
        estimate = enhance(scene, ratio)
        score = compare_pictures(case.name, estimate, reference, measures, measures.border or 0)
        histograms = {"picture": luminance_histogram(estimate, 1.0), "reference": counts}
        scores[name] = Score({**known, **score.values}, histograms)
    advance(1)
    return scores
