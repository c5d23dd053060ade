"""Videos that are damaged on purpose."""

from pathlib import Path

import pytest

av = pytest.importorskip("av")


# Bytes of a packet that are left: the length before a part of H.264, Matroska's block header.
HEADERS = {".mp4": 4, ".mkv": 12, ".h264": 12}


def spoil(path: Path, place: int, begin: float = 0.5) -> Path:
    """Overwrite one packet from a part of its length on, and return the damaged copy."""
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    position, size = packets[place]
    first = position + min(size, max(HEADERS.get(path.suffix, 4), int(size * begin)))
    data = bytearray(path.read_bytes())
    data[first : position + size] = bytes(position + size - first)
    damaged = path.with_name(f"damaged-{path.name}")
    damaged.write_bytes(data)
    return damaged


def cut(path: Path, place: int) -> Path:
    """A copy of a file that ends in the middle of a packet."""
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    position, size = packets[place]
    short = path.with_name(f"cut-{path.name}")
    short.write_bytes(path.read_bytes()[: position + size // 2])
    return short
