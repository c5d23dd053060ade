"""Options that several commands share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:  # loads torch, which no help should wait for
    from enhance_cli.engine.catalogue import ModelOptions

Inputs = Annotated[
    list[str],
    typer.Argument(metavar="INPUT...", help="Files, globs or folders.", show_default=False),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE|DIR",
        show_default="beside the input",
        help="A file for one input, else a folder.",
    ),
]
Recursive = Annotated[
    bool, typer.Option("--recursive", "-r", help="Descend into folders, mirror their tree.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.")]
SkipExisting = Annotated[
    bool, typer.Option("--skip-existing", help="Leave out inputs whose output exists.")
]
Model = Annotated[
    str | None, typer.Option(metavar="NAME", help="See: enhance models.", show_default="enet-e")
]
Weights = Annotated[
    Path | None, typer.Option(metavar="PATH", help="A checkpoint file to use instead.")
]
Scale = Annotated[
    int | None,
    typer.Option(
        "--scale", "-x", metavar="2|4", help="Enlargement: -x4 or -x2.", min=1, show_default="4"
    ),
]
Device = Annotated[str, typer.Option(metavar="auto|cpu|cuda|cuda:N|mps", help="Where to compute.")]
Precision = Annotated[
    str, typer.Option(metavar="auto|fp32|bf16|fp16", help="Arithmetic of the network.")
]
Tile = Annotated[
    str, typer.Option(metavar="auto|0|N", help="Tile side in input pixels, 0: whole picture.")
]
Quality = Annotated[
    int | None,
    typer.Option(
        metavar="1-100", help="Of JPEG, WebP and AVIF outputs.", show_default="95", min=1, max=100
    ),
]
Seed = Annotated[
    int, typer.Option(help="Same input, seed and device: same bytes.", min=0, max=2**63 - 1)
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Say which model, device and tiles are used.")
]
NoProgress = Annotated[bool, typer.Option("--no-progress", help="No progress bar.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done.")]


def model_options(
    name: str | None, weights: Path | None, device: str, precision: str, tile: str = "auto"
) -> "ModelOptions":
    """The options on the model, as a task takes them.

    Raises:
        UsageError: if ``tile`` is neither ``auto`` nor a number of pixels.
    """
    from enhance_cli.engine.catalogue import ModelOptions

    return ModelOptions(name, weights, device, precision, parse_tile(tile))


def parse_tile(text: str) -> int | None:
    """The value of ``--tile``: None for ``auto``.

    Raises:
        UsageError: if it is neither ``auto`` nor a number of pixels.
    """
    from enhance_cli.errors import UsageError

    if text == "auto":
        return None
    if not (text.isascii() and text.isdigit()):
        raise UsageError(f"--tile {text}: must be auto, 0 or a number of pixels")
    return int(text)
