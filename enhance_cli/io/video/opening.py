"""Opening a video file, and whether it is whole."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from enhance_cli.errors import InputError, one_line
from enhance_cli.io.files import open_input

# Of the packets of transport streams, as broadcast, with the time before each, and with parity:
# their length and the place of the byte 0x47 with which they begin.
_TRANSPORT = ((188, 0), (192, 4), (204, 0))
_UNKNOWN_RIFF = (0, 0xFFFFFFFF)  # lengths that writers of AVI leave where they cannot go back


@contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """Open a video file for reading in a ``with`` statement.

    Raises:
        InputError: if it is absent, may not be read, is empty, or is in no known format.
    """
    with open_input(path, "a video"):  # FFmpeg does not tell so well what is wrong with a file.
        pass
    try:
        # The scheme is given because FFmpeg takes a name with a colon for an address.
        container = av.open(f"file:{path.absolute()}", "r", metadata_errors="replace")
    except (av.FFmpegError, ValueError) as error:
        raise InputError(
            f"{path}: not a video that can be read, or damaged; convert it to MP4 or Matroska"
        ) from error
    with container:
        yield container


def reason(error: Exception) -> str:
    """The reason that FFmpeg gives for an error, in one line."""
    return one_line(str(getattr(error, "strerror", None) or error))


def check_encryption(path: Path, packet: "av.Packet[Any]", stream: VideoStream) -> None:
    """Refuse a packet that cannot be decoded without a key.

    Raises:
        InputError: if the packet is encrypted.
    """
    if packet.has_sidedata("encryption_info") or str(stream.codec_context.codec_tag) == "encv":
        raise InputError(f"{path}: encrypted (DRM), an unencrypted copy is needed")


def is_cut_off(path: Path, stream: VideoStream) -> bool:
    """Whether a file is shorter than its index or its header says.

    FFmpeg takes the end of such a file for the end of the video. The index of an MP4 lists where
    each packet lies; Matroska (EBML) and AVI (RIFF) begin with their own length; a transport stream
    consists of packets of one length.
    """
    length = path.stat().st_size
    if any(entry.pos + entry.size > length for entry in stream.index_entries):
        return True
    with path.open("rb") as file:
        head = file.read(4096)
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return _is_short_matroska(head, length)
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        size = struct.unpack("<I", head[4:8])[0]
        return size not in _UNKNOWN_RIFF and 8 + size > length
    for step, place in _TRANSPORT:
        if len(head) > 4 * step and all(head[place + step * n] == 0x47 for n in range(4)):
            return length % step != 0
    return False


def _is_short_matroska(head: bytes, length: int) -> bool:
    header, width = _ebml_size(head, 4)
    place = 4 + width + (header or 0)
    if head[place : place + 4] != b"\x18\x53\x80\x67":
        return False
    size, width = _ebml_size(head, place + 4)
    return size is not None and place + 4 + width + size > length


def _ebml_size(data: bytes, place: int) -> tuple[int | None, int]:
    """Read a size in EBML's variable length (RFC 8794, section 6).

    Returns:
        The size, None if the file leaves it open; and how many bytes it takes.
    """
    if place >= len(data) or not data[place]:
        return None, 1
    width = 9 - data[place].bit_length()
    value = int.from_bytes(data[place : place + width], "big") & ((1 << 7 * width) - 1)
    return (None if value == (1 << 7 * width) - 1 else value), width
