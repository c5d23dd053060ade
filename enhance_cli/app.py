"""The Typer application: it mounts the commands, and turns errors into a line and an exit code."""

import atexit
import gc
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Annotated, NoReturn

import typer

from enhance_cli import __version__
from enhance_cli.commands import weights
from enhance_cli.commands.compare import compare
from enhance_cli.commands.doctor import doctor
from enhance_cli.commands.evaluate import evaluate
from enhance_cli.commands.lowlight import lowlight
from enhance_cli.commands.models import models
from enhance_cli.commands.sample import sample
from enhance_cli.commands.superres import superres
from enhance_cli.commands.train import train
from enhance_cli.commands.video import video
from enhance_cli.errors import EnhanceError, fault_text, one_line

app = typer.Typer(
    name="enhance",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"enhance {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and stop."
        ),
    ] = False,
) -> None:
    """Make dark, small and low-resolution pictures and videos look right."""


app.command()(lowlight)
app.command()(superres)
app.command()(video)
app.command()(sample)
app.command()(evaluate)
app.command()(compare)
app.command()(train)
app.command()(models)
app.command()(doctor)
app.add_typer(weights.app, name="weights")


def main() -> None:
    """Run a command and leave with its exit code; this is the console's entry point.

    The code is 0 if all was done, 1 if an input failed, 2 if the command was wrong, and 128 plus
    the number of the signal if one ended it: 130 for Ctrl-C, 143 for SIGTERM, 129 where the
    terminal was closed. Each error is told in one line. For an error that is the program's own
    fault a traceback is shown if the environment variable ``ENHANCE_DEBUG`` is set to anything.
    """
    _hasten()
    try:
        with _stoppable():
            code = app(prog_name="enhance", standalone_mode=False)
        # Typer makes 130 of an interruption, and a training of any signal, without a word.
        if code in _ENDINGS:
            _leave(_ENDINGS[code], code)
    except EnhanceError as error:
        _leave(str(error), error.exit_code)
    except typer.TyperException as error:
        _leave_usage(error)
    except KeyboardInterrupt:
        _leave(_ENDINGS[130], 130)
    except _Stopped as stop:
        _leave(_ENDINGS[128 + stop.signal], 128 + stop.signal)
    except OSError as error:
        if os.environ.get("ENHANCE_DEBUG"):
            raise
        _leave(f"{error.filename or 'output'}: {error.strerror or error}", 1)
    except Exception as error:
        if os.environ.get("ENHANCE_DEBUG"):
            raise
        _leave(fault_text(error), 1)
    sys.exit(code)


@cache
def _hasten() -> None:
    """Look less often for garbage among the objects of imported modules, and not at all at the end.

    They stay until then anyway. For a small picture this is a fifth of all the time.
    """
    gc.set_threshold(20_000, 20, 20)
    atexit.register(gc.freeze)


_STOPS = {signal.SIGTERM: "terminated"}
if hasattr(signal, "SIGHUP"):  # Windows has none.
    _STOPS[signal.SIGHUP] = "the terminal was closed"
_ENDINGS = {128 + number: text for number, text in _STOPS.items()} | {130: "interrupted"}


class _Stopped(SystemExit):
    """A signal ends the program. Like every exit it passes through what cleans up."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(128 + number)
        self.signal = number


@contextmanager
def _stoppable() -> Iterator[None]:
    """Let signals end the body of a ``with`` statement as exceptions, so that it cleans up.

    SIGINT does so even where the parent has it ignored, as shells do with what they run in the
    background: there somebody has sent it on purpose. SIGHUP stays ignored under ``nohup``.
    """

    def stop(number: int, _frame: object) -> NoReturn:
        for each in _STOPS:  # A second one must not disturb the cleaning.
            signal.signal(each, signal.SIG_IGN)
        raise _Stopped(signal.Signals(number))

    before = {signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler)}
    for number in _STOPS:
        if number is signal.SIGTERM or signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(text: str, code: int) -> None:
    if text:  # a command without its arguments has already shown its help
        typer.echo(f"error: {one_line(' '.join(text.split()))}", err=True)
    sys.exit(code)


def _leave_usage(error: typer.TyperException) -> None:
    context = getattr(error, "ctx", None)
    text = error.format_message().rstrip(".")
    if context is not None and text:
        text += f": see {context.command_path} --help"
    _leave(text, error.exit_code)
