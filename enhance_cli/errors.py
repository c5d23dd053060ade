"""The exceptions that users meet, each shown as one line.

    EnhanceError             exit code 1
    |-- UsageError           exit code 2: the command itself is wrong
    |   `-- UnknownNameError   a name that is in none of our tables; lists the known ones
    |-- InputError           a file or folder cannot be read, or is not what it should be
    |-- OutputError          a result cannot be written, or would replace something
    |-- CheckpointError      weights are missing, damaged, or of another architecture or task
    |-- DatasetError         a dataset is absent or incomplete
    `-- DeviceError          the device asked for does not exist here, or is out of memory

A message names the value, the rule it breaks and the fix.
"""

from collections.abc import Iterable
from difflib import get_close_matches


def one_line(text: str) -> str:
    """Text for a terminal: line breaks and control characters, as in odd file names, escaped."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text
    )


def fault_text(error: Exception) -> str:
    """What is said of an error that nothing else explains: the program itself is at fault."""
    return (
        f"{describe(error)}. This is a fault of enhance: please report it with what "
        "ENHANCE_DEBUG=1 shows"
    )


def describe(error: Exception) -> str:
    """The type of an error and what it says, in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split()).rstrip(": ")


class EnhanceError(Exception):
    """Anything that is the fault of an input, an option or the machine, not of the program."""

    exit_code = 1


class UsageError(EnhanceError):
    """Wrong options."""

    exit_code = 2


class UnknownNameError(UsageError):
    """A name that a table does not hold.

    Args:
        kind: what the name should be, e.g. ``"model"``.
        name: what was given.
        known: the names of the table, listed in the message.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        close = get_close_matches(name, names, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        super().__init__(f"unknown {kind} {name!r}{hint}: choose from {', '.join(names)}")


class InputError(EnhanceError):
    """An input cannot be used."""


class OutputError(EnhanceError):
    """An output cannot be written."""


class CheckpointError(EnhanceError):
    """Weights cannot be used."""


class DatasetError(EnhanceError):
    """A dataset cannot be used."""


class DeviceError(EnhanceError):
    """A device cannot be used."""
