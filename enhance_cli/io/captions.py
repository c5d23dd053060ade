"""What people and programs wrote about a picture: XMP, IPTC, comments and the texts of PNG."""

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image as Pillow

TIFF_XMP, TIFF_IPTC = 700, 33723
PHOTOSHOP_IPTC = 0x0404  # number of the resource of Photoshop that holds IPTC
PNG_XMP, PNG_IPTC = "XML:com.adobe.xmp", "Raw profile type iptc"
COMMENT = "Comment"

_XMP_ORIENTATION = re.compile(rb"(tiff:Orientation(?:=[\"']|>))\d")


@dataclass(frozen=True)
class Captions:
    """What is written about a picture, apart from EXIF.

    Attributes:
        xmp: an XMP packet, or None.
        iptc: an IPTC-IIM record as newspapers and agencies use it, or None.
        texts: names and texts. The comment of a JPEG or GIF has the name "Comment".
    """

    xmp: bytes | None = None
    iptc: bytes | None = None
    texts: tuple[tuple[str, str], ...] = ()


def find_captions(
    image: Pillow.Image | None, tiff_tags: Mapping[int, Any], png_texts: Mapping[str, str]
) -> Captions:
    """What is written about a picture that was loaded.

    The orientation that XMP states becomes 1, because pictures are turned upright.

    Args:
        image: the picture, or None for a TIFF that Pillow cannot open.
        tiff_tags: the tags of a TIFF.
        png_texts: the texts of a PNG.
    """
    info = image.info if image else {}
    xmp = _as_bytes(info.get("xmp") or tiff_tags.get(TIFF_XMP))
    photoshop = info.get("photoshop")
    iptc = photoshop.get(PHOTOSHOP_IPTC) if isinstance(photoshop, dict) else None
    texts = dict(png_texts)
    if found := _parse_raw_profile(texts.get(PNG_IPTC, "")):
        iptc = found
        del texts[PNG_IPTC]
    if not texts and (comment := _as_bytes(info.get("comment"))):
        try:
            texts = {COMMENT: comment.decode()}
        except UnicodeDecodeError:
            texts = {COMMENT: comment.decode("latin-1")}
    return Captions(
        orient_xmp(xmp, 1) if xmp else None,
        _as_bytes(iptc or tiff_tags.get(TIFF_IPTC)),
        tuple(texts.items()),
    )


def orient_xmp(xmp: bytes, orientation: int) -> bytes:
    """Change the orientation that XMP states, if it does, to another of EXIF's numbers."""
    return _XMP_ORIENTATION.sub(rb"\g<1>%d" % orientation, xmp)


def _as_bytes(value: object) -> bytes | None:
    if isinstance(value, str):
        return value.encode()
    return bytes(value) if isinstance(value, bytes | bytearray) and value else None


def jpeg_segment(iptc: bytes) -> bytes:
    """The segment APP13 of a JPEG, in which Photoshop puts IPTC."""
    content = b"Photoshop 3.0\0" + _photoshop_resource(iptc)
    return b"\xff\xed" + struct.pack(">H", len(content) + 2) + content


def _photoshop_resource(iptc: bytes) -> bytes:
    start = b"8BIM" + struct.pack(">HHI", PHOTOSHOP_IPTC, 0, len(iptc))
    return start + iptc + bytes(len(iptc) % 2)


def png_profile(iptc: bytes) -> str:
    """The text of a PNG in which ImageMagick puts IPTC, and where ExifTool looks for it."""
    data = _photoshop_resource(iptc)
    digits = data.hex()
    lines = [digits[start : start + 72] for start in range(0, len(digits), 72)]
    return "\n".join(["", "iptc", f"{len(data):8}", *lines, ""])


def _parse_raw_profile(text: str) -> bytes | None:
    """The IPTC in such a text, which may be a resource of Photoshop or bare; None without any."""
    _, _, digits = text.strip().partition("\n")[2].partition("\n")
    try:
        data = bytes.fromhex(digits)
    except ValueError:
        return None
    if data.startswith(b"\x1c"):  # the mark of IPTC's data sets
        return data
    place = data.find(b"8BIM" + struct.pack(">HH", PHOTOSHOP_IPTC, 0))  # its name is empty
    if place < 0:
        return None
    size = int.from_bytes(data[place + 8 : place + 12], "big")
    return data[place + 12 : place + 12 + size] or None
