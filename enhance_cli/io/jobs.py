"""From the files that a user names to pairs of input and output, checked before any work."""

import glob
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from enhance_cli.errors import EnhanceError, InputError, OutputError, UsageError


@dataclass(frozen=True)
class Job:
    """One input and where its result goes."""

    source: Path
    target: Path


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
        known_suffixes: suffixes that make an ``--output`` a file and not a folder.
    """

    tag: str
    suffix: Callable[[Path], str]
    known_suffixes: frozenset[str]

    def name(self, source: Path) -> str:
        """File name of the result."""
        return f"{source.stem}{self.tag}{self.suffix(source)}"


def plan_jobs(
    inputs: Sequence[str],
    output: Path | None,
    naming: Naming,
    find: Callable[[Path, bool], list[Path]],
    *,
    recursive: bool = False,
    overwrite: bool = False,
    skip_existing: bool = False,
) -> JobList:
    """Expand files, globs and folders, and give each input its output.

    Args:
        inputs: as typed; a pattern is expanded where no file has that very name.
        output: a file for one input, else a folder, made if need be; None is beside each input.
        naming: of the outputs.
        find: lists the inputs of a folder: (folder, recursive) -> paths.
        recursive: descend into folders and mirror their tree under ``output``.
        overwrite: replace outputs that exist.
        skip_existing: leave out inputs whose output exists.

    Raises:
        UsageError: if two inputs would have one output, or an output would be an input.
    """
    plan = JobList()
    sources: list[tuple[Path, Path]] = []
    named_folder = False
    for name in inputs:
        try:
            for path in _expand(name):
                if path.is_dir():
                    named_folder = True
                    sources += [(found, path) for found in _list(path, find, recursive)]
                else:
                    sources.append((path, path.parent))
        except EnhanceError as error:
            plan.failures.append((name, error))
    single = output is not None and _is_file_name(output, naming) and not named_folder
    if single and len(sources) > 1:
        raise UsageError(f"-o {output}: one file for {len(sources)} inputs, give a folder")
    sources = list(dict.fromkeys(sources))
    if named_folder:
        earlier = _earlier_outputs([path for path, _ in sources], output, naming)
        plan.skipped = [(path, "it looks like an earlier output") for path in earlier]
        sources = [(path, root) for path, root in sources if path not in earlier]
    originals = {path.resolve() for path, _ in sources}
    claimed: dict[Path, Path] = {}
    for source, root in sources:
        folder = source.parent if output is None else output / source.parent.relative_to(root)
        target = output if single and output is not None else folder / naming.name(source)
        key = target.resolve()
        if key in claimed:
            raise UsageError(
                f"{claimed[key]} and {source} would both be written to {target}: "
                "use --recursive on their folder, or run them apart"
            )
        claimed[key] = source
        if key in originals:
            raise UsageError(f"{target}: an input would be replaced, choose another -o")
        if target.exists() and skip_existing:
            plan.skipped.append((source, f"{target} exists"))
        elif target.is_dir() or (target.exists() and not overwrite):
            plan.failures.append((str(source), OutputError(
                f"{target}: exists already, add --overwrite or --skip-existing")))
        else:
            plan.jobs.append(Job(source, target))
    return plan


def _is_file_name(output: Path, naming: Naming) -> bool:
    if output.is_dir() or str(output).endswith(os.sep):
        return False
    return output.suffix.lower() in naming.known_suffixes or bool(output.suffix)


def _expand(name: str) -> list[Path]:
    path = Path(name)
    if path.exists() or not glob.has_magic(name):
        return [path]
    matches = sorted(glob.glob(name, recursive=True))
    if not matches:
        raise InputError(f"{name}: no file matches this pattern")
    return [Path(match) for match in matches]


def _list(
    folder: Path, find: Callable[[Path, bool], list[Path]], recursive: bool
) -> list[Path]:
    found = find(folder, recursive)
    if not found:
        hint = "" if recursive else ", add --recursive to look into its folders"
        raise InputError(f"{folder}: no pictures in this folder{hint}")
    return found


def _earlier_outputs(
    found: Sequence[Path], output: Path | None, naming: Naming
) -> dict[Path, None]:
    """Pictures of a folder that an earlier run made: in the output folder, or beside its input."""
    inside = output.resolve() if output is not None else None
    places = {path.resolve() for path in found}
    made = {path.parent / naming.name(path) for path in places} if output is None else set()
    return {
        path: None for path in found
        if path.resolve() in made or (inside is not None and inside in path.resolve().parents)
    }
