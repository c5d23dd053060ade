"""The program as a whole: start-up, help, exit codes."""

import subprocess
import sys
from collections.abc import Callable

import pytest

import enhance_cli

HEAVY = ("torch", "numpy", "PIL", "scipy", "safetensors", "pyvips", "av", "enhance_cli.training")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["superres", "--help"],
        ["video", "--help"],
        ["sample", "--help"],
        ["evaluate", "--help"],
        ["train", "--help"],
        ["models", "--help"],
        ["weights", "--help"],
        ["doctor", "--help"],
    ],
)
def test_help_and_version_load_nothing_heavy(arguments: list[str]):
    code = (
        "import sys\nfrom enhance_cli.app import main\n"
        f"sys.argv = ['enhance', *{arguments!r}]\n"
        "try:\n    main()\nexcept SystemExit as left:\n    assert not left.code, left.code\n"
        f"loaded = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "assert not loaded, loaded\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout


def test_python_dash_m():
    ran = subprocess.run(
        [sys.executable, "-m", "enhance_cli", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == f"enhance {enhance_cli.__version__}"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_completion(shell: str):
    ran = subprocess.run(
        [sys.executable, "-m", "enhance_cli", "--show-completion", shell],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin", "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
    )
    assert "_ENHANCE_COMPLETE" in ran.stdout


def test_completion_of_a_command():
    ran = subprocess.run(
        [sys.executable, "-m", "enhance_cli"],
        capture_output=True,
        text=True,
        env={
            "PATH": "/usr/bin",
            "_ENHANCE_COMPLETE": "complete_bash",
            "COMP_WORDS": "enhance sup",
            "COMP_CWORD": "1",
        },
    )
    assert ran.stdout.split() == ["superres"], ran.stderr


def test_no_arguments_show_help(enhance: Callable):
    ran = enhance()
    assert ran.code == 2
    assert "superres" in ran.out
    assert ran.err == ""


def test_unknown_command_is_one_line(enhance: Callable):
    ran = enhance("frobnicate")
    assert ran.code == 2
    assert ran.err.splitlines() == ["error: No such command 'frobnicate': see enhance --help"]


def test_a_fault_of_ours_is_told_as_such(enhance: Callable, monkeypatch: pytest.MonkeyPatch):
    def fail(**_: object) -> int:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("enhance_cli.tasks.inspect.run_models", fail)
    ran = enhance("models")
    assert ran.code == 1
    assert "fault of enhance" in ran.err
    assert len(ran.err.splitlines()) == 1
