"""Several processes that train together."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_tasks import TASKS, assert_same_run, log_rows, run
from two_processes import run_in_two

WORKER = """
import os, sys
from pathlib import Path
import torch
from tiny_tasks import TASKS, Regression, ctrl_c_at, run

torch.set_num_threads(1)
out, rank = Path(sys.argv[1]), int(os.environ["RANK"])
for name, make in TASKS.items():
    run(out / name, make)

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
    assert [(tmp_path / f"rank{rank}").read_text() for rank in range(2)] == ["4", "4"]
    assert_same_run(tmp_path / "stopped", tmp_path / "regression")
