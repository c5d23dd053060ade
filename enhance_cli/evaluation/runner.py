"""From a request to scores: choose what is evaluated, score its cases, tell the result."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from enhance_cli.data.video_sets import holds_clips
from enhance_cli.engine.catalogue import cache_folder
from enhance_cli.errors import EnhanceError, OutputError, UnknownNameError, UsageError
from enhance_cli.evaluation.benchmarks import (
    BENCHMARKS,
    EXPERIMENTS,
    FOLDERS,
    LPIPS,
    SET_METRICS,
    Benchmark,
)
from enhance_cli.evaluation.case import Evaluation, Score, Scores
from enhance_cli.evaluation.journal import Journal
from enhance_cli.evaluation.report import publish
from enhance_cli.evaluation.request import EvaluationRequest
from enhance_cli.metrics import METRICS
from enhance_cli.talk import Talk, print_errors


def run_evaluation(request: EvaluationRequest, talk: Talk) -> int:
    """Evaluate, and print tables or JSON, and write the files that are wanted.

    A case that cannot be scored is passed over by all models, so that their means remain
    comparable, and named in the end.

    Returns:
        The exit code: 1 if a case failed, or an experiment finds what it warns of.

    Raises:
        EnhanceError: for unknown names, options that do not suit, absent data or weights, or
            files that cannot be written.
    """
    evaluation = choose_benchmark(request).open(request, talk)
    journal = Journal(
        cache_folder() / "evaluations", request, evaluation, notice=talk.console.print
    )
    if not request.resume:
        journal.remove()
    results, failures = _score_cases(evaluation, journal, talk)
    code = 1 if failures else 0
    if results:
        report = evaluation.report(results)
        if failures:
            failed = [{"name": name, "error": text} for name, text in failures]
            report = replace(report, document={**report.document, "failed": failed})
        publish(report, request.destination, talk)
        code = code or report.code
    if not failures:
        journal.remove()
    _name_failures(failures, len(evaluation.cases))
    return code


def choose_benchmark(request: EvaluationRequest) -> Benchmark:
    """What the request is about.

    Raises:
        UnknownNameError: for a dataset or study that is in no table.
        UsageError: if nothing is to be evaluated, or an option is of no use with it.
    """
    subject = request.subject
    if subject.study is not None and subject.study not in EXPERIMENTS and subject.dataset is None:
        raise UnknownNameError("study", subject.study, EXPERIMENTS)
    if subject.dataset is None:
        if subject.study is not None:
            datasets = " or ".join(EXPERIMENTS[subject.study].datasets)
            raise UsageError(f"--study {subject.study}: needs a dataset, add --dataset {datasets}")
        return _choose_folders(request)
    if subject.dataset not in BENCHMARKS:
        raise UnknownNameError("dataset", subject.dataset, BENCHMARKS)
    benchmark = BENCHMARKS[subject.dataset]
    for option, folder in (("--pred", subject.predictions), ("--gt", subject.references)):
        if folder is not None:
            raise UsageError(
                f"{option} {folder}: of no use with --dataset {subject.dataset}, give either "
                "--dataset or --pred and --gt, not both"
            )
    where = f"--dataset {subject.dataset}"
    if subject.study is None or "--study" not in benchmark.options:
        known = _options(entry for entry in EXPERIMENTS.values() if entry.kind == benchmark.kind)
        _refuse_useless(request, benchmark, where, {f"{where} without --study": known})
        return benchmark
    of_kind = {name: entry for name, entry in EXPERIMENTS.items() if entry.kind == benchmark.kind}
    if subject.study not in of_kind:
        raise UnknownNameError("study", subject.study, of_kind)
    experiment = of_kind[subject.study]
    if subject.dataset not in experiment.datasets:
        raise UsageError(
            f"--study {subject.study}: needs {experiment.needs}, which {subject.dataset} has not: "
            f"add --dataset {' or '.join(experiment.datasets)}"
        )
    _refuse_useless(
        request,
        experiment,
        where,
        {f"--study {subject.study}": _options([*of_kind.values(), benchmark])},
    )
    return experiment


def _choose_folders(request: EvaluationRequest) -> Benchmark:
    """How two folders are compared: by their metrics, and by what lies in them."""
    metrics = request.comparison.metrics or ()
    sets = [name for name in metrics if name in SET_METRICS and name not in METRICS]
    pairs = [name for name in metrics if name == LPIPS or name not in SET_METRICS]
    if sets and pairs:
        known = list(dict.fromkeys([*SET_METRICS, *METRICS, LPIPS]))
        for name in pairs:
            if name not in known:
                raise UnknownNameError("metric", name, known)
        raise UsageError(
            f"--metrics {','.join(metrics)}: {' and '.join(pairs)} compare pictures in pairs, "
            f"{' and '.join(sets)} whole sets: ask for them one after the other"
        )
    subject = request.subject
    by_metrics = bool(sets) or LPIPS in metrics
    if subject.predictions is None or subject.references is None:
        raise UsageError(
            f"--metrics {','.join(metrics)}: give --pred DIR and --gt DIR"
            if by_metrics
            else "give --dataset NAME, or --pred DIR and --gt DIR"
        )
    if by_metrics:
        benchmark = FOLDERS["sets" if sets else "perceptual"]
        others = {f"--metrics {','.join(metrics)}": _options(FOLDERS.values())}
    else:
        benchmark = FOLDERS["clips" if holds_clips(subject.references) else "pictures"]
        others = {}
    _refuse_useless(request, benchmark, "--pred and --gt", others)
    return benchmark


def _options(benchmarks: Iterable[Benchmark]) -> frozenset[str]:
    """All options that one of them accepts."""
    return frozenset[str]().union(*(benchmark.options for benchmark in benchmarks))


def _refuse_useless(
    request: EvaluationRequest,
    benchmark: Benchmark,
    where: str,
    elsewhere: Mapping[str, frozenset[str]],
) -> None:
    """Refuse options that the benchmark does not accept.

    Args:
        request: what was asked for.
        benchmark: that was chosen.
        where: what makes an option useless.
        elsewhere: what does so for the options that similar benchmarks accept.

    Raises:
        UsageError: for the first such option.
    """
    accepted = benchmark.options | {"--pred", "--gt"}
    for option, value in request.given_options():
        if option not in accepted:
            reasons = [reason for reason, known in elsewhere.items() if option in known]
            raise UsageError(
                f"{option} {value}: of no use with {[*reasons, where][0]}, leave it out"
            )


def _score_cases(
    evaluation: Evaluation, journal: Journal, talk: Talk
) -> tuple[list[Scores], list[tuple[str, str]]]:
    """Scores by model, and names and errors of the cases that could not be scored."""
    results: dict[str, Scores] = {}
    failures: list[tuple[str, str]] = []
    known = journal.read(evaluation.cases)
    if known:
        talk.console.print(f"going on after {len(known)} of {len(evaluation.cases)} cases")
    steps = [case.steps for case in evaluation.cases]
    total = None if None in steps else sum(step or 0 for step in steps)
    with talk.progress(evaluation.title, total, evaluation.unit) as bar:
        for index, case in enumerate(evaluation.cases):
            scores: dict[str, Score]
            if index in known:
                scores = known[index]
                bar.advance(case.steps or 0)
            else:
                try:
                    scores = case.score(bar.advance)
                except (UsageError, OutputError):  # no other case would fare better
                    raise
                except EnhanceError as error:
                    failures.append((case.name, str(error)))
                    continue
                journal.write(index, case, scores)
            for model, score in scores.items():
                results.setdefault(model, Scores(model)).scores.append(score)
    return list(results.values()), failures


def _name_failures(failures: Sequence[tuple[str, str]], count: int) -> None:
    """Say which cases failed, and why; those that failed alike on one line."""
    names: dict[str, list[str]] = {}
    for name, text in failures:
        names.setdefault(text, []).append(name)
    for text, (first, *others) in names.items():
        also = f" (and so {', '.join(others)})" if others else ""
        print_errors(f"error: {first}: {text}{also}")
    if len(names) > 1 or 0 < len(failures) < count:
        print_errors(f"{len(failures)} of {count} cases failed")
