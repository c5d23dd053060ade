"""Several processes that train together."""

import csv
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_tasks import TASKS, assert_same_run, log_rows, photo, run, write_photo
from two_processes import run_in_two

pytestmark = pytest.mark.skipif(
    not (torch.distributed.is_available() and torch.distributed.is_gloo_available()),
    reason="this torch has no gloo, by which processes on CPUs talk to each other",
)

WORKER = """
import os, sys
from pathlib import Path
import torch
from enhance_cli.errors import UsageError
from tiny_tasks import TASKS, Regression, RegressionStage, ctrl_c_at, run

torch.set_num_threads(1)
out, rank = Path(sys.argv[1]), int(os.environ["RANK"])
for name, make in TASKS.items():
    run(out / name, make)

try:
    run(out / "uneven", lambda: Regression(RegressionStage(batch=7)))
except UsageError as error:
    (out / f"uneven{rank}").write_text(str(error))

make = ctrl_c_at(4) if rank == 1 else Regression
report = run(out / "stopped", make)
(out / f"rank{rank}").write_text(str(report.step))
run(out / "stopped", resume=True)
"""


def test_two_processes_train_as_one(tmp_path: Path) -> None:
    """The same weights but for the order of sums; a stop of one is a stop of all."""
    run_in_two(WORKER, tmp_path)
    for name, make in TASKS.items():
        alone = tmp_path / f"{name}-alone"
        run(alone, make)
        for file in ("last", "model"):
            both, one = (load_file(out / f"{file}.safetensors") for out in (tmp_path / name, alone))
            for key, value in one.items():
                assert torch.allclose(both[key], value, rtol=0, atol=1e-5), (name, file, key)
        for left, right in zip(log_rows(tmp_path / name), log_rows(alone), strict=True):
            assert left["step"] == right["step"]
            assert float(left["loss"]) == pytest.approx(float(right["loss"]), rel=1e-4)
            assert float(left["validation"]) == pytest.approx(float(right["validation"]), abs=1e-3)
    for rank in range(2):
        assert "batch=7: cannot be shared evenly" in (tmp_path / f"uneven{rank}").read_text()
    assert [(tmp_path / f"rank{rank}").read_text() for rank in range(2)] == ["4", "4"]
    assert_same_run(tmp_path / "stopped", tmp_path / "regression")


def curve(photos: Path, out: Path, start: Sequence[str]) -> list[dict[str, str]]:
    """Train for four steps with the command; gives the rows of its curve."""
    tiny = ("patch=8", "batch=2", "blocks=1", "channels=4", "validate_every=2")
    settings = [word for setting in tiny for word in ("--set", setting)]
    command = ["train", "enet-e-x4", "--stage", "1", "--steps", "4", "--device", "cpu", *settings]
    ran = subprocess.run(
        [*start, "-m", "enhance_cli", *command, "--data", photos, "--out", out],
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    (made,) = out.rglob("curve.csv")
    return list(csv.DictReader(made.read_text().splitlines()))


def test_torchrun_with_two_processes_gives_the_curve_of_one(tmp_path: Path) -> None:
    for index in range(2):
        write_photo(tmp_path / "photos" / f"{index}.png", photo(index, 50, 45))
    python = [sys.executable]
    two = [*python, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    rows = [
        curve(tmp_path / "photos", tmp_path / name, start)
        for name, start in (("one", python), ("two", two))
    ]
    assert [row["step"] for row in rows[0]] == [row["step"] for row in rows[1]] == ["2", "4"]
    for one, both in zip(*rows, strict=True):
        assert float(both["loss"]) == pytest.approx(float(one["loss"]), rel=1e-4)
        assert float(both["validation"]) == pytest.approx(float(one["validation"]), abs=1e-3)
