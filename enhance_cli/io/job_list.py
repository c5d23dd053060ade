"""What is to be done: each input with its output, and whether that exists already."""

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path

from enhance_cli.errors import EnhanceError, InputError, OutputError, UsageError
from enhance_cli.io.locks import claim, named


class Kind(Enum):
    """What an input or an output is."""

    PICTURE = "picture file"
    VIDEO = "video file"
    ANIMATION = "animated picture"
    FRAMES = "folder of numbered pictures, one for each frame of a video"

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder on the disk, and not a file."""
        return self is Kind.FRAMES


@dataclass(frozen=True)
class Job:
    """One input, the place of its result, and what the two are.

    The kinds are decided when the job is planned. A path alone does not tell them: an output need
    not exist yet, and a folder may well be named ``clip.mp4``.

    Attributes:
        parts: see :class:`Naming`.
    """

    source: Path
    target: Path
    source_kind: Kind = Kind.PICTURE
    target_kind: Kind = Kind.PICTURE
    parts: Sequence[str] = ()

    @property
    def outputs(self) -> list[Path]:
        """All that is written: the target, or a file for each part, named after the target."""
        stem = self.target.stem
        return [self.target.with_stem(stem + part) for part in self.parts] or [self.target]


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
        sidecar: write a record of what made it beside each output.
        jobs: how many files are read and written at a time.
    """

    inputs: Sequence[str]
    output: Path | None = None
    recursive: bool = False
    overwrite: bool = False
    skip_existing: bool = False
    sidecar: bool = False
    jobs: int = 1

    def again(self) -> "FileOptions":
        """The same for an input that was tried before: what that try has finished stays."""
        return replace(self, skip_existing=not self.overwrite)


def check_sidecars(files: FileOptions, outputs: Iterable[Path]) -> None:
    """See that no record is in the way of those that the making of outputs writes.

    Raises:
        OutputError: if one is there, and neither may be replaced nor stays with its output.
    """
    if not files.sidecar or files.overwrite:
        return
    for output in outputs:
        record = sidecar_of(output)
        if record.exists() and not (files.skip_existing and output.exists()):
            raise OutputError(f"{record}: exists already, add --overwrite")


def sidecar_of(output: Path) -> Path:
    """Where the record of an output goes that stands in a file beside it."""
    output = named(output)
    return output.parent / f"{output.name}.json"


class Places:
    """Where paths lie on the disk, with all links followed; each folder is looked up once."""

    def __init__(self) -> None:
        self._folders: dict[str, str] = {}
        self._folding: dict[str, bool] = {}

    def find(self, path: Path) -> Path:
        """The place of a file or folder; a loop of links stays as it is."""
        place = os.path.join(self.find_folder(path.parent), path.name)
        known = path.name not in ("", "..") and not os.path.islink(place)
        return Path(place if known else os.path.realpath(path))

    def find_folder(self, folder: Path) -> str:
        """The place of a folder, kept for the next file in it."""
        key = str(folder)
        if key not in self._folders:
            self._folders[key] = os.path.realpath(folder)
        return self._folders[key]

    def ignore_case(self, folder: Path) -> bool:
        """Whether the names in a folder that differ only in case are of one file."""
        key = str(folder)
        if key not in self._folding:
            self._folding[key] = _ignores_case(folder)
        return self._folding[key]


@dataclass
class JobList:
    """What is to be done, and what cannot be done.

    Attributes:
        jobs: the jobs, in the order in which the user named their inputs.
        failures: inputs, as the user named them, that cannot be worked on, each with the reason.
        skipped: inputs that are left out on purpose, each with the reason.
        claimed: the inputs so far, by the place of their outputs on the disk.
        files: the options, which say what happens if an output exists.
        places: where files lie.
    """

    files: FileOptions
    jobs: list[Job] = field(default_factory=list)
    failures: list[tuple[str, EnhanceError]] = field(default_factory=list)
    skipped: list[tuple[Path, str]] = field(default_factory=list)
    claimed: dict[Path, Path] = field(default_factory=dict)
    places: Places = field(default_factory=Places)

    def add(self, job: Job, originals: Collection[Path]) -> None:
        """Add a job, or skip it because its output exists.

        Args:
            job: an input and its output.
            originals: the places of inputs, which no output may take.

        Raises:
            UsageError: if the output would replace an input.
            OutputError: if another input is written to the same place; or see :meth:`begin`.
        """
        outputs = {self._find_place(output): output for output in job.outputs}
        for place, output in outputs.items():
            if place in originals:
                raise UsageError(f"{output}: an input would be replaced, choose another -o")
            if place in self.claimed:
                raise OutputError(
                    f"{job.source}: {self.claimed[place]} is written to {output} already, "
                    "run this one apart with another -o"
                )
        self.claimed.update(dict.fromkeys([*outputs, self._find_place(job.target)], job.source))
        if reason := self._find_made(job):
            self.skipped.append((job.source, reason))
        else:
            self.jobs.append(job)

    @contextmanager
    def begin(self, job: Job) -> Iterator[str | None]:
        """Claim the output of a job while the body of a ``with`` statement makes it.

        Yields:
            Why the job is to be skipped after all, or None: another run may be making its output,
            or have made it since the jobs were planned.

        Raises:
            OutputError: if the output or its record exists, or is being made by another run, and
                the user asked neither to replace nor to skip it; or if it is a folder where a
                file is to be written, or the reverse.
        """
        with claim(job.target) as free:
            if free:
                reason = self._find_made(job)
                if not reason:
                    check_sidecars(self.files, job.outputs)
                yield reason
            elif self.files.skip_existing:
                yield f"another run is making {job.target}"
            else:
                raise OutputError(
                    f"{job.target}: another run is making it, wait for that or choose another -o"
                )

    def _find_made(self, job: Job) -> str | None:
        """Why a job is skipped if its outputs exist; of several, all must.

        Raises:
            OutputError: see :meth:`begin`.
        """
        there = [output for output in job.outputs if self._is_taken(output, job)]
        misfit = [output for output in there if output.is_dir() != job.target_kind.is_folder]
        if len(there) == len(job.outputs) and self.files.skip_existing:
            names = " and ".join(map(str, there))
            return f"{names} exist{'s' * (len(there) == 1)}"
        if misfit or there and not (self.files.overwrite or self.files.skip_existing):
            output = (misfit or there)[0]
            kind = (
                "" if not misfit else " and is a folder" if output.is_dir() else " and is no folder"
            )
            raise OutputError(
                f"{output}: exists already{kind}, "
                + ("choose another -o" if misfit else "add --overwrite or --skip-existing")
            )
        return None

    def _is_taken(self, output: Path, job: Job) -> bool:
        """Whether an output exists; a folder that is wanted and empty does not count."""
        if job.target_kind.is_folder and output.is_dir():
            return any(output.iterdir())
        return output.exists()

    def claimant(self, target: Path) -> Path | None:
        """The input whose output takes a place already, or None."""
        return self.claimed.get(self._find_place(target))

    def _find_place(self, target: Path) -> Path:
        """The place of an output on the disk, which names that differ in case may share."""
        place = self.places.find(target)
        if place not in self.claimed and self.places.ignore_case(place.parent):
            place = next((p for p in self.claimed if _folded(p) == _folded(place)), place)
        return place

    @contextmanager
    def failing_alone(self, name: str) -> Iterator[None]:
        """Note what is wrong with one input in a ``with`` statement, so that the others go on.

        Args:
            name: the input as the user named it.

        Raises:
            UsageError: if the body raises one: what is wrong then concerns all inputs.
        """
        try:
            yield
        except UsageError:
            raise
        except EnhanceError as error:
            self.failures.append((name, error))
        except (OSError, RuntimeError, ValueError) as error:
            # The name is too long or a loop of links, for instance.
            reason = getattr(error, "strerror", None) or error
            culprit = getattr(error, "filename", None) or name
            problem = InputError(f"{culprit}: cannot be used ({reason}), rename it")
            self.failures.append((name, problem))


def _ignores_case(folder: Path) -> bool:
    """Whether the file system of a folder takes names that differ only in case for the same."""
    while not folder.exists():
        folder = folder.parent
    other = folder.with_name(folder.name.swapcase()) if folder.name else folder
    return other != folder and other.exists() and other.samefile(folder)


def _folded(path: Path) -> str:
    return str(path).casefold()
