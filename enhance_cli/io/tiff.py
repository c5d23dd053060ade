"""The directories of a TIFF, one for each of its pictures: read, and written behind the pixels."""

import shutil
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from PIL import Image as Pillow
from PIL import TiffImagePlugin, TiffTags
from PIL.ExifTags import Base

from enhance_cli.io.captions import TIFF_IPTC, TIFF_XMP
from enhance_cli.io.metadata import DIRECTORIES, as_stored, load_exif
from enhance_cli.io.picture import Picture

Directory = TiffImagePlugin.ImageFileDirectory_v2

NEW_SUBFILE_TYPE, TILE_OFFSETS = 254, 324  # tags
REDUCED, PAGE, MASK = 1, 2, 4  # bits of NewSubfileType


@dataclass(frozen=True)
class TiffPage:
    """One picture of a TIFF.

    Attributes:
        place: where its directory begins in the file.
        tags: the values of its tags by their numbers.
    """

    place: int
    tags: Mapping[int, Any]

    @property
    def is_reduced(self) -> bool:
        """Whether it says that it is a smaller version of another picture (tag 254)."""
        return bool(self._subfile_type & REDUCED)

    @property
    def is_picture(self) -> bool:
        """Whether it is a picture of its own, neither a smaller version nor a mask."""
        return not self._subfile_type & (REDUCED | MASK)

    @property
    def _subfile_type(self) -> int:
        value = self.tags.get(NEW_SUBFILE_TYPE, 0)
        return value if isinstance(value, int) else 0


def find_tiff_pages(file: IO[bytes]) -> list[TiffPage]:
    """All pictures of an open TIFF in their order, as far as they can be read."""
    pages = []
    try:
        for place, directory in _walk(file):
            pages.append(TiffPage(place, dict(directory)))  # dict() reads the values
    except Exception:  # Directories are broken in every way there is.
        pass
    return pages


def read_directory(file: IO[bytes], place: int) -> dict[int, Any]:
    """The values of one directory of an open TIFF by the numbers of their tags.

    Args:
        file: the file.
        place: where the directory begins.

    Raises:
        Exception: of any kind if the directory is broken.
    """
    directory = Directory(_read_header(file))
    file.seek(place)
    directory.load(file)
    return dict(directory)  # dict() reads the values


def find_tiff_exif(file: IO[bytes], place: int | None = None) -> Pillow.Exif:
    """The EXIF of an open TIFF; it is empty if it cannot be read.

    Args:
        file: the file.
        place: where the directory of the picture begins; None for the first picture.
    """
    exif = Pillow.Exif()
    try:
        file.seek(0)
        if place is not None:  # Pillow then does not look at the header.
            header = file.read(4)
            exif.endian = ">" if header.startswith(b"MM") else "<"
            exif.bigtiff = b"+" in header
        exif.load_from_fp(file, place)
    except Exception:  # as above
        return Pillow.Exif()
    return exif


def finish_tiff(path: Path, picture: Picture) -> int:
    """Give a tiled TIFF a new directory, at the end of the file, with metadata and resolution.

    libvips does not write EXIF into TIFF, and Pillow cannot write colour of 16 bits. The file must
    be tiled, because a directory that Pillow writes changes the offsets of strips, not of tiles.

    Args:
        path: the file, which is changed in place.
        picture: what the file holds; its texts are not kept.

    Returns:
        Where in the file the place of a next directory belongs, for :func:`append_tiff`.

    Raises:
        OSError: if the file cannot be changed.
    """
    with path.open("r+b") as file:
        directory = _first_directory(file)
        describe(directory, picture)
        return _add_directory(file, directory, 8 if directory._bigtiff else 4)


def append_tiff(path: Path, link: int, page: Path, picture: Picture) -> int:
    """Make the only picture of a tiled TIFF a further one of another TIFF.

    Args:
        path: the file that grows, made by :func:`finish_tiff`.
        link: what :func:`finish_tiff`, or this function, gave for the picture before.
        page: the other file, which is no BigTIFF if the first is none.
        picture: what it holds.

    Returns:
        The link for the next picture.

    Raises:
        OSError: if the file cannot be changed.
        OverflowError: if it would become larger than a TIFF can be that is no BigTIFF.
    """
    with path.open("r+b") as file, page.open("rb") as other:
        directory = _first_directory(other)
        start = _end(file)
        other.seek(0)
        shutil.copyfileobj(other, file)
        if not directory._bigtiff and file.tell() > 2**32 - 2**24:  # its metadata comes yet
            raise OverflowError("more than 4 GB")
        directory[TILE_OFFSETS] = tuple(start + offset for offset in directory[TILE_OFFSETS])
        describe(directory, picture)
        directory[NEW_SUBFILE_TYPE] = PAGE
        return _add_directory(file, directory, link)


def _walk(file: IO[bytes]) -> Iterator[tuple[int, Directory]]:
    """Yield the place and the content of each directory."""
    header = _read_header(file)
    place, seen = Directory(header).next, set[int]()
    while place and place not in seen:
        seen.add(place)
        directory = Directory(header)
        file.seek(place)
        directory.load(file)
        yield place, directory
        place = directory.next


def _read_header(file: IO[bytes]) -> bytes:
    file.seek(0)
    header = file.read(16)
    return header if header[2:4] in (b"+\0", b"\0+") else header[:8]  # BigTIFF has 16


def _first_directory(file: IO[bytes]) -> Directory:
    return next(_walk(file))[1]


def describe(directory: Directory, picture: Picture) -> None:
    """Put the metadata of a picture into its directory; its resolution in inches is there."""
    exif = load_exif(picture.exif) if picture.exif else Pillow.Exif()
    kept = set(dict(directory))
    for tag in set(exif) - kept - set(DIRECTORIES):
        directory[tag] = as_stored(exif[tag])
    for tag in DIRECTORIES:
        if entries := exif.get_ifd(tag):
            directory[tag] = {key: as_stored(value) for key, value in entries.items()}
    captions = picture.captions
    for tag, packet in ((TIFF_XMP, captions.xmp), (TIFF_IPTC, captions.iptc)):
        if packet:
            directory.tagtype[tag] = TiffTags.UNDEFINED if tag == TIFF_IPTC else TiffTags.BYTE
            directory[tag] = packet
    if not picture.dpi:
        across, down = picture.density or (1, 1)
        directory[Base.XResolution], directory[Base.YResolution] = float(across), float(down)
        directory[Base.ResolutionUnit] = 1  # none


def _end(file: IO[bytes]) -> int:
    """Go to the end of a file, which then lies at a multiple of 8 bytes."""
    end = file.seek(0, 2)
    return end + file.write(bytes(-end % 8))


def _add_directory(file: IO[bytes], directory: Directory, link: int) -> int:
    """Write a directory at the end, and its place to ``link``; gives the next such link."""
    place = _end(file)
    file.write(directory.tobytes(place))
    kind = "Q" if directory._bigtiff else "L"
    file.seek(link)
    file.write(struct.pack(f"{directory._endian}{kind}", place))
    count = len(directory)
    return place + (8 + 20 * count if directory._bigtiff else 2 + 12 * count)
