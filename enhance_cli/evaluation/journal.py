"""Scores of a run that is under way, kept in the cache so that an interrupted run can go on.

A line of JSON for each case that has been scored. The file's name is a hash of all that the
scores depend on: the options, the version of the program, the contents of the weights and the
names of the cases. Of the files of a case size and time are compared, since data may be large.
"""

import hashlib
import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from enhance_cli import __version__
from enhance_cli.evaluation.case import Case, Evaluation, Score
from enhance_cli.evaluation.request import EvaluationRequest


class Journal:
    """The scores of a run, on disk.

    Args:
        folder: for the file.
        request, evaluation: what is run.
        notice: told in one line if the file cannot be written; the run then goes on without.
    """

    def __init__(
        self,
        folder: Path,
        request: EvaluationRequest,
        evaluation: Evaluation,
        notice: Callable[[str], None],
    ) -> None:
        self.path = folder / f"{_fingerprint(request, evaluation)}.jsonl"
        self._notice = notice
        self._writes = True

    def read(self, cases: Sequence[Case]) -> dict[int, dict[str, Score]]:
        """Scores of an earlier run by the index of their case, where its files are unchanged."""
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines()
        except OSError:
            return {}
        known: dict[int, dict[str, Score]] = {}
        for line in lines:
            try:
                entry = json.loads(line)
            except ValueError:  # the run was interrupted while it wrote this line
                continue
            index = entry["case"]
            if entry["files"] == _stamp(cases[index].files):
                known[index] = {
                    name: Score(score["values"], _tensors(score["tensors"]))
                    for name, score in entry["scores"].items()
                }
        return known

    def write(self, index: int, case: Case, scores: dict[str, Score]) -> None:
        """Keep the scores of a case."""
        entry = {
            "case": index,
            "files": _stamp(case.files),
            "scores": {
                name: {
                    "values": score.values,
                    "tensors": {key: _packed(value) for key, value in score.tensors.items()},
                }
                for name, score in scores.items()
            },
        }
        if not self._writes:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
        except OSError as error:
            self._writes = False
            self._notice(
                f"{self.path}: cannot write ({error.strerror}), this run cannot be resumed"
            )

    def remove(self) -> None:
        """Forget the run: it is finished, or begun anew."""
        self.path.unlink(missing_ok=True)


def _fingerprint(request: EvaluationRequest, evaluation: Evaluation) -> str:
    described = asdict(request)
    for group in ("destination", "resume"):
        del described[group]
    weights = []
    for path in evaluation.files:
        with path.open("rb") as file:
            weights.append(hashlib.file_digest(file, "sha256").hexdigest())
    text = json.dumps(
        [__version__, described, weights, [case.name for case in evaluation.cases]],
        default=lambda value: str(value.resolve()) if isinstance(value, Path) else str(value),
    )
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _stamp(files: Sequence[Path]) -> list[list[Any]]:
    stats = [(path, path.stat()) for path in files if path.exists()]
    return [[str(path), stat.st_size, stat.st_mtime_ns] for path, stat in stats]


def _packed(tensor: Tensor) -> list[Any]:
    array = tensor.contiguous().numpy()
    return [str(array.dtype), list(array.shape), b64encode(array.tobytes()).decode()]


def _tensors(packed: dict[str, list[Any]]) -> dict[str, Tensor]:
    return {
        name: torch.from_numpy(np.frombuffer(b64decode(data), dtype).reshape(shape).copy())
        for name, (dtype, shape, data) in packed.items()
    }
