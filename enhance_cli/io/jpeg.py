"""JPEG beyond its pixels: several pictures in one file, and a file that ends too early."""

import re
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from typing import IO, Any

from PIL import Image as Pillow
from PIL import ImageFile

JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
_PROGRESSIVE, _SCAN = 0xC2, 0xDA  # markers
# Within a scan 0 stands behind 0xFF, or the marker of a restart.
_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])", re.DOTALL)
_ENTRIES = 0xB002  # tag of an MPO: a list of its pictures (CIPA DC-007, section 5.2.3)
_PREVIEW = "Large Thumbnail"
# The example of a table for luma in ITU-T T.81, table K.1, which is libjpeg's for a quality of 50.
_LUMA_50 = (
    *(16, 11, 10, 16, 24, 40, 51, 61),
    *(12, 12, 14, 19, 26, 58, 60, 55),
    *(14, 13, 16, 24, 40, 57, 69, 56),
    *(14, 17, 22, 29, 51, 87, 80, 62),
    *(18, 22, 37, 56, 68, 109, 103, 77),
    *(24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101),
    *(72, 92, 95, 98, 112, 100, 103, 99),
)


def find_mpo_pages(image: ImageFile.ImageFile) -> list[int]:
    """The places of the pictures of an MPO, without the previews that cameras make for displays."""
    entries = image.mpinfo[_ENTRIES]  # type: ignore[attr-defined]
    kinds = [entry["Attribute"]["MPType"] for entry in entries]
    return [place for place, kind in enumerate(kinds) if not kind.startswith(_PREVIEW)] or [0]


def extract_mpo_page(image: ImageFile.ImageFile, file: IO[bytes], place: int) -> BytesIO:
    """One of the pictures of an MPO, as a JPEG in memory.

    Args:
        image: the open file.
        file: the file itself.
        place: which picture, from :func:`find_mpo_pages`.

    Raises:
        ValueError: if the file ends before it.
    """
    mpo: Any = image
    mpo.seek(place)
    file.seek(mpo.offset)
    return BytesIO(file.read(mpo.mpinfo[_ENTRIES][place]["Size"]))


def close_jpeg(data: bytes) -> ImageFile.ImageFile | None:
    """Decode a JPEG without its end; None if more than the end is missing.

    Where pixels are missing, their place in the data is taken by what is put behind it.
    """
    images = []
    for filling in (b"", b"\x5a\xc3" * 64):
        image = Pillow.open(BytesIO(data + filling + JPEG_END), formats=["JPEG"])
        image.load()
        images.append(image)
    return images[0] if images[0].tobytes() == images[1].tobytes() else None


def lacks_scans(data: bytes) -> bool:
    """Whether a progressive JPEG ends before its last scans, so that detail is missing.

    Each scan brings some coefficients of some components, and further ones bring their lower bits
    (ITU-T T.81, annex G). All 64 coefficients of all components should come down to the last bit.
    """
    missing: dict[int, set[int]] = {}
    for marker, segment in _segments(data):
        if marker == _PROGRESSIVE:
            components = segment[6 : 6 + 3 * segment[5]]
            missing = {identifier: set(range(64)) for identifier in components[::3]}
        elif marker == _SCAN:
            count = segment[0]
            first, last, bits = segment[1 + 2 * count : 4 + 2 * count]
            if not bits & 15:  # the bits below those that it brings
                for identifier in segment[1 : 1 + 2 * count : 2]:
                    missing.get(identifier, set()).difference_update(range(first, last + 1))
    return any(missing.values())


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the markers of a JPEG that have segments, and these without their lengths."""
    place = len(JPEG_START)
    while (found := _MARKER.search(data, place)) and found[1] != JPEG_END[1:]:
        length = int.from_bytes(data[found.end() : found.end() + 2], "big")
        place = found.end() + max(length, 2)
        yield found[1][0], data[found.end() + 2 : place]


def estimate_quality(tables: Mapping[int, Sequence[int]]) -> int:
    """The quality by which libjpeg would have made the quantisation tables of a JPEG.

    Other programs have tables and scales of their own, which are compared by their means.

    Args:
        tables: The tables of the file by number, that of luma first.

    Returns:
        From 1, the coarsest, to 100.
    """
    return quality_of_steps(dict(enumerate(next(iter(tables.values())))))


def quality_of_steps(steps: Mapping[int, int]) -> int:
    """The quality by which libjpeg would have rounded luma by steps that are known in part.

    Args:
        steps: At least one step, by the places of their coefficients in a block from 0 to 63, row
            by row.

    Returns:
        From 1 to 100.
    """
    percent = 100 * sum(steps.values()) / sum(_LUMA_50[place] for place in steps)
    return round(min(100, max(1, (200 - percent) / 2 if percent <= 100 else 5000 / percent)))
