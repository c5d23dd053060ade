"""Which videos and folders of frames are worked on, and where their results go."""

import glob
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from enhance_cli.errors import InputError, UsageError
from enhance_cli.io.image import find_images
from enhance_cli.io.jobs import (
    FileOptions,
    Job,
    JobList,
    Kind,
    Naming,
    is_file_name,
    plan_jobs,
)
from enhance_cli.io.video.animated import is_animated

# The suffixes by which videos are recognised in a folder.
VIDEO_SUFFIXES = frozenset(
    {
        ".mp4",
        ".m4v",
        ".mov",
        ".mkv",
        ".webm",
        ".avi",
        ".mpg",
        ".mpeg",
        ".ts",
        ".mts",
        ".m2ts",
        ".wmv",
        ".flv",
        ".asf",
        ".3gp",
        ".3g2",
        ".dv",
        ".divx",
        ".f4v",
        ".m1v",
        ".m2v",
        ".mpe",
        ".ogm",
        ".qt",
        ".rm",
        ".rmvb",
        ".ogv",
        ".vob",
        ".mxf",
        ".nut",
        ".gif",
        ".apng",
        ".y4m",
    }
)
# Suffixes of animated pictures; without several frames such a file is a picture.
ANIMATED_SUFFIXES = frozenset({".gif", ".apng", ".png", ".webp", ".avif"})
# What results are by the suffixes of their inputs; a .png is taken for a still picture by many.
_ANIMATED_RESULTS = {
    ".gif": ".gif",
    ".webp": ".webp",
    ".apng": ".apng",
    ".png": ".apng",
    ".avif": ".webp",
}

# Containers that results keep from their inputs.
_KEPT_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".webm"})


def plan_video_jobs(options: FileOptions, tag: str, *, frames: bool) -> JobList:
    """Plan the jobs of ``enhance video``: as ``plan_jobs``, but a folder of frames is one input.

    Args:
        options: the inputs and the output as the user named them. If the one input is a folder
            of frames, or ``frames`` is asked for, ``output`` is the folder of its result.
        tag: the text put behind the stem of every result.
        frames: whether the results are folders of numbered pictures, not video files.

    Returns:
        The jobs, each with its kinds, and the inputs that cannot be used or are skipped.

    Raises:
        UsageError: if one output is named for several inputs, or an output would replace an
            input.
    """
    names, output = list(_expand(options.inputs)), options.output
    folders = list(
        {path.resolve(): path for path in map(Path, names) if is_frame_folder(path)}.values()
    )
    files = [name for name in names if not is_frame_folder(Path(name))]
    alone = len(names) == 1
    if output is not None and is_file_name(output):
        if not alone:
            raise UsageError(f"-o {output}: one file for {len(names)} inputs, give a folder")
        if frames and output.suffix.lower() in VIDEO_SUFFIXES | set(_ANIMATED_RESULTS.values()):
            raise UsageError(
                f"-o {output}: --frames writes a folder of pictures, name one or leave --frames out"
            )
    plan = JobList(options)
    if files:
        kind = output_kind(Kind.VIDEO, output, frames=frames)
        naming = Naming(tag, (lambda _: "") if frames else video_suffix, Kind.VIDEO, kind)
        plan = plan_jobs(
            replace(options, inputs=files),
            naming,
            find_videos,
            exact=frames and alone and Path(files[0]).is_file(),
        )
    kind = output_kind(Kind.FRAMES, output, frames=frames)
    _plan_folders(plan, folders, options, tag, kind, alone=alone)
    return plan


def output_kind(source: Kind, output: Path | None, *, frames: bool) -> Kind:
    """Whether results are video files or folders of frames; decided here and nowhere else.

    Args:
        source: what the inputs are.
        output: the output that the user named, or None.
        frames: whether the user asked for folders of frames.

    Returns:
        What the user asked for; else what the inputs are, but a folder of frames becomes a video
        file if the output has the name of one.
    """
    names_file = output is not None and is_file_name(output)
    if frames or (source is Kind.FRAMES and not names_file):
        return Kind.FRAMES
    return Kind.VIDEO


def video_suffix(source: Path) -> str:
    """The suffix of the result of a video file.

    It is that of the input for MP4, MOV, Matroska and WebM, else ``.mkv``: Matroska holds nearly
    every kind of audio and subtitles that the other formats come with. An animated picture stays
    one, so that its transparency and the number of times that it is shown stay.
    """
    animated = _ANIMATED_RESULTS.get(source.suffix.lower())
    if animated is not None:
        return animated
    return source.suffix if source.suffix.lower() in _KEPT_SUFFIXES else ".mkv"


def is_animation_name(path: Path) -> bool:
    """Whether an output of this name is an animated picture."""
    return path.suffix.lower() in _ANIMATED_RESULTS.values()


def find_videos(folder: Path, recursive: bool) -> list[Path]:
    """The videos and animated pictures in a folder, sorted by name.

    Hidden files are left out, and so are the parts of a video whose making was interrupted.

    Raises:
        InputError: if there is none.
    """
    found = sorted(
        path
        for path in (folder.rglob("*") if recursive else folder.iterdir())
        if path.suffix.lower() in VIDEO_SUFFIXES | ANIMATED_SUFFIXES
        and path.is_file()
        and not _is_left_out(path.relative_to(folder))
        and (path.suffix.lower() not in ANIMATED_SUFFIXES or is_animated(path))
    )
    if not found:
        hint = (
            "; name folders of pictures themselves"
            if recursive
            else ", add --recursive to look for videos in its folders"
        )
        raise InputError(f"{folder}: neither videos nor numbered pictures in this folder{hint}")
    return found


def _is_left_out(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts) or any(
        part.endswith(".part") for part in path.parts[:-1]
    )


def is_frame_folder(path: Path) -> bool:
    """Whether a path is a folder of frames: it holds pictures and no videos.

    GIF and APNG count as neither, since they may be pictures or videos. Of the others the first
    tells: pictures that are animated are no frames.
    """
    try:
        if not path.is_dir():
            return False
        videos = VIDEO_SUFFIXES - ANIMATED_SUFFIXES
        if any(entry.suffix.lower() in videos for entry in path.iterdir()):
            return False
        pictures = [found for found in find_images(path) if found.suffix.lower() != ".gif"]
        return bool(pictures) and not is_animated(pictures[0])
    except OSError:  # The name is too long or may not be read; planning the jobs will say so.
        return False


def _expand(inputs: Sequence[str]) -> Iterator[str]:
    """Replace patterns by what they match; one that matches nothing stays and fails later."""
    for name in inputs:
        try:
            is_pattern = glob.has_magic(name) and not Path(name).exists()
        except OSError:
            is_pattern = False
        yield from (is_pattern and sorted(glob.glob(name, recursive=True))) or [name]


def _plan_folders(
    plan: JobList,
    folders: Sequence[Path],
    options: FileOptions,
    tag: str,
    kind: Kind,
    *,
    alone: bool,
) -> None:
    """Add the jobs of folders of frames, whose results are of the kind given."""
    output = options.output
    targets: dict[Path, Path] = {}
    for folder in folders:
        name = f"{folder.resolve().name}{tag}"
        targets[folder] = (
            folder.resolve().parent / name if output is None else output if alone else output / name
        )
    made = {target.resolve() for target in targets.values()}
    for folder, target in targets.items():
        place = folder.resolve()
        if len(folders) > 1 and place in made:
            plan.skipped.append((folder, "it looks like an earlier output"))
            continue
        with plan.failing_alone(str(folder)):
            plan.add(Job(folder, target, Kind.FRAMES, kind), {place})
