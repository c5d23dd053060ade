"""Benchmarks of low light: dark pictures with a known truth, told by exposure ratio."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from enhance_cli.architectures.spec import Contract
from enhance_cli.data.dark_sets import DARK_DATASETS, DarkCase, DarkScene, View, load_cases
from enhance_cli.defaults import lowlight_model
from enhance_cli.engine.amplification import choose_ratio
from enhance_cli.engine.brighten import DarkImage, brighten
from enhance_cli.engine.catalogue import Model
from enhance_cli.engine.strategies import choose_plan
from enhance_cli.engine.tiled import TilePlan
from enhance_cli.errors import UsageError
from enhance_cli.evaluation.baselines import BASELINES
from enhance_cli.evaluation.benchmarks import BENCHMARKS, Measures
from enhance_cli.evaluation.case import Case, Evaluation
from enhance_cli.evaluation.figures import COLOURS, new_panels, to_svg
from enhance_cli.evaluation.models import checkpoints, find_roots, load_models
from enhance_cli.evaluation.pictures import compare_pictures, metric_column
from enhance_cli.evaluation.request import EvaluationRequest
from enhance_cli.evaluation.scores import Column, Results, Score, ScoreReport, Table, mean
from enhance_cli.metrics.distribution import histogram_divergence, luminance_histogram
from enhance_cli.talk import Talk

Enhance = Callable[[DarkScene, float], Tensor]  # scene, ratio -> shown (C, H, W) in [0, 1]


def open_dark_pictures(request: EvaluationRequest, measures: Measures, talk: Talk) -> Evaluation:
    """The pictures of a dataset, brightened by classical methods and by every model.

    Models of different kinds (of RAW files or of sRGB pictures, in colour or in grey) see
    different versions of a dataset; each version has its own cases, and its own baselines.

    Raises:
        EnhanceError: for unknown names, and data or weights that are absent.
    """
    dataset = request.subject.name
    usual_source = DARK_DATASETS[dataset].sources[0]
    usual = lowlight_model(raw=usual_source == "raw", grey=False)
    plan = choose_plan(request.models.strategy, request.models.tile)
    known = BENCHMARKS[dataset].baselines
    models = load_models(
        "lowlight", request.models, usual=[usual], baselines=known, left="baselines", talk=talk
    )
    wanted = [name for name in request.models.names if name in known] or known
    views = list(dict.fromkeys(_view_of(model.contract) for model in models.values()))
    cases = []
    for view in views or [View(usual_source)]:
        label = f" ({view.label})" if len(views) > 1 else ""
        table = BASELINES[view.source]
        enhancers: dict[str, Enhance] = {
            f"{name}{label}": enhance for name, enhance in table.items() if name in wanted
        }
        for name, model in models.items():
            if _view_of(model.contract) == view:
                enhancers[name] = partial(_run_model, model, plan)
        if not enhancers:
            raise UsageError(
                f"--model {wanted[0]}: no baseline for {view.source} input, choose from "
                f"{', '.join(table)}"
            )
        cases += [
            Case(case.name, partial(_score_case, case, enhancers, measures))
            for case in load_cases(dataset, view, find_roots(request))
        ]
    report = partial(_report, request=request, measures=measures)
    return Evaluation(dataset, "pictures", cases, report, checkpoints(models))


def _view_of(contract: Contract) -> View:
    """What a model takes and gives; the thesis's networks work at half of the sensor's size."""
    return View(
        source="raw" if contract.is_raw else "srgb",
        half=not contract.is_linear,
        grey=contract.channels_out == 1,
    )


def _run_model(model: Model, plan: TilePlan, scene: DarkScene, ratio: float) -> Tensor:
    return brighten(model, _dark_image(scene), ratio, plan)


def _dark_image(scene: DarkScene) -> DarkImage:
    return DarkImage(scene.planes, scene.gains, scene.camera_to_srgb)


def _score_case(
    case: DarkCase, enhancers: dict[str, Enhance], measures: Measures, _: object
) -> dict[str, Score]:
    scene = case.load()
    reference = scene.reference()
    # Where nobody knows the ratio it is chosen as by ``enhance lowlight --ratio auto``.
    ratio = case.ratio or round(choose_ratio(_dark_image(scene).balanced()), 4)
    chosen = {} if case.ratio else {"ratio_chosen": True}
    known = {"name": case.name, "ratio": ratio, "iso": case.iso, **chosen}
    counts = luminance_histogram(reference, 1.0).tolist()
    scores: dict[str, Score] = {}
    for name, enhance in enhancers.items():
        estimate = enhance(scene, ratio)
        scores[name] = {
            **known,
            **compare_pictures(case.name, estimate, reference, measures),
            "_histogram": luminance_histogram(estimate, 1.0).tolist(),
            "_reference": counts,
        }
    return scores


# --- what is told ---------------------------------------------------------------------------------


def _report(results: Results, request: EvaluationRequest, measures: Measures) -> ScoreReport:
    """A line for each model and exposure ratio, and one for all pictures of the model."""
    metrics = measures.metrics
    columns = [Column("model", "model"), Column("ratio", "ratio"), Column("count", "pictures")]
    columns += map(metric_column, metrics)
    if "jsd" in metrics:
        columns.append(metric_column("jsd")._replace(key="jsd_total", heading="JSD, all"))
    rows: list[Score] = []
    lines: list[Score] = []
    described, ends = [], []
    for model, scores in results.items():
        lines += [{"model": model, "image": score["name"], **score} for score in scores]
        by_ratio = _by_ratio(scores)
        means = {ratio: _means(group, metrics) for ratio, group in by_ratio.items()}
        # With a single ratio its pictures are all there are.
        groups = {**(by_ratio if len(by_ratio) > 1 else {}), "all": scores}
        for ratio, group in groups.items():
            row = {"model": model, "ratio": ratio, "count": len(group), **_means(group, metrics)}
            rows.append(row)
            lines.append({**row, "image": "mean", "iso": None})
        ends.append(len(rows) - 1)
        described.append(
            {"model": model, "mean": _means(scores, metrics), "by_ratio": means, "images": scores}
        )
    notice = DARK_DATASETS[request.subject.name].notice
    title = f"{request.subject.name} ({measures.protocol}{request.conditions})"
    return ScoreReport(
        title,
        {"protocol": measures.protocol},
        described,
        [Table(title, rows, columns, groups_end=ends)],
        lines,
        ["model", "image", "ratio", "iso", *metrics],
        lambda: _draw(results, metrics),
        [notice] if notice else [],
    )


def _by_ratio(scores: Sequence[Score]) -> dict[str, list[Score]]:
    """The pictures of each exposure ratio that is known and not chosen, the smallest first."""
    ratios = sorted({score["ratio"] for score in scores if not score.get("ratio_chosen")})
    return {f"{ratio:g}": [s for s in scores if s["ratio"] == ratio] for ratio in ratios}


def _means(scores: Sequence[Score], metrics: Sequence[str]) -> Score:
    """The mean of each metric, and beside JSD also that of all pictures together."""
    total = {"jsd_total": histogram_divergence(*_histograms(scores))} if "jsd" in metrics else {}
    return {**{metric: mean(scores, metric) for metric in metrics}, **total}


def _histograms(scores: Sequence[Score]) -> tuple[Tensor, Tensor]:
    """Luminance of all pictures and of all references (thesis 000, fig. 30)."""
    pictures, references = (
        torch.tensor([score[key] for score in scores]).sum(0)
        for key in ("_histogram", "_reference")
    )
    return pictures, references


def _draw(results: Results, metrics: Sequence[str]) -> list[tuple[bytes, str]]:
    figures = []
    if any(score["iso"] for scores in results.values() for score in scores):
        for column in map(metric_column, metrics):
            caption = f"ISO against {column.heading}, by exposure ratio (as figures 16 and 29 of "
            figures.append((_draw_by_iso(results, column), f"{caption}the thesis)"))
    caption = "Luminance of all pictures together and of their references (as figure 30 of the "
    return [*figures, (_draw_histograms(results), f"{caption}thesis)")]


def _draw_by_iso(results: Results, metric: Column) -> bytes:
    """ISO against a metric, a panel for each model, a colour for each ratio."""
    figure, panels = new_panels(len(results))
    for panel, (model, scores) in zip(panels, results.items(), strict=True):
        for colour, (ratio, group) in zip(COLOURS, _by_ratio(scores).items(), strict=False):
            known = [score for score in group if score["iso"]]
            x, y = ([score[key] for score in known] for key in ("iso", metric.key))
            panel.scatter(x, y, s=14, color=colour, alpha=0.8, label=f"ratio {ratio}")
        panel.set(title=model, xscale="log", xlabel="ISO", ylabel=metric.heading)
        panel.grid(alpha=0.3)
        panel.legend(fontsize="small")
    return to_svg(figure)


def _draw_histograms(results: Results) -> bytes:
    """Luminance of all pictures against that of all references, a panel for each model."""
    figure, panels = new_panels(len(results))
    axes = {"xlabel": "luminance", "ylabel": "share of pixels", "yscale": "log", "xlim": (0, 255)}
    for panel, (model, scores) in zip(panels, results.items(), strict=True):
        picture, reference = _histograms(scores)
        for counts, line, colour, label in (
            (reference, "-", "black", "reference"),
            (picture, "--", COLOURS[0], "picture"),
        ):
            shares = (counts / counts.sum()).tolist()
            panel.plot(range(len(shares)), shares, line, color=colour, linewidth=1, label=label)
        panel.set(title=f"{model}, JSD {histogram_divergence(picture, reference):.4f}", **axes)
        panel.legend(fontsize="small")
    return to_svg(figure)
