"""Small animated pictures."""

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

PALETTE = {"black": (0, 0, 0), "red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


class Part(NamedTuple):
    """A frame of a GIF: one colour over a part of the canvas, with a hole in its first column."""

    colour: str
    left: int
    top: int
    width: int
    height: int
    disposal: int = 0
    delay: int = 10
    hole: bool = False


def draw(size: tuple[int, int], *parts: tuple[str, int, int, int, int]) -> np.ndarray:
    """(H, W, 4) RGBA: rectangles of a colour, from left and top to right and bottom, on nothing."""
    drawn = np.zeros((size[1], size[0], 4), np.uint8)
    for colour, left, top, right, bottom in parts:
        drawn[top:bottom, left:right] = (*PALETTE[colour], 255)
    return drawn


def on_white(picture: np.ndarray) -> np.ndarray:
    """(H, W, 3) of a picture in which everything is seen or not, with white where it is not."""
    return np.where(picture[..., 3:] > 0, picture[..., :3], 255).astype(np.uint8)


def make_gif(
    path: Path, size: tuple[int, int], parts: Sequence[Part], repeats: int | None = None
) -> Path:
    """A GIF, byte by byte: other writers do not make all that the format has."""
    names = list(PALETTE)
    table = b"".join(bytes(PALETTE[name]) for name in names)
    # The background colour is red; browsers show none of it.
    data = b"GIF89a" + struct.pack("<HHBBB", *size, 0x80 | 1, 1, 0) + table
    if repeats is not None:
        data += b"!\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<H", repeats) + b"\0"
    for part in parts:
        pixels = np.full((part.height, part.width), names.index(part.colour), np.uint8)
        if part.hole:
            pixels[:, 0] = 0
        flags = part.disposal << 2 | part.hole  # the colour 0 is transparent where there is a hole
        data += b"!\xf9\x04" + struct.pack("<BHB", flags, part.delay, 0) + b"\0"
        data += b"," + struct.pack("<HHHHB", *part[1:5], 0) + b"\x07"
        # Codes of 8 bits are bytes as long as the table of LZW is cleared in time.
        codes = pixels.tobytes()
        chunks = [b"\x80" + codes[at : at + 100] for at in range(0, len(codes), 100)]
        for chunk in [*chunks, b"\x81"]:
            data += bytes([len(chunk)]) + chunk
        data += b"\0"
    path.write_bytes(data + b";")
    return path


def make_animation(
    path: Path,
    pictures: Sequence[np.ndarray],
    milliseconds: Sequence[int],
    plays: int = 0,
    **more: object,
) -> Path:
    """A WebP, APNG or AVIF of pictures (H, W, 3 or 4), without loss but for AVIF."""
    frames = [Image.fromarray(picture) for picture in pictures]
    options = {".webp": {"lossless": True, "exact": True}, ".avif": {"quality": 100}}
    frames[0].save(
        path,
        {".apng": "PNG"}.get(path.suffix),
        save_all=True,
        append_images=frames[1:],
        duration=list(milliseconds),
        loop=plays,
        **options.get(path.suffix, {}),
        **more,
    )
    return path
