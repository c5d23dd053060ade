"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Device = Annotated[
    str, typer.Option(metavar="auto|cpu|cuda|cuda:N|mps", help="Where to compute.")
]
Precision = Annotated[
    str, typer.Option(metavar="auto|fp32|bf16|fp16", help="Arithmetic of the network.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]
__all__ = ["Device", "Path", "Precision", "Quiet"]
