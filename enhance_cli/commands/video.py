"""``enhance video``: enlarge videos and folders of frames."""

import re
from fractions import Fraction
from typing import Annotated

import typer

from enhance_cli import defaults
from enhance_cli.commands import options
from enhance_cli.io.jobs import FileOptions
from enhance_cli.sizes import parse_size
from enhance_cli.talk import Talk

# Headings of the help.
PART = "Part of the video"
ENCODING = "Encoding"


def parse_seconds(text: str) -> float:
    """Read a time that is given in seconds, as MM:SS or as HH:MM:SS, with decimals or without.

    Raises:
        BadParameter: if it is none of these.
    """
    match = re.fullmatch(r"(?:(?:(\d+):)?([0-5]?\d):)?(\d+(?:\.\d*)?|\.\d+)", text.strip())
    if match is None or (match[2] and float(match[3]) >= 60):
        raise typer.BadParameter(f"{text}: must be seconds from 0 on, MM:SS or HH:MM:SS")
    hours, minutes = int(match[1] or 0), int(match[2] or 0)
    return float(hours * 3600 + minutes * 60 + Fraction(match[3]))


Inputs = Annotated[
    list[str],
    options.inputs(
        "Videos, animated pictures, folders of both, folders of numbered pictures, or patterns of "
        "any of them."
    ),
]
Tile = Annotated[
    str,
    typer.Option(
        metavar="auto|0|N",
        rich_help_panel=options.MODEL,
        help="The network works on tiles of this side in input pixels, or on whole frames if it is "
        "0. Choose a small one if memory is short: the result stays the same.",
    ),
]
Codec = Annotated[
    str | None,
    typer.Option(
        metavar="h264|hevc|vp9|av1|ffv1",
        rich_help_panel=ENCODING,
        help="The codec of the output. hevc is also known as h265. ffv1 loses nothing and makes "
        "large files.",
        show_default="h264; hevc above 8 bits and for large frames; vp9 in WebM",
    ),
]
Crf = Annotated[
    float | None,
    typer.Option(
        rich_help_panel=ENCODING,
        help="The constant rate factor of the codec. Smaller values give a better picture and a "
        "larger file.",
        show_default="18 for h264",
        min=0,
        max=63,
    ),
]
Preset = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        rich_help_panel=ENCODING,
        help="The preset of the encoder. Slower presets give smaller files.",
        show_default="medium for h264",
    ),
]
PixelFormat = Annotated[
    str | None,
    typer.Option(
        "--pixel-format",
        metavar="NAME",
        rich_help_panel=ENCODING,
        help="The layout and depth of the output's samples, for example yuv420p or yuv444p10le.",
        show_default="like the input's; 4:2:0 for motion JPEG and DV",
    ),
]
Audio = Annotated[
    str | None,
    typer.Option(
        metavar="copy|flac|aac",
        rich_help_panel=ENCODING,
        help="Sound is copied wherever the output can hold it. Where it cannot, it is converted to "
        "FLAC, which loses nothing; choose aac for smaller files that every player knows.",
        show_default="copy",
    ),
]
Rate = Annotated[
    str | None,
    typer.Option(
        metavar="FPS",
        rich_help_panel=ENCODING,
        help="How many frames a second a folder of pictures shows, like 25 or 30000/1001.",
        show_default=str(defaults.FRAME_RATE),
    ),
]
Start = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS|HH:MM:SS",
        parser=parse_seconds,
        rich_help_panel=PART,
        help="Leave out the frames before this time.",
    ),
]
End = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS|HH:MM:SS",
        parser=parse_seconds,
        rich_help_panel=PART,
        help="Leave out the frames from this time on.",
    ),
]
Preview = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS|HH:MM:SS",
        parser=parse_seconds,
        rich_help_panel=PART,
        help="Enlarge only so many seconds from the start, to see what the result looks like.",
    ),
]
Compare = Annotated[
    bool,
    typer.Option(
        "--compare", help="Show the bicubic enlargement on the left and the result on the right."
    ),
]
Frames = Annotated[
    bool,
    typer.Option(
        "--frames",
        rich_help_panel=ENCODING,
        help="Write the frames as numbered PNGs into a folder, without any loss.",
    ),
]
Phase = Annotated[
    str | None,
    options.phase(
        "Which pixel of its cell of the large frame each pixel of the input samples. Choose first "
        "if the input was made by keeping every 4th pixel, or the result lies 1.5 pixels too far "
        "to the bottom right."
    ),
]
CutThreshold = Annotated[
    float | None,
    typer.Option(
        help="A new scene begins where two frames differ by more than this, from 0 to 1. Lower it "
        "if cuts are missed.",
        show_default=str(defaults.CUT_THRESHOLD),
        min=0,
        max=1,
    ),
]
CutDetection = Annotated[
    bool,
    typer.Option(
        "--cut-detection/--no-cut-detection",
        help="Begin anew at a scene cut, without what was seen before it.",
    ),
]
Deinterlacing = Annotated[
    str | None,
    typer.Option(
        "--deinterlace",
        metavar="auto|yes|no",
        help="Make whole frames of interlaced ones, as television and camcorders have them: one of "
        "each, so that rate and times stay. auto does so if the first 10 seconds show interlaced "
        "frames, and restores the 24 frames a second of film in telecine; yes does so in any case; "
        "no does not look. Without this option you are told what was found.",
        show_default=False,
    ),
]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict",
        help="Refuse a video that is damaged or cut off; it is read once for that before any work. "
        "Without this option a frame that cannot be decoded is replaced by the frame before it, a "
        "file that is cut off ends there, and you are told.",
    ),
]
KeepTime = Annotated[
    bool,
    typer.Option(
        "--keep-time",
        rich_help_panel=options.FILES,
        help="Give the output the time of the input file, so that both stand side by side where "
        "files are sorted by time.",
    ),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        rich_help_panel=options.FILES,
        help="Continue a run that was interrupted, where it stopped. Another --end may be given, "
        "as long as it does not change the frames that are finished.",
    ),
]


def video(
    inputs: Inputs,
    output: options.Output = None,
    scale: Annotated[str | None, options.scale("The networks enlarge 4 times")] = None,
    size: options.Size = None,
    model: Annotated[str | None, options.model(defaults.TASKS["video"].model)] = None,
    weights: options.Weights = None,
    resume: Resume = False,
    keep_time: KeepTime = False,
    start: Start = None,
    end: End = None,
    preview: Preview = None,
    deinterlace: Deinterlacing = None,
    strict: Strict = False,
    compare: Compare = False,
    codec: Codec = None,
    crf: Crf = None,
    preset: Preset = None,
    pixel_format: PixelFormat = None,
    audio: Audio = None,
    rate: Rate = None,
    frames: Frames = False,
    phase: Phase = None,
    cut_threshold: CutThreshold = None,
    cut_detection: CutDetection = True,
    tile: Tile = defaults.TILE,
    device: options.Devices = defaults.DEVICE,
    ray: options.Ray = None,
    precision: options.Precision = defaults.PRECISION,
    backend: options.Backend = defaults.BACKEND,
    no_metadata: options.NoMetadata = False,
    sidecar: options.Sidecar = False,
    recursive: options.Recursive = False,
    overwrite: options.Overwrite = False,
    skip_existing: options.SkipExisting = False,
    json: options.Json = False,
    json_lines: options.JsonLines = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    no_progress: options.NoProgress = False,
    dry_run: options.DryRun = False,
) -> None:
    """Enlarge videos to any size, each frame with the help of those before it.

    Sound, subtitles, chapters, metadata, frame times and colours stay as they are. The result
    lies beside the input as {stem}_x4.mp4, .mov, .mkv or .webm, or {stem}_1080p with --size 1080p,
    unless -o says otherwise. A folder of numbered pictures gives such a folder, and an animated
    picture (GIF, WebP, APNG, AVIF) a GIF, WebP or APNG, with its times, loops and transparency.
    """
    from enhance_cli.io.video import EncodeOptions, find_deinterlace
    from enhance_cli.subsampling import MIDDLE, find_phase
    from enhance_cli.tasks.video import PartOptions, VideoRequest, run_video

    threshold = defaults.CUT_THRESHOLD if cut_threshold is None else cut_threshold

    workers = options.worker_options(device, ray)
    request = VideoRequest(
        files=FileOptions(inputs, output, recursive, overwrite, skip_existing, sidecar),
        model=options.model_options(
            model, weights, workers.devices[0], precision, tile, backend=backend
        ),
        size=parse_size(scale, size),
        part=PartOptions(start, end, preview),
        encoding=EncodeOptions(codec, crf, preset, pixel_format, audio=audio),
        rate=rate,
        frames=frames,
        compare=compare,
        phase=find_phase(phase or MIDDLE),
        cut_threshold=threshold if cut_detection else None,
        resume=resume,
        keep_time=keep_time,
        deinterlace=find_deinterlace(deinterlace),
        strict=strict,
        metadata=not no_metadata,
        workers=workers,
    )
    talk = Talk(json, quiet, verbose, no_progress, dry_run, json_lines)
    raise typer.Exit(run_video(request, talk))
