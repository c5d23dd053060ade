"""The chunks of a PNG: damaged ones are left out before it is decoded, and others are added."""

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import IO, Any

from PIL.PngImagePlugin import PngInfo, PngStream, is_cid, putchunk

from enhance_cli.io.captions import PNG_IPTC, PNG_XMP, Captions, png_profile
from enhance_cli.io.completeness import DEFLATE

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Chunks of animations: their order matters, and they are not left out one by one.
_ANIMATION = frozenset({b"acTL", b"fcTL", b"fdAT"})


@dataclass(frozen=True)
class StoredPng:
    """A PNG that can be decoded, and what its decoders do not tell.

    Attributes:
        file: the file itself, or a copy in memory without the chunks that were left out.
        left_out: the names of chunks that were left out, each once.
        lacks_bytes: whether there are too few bytes for the pixels that the header declares.
        cicp: the content of the chunk cICP, the code points of the colours; None without one.
        info: what Pillow takes from the chunks, also from those behind the pixels.
        texts: the texts by their names.
    """

    file: IO[bytes]
    left_out: tuple[str, ...] = ()
    lacks_bytes: bool = False
    cicp: bytes | None = None
    info: Mapping[Any, Any] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)


def open_png(file: IO[bytes]) -> StoredPng | None:
    """Look through the chunks of a PNG; None if the file is no PNG.

    PNG calls chunks "ancillary" that are not needed to show the pixels: texts, resolution, times.
    One of these that is damaged is no reason to refuse a picture (PNG specification, third
    edition, section 13.2), but Pillow would do so.
    """
    file.seek(0)
    if file.read(len(SIGNATURE)) != SIGNATURE:
        file.seek(0)
        return None
    parser = PngStream(BytesIO())
    kept, left_out = [(0, len(SIGNATURE))], dict[str, None]()
    declared, stored, cicp = 0, 0, None
    while len(head := file.read(8)) == 8:
        length, name = struct.unpack(">I4s", head)
        start = file.tell() - 8
        if not is_cid(name):
            break  # The decoder will say what is wrong.
        if name == b"IDAT":
            stored += length
        ancillary = name[0:1].islower()
        if ancillary or name == b"IHDR":
            data, checksum = file.read(length), file.read(4)
            whole = len(checksum) < 4 or zlib.crc32(name + data) == int.from_bytes(checksum, "big")
            if ancillary and not (whole and _can_be_parsed(parser, name, data)):
                left_out[name.decode()] = None
                continue
            if name == b"IHDR" and _can_be_parsed(parser, name, data):
                declared = _pixel_bytes(data)
            cicp = data if name == b"cICP" and length == 4 else cicp
        else:
            file.seek(length + 4, 1)
        kept.append((start, start + length + 12))
    if left_out:
        file = _copy(file, kept)
    file.seek(0)
    return StoredPng(
        file,
        tuple(left_out),
        declared > stored * DEFLATE,
        cicp,
        parser.im_info,
        {name: str(text) for name, text in parser.im_text.items() if name != PNG_XMP},
    )


def _pixel_bytes(header: bytes) -> int:
    """The bytes of the pixels before compression, without those that name the filters."""
    width, height, depth, colour_type = struct.unpack(">IIBB", header[:10])
    channels = {2: 3, 4: 2, 6: 4}.get(colour_type, 1)
    return int(height * (width * depth * channels // 8))


def _can_be_parsed(parser: PngStream, name: bytes, data: bytes) -> bool:
    """Whether Pillow takes a chunk. The parser knows the chunks before, as some depend on them."""
    handle = getattr(parser, f"chunk_{name.decode()}", None)
    if handle is None or name in _ANIMATION:
        return True
    parser.fp = BytesIO(data)
    try:
        handle(0, len(data))
    except Exception:  # whatever the content of the chunk led to
        return False
    return True


def _copy(file: IO[bytes], ranges: list[tuple[int, int]]) -> BytesIO:
    copy = BytesIO()
    for start, end in ranges:
        file.seek(start)
        copy.write(file.read(end - start))
    return copy


def finish_png(
    data: bytes,
    dpi: tuple[float, float] | None,
    density: tuple[int, int] | None,
    captions: Captions,
    exif: bytes | None = None,
) -> bytes:
    """Give an encoded PNG its resolution, or none, and what is written about it.

    Args:
        data: the file, whose own resolution is replaced: libvips writes one in any case.
        dpi: pixels per inch across and down, or None.
        density: the ratio of the pixels' sides, see :class:`enhance_cli.io.picture.Picture`.
        captions: XMP, IPTC and texts.
        exif: EXIF in Pillow's byte form that replaces the file's own: libvips writes only the tags
            that it knows. None leaves that as it is.
    """
    added, info = BytesIO(), PngInfo()
    if dpi or density:
        across, down = (round(value / 0.0254) for value in dpi) if dpi else density or (1, 1)
        putchunk(added, b"pHYs", struct.pack(">IIB", across, down, dpi is not None))
    for name, text in captions.texts:
        info.add_text(name, text)  # as international text where Latin-1 does not suffice
    if captions.iptc:
        info.add_text(PNG_IPTC, png_profile(captions.iptc), zip=True)
    if captions.xmp:
        info.add(b"iTXt", PNG_XMP.encode() + bytes(5) + captions.xmp)
    if exif:
        info.add(b"eXIf", exif.removeprefix(b"Exif\0\0"))
    replaced = (b"pHYs", b"eXIf") if exif else (b"pHYs",)
    for chunk in info.chunks:
        putchunk(added, *chunk[:2])
    place = header_end = len(SIGNATURE) + 25
    parts = [data[:header_end], added.getvalue()]
    while (kind := data[place + 4 : place + 8]) != b"IDAT":
        start, place = place, place + 12 + int.from_bytes(data[place : place + 4], "big")
        parts.append(b"" if kind in replaced else data[start:place])
    return b"".join([*parts, data[place:]])
