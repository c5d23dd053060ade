"""Which videos, and folders of frames, to work on, and where their results go."""

from collections.abc import Sequence
from pathlib import Path

from enhance_cli.errors import InputError, OutputError, UsageError
from enhance_cli.io.image import find_images
from enhance_cli.io.jobs import Job, JobList, Naming, plan_jobs
from enhance_cli.io.video import VIDEO_SUFFIXES, output_suffix


def find_videos(folder: Path, recursive: bool) -> list[Path]:
    """Videos in a folder, by name.

    Raises:
        InputError: if there is none; tells of folders of frames.
    """
    found = sorted(path for path in (folder.rglob("*") if recursive else folder.iterdir())
                   if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file())
    if not found:
        hint = "" if recursive else ", add --recursive to look into its folders"
        raise InputError(f"{folder}: neither videos nor numbered pictures in this folder{hint}")
    return found


def is_frame_folder(path: Path) -> bool:
    """Whether a folder holds pictures and no videos: frames, then."""
    if not path.is_dir():
        return False
    if any(entry.suffix.lower() in VIDEO_SUFFIXES - {".gif"} for entry in path.iterdir()):
        return False
    return bool(find_images(path))


def plan_video_jobs(
    inputs: Sequence[str],
    output: Path | None,
    tag: str,
    *,
    frames: bool,
    recursive: bool,
    overwrite: bool,
    skip_existing: bool,
) -> JobList:
    """Jobs of ``enhance video``: as ``plan_jobs``, and a folder of frames is one input.

    Args:
        inputs, output, recursive, overwrite, skip_existing: as of ``plan_jobs``.
        tag: behind the stem of every result.
        frames: write folders of pictures, not videos.

    Raises:
        UsageError: if one output is given for many inputs, or an output would be an input.
    """
    folders = [Path(name) for name in inputs if is_frame_folder(Path(name))]
    files = [name for name in inputs if not is_frame_folder(Path(name))]
    if output is not None and len(inputs) > 1 and output.suffix:
        raise UsageError(f"-o {output}: one file for {len(inputs)} inputs, give a folder")
    plan = JobList()
    if files:
        naming = Naming(tag, (lambda _: "") if frames else output_suffix)
        plan = plan_jobs(files, output, naming, find_videos, recursive=recursive,
                         overwrite=overwrite, skip_existing=skip_existing)
    for folder in folders:
        _plan_folder(plan, folder, output, tag, alone=len(inputs) == 1, overwrite=overwrite,
                     skip_existing=skip_existing)
    return plan


def _plan_folder(
    plan: JobList,
    folder: Path,
    output: Path | None,
    tag: str,
    *,
    alone: bool,
    overwrite: bool,
    skip_existing: bool,
) -> None:
    name = f"{folder.resolve().name}{tag}"
    if output is None:
        target = folder.resolve().parent / name
    else:
        target = output if alone else output / name
    if target.resolve() == folder.resolve():
        raise UsageError(f"{target}: the input would be replaced, choose another -o")
    holds_something = target.is_file() or (target.is_dir() and any(target.iterdir()))
    if holds_something and skip_existing:
        plan.skipped.append((folder, f"{target} exists"))
    elif holds_something and not overwrite:
        plan.failures.append((str(folder), OutputError(
            f"{target}: exists already, add --overwrite or --skip-existing")))
    else:
        plan.jobs.append(Job(folder, target))
