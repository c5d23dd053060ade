"""The frames of a GIF as browsers compose them.

Pillow clears to the background colour of the file and into the palette of the first frame, where
browsers clear to transparency. So it only decodes here: each frame is handed to it as a picture.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import imageio.v3 as imageio
import numpy as np
from numpy.typing import NDArray

# What becomes of a frame after its time (GIF89a, section 23); programs write 4 for 3 too.
_CLEAR, _RESTORE = 2, (3, 4)


@dataclass(frozen=True)
class GifFrame:
    """One picture of a GIF, which covers a part of the canvas.

    Attributes:
        left, top, width, height: the part in pixels.
        disposal: what becomes of the part after the frame.
        seconds: how long the frame says that it stays.
        picture: a GIF of this picture alone.
    """

    left: int
    top: int
    width: int
    height: int
    disposal: int
    seconds: Fraction
    picture: bytes


@dataclass(frozen=True)
class Gif:
    """A GIF, taken apart.

    Attributes:
        width, height: the size of the canvas, at least that of the first frame.
        plays: how many times it is shown; 0 is for ever.
        frames: its frames, in order.
    """

    width: int
    height: int
    plays: int
    frames: tuple[GifFrame, ...]


def parse_gif(data: bytes) -> Gif:
    """Take a GIF apart. A file that is cut off gives the frames up to there.

    Raises:
        ValueError: if it has no frames.
    """
    frames: list[GifFrame] = []
    head = 13 + _table_bytes(data[10:11])
    control, plays, place = b"", 1, head
    while (mark := data[place : place + 1]) in (b"!", b","):
        if mark == b"!":
            end = _end_of_blocks(data, place + 2)
            label, block = data[place + 1], data[place + 3 : end]
            if label == 0xF9:
                control = data[place:end]
            elif label == 0xFF and block[:11] in (b"NETSCAPE2.0", b"ANIMEXTS1.0"):
                repeats = int.from_bytes(block[13:15], "little") if block[12:13] == b"\1" else None
                plays = plays if repeats is None else repeats + 1 if repeats else 0
        else:
            table = place + 10
            end = _end_of_blocks(data, table + _table_bytes(data[place + 9 : table]) + 1)
            frames.append(_frame(data, head, control, place, end))
            control = b""
        place = end
    if not frames:
        raise ValueError("no frames")
    width, height = _numbers(data[6:10])
    first = frames[0]
    return Gif(
        max(width, first.left + first.width),
        max(height, first.top + first.height),
        plays,
        tuple(frames),
    )


def _frame(data: bytes, head: int, control: bytes, place: int, end: int) -> GifFrame:
    """The frame whose descriptor is at a place, with the control block before it."""
    left, top, width, height = _numbers(data[place + 1 : place + 9])
    flags = control[3] if len(control) > 3 else 0
    screen = data[:6] + data[place + 5 : place + 9] + data[10:head]
    descriptor = b"," + bytes(4) + data[place + 5 : end]
    return GifFrame(
        left,
        top,
        width,
        height,
        disposal=flags >> 2 & 7,
        seconds=Fraction(int.from_bytes(control[4:6], "little"), 100),
        picture=screen + control + descriptor + b";",
    )


def _numbers(data: bytes) -> list[int]:
    return [int(number) for number in np.frombuffer(data, "<u2")]


def _table_bytes(flags: bytes) -> int:
    """The size of the table of colours that follows, by the flags that announce it."""
    return 3 << (flags[0] & 7) + 1 if flags and flags[0] & 128 else 0


def _end_of_blocks(data: bytes, place: int) -> int:
    """Where a row of blocks ends, each of which begins with its length."""
    while place < len(data) and data[place]:
        place += data[place] + 1
    return place + 1


def compose_gif(gif: Gif) -> Iterator[NDArray[np.uint8]]:
    """The canvas with each frame, (H, W, 4) RGBA with 8 bits.

    Raises:
        Exception: while iterating, whatever Pillow raises at a damaged frame.
    """
    canvas = np.zeros((gif.height, gif.width, 4), np.uint8)
    for frame in gif.frames:
        picture = imageio.imread(frame.picture, index=0, plugin="pillow", mode="RGBA")
        part = canvas[frame.top :, frame.left :][: frame.height, : frame.width]
        before = part.copy() if frame.disposal in _RESTORE else None
        picture = picture[: part.shape[0], : part.shape[1]]  # What lies outside is not shown.
        np.copyto(part, picture, where=picture[..., 3:] > 0)
        yield canvas.copy()
        if frame.disposal == _CLEAR:
            part[:] = 0
        elif before is not None:
            part[:] = before
