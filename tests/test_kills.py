"""The check of benchmarks/kills.py, with few runs."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_killed_runs_leave_nothing_half():
    script = Path(__file__).parents[1] / "benchmarks" / "kills.py"
    ran = subprocess.run(
        [sys.executable, script, "--runs", "3"], capture_output=True, text=True, timeout=300
    )
    assert ran.returncode == 0, ran.stderr
    assert "superres completed" in ran.stdout
    assert "video completed" in ran.stdout
