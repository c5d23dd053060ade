"""Scores of a run that is under way, kept in the cache so that an interrupted run can go on.

A line of JSON for each case that has been scored. The file's name is a hash of all that the
scores depend on: the options, the version of the program, the contents of the weights and the
names of the cases. Of the files of a case size and time are compared, since data may be large.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from enhance_cli import __version__
from enhance_cli.engine.weight_files import cache_folder
from enhance_cli.evaluation.case import Case, Evaluation
from enhance_cli.evaluation.request import EvaluationRequest
from enhance_cli.evaluation.scores import Score
from enhance_cli.io.files import sha256_of


class Journal:
    """The scores of a run, on disk.

    Args:
        request, evaluation: what is run.
        notice: told in one line if the file cannot be written; the run then goes on without.
    """

    def __init__(
        self, request: EvaluationRequest, evaluation: Evaluation, notice: Callable[[str], None]
    ) -> None:
        self.path = cache_folder() / "evaluations" / f"{_fingerprint(request, evaluation)}.jsonl"
        self._notice: Callable[[str], None] | None = notice

    def read(self, cases: Sequence[Case]) -> dict[int, dict[str, Score]]:
        """Scores of an earlier run by the index of their case, where its files are unchanged."""
        known = {}
        with suppress(OSError):  # there is no such run
            for line in self.path.read_text(encoding="utf-8").splitlines():
                with suppress(ValueError):  # the run was interrupted while it wrote this line
                    index, files, scores = json.loads(line)
                    if files == _stamp(cases[index]):
                        known[index] = scores
        return known

    def write(self, index: int, case: Case, scores: dict[str, Score]) -> None:
        """Keep the scores of a case."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps([index, _stamp(case), scores]) + "\n")
        except OSError as error:
            if self._notice is not None:
                self._notice(f"{self.path}: {error.strerror}; this run cannot be resumed")
            self._notice = None

    def remove(self) -> None:
        """Forget the run: it is finished, or begun anew."""
        with suppress(OSError):  # there is none, or the cache cannot be written at all
            self.path.unlink()


def _fingerprint(request: EvaluationRequest, evaluation: Evaluation) -> str:
    options = asdict(request)
    for group in ("destination", "resume"):
        del options[group]
    weights = [sha256_of(path) for path in evaluation.weights]
    names = [case.name for case in evaluation.cases]
    text = json.dumps([__version__, str(Path.cwd()), options, weights, names], default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _stamp(case: Case) -> list[list[Any]]:
    stats = [path.stat() for path in case.files if path.exists()]
    return [[stat.st_size, stat.st_mtime_ns] for stat in stats]
