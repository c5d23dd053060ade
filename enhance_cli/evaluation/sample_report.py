"""The report of benchmarks of generative models, as tables 6.2 and 6.3 of dissertation 003."""

from collections.abc import Sequence
from typing import Any

from enhance_cli.engine.features import FeatureExtractor
from enhance_cli.evaluation.benchmarks import BENCHMARKS
from enhance_cli.evaluation.case import Scores
from enhance_cli.evaluation.report import Figure, Report, Table, decimal
from enhance_cli.evaluation.request import EvaluationRequest
from enhance_cli.evaluation.set_scores import draw_precision_recall, feature_notes, read_curve

# Ways to get pictures from a model: the columns of tables 6.2 and 6.3.
SOURCES = ("reconstruction", "gaussian", "mixture", "interpolation")
_SHARP = ("reconstruction", "mixture")


def report_samples(
    results: Sequence[Scores], request: EvaluationRequest, extractor: FeatureExtractor, count: int
) -> Report:
    """Two tables with a line for each model and a column for each way to get pictures."""
    title = f"{request.subject.dataset}, {count} pictures"
    notes = feature_notes(extractor, count)
    rows = [{"model": result.model, **result.values[0]} for result in results]
    document = {
        "dataset": request.subject.dataset,
        "protocol": BENCHMARKS[str(request.subject.dataset)].protocols[0],
        "features": extractor.name,
        "count": count,
        "seed": request.seed,
        "notes": notes,
        "results": rows,
    }
    return Report(
        f"{title}: {extractor.name}, precision and recall",
        document,
        [
            Table(f"{title}: {extractor.name} (as table 6.2)", _distance_table(rows)),
            Table(f"{title}: precision F1/8 / recall F8 (as table 6.3)", _share_table(rows)),
        ],
        _lines(rows),
        lambda: _draw(results),
        notes,
    )


def _lines(rows: Sequence[dict[str, Any]]) -> list[list[Any]]:
    """A line for each model and source; the bound is in all lines of a model."""
    known = [(row, source, row[source]) for row in rows for source in SOURCES if row[source]]
    return [
        ["model", "source", *known[0][2], "elbo"],
        *([row["model"], source, *scores.values(), row["elbo"]] for row, source, scores in known),
    ]


def _distance_table(rows: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Table 6.2; and beside it how sharp the pictures are, and how likely the test pictures."""
    with_elbo = any(row["elbo"] is not None for row in rows)
    sharp = [f"high frequencies,\n{source}" for source in _SHARP]
    table = [["model", *SOURCES, *sharp, *(["ELBO\n(nats/dim)"] if with_elbo else [])]]
    for row in rows:
        distances = [decimal(row[s]["frechet"], 1) if row[s] else "" for s in SOURCES]
        details = [decimal(row[s]["high_frequencies"], 3) if row[s] else "" for s in _SHARP]
        bound = [decimal(row["elbo"], 4)] if with_elbo else []
        table.append([row["model"], *distances, *details, *bound])
    return table


def _share_table(rows: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Table 6.3."""
    table = [["model", *(f"{source},\nprecision / recall" for source in SOURCES)]]
    for row in rows:
        scores = [row[source] for source in SOURCES]
        cells = [f"{found['f1_8']:.2f} / {found['f8']:.2f}" if found else "" for found in scores]
        table.append([row["model"], *cells])
    return table


def _draw(results: Sequence[Scores]) -> list[Figure]:
    """Two panels of curves at a time; data comes last, so that models keep their colours."""
    data = [result for result in results if result.model in ("data", "train")]
    ordered = [result for result in results if result not in data] + data
    figures = []
    for pair in (SOURCES[:2], SOURCES[2:]):
        panels = {
            source: [
                read_curve(result.model, result.scores[0], f"{source} ")
                for result in ordered
                if result.values[0][source]
            ]
            for source in pair
        }
        panels = {source: curves for source, curves in panels.items() if curves}
        if panels:
            caption = f"Precision and recall: {' and '.join(panels)}"
            figures.append(draw_precision_recall(panels, caption))
    return figures
