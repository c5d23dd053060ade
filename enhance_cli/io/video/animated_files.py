"""The files of animated pictures: GIF, WebP and APNG.

Pillow encodes each frame as a picture of its own, and what it makes is put into the file here. Its
own writers of animations, and imageio's, hold all frames in memory; here it is one at a time.
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from enhance_cli.defaults import QUALITY
from enhance_cli.io.video.gif import parse_gif

HIDDEN = 255  # the place in a GIF's table of colours that stands for transparency
_KEEP, _CLEAR = 1, 2  # what becomes of a frame of a GIF after its time


@dataclass(frozen=True)
class Patch:
    """What changes with a frame.

    Attributes:
        pixels: (H, W, 3) or (H, W, 4) with 8 bits; the fourth channel is transparency.
        left, top: the place of its first pixel on the canvas, even numbers.
        unchanged: (H, W), what is as in the frame before.
        seconds: how long the frame stays.
    """

    pixels: NDArray[np.uint8]
    left: int
    top: int
    unchanged: NDArray[np.bool_]
    seconds: Fraction


@dataclass(frozen=True)
class Film:
    """An animated picture to be written.

    Attributes:
        width, height: the size of the canvas in pixels.
        alpha: whether there is transparency.
        plays: how many times it is shown; 0 is for ever.
        count: the number of frames.
        patches: the frames. The first one covers the canvas.
    """

    width: int
    height: int
    alpha: bool
    plays: int
    count: int
    patches: Iterator[Patch]


def write_gif(file: IO[bytes], film: Film) -> None:
    """Write a GIF; its frames have 255 colours each, and pixels are seen or not."""
    file.write(b"GIF89a" + struct.pack("<HHBBB", film.width, film.height, 0x70, 0, 0))
    if film.plays != 1:
        repeats = min(max(film.plays - 1, 0), 65_535)
        file.write(b"!\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<H", repeats) + b"\0")
    for patch in film.patches:
        hidden = patch.pixels[..., 3] < 128 if film.alpha else patch.unchanged
        still = BytesIO()
        # Pillow shall neither sort out colours nor order the lines.
        _paletted(patch.pixels[..., :3], hidden).save(still, "GIF", optimize=False, interlace=0)
        picture = parse_gif(still.getvalue()).frames[0].picture
        # What is transparent must show nothing of the frame before.
        flags = (_CLEAR if film.alpha else _KEEP) << 2 | 1
        file.write(b"!\xf9\x04" + struct.pack("<BHB", flags, round(patch.seconds * 100), HIDDEN))
        height, width = hidden.shape
        file.write(b"\0," + struct.pack("<HHHHB", patch.left, patch.top, width, height, 0x87))
        table = 13 + 256 * 3  # what is before it says the size
        file.write(picture[13:table] + picture[table + 10 : -1])
    file.write(b";")


def _paletted(pixels: NDArray[np.uint8], hidden: NDArray[np.bool_]) -> Pillow.Image:
    """Pixels (H, W, 3) reduced to 255 colours of their own, and one that stands for none."""
    colours = Pillow.fromarray(np.ascontiguousarray(pixels))
    seen = pixels[~hidden]
    sample = Pillow.fromarray(seen[None] if len(seen) else pixels)
    table = (sample.quantize(HIDDEN, Pillow.Quantize.MEDIANCUT).getpalette() or [])[: 3 * HIDDEN]
    table += table[:3] * (256 - len(table) // 3)
    palette = Pillow.new("P", (1, 1))
    palette.putpalette(table)
    places = np.array(colours.quantize(palette=palette, dither=Pillow.Dither.FLOYDSTEINBERG))
    places[places == HIDDEN] = 0  # the same colour
    places[hidden] = HIDDEN
    reduced = Pillow.fromarray(places)
    reduced.putpalette(table)
    return reduced


def write_webp(file: IO[bytes], film: Film) -> None:
    """Write an animated WebP with the quality that pictures get."""
    flags = 0x02 | (0x10 if film.alpha else 0)
    size = _threes(film.width - 1, film.height - 1)
    file.write(b"RIFF\0\0\0\0WEBP" + _riff(b"VP8X", bytes([flags, 0, 0, 0]) + size))
    file.write(_riff(b"ANIM", struct.pack("<IH", 0, min(film.plays, 65_535))))
    for patch in film.patches:
        still = BytesIO()
        Pillow.fromarray(patch.pixels).save(still, "WEBP", quality=QUALITY)
        data, place, chunks = still.getvalue(), 12, b""
        while place < len(data):
            name, length = struct.unpack("<4sI", data[place : place + 8])
            end = place + 8 + length + length % 2
            if name in (b"ALPH", b"VP8 ", b"VP8L"):
                chunks += data[place:end]
            place = end
        height, width = patch.unchanged.shape
        frame = _threes(patch.left // 2, patch.top // 2, width - 1, height - 1)
        milliseconds = _threes(round(patch.seconds * 1000))
        file.write(_riff(b"ANMF", frame + milliseconds + b"\x02" + chunks))  # 2: nothing is blended
    length = file.tell() - 8
    file.seek(4)
    file.write(struct.pack("<I", length))


def _threes(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(3, "little") for number in numbers)


def _riff(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


def write_apng(file: IO[bytes], film: Film) -> None:
    """Write an animated PNG, without any loss."""
    number = 0
    for place, patch in enumerate(film.patches):
        still = BytesIO()
        Pillow.fromarray(patch.pixels).save(still, "PNG")
        chunks = list(_png_chunks(still.getvalue()))
        if place == 0:
            file.write(b"\x89PNG\r\n\x1a\n" + _png(*chunks[0]))
            file.write(_png(b"sRGB", b"\0"))
            file.write(_png(b"acTL", struct.pack(">II", film.count, film.plays)))
        height, width = patch.unchanged.shape
        delay = apng_delay(patch.seconds)
        control = (number, width, height, patch.left, patch.top, delay.numerator, delay.denominator)
        file.write(_png(b"fcTL", struct.pack(">IIIIIHHBB", *control, 0, 0)))
        number += 1
        for name, data in chunks:
            if name == b"IDAT" and place == 0:
                file.write(_png(name, data))
            elif name == b"IDAT":
                file.write(_png(b"fdAT", struct.pack(">I", number) + data))
                number += 1
    file.write(_png(b"IEND", b""))


def apng_delay(seconds: Fraction) -> Fraction:
    """The nearest time that an APNG holds: a fraction of two numbers of 16 bits."""
    most = min(65_535, int(65_535 / seconds))
    return min(seconds, Fraction(65_535)).limit_denominator(max(1, most))


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 8
    while place < len(data):
        length, name = struct.unpack(">I4s", data[place : place + 8])
        yield name, data[place + 8 : place + 8 + length]
        place += length + 12


def _png(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


@dataclass(frozen=True)
class AnimationFormat:
    """What a format of animated pictures can hold.

    Attributes:
        name: the name that users know.
        write: writes such a file.
        max_side: the largest width and height in pixels.
        least: the shortest time of a frame, in seconds: browsers show what is shorter too long.
        most: the longest time of a frame, in seconds.
        unit: what times are rounded to, in seconds; None if they are kept.
    """

    name: str
    write: Callable[[IO[bytes], Film], None]
    max_side: int
    least: Fraction
    most: Fraction
    unit: Fraction | None = None


_CENTI, _MILLI = Fraction(1, 100), Fraction(1, 1000)
ANIMATIONS = {
    ".gif": AnimationFormat("GIF", write_gif, 65_535, 2 * _CENTI, 65_535 * _CENTI, _CENTI),
    ".webp": AnimationFormat("WebP", write_webp, 16_383, 11 * _MILLI, (2**24 - 1) * _MILLI, _MILLI),
    ".apng": AnimationFormat("APNG", write_apng, 2**31 - 1, 11 * _MILLI, Fraction(65_535)),
}
