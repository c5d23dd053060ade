"""``enhance compare``: two results beside each other."""

from pathlib import Path
from typing import Annotated

import typer

from enhance_cli.commands import options
from enhance_cli.talk import Talk


def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="A picture, or a folder of them.")],
    second: Annotated[
        Path, typer.Argument(metavar="B", help="Another of the same thing, or a folder of such.")
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="PAGE.html",
            help="The page to write. It holds the pictures and needs no other file.",
        ),
    ],
    reference: Annotated[
        Path | None,
        typer.Option(
            metavar="R",
            show_default="none",
            help="What both should be, a picture or a folder: it can be shown too, and the PSNR "
            "and SSIM of both against it are told.",
        ),
    ] = None,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Make a page in which a divider is dragged over two pictures, to see how they differ.

    Folders are matched by names; `photo_x4.png` belongs to `photo.png`. A small picture is shown
    as large as the other, so an input can be compared with its result.
    """
    from enhance_cli.evaluation.compare import run_compare

    talk = Talk(json=json, quiet=quiet)
    raise typer.Exit(run_compare(first, second, reference, output, talk, overwrite=overwrite))
