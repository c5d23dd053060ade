"""Some damaged files for every reader, the same in each run; ``make fuzz`` tries others."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fuzzing import MEMORY, SECONDS, TARGETS, Fuzzer

from enhance_cli.io.isolation import DecodingProcess


@pytest.fixture(scope="module")
def process() -> Iterator[DecodingProcess]:
    process = DecodingProcess(SECONDS, MEMORY)
    yield process
    process.end()


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_files_are_read_or_refused(name: str, process: DecodingProcess, tmp_path: Path):
    fuzzer = Fuzzer(TARGETS[name], tmp_path, process)
    fuzzer.check_whole()
    fuzzer.run(30, derandomize=True)
    assert fuzzer.counts["refused"] + fuzzer.counts["refused by a decoder"] > 0
