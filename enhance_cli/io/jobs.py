"""From the files that a user names to pairs of input and output, checked before any work."""

import glob
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from enhance_cli.errors import EnhanceError, InputError, OutputError, UsageError


@dataclass(frozen=True)
class Job:
    """One input and where its result goes."""

    source: Path
    target: Path


@dataclass(frozen=True)
class FileOptions:
    """Which files a command reads, and where it may write.

    Attributes:
        inputs: files, folders and patterns as the user typed them; a pattern is expanded where
            no file has that very name.
        output: a file for one input, else a folder, which is made if need be; None puts each
            result beside its input.
        recursive: descend into folders, and mirror their tree under ``output``.
        overwrite: replace outputs that exist.
        skip_existing: leave out inputs whose output exists.
    """

    inputs: Sequence[str]
    output: Path | None = None
    recursive: bool = False
    overwrite: bool = False
    skip_existing: bool = False


@dataclass
class JobList:
    """What is to be done, and what cannot be.

    Attributes:
        jobs: in the order that the user gave.
        failures: an input as it was named, and why it is not among the jobs.
        skipped: inputs left out on purpose, and why.
    """

    jobs: list[Job] = field(default_factory=list)
    failures: list[tuple[str, EnhanceError]] = field(default_factory=list)
    skipped: list[tuple[Path, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Naming:
    """How outputs are named.

    Attributes:
        tag: put behind the stem, e.g. ``"_x4"``.
        suffix: gives an output's suffix from the input's path.
        folders: whether outputs are folders.
    """

    tag: str
    suffix: Callable[[Path], str]
    folders: bool = False

    def name(self, source: Path) -> str:
        """File name of the result."""
        return f"{source.stem}{self.tag}{self.suffix(source)}"


def plan_jobs(
    files: FileOptions,
    naming: Naming,
    find: Callable[[Path, bool], list[Path]],
    *,
    exact: bool = False,
) -> JobList:
    """Expand files, globs and folders, and give each input its output.

    Args:
        files: inputs and output as the user named them.
        naming: how the outputs are named.
        find: lists the inputs of a folder: (folder, recursive) -> paths.
        exact: ``files.output`` is that of the one input, whatever its name looks like.

    Raises:
        UsageError: if one output file is given for many inputs, or an output would be an input.
    """
    plan, output = JobList(), files.output
    sources: dict[Path, tuple[Path, Path]] = {}  # by place: a file named twice is done once
    named_folder = False
    for name in files.inputs:
        with _failing_alone(plan, name):
            for path in _expand(name):
                named_folder |= path.is_dir()
                found = _list(path, find, files.recursive) if path.is_dir() else [path]
                root = path if path.is_dir() else path.parent
                for source in found:
                    sources.setdefault(source.parent.resolve() / source.name, (source, root))
    single = output is not None and (exact or is_file_name(output)) and not named_folder
    if single and len(sources) > 1:
        raise UsageError(f"-o {output}: one file for {len(sources)} inputs, give a folder")
    if len(sources) > 1:
        for place in _earlier_outputs(sources, output, naming):
            plan.skipped.append((sources.pop(place)[0], "it looks like an earlier output"))
    claimed: dict[Path, Path] = {}
    originals = {_resolve(source) for source, _ in sources.values()}
    for source, root in sources.values():
        with _failing_alone(plan, str(source)):
            target = (
                output
                if single and output is not None
                else _folder(source, root, output) / naming.name(source)
            )
            key = target.resolve()
            if key in originals:
                raise UsageError(f"{target}: an input would be replaced, choose another -o")
            if key in claimed:
                raise OutputError(
                    f"{source}: {claimed[key]} is written to {target} already, "
                    "run this one apart with another -o"
                )
            claimed[key] = source
            take_unless_there(plan, Job(source, target), files, folder=naming.folders)
    return plan


def take_unless_there(plan: JobList, job: Job, files: FileOptions, *, folder: bool) -> None:
    """Put a job into the plan, or skip it for an output that exists.

    Args:
        plan: to which the job is added.
        job: an input and its output.
        files: say what happens where the output exists.
        folder: whether the output is a folder; an empty one does not count as existing.

    Raises:
        OutputError: if the output exists, and is to be neither replaced nor left.
    """
    target = job.target
    exists, fits = target.exists(), target.is_dir() == folder
    if exists and fits and folder:
        exists = any(target.iterdir())
    if exists and files.skip_existing:
        plan.skipped.append((job.source, f"{target} exists"))
    elif exists and not (fits and files.overwrite):
        kind = "" if fits else " and is a folder" if target.is_dir() else " and is no folder"
        raise OutputError(
            f"{target}: exists already{kind}, "
            + ("add --overwrite or --skip-existing" if fits else "choose another -o")
        )
    else:
        plan.jobs.append(job)


@contextmanager
def _failing_alone(plan: JobList, name: str) -> Iterator[None]:
    """Notes what is wrong with one input, so that the others go on; wrong usage goes through."""
    try:
        yield
    except UsageError:
        raise
    except EnhanceError as error:
        plan.failures.append((name, error))
    except (OSError, RuntimeError, ValueError) as error:  # too long a name, a loop of links
        reason = getattr(error, "strerror", None) or error
        culprit = getattr(error, "filename", None) or name
        plan.failures.append((name, InputError(f"{culprit}: cannot be used ({reason}), rename it")))


def _resolve(path: Path) -> Path:
    """The place behind links; of a loop of links, the path itself."""
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        return path


def is_file_name(output: Path) -> bool:
    """Whether ``--output`` names a file: it has a suffix, known or not, and is no folder."""
    # os.path, since pathlib raises where a name is too long.
    return bool(output.suffix) and not os.path.isdir(output) and not str(output).endswith(os.sep)


def _expand(name: str) -> list[Path]:
    path = Path(name)
    if path.exists():
        return [path]
    if not glob.has_magic(name):
        raise InputError(f"{name}: no such file, check the name")
    matches = sorted(glob.glob(name, recursive=True))
    if not matches:
        raise InputError(f"{name}: no file matches this pattern")
    return [Path(match) for match in matches]


def _list(folder: Path, find: Callable[[Path, bool], list[Path]], recursive: bool) -> list[Path]:
    found = find(folder, recursive)
    if not found:
        hint = "" if recursive else ", add --recursive to look into its folders"
        raise InputError(f"{folder}: no pictures in this folder{hint}")
    return found


def _folder(source: Path, root: Path, output: Path | None) -> Path:
    """Where the result of a source goes that was found under ``root``."""
    return source.parent if output is None else output / source.parent.relative_to(root)


def _earlier_outputs(
    sources: Mapping[Path, tuple[Path, Path]], output: Path | None, naming: Naming
) -> list[Path]:
    """Places of inputs that an earlier run made: where this run writes, or in a folder within."""
    made = {
        _resolve(_folder(source, root, output)) / naming.name(source)
        for source, root in sources.values()
    }
    inside = _resolve(output) if output else None
    return [
        place
        for place, (_, root) in sources.items()
        if place in made or inside and inside in place.parents and root.resolve() in inside.parents
    ]
