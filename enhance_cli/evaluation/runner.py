"""From a request to scores: choose what is evaluated, score its cases, tell the result."""

from collections.abc import Iterable, Mapping

from enhance_cli.data.video_sets import holds_clips
from enhance_cli.errors import EnhanceError, OutputError, UnknownNameError, UsageError
from enhance_cli.evaluation.benchmarks import (
    BENCHMARKS,
    EXPERIMENTS,
    FOLDERS,
    LPIPS,
    PICTURE_METRICS,
    SET_METRICS,
    Benchmark,
)
from enhance_cli.evaluation.case import Advance, Case, Evaluation
from enhance_cli.evaluation.journal import Journal
from enhance_cli.evaluation.report import publish
from enhance_cli.evaluation.request import EvaluationRequest
from enhance_cli.evaluation.scores import Score
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
    journal = Journal(request, evaluation, notice=talk.console.print)
    if not request.resume:
        journal.remove()
    results, failures = _score_cases(evaluation, journal, talk)
    code = 0
    if results:
        report = evaluation.report(results)
        publish(report, request, failures, talk)
        code = report.code
    if failures:
        _name_failures(failures, len(evaluation.cases))
        return 1
    journal.remove()
    return code


def choose_benchmark(request: EvaluationRequest) -> Benchmark:
    """What the request is about.

    Raises:
        UnknownNameError: for a dataset or study that is in no table.
        UsageError: if nothing is to be evaluated, or an option is of no use with it.
    """
    dataset, study = request.subject.dataset, request.subject.study
    if dataset is None:
        if study is None:
            return _choose_folders(request)
        if study not in EXPERIMENTS:
            raise UnknownNameError("study", study, EXPERIMENTS)
        names = " or ".join(EXPERIMENTS[study].datasets)
        raise UsageError(f"--study {study}: needs a dataset, add --dataset {names}")
    if dataset not in BENCHMARKS:
        raise UnknownNameError("dataset", dataset, BENCHMARKS)
    benchmark = BENCHMARKS[dataset]
    studies = {name: one for name, one in EXPERIMENTS.items() if one.kind == benchmark.kind}
    where = f"with --dataset {dataset}"
    if study is None or not studies:
        others = {f"{where} without --study": studies.values()}
        return _refuse_useless(request, benchmark, where, others)
    if study not in studies:
        raise UnknownNameError("study", study, studies)
    experiment = studies[study]
    if dataset not in experiment.datasets:
        raise UsageError(
            f"--study {study}: needs {experiment.needs}, which {dataset} has not: "
            f"add --dataset {' or '.join(experiment.datasets)}"
        )
    known = {f"with --study {study}": [benchmark, *studies.values()]}
    return _refuse_useless(request, experiment, where, known)


def _choose_folders(request: EvaluationRequest) -> Benchmark:
    """How two folders are compared: by their metrics, and by what lies in them."""
    metrics = request.comparison.metrics or ()
    asked = f"--metrics {','.join(metrics)}"
    sets = [name for name in metrics if name in SET_METRICS and name not in PICTURE_METRICS]
    pairs = [name for name in metrics if name not in SET_METRICS]
    if sets and pairs:
        known = list(dict.fromkeys([*SET_METRICS, *PICTURE_METRICS, LPIPS]))
        for name in pairs:
            if name not in known:
                raise UnknownNameError("metric", name, known)
        raise UsageError(
            f"{asked}: {' and '.join(pairs)} compare pictures in pairs, "
            f"{' and '.join(sets)} whole sets: ask for them one after the other"
        )
    where = "with --pred and --gt"
    if sets or LPIPS in metrics:
        if request.subject.predictions is None or request.subject.references is None:
            raise UsageError(f"{asked}: give --pred DIR and --gt DIR")
        benchmark = FOLDERS["sets" if sets else "perceptual"]
        return _refuse_useless(request, benchmark, where, {f"with {asked}": FOLDERS.values()})
    clips = holds_clips(request.subject.folders[1])
    return _refuse_useless(request, FOLDERS["clips" if clips else "pictures"], where, {})


def _refuse_useless(
    request: EvaluationRequest,
    benchmark: Benchmark,
    where: str,
    elsewhere: Mapping[str, Iterable[Benchmark]],
) -> Benchmark:
    """The benchmark, if it accepts all options that are given.

    Args:
        request: what was asked for.
        benchmark: that was chosen.
        where: with what an option is of no use.
        elsewhere: the same for options that one of some similar benchmarks accepts.

    Raises:
        UsageError: for the first option that is not accepted.
    """
    reasons = {
        option: reason
        for reason, ones in elsewhere.items()
        for one in ones
        for option in one.options
    }
    for option, value in request.given_options():
        if option in ("--pred", "--gt"):
            if request.subject.dataset is not None:
                raise UsageError(
                    f"{option} {value}: of no use {where}, give either --dataset or --pred and "
                    "--gt, not both"
                )
        elif option not in benchmark.options:
            reason = reasons.get(option, where)
            raise UsageError(f"{option} {value}: of no use {reason}, leave it out")
    return benchmark


def _score_cases(
    evaluation: Evaluation, journal: Journal, talk: Talk
) -> tuple[dict[str, list[Score]], dict[str, str]]:
    """Scores by model, and errors by the name of the cases that could not be scored."""
    results: dict[str, list[Score]] = {}
    failures: dict[str, str] = {}
    known = journal.read(evaluation.cases)
    if known:
        talk.console.print(f"going on after {len(known)} of {len(evaluation.cases)} cases")
    steps = [case.steps for case in evaluation.cases]
    total = None if None in steps else sum(step or 0 for step in steps)
    with talk.progress(evaluation.title, total, evaluation.unit) as bar:
        for index, case in enumerate(evaluation.cases):
            if index in known:
                scores = known[index]
                bar.advance(case.steps or 0)
            else:
                try:
                    scores = _score_case(case, bar.advance)
                except (UsageError, OutputError):  # no other case would fare better
                    raise
                except EnhanceError as error:
                    failures[case.name] = str(error)
                    continue
                journal.write(index, case, scores)
            for model, score in scores.items():
                results.setdefault(model, []).append(score)
    return results, failures


def _score_case(case: Case, advance: Advance) -> dict[str, Score]:
    """Score a case; the bar moves on by what the case itself has not told it."""
    told = 0

    def count(steps: int) -> None:
        nonlocal told
        told += steps
        advance(steps)

    scores = case.score(count)
    advance(max((case.steps or 0) - told, 0))
    return scores


def _name_failures(failures: Mapping[str, str], count: int) -> None:
    """Say which cases failed, and why; those that failed alike on one line."""
    names: dict[str, list[str]] = {}
    for name, text in failures.items():
        names.setdefault(text, []).append(name)
    for text, (first, *others) in names.items():
        also = f" (and so {', '.join(others)})" if others else ""
        print_errors(f"error: {first}: {text}{also}")
    if len(names) > 1 or len(failures) < count:
        print_errors(f"{len(failures)} of {count} cases failed")
