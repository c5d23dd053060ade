"""The networks. To add one: a file with an ``Architecture``, and its line here."""

from enhance_cli.architectures.enhancenet import ENHANCENET
from enhance_cli.architectures.spec import Architecture

ARCHITECTURES: dict[str, Architecture] = {entry.name: entry for entry in (ENHANCENET,)}
