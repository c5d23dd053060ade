"""Which videos, and folders of frames, to work on, and where their results go."""

import glob
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from enhance_cli.errors import EnhanceError, InputError, OutputError, UsageError
from enhance_cli.io.image import find_images
from enhance_cli.io.jobs import (
    FileOptions,
    Job,
    JobList,
    Naming,
    is_file_name,
    plan_jobs,
    take_unless_there,
)
from enhance_cli.io.video import VIDEO_SUFFIXES, output_suffix


def find_videos(folder: Path, recursive: bool) -> list[Path]:
    """Videos in a folder, by name; not hidden ones, nor the parts of an unfinished one.

    Raises:
        InputError: if there is none; tells of folders of frames.
    """
    found = sorted(
        path
        for path in (folder.rglob("*") if recursive else folder.iterdir())
        if path.suffix.lower() in VIDEO_SUFFIXES
        and path.is_file()
        and not _is_left_out(path.relative_to(folder))
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
    """Whether a folder holds pictures and no videos: frames, then."""
    try:
        if not path.is_dir():
            return False
        if any(entry.suffix.lower() in VIDEO_SUFFIXES - {".gif"} for entry in path.iterdir()):
            return False
        return any(image.suffix.lower() not in VIDEO_SUFFIXES for image in find_images(path))
    except OSError:  # too long a name, no permission: told with the other inputs' faults
        return False


def plan_video_jobs(
    options: FileOptions,
    tag: str,
    *,
    frames: bool,
) -> JobList:
    """Jobs of ``enhance video``: as ``plan_jobs``, and a folder of frames is one input.

    Args:
        options: as of ``plan_jobs``. A folder of frames is an output like a file: for one
            input, ``output`` names it.
        tag: behind the stem of every result.
        frames: write folders of pictures, not videos.

    Raises:
        UsageError: if one output is given for many inputs, or an output would be an input.
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
        if frames and output.suffix.lower() in VIDEO_SUFFIXES:
            raise UsageError(
                f"-o {output}: --frames writes a folder of pictures, name one or leave --frames out"
            )
    plan = JobList()
    if files:
        naming = Naming(tag, (lambda _: "") if frames else output_suffix, folders=frames)
        plan = plan_jobs(
            replace(options, inputs=files),
            naming,
            find_videos,
            exact=frames and alone and Path(files[0]).is_file(),
        )
    _plan_folders(plan, folders, options, tag, alone=alone, frames=frames)
    return plan


def gives_folder(job: Job, output: Path | None, frames: bool) -> bool:
    """Whether a job's result is a folder of pictures, whatever its name looks like.

    Args:
        job: of ``plan_video_jobs``.
        output, frames: as it was given them.
    """
    if frames or job.target.is_dir():
        return True
    return job.source.is_dir() and (job.target != output or not is_file_name(output))


def _expand(inputs: Sequence[str]) -> Iterator[str]:
    """Patterns become what they match, or stay, to be complained about, where that is nothing."""
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
    *,
    alone: bool,
    frames: bool,
) -> None:
    """Add the jobs of folders of frames."""
    output = options.output
    claimed = {job.target.resolve(): job.source for job in plan.jobs}
    targets: dict[Path, Path] = {}
    for folder in folders:
        name = f"{folder.resolve().name}{tag}"
        targets[folder] = (
            folder.resolve().parent / name if output is None else output if alone else output / name
        )
    made = {target.resolve() for target in targets.values()}
    for folder, target in targets.items():
        place = target.resolve()
        if len(folders) > 1 and folder.resolve() in made:
            plan.skipped.append((folder, "it looks like an earlier output"))
            continue
        if place == folder.resolve():
            raise UsageError(f"{target}: an input would be replaced, choose another -o")
        try:
            if place in claimed:
                raise OutputError(
                    f"{folder}: {claimed[place]} is written to {target} already, "
                    "run this one apart with another -o"
                )
            claimed[place] = folder
            job = Job(folder, target)
            take_unless_there(plan, job, options, folder=gives_folder(job, output, frames))
        except EnhanceError as error:
            plan.failures.append((str(folder), error))
