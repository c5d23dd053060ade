"""The report of benchmarks of dark pictures: by exposure ratio, with figures as in thesis 000."""

from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor

from enhance_cli.evaluation.benchmarks import Measures
from enhance_cli.evaluation.case import Scores
from enhance_cli.evaluation.figures import COLOURS, new_panels, to_svg
from enhance_cli.evaluation.report import Figure, Report, Table, finite, heading, number
from enhance_cli.evaluation.request import EvaluationRequest
from enhance_cli.metrics.distribution import histogram_divergence


def report_dark_pictures(
    results: Sequence[Scores], request: EvaluationRequest, measures: Measures
) -> Report:
    """A line for each model and exposure ratio, and one for all pictures of the model."""
    metrics = measures.metrics
    how = f", strategy {request.models.strategy}" if request.models.strategy else ""
    title = f"{request.subject.dataset} ({measures.protocol}{how})"
    total = ["JSD, all"] if "jsd" in metrics else []
    table = [["model", "ratio", "pictures", *(heading(metric) for metric in metrics), *total]]
    lines: list[list[Any]] = [["model", "image", "ratio", "iso", *metrics]]
    ends = []
    for result in results:
        for values in result.values:
            known = [values[key] for key in ("name", "ratio", "iso", *metrics)]
            lines.append([result.model, *known])
        for ratio, group in _groups(result):
            lines.append([result.model, "mean", ratio, None, *map(group.mean, metrics)])
            numbers = [
                number(value, name.removesuffix("_total"))
                for name, value in _means(group, measures).items()
            ]
            table.append([result.model, ratio, str(len(group.scores)), *numbers])
        ends.append(len(table) - 2)
    document = {
        "dataset": request.subject.dataset,
        "protocol": measures.protocol,
        "results": [
            {
                "model": result.model,
                "mean": finite(_means(result, measures)),
                "by_ratio": {
                    f"{ratio:g}": finite(_means(_of_ratio(result, ratio), measures))
                    for ratio in _ratios(result)
                },
                "images": finite(result.values),
            }
            for result in results
        ],
    }
    return Report(
        title,
        document,
        [Table(title, table, groups_end=frozenset(ends))],
        lines,
        lambda: _draw(results, metrics),
    )


def _ratios(result: Scores) -> list[float]:
    """The exposure ratios that are known, not chosen, each once and the smallest first."""
    return sorted({v["ratio"] for v in result.values if not v.get("ratio_chosen")})


def _of_ratio(result: Scores, ratio: float) -> Scores:
    """The pictures of one exposure ratio."""
    chosen = [score for score in result.scores if score.values["ratio"] == ratio]
    return Scores(result.model, chosen)


def _groups(result: Scores) -> Iterator[tuple[str, Scores]]:
    """The pictures of each ratio where there are several, and all of them."""
    ratios = _ratios(result)
    for ratio in ratios if len(ratios) > 1 else ():
        yield f"{ratio:g}", _of_ratio(result, ratio)
    yield "all", result


def _means(result: Scores, measures: Measures) -> dict[str, float]:
    """The mean of each metric, and beside JSD also that of all pictures together."""
    means = {metric: result.mean(metric) for metric in measures.metrics}
    if "jsd" in measures.metrics:
        means["jsd_total"] = histogram_divergence(*_total_histograms(result))
    return means


def _total_histograms(result: Scores) -> tuple[Tensor, Tensor]:
    """Luminance of all pictures and of all references (thesis 000, fig. 30)."""
    pictures, references = (
        [score.tensors[key] for score in result.scores] for key in ("picture", "reference")
    )
    return sum(pictures[1:], pictures[0]), sum(references[1:], references[0])


def _draw(results: Sequence[Scores], metrics: Sequence[str]) -> list[Figure]:
    by_iso = [
        Figure(
            _draw_by_iso(results, metric),
            f"ISO against {heading(metric)}, by exposure ratio (as figures 16 and 29 of the "
            "thesis)",
        )
        for metric in metrics
        if any(values["iso"] for result in results for values in result.values)
    ]
    caption = (
        "Luminance of all pictures together and of their references (as figure 30 of the thesis)"
    )
    return [*by_iso, Figure(_draw_histograms(results), caption)]


def _draw_by_iso(results: Sequence[Scores], metric: str) -> bytes:
    """ISO against a metric, a panel for each model, a colour for each ratio."""
    figure, panels = new_panels(len(results))
    for panel, result in zip(panels, results, strict=True):
        for colour, ratio in zip(COLOURS, _ratios(result), strict=False):
            images = [values for values in _of_ratio(result, ratio).values if values["iso"]]
            panel.scatter(
                [values["iso"] for values in images],
                [values[metric] for values in images],
                s=14,
                color=colour,
                alpha=0.8,
                label=f"ratio {ratio:g}",
            )
        panel.set(title=result.model, xscale="log", xlabel="ISO", ylabel=heading(metric))
        panel.grid(alpha=0.3)
        panel.legend(fontsize="small")
    return to_svg(figure)


def _draw_histograms(results: Sequence[Scores]) -> bytes:
    """Luminance of all pictures against that of all references, a panel for each model."""
    figure, panels = new_panels(len(results))
    for panel, result in zip(panels, results, strict=True):
        picture, reference = _total_histograms(result)
        for counts, line, colour, label in (
            (reference, "-", "black", "reference"),
            (picture, "--", COLOURS[0], "picture"),
        ):
            shares = (counts / counts.sum()).tolist()
            panel.plot(range(len(shares)), shares, line, color=colour, linewidth=1, label=label)
        panel.set(
            title=f"{result.model}, JSD {histogram_divergence(picture, reference):.4f}",
            xlabel="luminance",
            ylabel="share of pixels",
            yscale="log",
            xlim=(0, 255),
        )
        panel.legend(fontsize="small")
    return to_svg(figure)
