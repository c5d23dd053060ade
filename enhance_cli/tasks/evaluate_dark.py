"""Score low-light models on pictures with a known truth, beside what they must beat."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.table import Table
from torch import Tensor

from enhance_cli.architectures import MODELS
from enhance_cli.architectures.spec import Contract
from enhance_cli.data.benchmarks import data_roots
from enhance_cli.data.dark_sets import DARK_DATASETS, DarkCase, DarkScene, View, load_cases
from enhance_cli.engine.amplification import choose_ratio
from enhance_cli.engine.brighten import DarkImage, brighten
from enhance_cli.engine.catalogue import (
    DEFAULT_MODELS,
    Model,
    cache_folder,
    find_weights,
    load_model,
)
from enhance_cli.engine.device import choose_device, choose_dtype
from enhance_cli.engine.strategies import STRATEGIES
from enhance_cli.engine.tiled import TilePlan
from enhance_cli.errors import DatasetError, UnknownNameError, UsageError
from enhance_cli.metrics.distribution import luminance_histogram
from enhance_cli.metrics.protocols import score
from enhance_cli.talk import Talk, plain_console, print_json
from enhance_cli.tasks.baselines import BASELINES
from enhance_cli.tasks.score_report import draw_histograms, draw_scores, write_report
from enhance_cli.tasks.scores import (
    Scores,
    check_names,
    finite,
    heading,
    number,
    score_row,
    write_csv,
)

Enhance = Callable[[DarkScene, float], Tensor]  # scene, ratio -> shown (C, H, W) in [0, 1]


@dataclass(frozen=True)
class DarkEvaluationRequest:
    """The options of ``enhance evaluate`` for a dataset of dark pictures; see its help."""

    dataset: str
    models: Sequence[str] = ()
    weights: Path | None = None
    strategy: str | None = None
    protocol: str = "rgb"
    metrics: Sequence[str] = ("psnr", "ssim", "mae", "jsd")
    border: int | None = None
    data_root: Path | None = None
    csv: Path | None = None
    report: Path | None = None
    tile: int | None = None
    device: str = "auto"
    precision: str = "auto"


def run_evaluate_dark(request: DarkEvaluationRequest, talk: Talk) -> int:
    """Score, and print a table, JSON or CSV.

    Returns:
        The exit code.

    Raises:
        EnhanceError: for unknown names, absent data or weights, or what cannot be written.
    """
    check_names([request.protocol], request.metrics, [request.dataset], DARK_DATASETS)
    plan = _choose_plan(request)
    runners = _choose_runners(request, plan, talk)
    roots = data_roots(request.data_root, cache_folder())
    cases = {view: load_cases(request.dataset, view, roots) for view in runners}
    results: list[Scores] = []
    total = sum(map(len, cases.values()))
    with talk.progress(request.dataset, total, "pictures") as bar:
        for view, enhancers in runners.items():
            results += _score_view(request, cases[view], enhancers, bar.advance)
    if request.csv is not None:
        write_csv(
            request.csv,
            ["model", "image", "ratio", "iso", *request.metrics],
            _csv_rows(request, results),
        )
    if request.report is not None:
        _write_report(request, results)
    if talk.json:
        print_json(
            {
                "dataset": request.dataset,
                "protocol": request.protocol,
                "results": [_describe(request, result) for result in results],
            }
        )
    else:
        _print_table(request, results, talk)
    return 0


def _choose_plan(request: DarkEvaluationRequest) -> TilePlan:
    if request.strategy is None:
        return TilePlan(tile=request.tile)
    if request.strategy not in STRATEGIES:
        raise UnknownNameError("strategy", request.strategy, STRATEGIES)
    if request.tile is not None:
        raise UsageError(f"--strategy {request.strategy} has tiles of its own, leave --tile out")
    return STRATEGIES[request.strategy]


def _choose_runners(
    request: DarkEvaluationRequest, plan: TilePlan, talk: Talk
) -> dict[View, dict[str, Enhance]]:
    """What is compared, by the view that it needs: baselines first, then models."""
    usual = DARK_DATASETS[request.dataset].sources[0]
    known = {name for table in BASELINES.values() for name in table}
    models = [_load(request, *chosen) for chosen in _chosen_models(request, known, talk)]
    views = list(dict.fromkeys(_view_of(model.contract) for model in models)) or [View(usual)]
    wanted = [name for name in request.models if name in known]
    runners: dict[View, dict[str, Enhance]] = {}
    for view in views:
        table = BASELINES[view.source]
        suffix = f" ({view.label})" if len(views) > 1 else ""
        named: dict[str, Enhance] = {
            f"{name}{suffix}": table[name] for name in table if not wanted or name in wanted
        }
        for model in models:
            if _view_of(model.contract) == view:
                label = str(model.info.name)
                while label in named:
                    label += "*"
                named[label] = partial(_run_model, model, plan)
        runners[view] = named
    if not any(runners.values()):
        raise UsageError(
            f"--model {wanted[0]}: no baseline for {usual} input, choose from "
            f"{', '.join(BASELINES[usual])}"
        )
    return runners


def _chosen_models(
    request: DarkEvaluationRequest, baselines: set[str], talk: Talk
) -> list[tuple[str | None, Path | None]]:
    """Names and paths to load: those asked for, else the default for the dataset's usual input."""
    chosen: list[tuple[str | None, Path | None]] = [
        (name, None) for name in request.models if name not in baselines
    ]
    if request.weights is not None:
        chosen.append((None, request.weights))
    if chosen or request.models:
        return chosen
    name = DEFAULT_MODELS["lowlight"]
    if DARK_DATASETS[request.dataset].sources[0] == "srgb":
        name += "-srgb"
    if name in MODELS and find_weights(name):
        return [(name, None)]
    talk.console.print(f"no weights for {name!r}: baselines only")
    return []


def _load(request: DarkEvaluationRequest, name: str | None, weights: Path | None) -> Model:
    device = choose_device(request.device)
    return load_model(
        "lowlight",
        name=name,
        weights=weights,
        device=device,
        dtype=choose_dtype(request.precision, device),
    )


def _view_of(contract: Contract) -> View:
    """What a model takes and gives; the thesis's RAW networks give half of the sensor's size."""
    return View(
        source="srgb" if contract.colour.endswith("srgb") else "raw",
        half=contract.colour == "amplified-raw",
        grey=contract.channels_out == 1,
    )


def _run_model(model: Model, plan: TilePlan, scene: DarkScene, ratio: float) -> Tensor:
    image = DarkImage(scene.planes, scene.gains, scene.camera_to_srgb)
    return brighten(model, image, ratio, plan)


def _score_view(
    request: DarkEvaluationRequest,
    cases: Sequence[DarkCase],
    enhancers: dict[str, Enhance],
    advance: Callable[[], None],
) -> list[Scores]:
    """One case in memory at a time."""
    results = [Scores(name) for name in enhancers]
    for case in cases:
        scene = case.load()
        reference = scene.reference()
        counts = luminance_histogram(reference, 1.0)
        ratio = case.ratio or _estimate_ratio(scene)
        known = {
            "name": case.name,
            "ratio": ratio,
            "iso": case.iso,
            **({} if case.ratio else {"ratio_chosen": True}),
        }
        for result, enhance in zip(results, enhancers.values(), strict=True):
            estimate = enhance(scene, ratio)
            result.images.append({**known, **_score(request, case, estimate, reference)})
            result.histograms.append((luminance_histogram(estimate, 1.0), counts))
        advance()
    return results


def _estimate_ratio(scene: DarkScene) -> float:
    """As ``enhance lowlight --ratio auto``."""
    image = DarkImage(scene.planes, scene.gains, scene.camera_to_srgb)
    return round(choose_ratio(image.balanced()), 4)


def _score(
    request: DarkEvaluationRequest, case: DarkCase, estimate: Tensor, reference: Tensor
) -> dict[str, float]:
    try:
        return score(estimate, reference, request.protocol, request.border or 0, request.metrics)
    except ValueError as error:
        raise DatasetError(f"{case.name}: {error}") from error


def _groups(result: Scores) -> Iterator[tuple[str, Scores]]:
    """The pictures of each ratio, and all of them."""
    ratios = result.ratios()
    for ratio in ratios if len(ratios) > 1 else ():
        yield f"{ratio:g}", result.by_ratio(ratio)
    yield "all", result


def _summary(request: DarkEvaluationRequest, scores: Scores) -> dict[str, float]:
    """Means; and for JSD also that of all pictures together."""
    total = {"jsd_total": scores.total_jsd()} if "jsd" in request.metrics else {}
    return {**{metric: scores.mean(metric) for metric in request.metrics}, **total}


def _describe(request: DarkEvaluationRequest, result: Scores) -> dict[str, Any]:
    return {
        "model": result.model,
        "mean": finite(_summary(request, result)),
        "by_ratio": {
            f"{ratio:g}": finite(_summary(request, result.by_ratio(ratio)))
            for ratio in result.ratios()
        },
        "images": [finite(image) for image in result.images],
    }


def _csv_rows(request: DarkEvaluationRequest, results: list[Scores]) -> list[list[Any]]:
    rows: list[list[Any]] = []
    for result in results:
        rows += [
            score_row(result.model, image, ["name", "ratio", "iso", *request.metrics])
            for image in result.images
        ]
        rows += [
            [result.model, "mean", ratio, "", *(group.mean(m) for m in request.metrics)]
            for ratio, group in _groups(result)
        ]
    return rows


def _title(request: DarkEvaluationRequest) -> str:
    how = f", strategy {request.strategy}" if request.strategy else ""
    return f"{request.dataset} ({request.protocol}{how})"


def _table(request: DarkEvaluationRequest, results: list[Scores]) -> list[list[str]]:
    """Header, and a row for each model and ratio."""
    total = ["JSD, all"] if "jsd" in request.metrics else []
    rows = [["model", "ratio", "pictures", *(heading(m) for m in request.metrics), *total]]
    for result in results:
        for ratio, group in _groups(result):
            summary = _summary(request, group)
            rows.append(
                [
                    result.model,
                    ratio,
                    str(len(group.images)),
                    *(
                        number(value, name.removesuffix("_total"))
                        for name, value in summary.items()
                    ),
                ]
            )
    return rows


def _print_table(request: DarkEvaluationRequest, results: list[Scores], talk: Talk) -> None:
    header, *rows = _table(request, results)
    table = Table(title=_title(request))
    for name in header:
        table.add_column(name, justify="left" if name == "model" else "right", overflow="fold")
    for row in rows:
        table.add_row(*row, end_section=row[1] == "all")
    plain_console(quiet=talk.quiet).print(table)


def _write_report(request: DarkEvaluationRequest, results: list[Scores]) -> None:
    assert request.report is not None
    header, *rows = _table(request, results)
    figures = [
        (
            draw_histograms(results),
            "Luminance of all pictures together and of their "
            "references (as figure 30 of the thesis)",
        )
    ]
    for metric in reversed(request.metrics):
        if drawn := draw_scores(results, metric):
            figures.insert(
                0,
                (
                    drawn,
                    f"ISO against {heading(metric)}, by exposure ratio (as "
                    "figures 16 and 29 of the thesis)",
                ),
            )
    write_report(request.report, _title(request), header, rows, figures)
