"""What a run leaves behind to be continued: its state, and its curve."""

import csv
import json
import math
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from enhance_cli.engine.checkpoint import read_metadata, read_tensors
from enhance_cli.errors import CheckpointError, OutputError
from enhance_cli.io.files import replacing

CURVE_COLUMNS = ("step", "seconds", "learning_rate", "loss", "validation")


@dataclass
class RunState:
    """Everything that a resumed run needs.

    Attributes:
        network: as it is trained.
        optimiser: with its moments.
        average: running average of the network's tensors.
        step: steps done.
        seconds: time spent, over all parts of the run.
        best: highest validation score so far.
        losses: of the steps since the last row of the curve.
    """

    network: nn.Module
    optimiser: torch.optim.Adam
    average: dict[str, Tensor]
    step: int = 0
    seconds: float = 0.0
    best: float = -math.inf
    losses: list[Tensor] = field(default_factory=list)

    def _tensors(self) -> dict[str, Tensor]:
        found = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        found |= {f"average.{k}": v for k, v in self.average.items()}
        for index, moments in self.optimiser.state_dict()["state"].items():
            found |= {f"adam.{index}.{k}": v for k, v in moments.items()}
        if self.losses:
            found["curve.losses"] = torch.stack(self.losses)
        return {k: v.detach().cpu().contiguous() for k, v in found.items()}

    def save(self, path: Path, fingerprint: str) -> None:
        """Write all of it, whole or not at all.

        Args:
            path: safetensors file.
            fingerprint: text of the recipe and settings.

        Raises:
            OutputError: if it cannot be written.
        """
        metadata = {
            "fingerprint": fingerprint,
            "step": str(self.step),
            "seconds": repr(self.seconds),
            "best": repr(self.best),
        }
        with replacing(path) as temporary:
            save_file(self._tensors(), temporary, metadata=metadata)

    def restore(self, path: Path, fingerprint: str) -> None:
        """Take everything from a saved state.

        Raises:
            CheckpointError: if it is damaged, or of another recipe or other settings.
        """
        metadata, tensors = read_metadata(path), read_tensors(path)
        if metadata.get("fingerprint") != fingerprint:
            raise CheckpointError(
                f"{path}: saved by another recipe or other settings "
                f"({_differences(metadata.get('fingerprint', ''), fingerprint)}): "
                "repeat its options, or start anew in another --out"
            )
        groups: dict[str, dict[str, Tensor]] = {
            "network": {},
            "average": {},
            "adam": {},
            "curve": {},
        }
        for key, value in tensors.items():
            group, _, name = key.partition(".")
            groups[group][name] = value
        self.network.load_state_dict(groups["network"])
        for key, value in groups["average"].items():
            self.average[key].copy_(value)
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in groups["adam"].items():
            index, _, name = key.partition(".")
            moments.setdefault(int(index), {})[name] = value
        layout = self.optimiser.state_dict()
        self.optimiser.load_state_dict({"state": moments, "param_groups": layout["param_groups"]})
        self.losses = list(groups["curve"].get("losses", torch.empty(0)))
        self.step = int(metadata["step"])
        self.seconds = float(metadata["seconds"])
        self.best = float(metadata["best"])


def check_folder(out: Path, resume: bool) -> None:
    """See that a folder holds a run to resume, or none that would be begun over.

    Raises:
        CheckpointError: if there is nothing to resume from.
        OutputError: if a run lies there and is not to be resumed, or it is a file.
    """
    state = out / "state.safetensors"
    if resume and not state.exists():
        raise CheckpointError(f"{state}: nothing to resume from, leave --resume out")
    if not resume and state.exists():
        raise OutputError(
            f"{state}: a run lies here already, go on with --resume or choose another --out"
        )
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out}: is a file, choose another --out")


def _differences(before: str, now: str) -> str:
    """Which settings of two fingerprints differ, where they are JSON objects."""
    try:
        old, new = json.loads(before), json.loads(now)
        changed = [
            f"{key}: {old.get(key)!r}, now {new.get(key)!r}"
            for key in sorted(old.keys() | new.keys())
            if old.get(key) != new.get(key)
        ]
    except (AttributeError, ValueError):
        return f"{before!r}, now {now!r}"
    return "; ".join(changed)


class Curve:
    """The CSV of a run; rows after the resumed step are dropped."""

    def __init__(self, path: Path, step: int) -> None:
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
        self._writer.writerows([CURVE_COLUMNS, *kept])
        self._file.flush()

    def add(self, *row: object) -> None:
        """Append a row, in the order of ``CURVE_COLUMNS``."""
        self._writer.writerow(row)
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
