"""Find the pictures in a folder, and what one might take for one."""

import mimetypes
import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

READABLE_SUFFIXES = frozenset(
    {
        ".png",
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".mpo",
        ".tif",
        ".tiff",
        ".webp",
        ".bmp",
        ".gif",
        ".avif",
        ".heic",
        ".heif",
        ".hif",
        ".jp2",
        ".j2k",
        ".jpx",
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
    }
)


# Pictures that people have and that cannot be read; mimetypes does not know these suffixes.
_OTHER_PICTURES = frozenset({".jxl", ".psd", ".exr", ".hdr", ".jxr", ".tga"})
# The suffix .raw is not among them, since files of bare numbers have it too; camera files of that
# name are recognised by their content.
RAW_SUFFIXES = frozenset(
    {
        ".3fr",
        ".arw",
        ".bay",
        ".cr2",
        ".cr3",
        ".crw",
        ".dcr",
        ".dng",
        ".erf",
        ".fff",
        ".iiq",
        ".k25",
        ".kdc",
        ".mef",
        ".mos",
        ".mrw",
        ".nef",
        ".nrw",
        ".orf",
        ".pef",
        ".raf",
        ".rw2",
        ".rwl",
        ".sr2",
        ".srf",
        ".srw",
        ".x3f",
    }
)


def find_images(
    folder: Path, recursive: bool = False, suffixes: Collection[str] = READABLE_SUFFIXES
) -> list[Path]:
    """List the pictures of a folder in the order of their paths, without hidden files.

    Args:
        folder: where to look. A folder that does not exist holds no pictures.
        recursive: whether to look into the folders inside too. Links to folders are followed, but
            no folder is listed twice.
        suffixes: suffixes of the files that count as pictures, in lower case.
    """
    walk = walk_files(folder, recursive)
    return sorted(path for path in walk if path.suffix.lower() in suffixes and path.is_file())


def walk_files(
    folder: Path, recursive: bool, on_error: Callable[[OSError], None] = lambda _: None
) -> Iterator[Path]:
    """Yield what a folder holds besides folders, without hidden files.

    Args:
        folder: where to look.
        recursive: whether to look into the folders inside too, see :func:`find_images`.
        on_error: is called with the error of each folder that cannot be read.
    """
    seen: set[str] = set()
    for root, folders, names in os.walk(folder, onerror=on_error, followlinks=True):
        place = os.path.realpath(root)
        if place in seen:
            folders.clear()
            continue
        seen.add(place)
        folders[:] = sorted(name for name in folders if recursive and not name.startswith("."))
        yield from (Path(root, name) for name in names if not name.startswith("."))


def looks_like_video(path: Path) -> bool:
    """Whether the name of a file is that of a video, as the system knows them."""
    return (mimetypes.guess_type(path.name)[0] or "").startswith("video/")


def why_overlooked(path: Path) -> tuple[str, bool] | None:
    """Why a file in a folder is no input, if one might expect that it is.

    Returns:
        The reason, and whether it is an error; or None for a file that is neither picture nor
        video.
    """
    suffix = path.suffix.lower()
    kind = (mimetypes.guess_type(path.name)[0] or "").partition("/")[0]
    if looks_like_video(path):
        return "a video, for enhance video", False
    if suffix == ".apng":
        return "an animated picture, for enhance video", False
    if suffix == ".raw":
        return ".raw of this kind is not supported", False
    if suffix in RAW_SUFFIXES:
        return "a camera RAW file, for enhance lowlight", False
    if kind == "image" or suffix in _OTHER_PICTURES | READABLE_SUFFIXES:
        if path.is_symlink() and not path.exists():
            return "a link that leads nowhere, correct it", True
        if suffix not in READABLE_SUFFIXES:
            return f"{suffix} pictures cannot be read, convert it to PNG or JPEG", True
    return None
