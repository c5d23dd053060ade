"""The report of benchmarks that score one picture, or clip, after the other."""

from collections.abc import Sequence
from typing import Any

from enhance_cli.evaluation.benchmarks import Measures
from enhance_cli.evaluation.case import Scores
from enhance_cli.evaluation.report import Report, Table, finite, heading, number
from enhance_cli.evaluation.request import EvaluationRequest


def report_pictures(
    results: Sequence[Scores],
    request: EvaluationRequest,
    measures: Measures,
    kind: str,
    notes: Sequence[str] = (),
) -> Report:
    """A line for each case and the means, a column for each model and metric.

    Args:
        results: of all models, over the same cases.
        request, measures: what was asked for.
        kind: heading of the column of names.
        notes: what must be said beside the figures.
    """
    metrics = measures.metrics
    columns = [(result, metric) for result in results for metric in metrics]
    title = f"{request.subject.dataset or request.subject.references} ({measures.protocol})"
    table = [
        [kind, *(f"{result.model}\n{heading(metric)}" for result, metric in columns)],
        *(
            [values["name"], *(number(r.values[index][m], m) for r, m in columns)]
            for index, values in enumerate(results[0].values)
        ),
        ["mean", *(number(result.mean(metric), metric) for result, metric in columns)],
    ]
    lines: list[list[Any]] = [["model", "image", *metrics]]
    for result in results:
        lines += [[result.model, v["name"], *(v[m] for m in metrics)] for v in result.values]
        lines.append([result.model, "mean", *map(result.mean, metrics)])
    document = {
        "dataset": request.subject.dataset or str(request.subject.references),
        "protocol": measures.protocol,
        **({"notes": list(notes)} if notes else {}),
        "results": [
            {
                "model": result.model,
                "mean": finite({metric: result.mean(metric) for metric in metrics}),
                "images": finite(result.values),
            }
            for result in results
        ],
    }
    return Report(title, document, [Table(title, table, means=True)], lines, notes=notes)
