"""Find the pictures in a folder."""

from collections.abc import Collection
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
        ".jp2",
        ".j2k",
        ".jpx",
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
    }
)


def find_images(
    folder: Path, recursive: bool = False, suffixes: Collection[str] = READABLE_SUFFIXES
) -> list[Path]:
    """List the pictures of a folder in the order of their paths, without hidden files.

    Args:
        folder: where to look. A folder that does not exist holds no pictures.
        recursive: whether to look into the folders inside too.
        suffixes: suffixes of the files that count as pictures, in lower case.
    """
    walk = folder.rglob("*") if recursive else folder.glob("*")
    return sorted(
        path
        for path in walk
        if path.suffix.lower() in suffixes
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )
