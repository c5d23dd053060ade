"""Fixtures that many tests share."""

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from enhance_cli.app import main
from enhance_cli.architectures import ARCHITECTURES
from enhance_cli.architectures.enhancenet import EnhanceNetConfig
from enhance_cli.engine.checkpoint import build, save_checkpoint

SHARED = Path(__file__).resolve().parents[2] / "shared"

# Golden outputs and the tests of commands are of torch, the reference; OpenVINO has its own tests.
os.environ["ENHANCE_BACKEND"] = "torch"

# The tests' tensors are small: more threads cost more than they bring.
torch.set_num_threads(1)
# Shells ignore the one in what they run in the background, and nohup the other; children inherit
# that, and tests send both.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):  # not on Windows
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder ``shared/data`` beside the checkout."""
    data = SHARED / "data"
    if not data.is_dir():
        pytest.skip("the development data (../shared/data) is not on this machine")
    return data


@dataclass(frozen=True)
class Ran:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


@pytest.fixture
def enhance(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Ran]:
    """Run the command line in this process, as the console script does."""

    def run(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["enhance", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        return Ran(int(left.value.code or 0), said.out, said.err)

    return run


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Checkpoints of very small EnhanceNets by scale: near bicubic, and quick."""
    folder = tmp_path_factory.mktemp("weights")
    architecture = ARCHITECTURES["enhancenet"]
    paths = {}
    for scale in (2, 4):
        torch.manual_seed(scale)
        network = build(architecture, EnhanceNetConfig(scale, channels=4, blocks=1))
        paths[scale] = folder / f"tiny-x{scale}.safetensors"
        save_checkpoint(paths[scale], network, architecture, f"tiny-x{scale}")
    return paths
