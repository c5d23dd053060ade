"""Files that hold several pictures: which of them are enlarged, and into which files."""

from collections.abc import Collection, Sequence
from pathlib import Path

from enhance_cli.errors import InputError, OutputError
from enhance_cli.io.image import find_pages
from enhance_cli.io.isolation import decode
from enhance_cli.io.job_list import check_sidecars
from enhance_cli.io.jobs import FileOptions, Job


def choose_pages(source: Path, page: int | None) -> Sequence[int | None]:
    """The places of the pictures that are enlarged; the first stands as None, which tells more.

    Args:
        source: the file.
        page: which of its pictures, counted from 1; None is all of them.

    Raises:
        InputError: if the file has no such page.
    """
    if page == 1:
        return [None]
    places = decode(find_pages, source)
    if page is None:
        return places if len(places) > 1 else [None]
    if page > len(places):
        raise InputError(f"{source}: has no page {page}, choose --pages from 1 to {len(places)}")
    return [places[page - 1]]


def name_pages(
    job: Job, count: int, files: FileOptions, sources: Collection[Path]
) -> Sequence[Path]:
    """The files of a job whose pages are written apart, numbered from 1.

    Args:
        job: its target is their name without the number.
        count: of the pages.
        files: what to do with files that exist.
        sources: the places of all inputs, which no output may take.

    Raises:
        OutputError: if a file or its record is in the way.
    """
    digits = len(str(count))
    names = [f"{job.target.stem}-{number:0{digits}}" for number in range(1, count + 1)]
    targets = [job.target.with_stem(name) for name in names]
    for target in targets:
        if target.resolve() in sources:
            raise OutputError(f"{target}: an input would be replaced, choose another -o")
        if target.exists() and not (files.overwrite or files.skip_existing):
            raise OutputError(f"{target}: exists already, add --overwrite or --skip-existing")
    check_sidecars(files, targets)
    return targets
