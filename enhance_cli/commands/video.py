"""``enhance video``: enlarge videos."""

from pathlib import Path
from typing import Annotated

import typer

from enhance_cli.commands import options
from enhance_cli.io.jobs import FileOptions
from enhance_cli.talk import Talk

Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT...",
        show_default=False,
        help="Videos, globs, folders of them, or of numbered pictures.",
    ),
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
Scale = Annotated[
    int | None,
    typer.Option("--scale", "-x", metavar="4", help="Enlargement.", min=1, show_default="4"),
]
Model = Annotated[
    str | None, typer.Option(metavar="NAME", help="See: enhance models.", show_default="frvsr-real")
]
Tile = Annotated[
    str,
    typer.Option(
        metavar="auto|0|N",
        help="Tile side in input pixels, 0: whole frames. The result is the same.",
    ),
]
Codec = Annotated[
    str | None,
    typer.Option(
        metavar="h264|hevc|vp9|av1|ffv1",
        help="Of the output.",
        show_default="h264; hevc above 8 bits and for large frames; vp9 in WebM",
    ),
]
Crf = Annotated[
    float | None,
    typer.Option(
        help="Constant rate factor of the codec: smaller is better.",
        show_default="18 for h264",
        min=0,
        max=63,
    ),
]
Preset = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Of the encoder: slower is smaller.", show_default="medium for h264"
    ),
]
PixelFormat = Annotated[
    str | None,
    typer.Option(
        "--pixel-format",
        metavar="NAME",
        help="E.g. yuv420p, yuv444p10le.",
        show_default="like the input's",
    ),
]
Rate = Annotated[
    str | None,
    typer.Option(metavar="FPS", help="Of a video made from pictures.", show_default="25"),
]
Start = Annotated[float | None, typer.Option(metavar="SECONDS", help="Begin here.", min=0)]
End = Annotated[float | None, typer.Option(metavar="SECONDS", help="End before here.", min=0)]
Preview = Annotated[
    float | None,
    typer.Option(metavar="SECONDS", help="Do so much from the beginning, to see.", min=0),
]
Compare = Annotated[
    bool, typer.Option("--compare", help="Bicubic enlargement and result side by side.")
]
Frames = Annotated[
    bool, typer.Option("--frames", help="Write numbered PNGs, lossless, instead of a video.")
]
CutThreshold = Annotated[
    float | None,
    typer.Option(
        help="A new scene begins where frames differ by more, 0 to 1.",
        show_default="0.25",
        min=0,
        max=1,
    ),
]
CutDetection = Annotated[
    bool,
    typer.Option("--cut-detection/--no-cut-detection", help="Forget what was seen before a cut."),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on where an interrupted run stopped.")]


def video(
    inputs: Inputs,
    output: Output = None,
    scale: Scale = None,
    model: Model = None,
    weights: options.Weights = None,
    resume: Resume = False,
    start: Start = None,
    end: End = None,
    preview: Preview = None,
    compare: Compare = False,
    codec: Codec = None,
    crf: Crf = None,
    preset: Preset = None,
    pixel_format: PixelFormat = None,
    rate: Rate = None,
    frames: Frames = False,
    cut_threshold: CutThreshold = None,
    cut_detection: CutDetection = True,
    tile: Tile = "auto",
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    recursive: options.Recursive = False,
    overwrite: options.Overwrite = False,
    skip_existing: options.SkipExisting = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    no_progress: options.NoProgress = False,
    dry_run: options.DryRun = False,
) -> None:
    """Enlarge videos 4 times, each frame with the help of those before it.

    Sound, subtitles, chapters, metadata, frame times and colours stay as they are. The result
    lies beside the input as {stem}_x4.mp4, .mov, .mkv or .webm, unless -o says otherwise. A
    folder of numbered pictures gives such a folder.
    """
    from enhance_cli.cuts import DEFAULT_THRESHOLD
    from enhance_cli.tasks.video import VideoRequest, run_video

    request = VideoRequest(
        files=FileOptions(inputs, output, recursive, overwrite, skip_existing),
        model=options.model_options(model, weights, device, precision, tile),
        scale=scale,
        codec=codec,
        crf=crf,
        preset=preset,
        pixel_format=pixel_format,
        rate=rate,
        start=start,
        end=end,
        preview=preview,
        compare=compare,
        frames=frames,
        cut_threshold=DEFAULT_THRESHOLD if cut_threshold is None else cut_threshold,
        cut_detection=cut_detection,
        resume=resume,
    )
    talk = Talk(json=json, quiet=quiet, verbose=verbose, no_progress=no_progress, dry_run=dry_run)
    raise typer.Exit(run_video(request, talk))
