"""What commands say, and where: results on stdout, everything for people on stderr."""

import json
import os
import sys
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from enhance_cli.errors import one_line


@dataclass(frozen=True)
class Talk:
    """How a command speaks.

    Attributes:
        json: one JSON document on stdout, text for people on stderr.
        quiet: nothing but errors.
        verbose: also how the work is done.
        progress: a bar where stderr is a terminal.
        dry_run: say what would be done.
    """

    json: bool = False
    quiet: bool = False
    verbose: bool = False
    progress: bool = True
    dry_run: bool = False

    @property
    def console(self) -> Console:
        """For what people read along the way."""
        return plain_console(stderr=True, quiet=self.quiet)

    @property
    def shows_progress(self) -> bool:
        """Whether a bar is wanted, and there is a terminal to show it on."""
        return self.progress and not self.quiet and self.console.is_terminal


def plain_console(*, stderr: bool = False, quiet: bool = False) -> Console:
    """A console that prints text as it is: file names hold brackets and colons too."""
    console = Console(
        stderr=stderr, quiet=quiet, highlight=False, markup=False, emoji=False, soft_wrap=True
    )
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = 160  # room for tables in files and pipes
    return console


def print_errors(*lines: str) -> None:
    """Say what went wrong, quiet or not."""
    console = plain_console(stderr=True)
    for line in lines:
        console.print(one_line(line))


def print_json(document: Any) -> None:
    """The JSON document of a command, on stdout; names that are no Unicode are escaped."""
    sys.stdout.write(json.dumps(document, indent=2, default=str) + "\n")
