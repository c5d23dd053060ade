"""What the reports of experiments with clips have in common."""

from collections.abc import Callable, Sequence
from typing import Any

from enhance_cli.evaluation.benchmarks import EXPERIMENTS
from enhance_cli.evaluation.report import Figure, Report, Table, finite
from enhance_cli.evaluation.request import EvaluationRequest


def report_experiment(
    request: EvaluationRequest,
    table: Sequence[Sequence[str]],
    results: list[dict[str, Any]],
    csv: Sequence[Sequence[Any]],
    draw: Callable[[], Sequence[Figure]],
    notes: Sequence[str],
    code: int = 0,
) -> Report:
    """The report of an experiment with clips.

    Args:
        request: that it was made for.
        table, csv, draw, notes, code: see ``Report``.
        results: for the JSON document.
    """
    study = request.subject.study
    assert study is not None
    experiment = EXPERIMENTS[study]
    title = f"{request.subject.dataset}: {experiment.summary}"
    document = {
        "dataset": request.subject.dataset,
        "study": study,
        "protocol": experiment.protocols[0],
        "notes": list(notes),
        "results": finite(results),
    }
    return Report(title, document, [Table(title, table)], csv, draw, notes, code)
