"""JPEG beyond its pixels: several pictures in one file, and a file that ends too early."""

from io import BytesIO
from typing import IO, Any

from PIL import Image as Pillow
from PIL import ImageFile

JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
_ENTRIES = 0xB002  # tag of an MPO: a list of its pictures (CIPA DC-007, section 5.2.3)
_PREVIEW = "Large Thumbnail"


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
