"""The tables of benchmarks and experiments: all they name is there, and can be opened."""

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest

from enhance_cli.data.benchmarks import DATASETS
from enhance_cli.data.dark_sets import DARK_DATASETS
from enhance_cli.data.picture_sets import PICTURE_SETS
from enhance_cli.data.video_sets import VIDEO_DATASETS
from enhance_cli.errors import DatasetError
from enhance_cli.evaluation import request as asked
from enhance_cli.evaluation.baselines import BASELINES
from enhance_cli.evaluation.benchmarks import (
    BENCHMARKS,
    EXPERIMENTS,
    FOLDERS,
    PICTURE_METRICS,
    PICTURE_PROTOCOLS,
    Benchmark,
    known_metrics,
)
from enhance_cli.metrics import METRICS
from enhance_cli.metrics.protocols import PROTOCOLS
from enhance_cli.talk import Talk

ALL = {**BENCHMARKS, **FOLDERS, **EXPERIMENTS}
OPTIONS = {
    entry.metadata["option"]
    for group in (asked.Subject, asked.ModelChoice, asked.Comparison)
    + (asked.SampleOptions, asked.StudyOptions)
    for entry in group.__dataclass_fields__.values()
    if "option" in entry.metadata
}


@pytest.mark.parametrize("name", ALL)
def test_every_entry_can_be_opened(name: str):
    benchmark = ALL[name]
    module, _, function = benchmark.entry.partition(":")
    assert callable(getattr(import_module(f"enhance_cli.evaluation.{module}"), function))
    assert benchmark.options <= OPTIONS
    assert set(benchmark.default_metrics) <= set(benchmark.metrics)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_absent_data_says_what_to_put_where(name: str, tmp_path: Path):
    subject = asked.Subject(dataset=name, data_root=tmp_path)
    request = asked.EvaluationRequest(subject, asked.ModelChoice(BENCHMARKS[name].baselines[-1:]))
    with pytest.raises(DatasetError, match=f"{name}.* is not in .*--data-root"):
        BENCHMARKS[name].open(request, Talk(quiet=True))


def test_the_tables_agree_with_those_of_data_and_metrics():
    """They are apart because the help is made from these, and must load nothing heavy."""
    assert set(BENCHMARKS) >= {*DATASETS, *DARK_DATASETS, *VIDEO_DATASETS, *PICTURE_SETS}
    assert set(PICTURE_METRICS) == set(METRICS)
    assert set(PICTURE_PROTOCOLS) == set(PROTOCOLS)
    known = {name for table in BASELINES.values() for name in table}
    assert set(BENCHMARKS["sid"].baselines) == known
    assert all(name in BENCHMARKS for entry in EXPERIMENTS.values() for name in entry.datasets)


def test_help_names_all_of_them(enhance: Callable, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "200")
    said = enhance("evaluate", "--help").out
    assert all(name in said for name in (*BENCHMARKS, *known_metrics()))
    assert "|".join(EXPERIMENTS) in said


@pytest.mark.parametrize(
    ("dataset", "option", "value"),
    [("set5", "--strategy", "fastest"), ("lol", "--seed", 1), ("mnist", "--border", 2)],
)
def test_an_option_that_is_not_declared_is_refused(
    dataset: str, option: str, value: object, enhance: Callable, monkeypatch: pytest.MonkeyPatch
):
    ran = enhance("evaluate", "--dataset", dataset, option, value)
    assert ran.code == 2
    assert f"{option} {value}: of no use with --dataset {dataset}, leave it out" in ran.err
    # It is the declaration that decides, and nothing else.
    accepting: Benchmark = replace(
        BENCHMARKS[dataset], options=BENCHMARKS[dataset].options | {option}
    )
    monkeypatch.setitem(BENCHMARKS, dataset, accepting)
    ran = enhance("evaluate", "--dataset", dataset, option, value, "--data-root", "nowhere")
    assert "of no use" not in ran.err
    assert "is not in nowhere" in ran.err
