"""Pairs of an input and its output, found from what a user names and checked before any work."""

import glob
import mimetypes
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from enhance_cli.errors import InputError, UsageError
from enhance_cli.io.finding import RAW_SUFFIXES, looks_like_video, walk_files, why_overlooked
from enhance_cli.io.job_list import FileOptions, Job, JobList, Kind, Places

__all__ = [
    "FileOptions",
    "FolderPath",
    "Job",
    "JobList",
    "Kind",
    "Naming",
    "is_file_name",
    "parse_output",
    "plan_jobs",
]

# What is behind the stem where a model gave several results.
_PART = re.compile(r"(_\d+|_spread)$")


@dataclass(frozen=True)
class Naming:
    """How outputs are named, and what inputs and outputs are.

    Attributes:
        tag: the text put behind the stem of the input's name, e.g. ``"_x4"``.
        suffix: a function that gives the suffix of an output from the path of its input.
        source_kind: what every input is.
        target_kind: what every output is.
        parts: where each input has several outputs, what is put behind the stem of each, e.g.
            ``("_1", "_2")``.
    """

    tag: str
    suffix: Callable[[Path], str]
    source_kind: Kind = Kind.PICTURE
    target_kind: Kind = Kind.PICTURE
    parts: Sequence[str] = ()

    def name(self, source: Path) -> str:
        """The name, without its folder, of the result of an input."""
        return f"{source.stem}{self.tag}{self.suffix(source)}"

    def longer_name(self, source: Path) -> str:
        """Another name, with the suffix of the input: ``a_jpg_x4.png`` for ``a.jpg``."""
        return f"{source.stem}_{source.suffix[1:]}{self.tag}{self.suffix(source)}"


def plan_jobs(
    files: FileOptions,
    naming: Naming,
    find: Callable[[Path, bool], list[Path]],
    *,
    exact: bool = False,
) -> JobList:
    """Expand file names, patterns and folders, and give each input its output.

    Where the outputs of two inputs with different suffixes would have one name, as those of a RAW
    file and of a HEIC beside it, the second gets the longer name.

    Args:
        files: the inputs and the output as the user named them.
        naming: how the outputs are named.
        find: lists the inputs in a folder: (folder, recursive) -> paths.
        exact: whether ``files.output`` is the output of the one input, even if its name looks
            like that of a folder to put outputs into.

    Returns:
        The jobs, with the inputs that cannot be used and those that are skipped.

    Raises:
        UsageError: if one output file is named for several inputs, or an output would replace
            an input.
    """
    plan, output = JobList(files), files.output
    # They are kept by their place on the disk, so that a file named twice is done once.
    sources: dict[Path, tuple[Path, Path]] = {}
    named_folder = False
    for name in files.inputs:
        with plan.failing_alone(name):
            for path in _expand(name):
                named_folder |= path.is_dir()
                found = [path]
                if path.is_dir():
                    found = find(path, files.recursive)
                    told = _tell_overlooked(plan, path, files.recursive, naming, found)
                    if not found and not told:
                        hint = (
                            "" if files.recursive else ", add --recursive to look into its folders"
                        )
                        raise InputError(f"{path}: no pictures in this folder{hint}")
                root = path if path.is_dir() else path.parent
                for source in found:
                    place = Path(plan.places.find_folder(source.parent), source.name)
                    sources.setdefault(place, (source, root))
    single = output is not None and (exact or is_file_name(output)) and not named_folder
    if named_folder and output and is_file_name(output) and _names_known_file(output):
        raise UsageError(
            f"-o {output}: one file for a folder, name a folder (with / at its end if it has a dot)"
        )
    if single and len(sources) > 1:
        raise UsageError(f"-o {output}: one file for {len(sources)} inputs, give a folder")
    if len(sources) > 1:
        for place in _earlier_outputs(sources, output, naming, plan.places):
            plan.skipped.append((sources.pop(place)[0], "it looks like an earlier output"))
    originals = {plan.places.find(source) for source, _ in sources.values()}
    for source, root in sources.values():
        with plan.failing_alone(str(source)):
            if single and output is not None:
                target = output
            else:
                target = _folder(source, root, output) / naming.name(source)
                other = plan.claimant(target)
                if other and other.suffix.lower() != source.suffix.lower() != "":
                    target = target.with_name(naming.longer_name(source))
            job = Job(source, target, naming.source_kind, naming.target_kind, naming.parts)
            plan.add(job, originals)
    return plan


def _names_known_file(output: Path) -> bool:
    """Whether a name with a suffix is that of a file of a known kind, and hardly of a folder."""
    known = output.suffix.lower() in RAW_SUFFIXES  # which mimetypes does not know
    return known or mimetypes.guess_type(output.name)[0] is not None


# Before Python 3.12 only the classes of the two kinds of systems can be derived from.
if TYPE_CHECKING:
    from pathlib import Path as _SystemPath
else:
    _SystemPath = type(Path())


class FolderPath(_SystemPath):
    """A path that was typed with a slash at its end, and is therefore a folder."""


def parse_output(text: str) -> Path:
    """Read the value of ``--output``.

    Raises:
        UsageError: if it is empty, or ``-``, which stands for standard output elsewhere.
    """
    if text in ("", "-"):
        raise UsageError(f"-o {text or repr(text)}: results go to files, name a file or a folder")
    return FolderPath(text) if text.endswith(("/", os.sep)) else Path(text)


def is_file_name(output: Path) -> bool:
    """Whether ``--output`` names a file: it has a suffix, known or not, and is no folder."""
    # pathlib raises an error where a name is too long, os.path does not.
    return bool(output.suffix) and not os.path.isdir(output) and not isinstance(output, FolderPath)


def _expand(name: str) -> list[Path]:
    if not name:
        raise UsageError(
            "an input without a name: give a file, a folder (. for this one) or a pattern"
        )
    path = Path(name)
    if path.exists():
        return [path]
    if not glob.has_magic(name):
        raise InputError(f"{name}: no such file, check the name")
    matches = sorted(glob.glob(name, recursive=True))
    if not matches:
        raise InputError(f"{name}: no file matches this pattern")
    return [Path(match) for match in matches]


def _tell_overlooked(
    plan: JobList, folder: Path, recursive: bool, naming: Naming, found: Sequence[Path]
) -> int:
    """Note what a folder holds that looks like an input and is none; gives their number."""
    before = len(plan.failures) + len(plan.skipped)

    def unreadable(error: OSError) -> None:
        name = str(error.filename)
        problem = InputError(f"{name}: cannot be read ({error.strerror}), change its permissions")
        plan.failures.append((name, problem))

    known = set(found)
    for path in sorted(walk_files(folder, recursive, unreadable)):
        if naming.source_kind is Kind.PICTURE and path not in known:
            reason = why_overlooked(path)
            if reason and reason[1]:
                plan.failures.append((str(path), InputError(f"{path}: {reason[0]}")))
            elif reason:
                plan.skipped.append((path, reason[0]))
        elif naming.source_kind is Kind.VIDEO and path not in known and looks_like_video(path):
            plan.skipped.append((path, "a video of a rare kind: name the file itself to try it"))
    return len(plan.failures) + len(plan.skipped) - before


def _folder(source: Path, root: Path, output: Path | None) -> Path:
    """The folder for the result of an input that was found under ``root``."""
    return source.parent if output is None else output / source.parent.relative_to(root)


def _earlier_outputs(
    sources: Mapping[Path, tuple[Path, Path]], output: Path | None, naming: Naming, places: Places
) -> list[Path]:
    """The inputs that an earlier run made.

    They are those that this run would write, or would with another number of samples,
    and those in an output folder that lies within a folder of inputs.
    """
    made = {
        Path(places.find_folder(_folder(source, root, output)), name)
        for source, root in sources.values()
        for name in (naming.name(source), naming.longer_name(source))
    }
    inside = places.find(output) if output else None
    return [
        place
        for place, (_, root) in sources.items()
        if place in made
        or place.with_stem(_PART.sub("", place.stem) or place.stem) in made
        or (inside and inside in place.parents and places.find(root) in inside.parents)
    ]
