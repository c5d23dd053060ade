"""Options that several commands share, under the same names and with the same meaning."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from enhance_cli.defaults import QUALITY, SCALE
from enhance_cli.errors import UsageError
from enhance_cli.io.jobs import parse_output

if TYPE_CHECKING:  # loads torch, which no help should wait for
    from enhance_cli.engine.catalogue import ModelOptions
    from enhance_cli.tasks.pool import WorkerOptions

# Headings of the help.
FILES = "Files"
MODEL = "Model and machine"
MESSAGES = "Messages"


def inputs(help: str) -> Any:
    """The files to work on, as an argument."""
    return typer.Argument(metavar="INPUT...", show_default=False, help=help)


def output(default: str, help: str) -> Any:
    """Where results go; ``default`` says in words where they go without the option."""
    return typer.Option(
        "--output",
        "-o",
        metavar="FILE|DIR",
        parser=parse_output,
        show_default=default,
        rich_help_panel=FILES,
        help=help,
    )


def model(default: str) -> Any:
    """The model by its name; ``default`` says in words which one it is without the option."""
    return typer.Option(
        metavar="NAME",
        show_default=default,
        rich_help_panel=MODEL,
        help="The model to run; enhance models lists their names.",
    )


def scale(networks: str) -> Any:
    """How much is enlarged; ``networks`` says in words by what the networks enlarge."""
    return typer.Option(
        "--scale",
        "-x",
        metavar="TIMES",
        show_default=str(SCALE),
        help=f"How many times wider and higher the result is: -x2, -x3 or any number above 1. "
        f"{networks}; for another number their result is resampled, bicubic and without aliasing.",
    )


def seed(panel: str | None = None) -> Any:
    """Where chance begins; ``panel`` is a heading of the help."""
    return typer.Option(
        show_default="0",
        min=0,
        max=2**63 - 1,
        rich_help_panel=panel,
        help="Where the random numbers start. The same seed on the same device gives the same "
        "bytes, another seed other results.",
    )


def phase(text: str) -> Any:
    """Where small frames sample the large ones; ``text`` is the help."""
    return typer.Option("--phase", metavar="middle|first", show_default="middle", help=text)


Size = Annotated[
    str | None,
    typer.Option(
        "--size",
        metavar="1080p|WxH",
        help="The size of the result as it is shown, in place of -x. 1080p stands for so many "
        "lines, with the width that belongs to them; 1920x1080 for the largest size that fits "
        "inside. Nothing is distorted or cut off. A size that would not enlarge is an error.",
    ),
]
Output = Annotated[
    Path | None,
    output(
        "beside the input",
        "Where to write: a file for one input, a folder for several. A folder is made if there is "
        "none.",
    ),
]
Recursive = Annotated[
    bool,
    typer.Option(
        "--recursive",
        "-r",
        rich_help_panel=FILES,
        help="Look into the folders within a folder too, and make the same folders in the output.",
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite",
        rich_help_panel=FILES,
        help="Replace outputs that exist. Without this option an input whose output exists is an "
        "error.",
    ),
]
SkipExisting = Annotated[
    bool,
    typer.Option(
        "--skip-existing",
        rich_help_panel=FILES,
        help="Pass over inputs whose output exists, to go on where an earlier run stopped.",
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        rich_help_panel=MODEL,
        help="Run the model in this checkpoint file, for example one that you have trained.",
    ),
]
Device = Annotated[
    str,
    typer.Option(
        metavar="auto|cpu|cuda|cuda:N|mps",
        rich_help_panel=MODEL,
        help="The processor that runs the network. auto takes a GPU where there is one.",
    ),
]
Devices = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="auto|cpu|cuda|cuda:N|mps[,...]",
        rich_help_panel=MODEL,
        help="The processor that runs the network. auto takes a GPU where there is one. Several "
        "share the files among them, each in a process of its own: cuda:0,cuda:1.",
    ),
]
Ray = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="ADDRESS|local",
        rich_help_panel=MODEL,
        help="Let a Ray cluster do the work, one worker for each of its GPUs, or for each machine "
        "without one; with several --device, one for each. local starts a cluster on this machine. "
        "All machines must see the files under the same names. Needs enhance-cli[ray].",
    ),
]
Precision = Annotated[
    str,
    typer.Option(
        metavar="auto|fp32|bf16|fp16|int8",
        rich_help_panel=MODEL,
        help="The numbers that the network computes with. 16 bits are faster, 32 bits are more "
        "exact; auto takes 16 bits on CUDA devices, and with OpenVINO on a CPU that computes in "
        "bf16. int8, faster still, is for OpenVINO and models of superres that were calibrated "
        "(enhance weights calibrate).",
    ),
]
Backend = Annotated[
    str,
    typer.Option(
        metavar="auto|torch|openvino",
        rich_help_panel=MODEL,
        help="What computes the network. openvino is about twice as fast on a CPU with bf16, where "
        "enhance-cli[openvino] is installed; auto takes it there, and torch elsewhere or where it "
        "does not run the model. torch is the reference.",
    ),
]
Tile = Annotated[
    str,
    typer.Option(
        metavar="auto|0|N",
        rich_help_panel=MODEL,
        help="Large pictures are cut into tiles of N by N input pixels to fit into memory. Try a "
        "smaller number if memory runs out; 0 takes the whole picture at once.",
    ),
]
Quality = Annotated[
    int | None,
    typer.Option(
        metavar="1-100",
        show_default=str(QUALITY),
        min=1,
        max=100,
        rich_help_panel=FILES,
        help="How closely JPEG, WebP and AVIF files keep to the result. Higher numbers make larger "
        "files.",
    ),
]
NoMetadata = Annotated[
    bool,
    typer.Option(
        "--no-metadata",
        rich_help_panel=FILES,
        help="Leave out what the file tells of itself, such as place, date, camera, comments and "
        "keywords, for example before you publish it. Colour profiles stay.",
    ),
]
Sidecar = Annotated[
    bool,
    typer.Option(
        "--sidecar",
        rich_help_panel=FILES,
        help="Write the record of what made an output (program, model, checksum of its weights, "
        "options) into a file beside it, photo_x4.png.json, and not into its metadata.",
    ),
]
Seed = Annotated[int | None, seed()]
Json = Annotated[
    bool,
    typer.Option(
        "--json",
        rich_help_panel=MESSAGES,
        help="Print one JSON document to stdout, for scripts. What people read goes to stderr.",
    ),
]
JsonLines = Annotated[
    bool,
    typer.Option(
        "--json-lines",
        rich_help_panel=MESSAGES,
        help="Print a JSON document for each input as soon as it is done, a line each, and a last "
        "line for all.",
    ),
]
Jobs = Annotated[
    int,
    typer.Option(
        "--jobs",
        metavar="N",
        min=1,
        max=64,
        rich_help_panel=MODEL,
        help="Read and write so many files at a time, while the network runs on one after another. "
        "2 to 4 keep a GPU busy; each holds its picture in memory. With several devices or "
        "Ray, each gets so many processes.",
    ),
]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", rich_help_panel=MESSAGES, help="Print nothing but errors."),
]
Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose",
        "-v",
        rich_help_panel=MESSAGES,
        help="Also print which model runs on which device, in which precision and tiles.",
    ),
]
NoProgress = Annotated[
    bool,
    typer.Option(
        "--no-progress",
        rich_help_panel=MESSAGES,
        help="Show no progress bar, not even on a terminal.",
    ),
]
PlainDryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        rich_help_panel=MESSAGES,
        help="Write nothing, and print what would be written.",
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        rich_help_panel=MESSAGES,
        help="Write nothing, and print what would be written, how large it would be, and roughly "
        "how long it would take and how much memory, by a short probe of the network.",
    ),
]


def model_options(
    name: str | None,
    weights: Path | None,
    device: str,
    precision: str,
    tile: str = "auto",
    texture: float | None = None,
    backend: str = "torch",
) -> "ModelOptions":
    """The options on the model, as a task takes them.

    Raises:
        UsageError: if ``tile`` is neither ``auto`` nor a number of pixels.
    """
    from enhance_cli.engine.catalogue import ModelOptions

    return ModelOptions(name, weights, device, precision, parse_tile(tile), texture, backend)


def worker_options(device: str, ray: str | None) -> "WorkerOptions":
    """The options on where files are worked on, as a task takes them.

    Raises:
        EnhanceError: if one of several devices does not exist.
    """
    from enhance_cli.engine.device import choose_device
    from enhance_cli.tasks.pool import WorkerOptions

    devices = tuple(device.split(","))
    if len(devices) > 1 and ray is None:
        for name in devices:
            choose_device(name)
    return WorkerOptions(devices, ray)


def parse_tile(text: str) -> int | None:
    """Read the value of ``--tile``; None stands for ``auto``.

    Raises:
        UsageError: if it is neither ``auto`` nor a number of pixels.
    """
    if text == "auto":
        return None
    if not (text.isascii() and text.isdigit()):
        raise UsageError(f"--tile {text}: must be auto, 0 or a number of pixels")
    return int(text)
