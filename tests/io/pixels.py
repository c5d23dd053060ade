"""Pictures that the tests of picture files need."""

import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL.PngImagePlugin import putchunk


def noise(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    """Levels of the whole range of an integer type, the same in every run."""
    rng = np.random.default_rng(sum(shape))
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def save_png(path: Path, header: bytes, chunks: list[tuple[bytes, bytes]], rows: bytes) -> None:
    """Write a PNG from the content of its chunks.

    Args:
        path: where to write.
        header: the chunk IHDR.
        chunks: names and contents of the chunks between the header and the pixels.
        rows: the pixels before compression, each row behind the byte of its filter.
    """
    file = BytesIO()
    file.write(b"\x89PNG\r\n\x1a\n")
    for name, data in (
        (b"IHDR", header),
        *chunks,
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ):
        putchunk(file, name, data)
    path.write_bytes(file.getvalue())
