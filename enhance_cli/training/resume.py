"""What a run leaves behind: the state from which it is continued, and the log of its losses."""

import csv
import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from enhance_cli.engine.checkpoint import read_metadata, read_tensors, write_tensors
from enhance_cli.errors import CheckpointError, OutputError

STATE_FILE = "state.safetensors"
LAST_FILE = "last.safetensors"  # the newest average, as a checkpoint
LOG_COLUMNS = ("step", "seconds", "learning_rate", "loss", "validation")


@dataclass
class Learner:
    """A network and the optimiser that trains it."""

    network: nn.Module
    optimiser: torch.optim.Optimizer


@dataclass
class RunState:
    """Everything that a resumed run needs.

    Attributes:
        network: The network as it is trained.
        optimiser: The optimiser with its moments.
        average: Average of the network's tensors, which is what is validated and kept.
        step: Steps done.
        seconds: Time spent, over all parts of the run.
        best: Highest validation score so far.
        losses: Losses of the steps since the last row of the log.
        adversary: What learns beside the network, if there is something.
    """

    network: nn.Module
    optimiser: torch.optim.Optimizer
    average: dict[str, Tensor]
    step: int = 0
    seconds: float = 0.0
    best: float = -math.inf
    losses: list[Tensor] = field(default_factory=list)
    adversary: Learner | None = None

    def _tensors(self) -> dict[str, Tensor]:
        found = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        found |= {f"average.{k}": v for k, v in self.average.items()}
        found |= _moments("adam", self.optimiser)
        if self.adversary is not None:
            tensors = self.adversary.network.state_dict()
            found |= {f"adversary.{k}": v for k, v in tensors.items()}
            found |= _moments("adversary_adam", self.adversary.optimiser)
        if self.losses:
            found["curve.losses"] = torch.stack(self.losses)
        return {k: v.detach().cpu().contiguous() for k, v in found.items()}

    def save(self, path: Path, fingerprint: str) -> None:
        """Write everything to one file, whole or not at all.

        Args:
            path: A safetensors file, replaced if it exists.
            fingerprint: Text of the run's settings.

        Raises:
            OutputError: If the file cannot be written.
        """
        metadata = {
            "fingerprint": fingerprint,
            "step": str(self.step),
            "seconds": repr(self.seconds),
            "best": repr(self.best),
        }
        write_tensors(path, self._tensors(), metadata)

    def restore(self, path: Path, fingerprint: str) -> None:
        """Take everything from a saved state.

        Raises:
            CheckpointError: If the file is damaged, or belongs to a run of other settings.
        """
        metadata, tensors = read_metadata(path), read_tensors(path)
        check_fingerprint(path, metadata.get("fingerprint", ""), fingerprint)
        groups: dict[str, dict[str, Tensor]] = defaultdict(dict)
        for key, value in tensors.items():
            group, _, name = key.partition(".")
            groups[group][name] = value
        self.network.load_state_dict(groups["network"])
        for key, value in groups["average"].items():
            self.average[key].copy_(value)
        _restore_moments(self.optimiser, groups["adam"])
        if self.adversary is not None:
            self.adversary.network.load_state_dict(groups["adversary"])
            _restore_moments(self.adversary.optimiser, groups["adversary_adam"])
        device = next(self.network.parameters()).device
        self.losses = list(groups["curve"].get("losses", torch.empty(0)).to(device))
        self.step = int(metadata["step"])
        self.seconds = float(metadata["seconds"])
        self.best = float(metadata["best"])


def _moments(group: str, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The moments of an optimiser, named by group, parameter and moment."""
    return {
        f"{group}.{index}.{name}": value
        for index, moments in optimiser.state_dict()["state"].items()
        for name, value in moments.items()
    }


def _restore_moments(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    moments: dict[int, dict[str, Tensor]] = defaultdict(dict)
    for key, value in tensors.items():
        index, _, name = key.partition(".")
        moments[int(index)][name] = value
    layout = optimiser.state_dict()
    optimiser.load_state_dict({"state": dict(moments), "param_groups": layout["param_groups"]})


def make_fingerprint(
    name: str, settings: dict[str, Any], data: str, files: Sequence[Path], dtype: torch.dtype
) -> str:
    """The text by which a run knows its state again: all that makes its result.

    Args:
        name: Name of the model.
        settings: Settings of the stage, for JSON.
        data: The data in a few words.
        files: Files and folders to train and validate on.
        dtype: Arithmetic of the network.
    """
    known = {"name": name, **settings, "data": data, "files": _digest(files), "dtype": str(dtype)}
    return json.dumps(known, sort_keys=True)


def _digest(files: Sequence[Path]) -> str:
    """A checksum of the names and sizes of files and of all files in folders.

    It changes when a file is added, renamed, or replaced by one of another size, and not when a
    folder is moved.
    """
    found = []
    for path in files:
        inside = sorted(path.rglob("*")) if path.is_dir() else [path]
        found.append([(str(p.relative_to(path)), p.stat().st_size) for p in inside if p.is_file()])
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()[:16]


def check_fingerprint(path: Path, saved: str, wanted: str) -> None:
    """See that a saved state belongs to the run that is to be continued.

    A setting that came with a later version is no difference while it is off (0, False, None or
    empty), for then the run does what it did before. Nor are the files, if the state is of a
    version that did not note them.

    Raises:
        CheckpointError: If it does not; the message names the settings that differ.
    """
    before, now = _parse(saved), _parse(wanted)
    if isinstance(before, dict) and isinstance(now, dict):
        now = _drop_unused(now, before)
        if "files" not in before:
            now.pop("files", None)
    if before != now:
        raise CheckpointError(
            f"{path}: saved by another recipe or other settings ({_differences(before, now)}): "
            "repeat its options, or start anew in another --out"
        )


def finished_steps(path: Path, settings: dict[str, Any]) -> int | None:
    """How many steps a saved state has behind it; None where there is no file.

    Args:
        path: The state.
        settings: What the stage's settings are now, for JSON.

    Raises:
        CheckpointError: If the state is damaged, or its stage had other settings.
    """
    if not path.exists():
        return None
    metadata = read_metadata(path)
    saved = metadata.get("fingerprint", "")
    try:
        kept = {key: value for key, value in json.loads(saved).items() if key in settings}
        steps = int(metadata["step"])
    except (AttributeError, KeyError, ValueError) as error:
        raise CheckpointError(f"{path}: no state of a run, choose another --out") from error
    check_fingerprint(path, json.dumps(kept, sort_keys=True), json.dumps(settings, sort_keys=True))
    return steps


def check_folder(out: Path, resume: bool) -> None:
    """See that a folder holds a run to resume, or none that would be begun over.

    Raises:
        CheckpointError: If there is nothing to resume from.
        OutputError: If a run lies there and is not to be resumed, or the folder is a file.
    """
    state = out / STATE_FILE
    if resume and not state.exists():
        raise CheckpointError(f"{state}: nothing to resume from, leave --resume out")
    if not resume and state.exists():
        raise OutputError(
            f"{state}: a run lies here already, go on with --resume or choose another --out"
        )
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out}: is a file, choose another --out")


def _parse(fingerprint: str) -> object:
    """The settings of a fingerprint; the text itself if it is no JSON."""
    try:
        return json.loads(fingerprint)
    except ValueError:
        return fingerprint


def _drop_unused(settings: dict[str, Any], saved: dict[str, Any]) -> dict[str, Any]:
    """Settings without those that are off and that a saved state does not know."""
    kept = {}
    for key, value in settings.items():
        known = saved.get(key)
        if isinstance(value, dict) and isinstance(known, dict):
            kept[key] = _drop_unused(value, known)
        elif key in saved or not _is_off(value):
            kept[key] = value
    return kept


def _is_off(value: object) -> bool:
    """Whether a setting is 0, False, None or empty, or holds nothing but such."""
    if isinstance(value, dict):
        value = list(value.values())
    return all(map(_is_off, value)) if isinstance(value, list) else not value


def _differences(before: object, now: object) -> str:
    """Which settings differ between two fingerprints, where both have settings."""
    if not (isinstance(before, dict) and isinstance(now, dict)):
        return f"{before!r}, now {now!r}"
    return "; ".join(
        f"{key}: {before.get(key)!r}, now {now.get(key)!r}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
    )


class TrainingLog:
    """The CSV file with a row for each validation of a run.

    Args:
        path: The file.
        step: Steps that a resumed run has behind it; later rows are dropped.
        columns: Names of what a row has beyond ``LOG_COLUMNS``.

    Raises:
        OutputError: If the file cannot be written.
    """

    def __init__(self, path: Path, step: int, columns: Sequence[str] = ()) -> None:
        rows: list[list[str]] = []
        if step and path.exists():
            with path.open(newline="") as file:
                rows = [row for row in csv.reader(file) if row and row[0].isdigit()]
        kept = [row for row in rows if int(row[0]) <= step]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("w", newline="", encoding="utf-8")
        except OSError as error:
            raise OutputError(
                f"{path}: cannot write here ({error.strerror}), choose another --out"
            ) from error
        self._writer = csv.writer(self._file)
        self._writer.writerows([[*LOG_COLUMNS, *columns], *kept])
        self._file.flush()

    def add(
        self,
        step: int,
        seconds: float,
        rate: float,
        loss: float,
        score: float,
        more: Sequence[float] = (),
    ) -> None:
        """Append a row: steps, seconds and mean loss so far, learning rate, validation score.

        ``more`` are the values of the further columns.
        """
        row = [step, f"{seconds:.1f}", f"{rate:.3e}", f"{loss:.6g}", f"{score:.4f}"]
        self._writer.writerow([*row, *(f"{value:.4f}" for value in more)])
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
