"""Whether a file has the bytes that its header declares, found out before memory is taken.

A file of a few hundred bytes can declare a gigapixel, either because it was cut off or to bring
the machine down. For each format there is a least number of bytes that so many pixels need.
WebP, AVIF and JPEG 2000 are not checked, because they hold a plain area of any size in a few bytes.
"""

from collections.abc import Mapping
from math import ceil

from PIL import ImageFile

# The most bytes that one byte can stand for.
DEFLATE = 1032  # RFC 1951: 258 bytes in two bits
LZW = 2731  # 4096 bytes in a code of 12 bits
# An 8x8 block of a JPEG takes a bit or more, and chroma may have 16 times the blocks of luma.
JPEG_PIXELS = 8192

_TIFF_RATIOS = {1: 1, 5: LZW, 8: DEFLATE, 32946: DEFLATE, 32773: 64}
_OLD_JPEG = 6  # compression, whose strips need not be listed
_SUBSAMPLED = 6  # photometric interpretation YCbCr, whose chroma may be stored smaller


def lacks_bytes(image: ImageFile.ImageFile, size: int) -> bool:
    """Whether an open picture declares more pixels than its file can hold.

    PNG and TIFF are not for this function, see :func:`enhance_cli.io.png.open_png` and
    :func:`tiff_lacks_bytes`.

    Args:
        image: the picture, whose header was read.
        size: the size of the file in bytes.
    """
    pixels = image.width * image.height
    if image.format in ("JPEG", "MPO"):
        return pixels > size * JPEG_PIXELS
    if image.format == "GIF":
        return pixels > size * LZW
    tile = image.tile[0] if image.tile else None
    if tile and image.format == "PPM" and tile.codec_name == "ppm_plain":
        return pixels > size
    if tile and image.format in ("BMP", "PPM") and tile.codec_name == "raw":
        raw_mode, stride, *_ = (*tile.args, 0) if isinstance(tile.args, tuple) else (tile.args, 0)
        bits = 1 if str(raw_mode).startswith("1") else 8 * len(image.getbands())
        row = stride or ceil(image.width * bits / 8)
        return bool(row * image.height > size - tile.offset)
    return False


def tiff_lacks_bytes(directory: Mapping[int, object], size: int) -> bool:
    """Whether a TIFF's first picture has too few strips or tiles, or these too few bytes.

    Args:
        directory: the tags of the first picture by number (TIFF 6.0, sections 3 and 15).
        size: the size of the file in bytes.
    """

    def number(tag: int, default: int) -> int:
        return numbers_of(directory, tag, default)[0]

    def numbers(tag: int) -> tuple[int, ...]:
        return numbers_of(directory, tag)

    width, height, samples = number(256, 0), number(257, 0), number(277, 1)
    depth = min(numbers(258) or (1,))
    planes = samples if number(284, 1) == 2 else 1
    tiled = 324 in directory
    across, down = number(322, width) if tiled else width, number(323 if tiled else 278, height)
    parts = ceil(width / max(across, 1)) * ceil(height / max(min(down, height), 1)) * planes
    if number(259, 1) == _OLD_JPEG:
        return False
    offsets, counts = numbers(324 if tiled else 273), numbers(325 if tiled else 279)
    if len(offsets) < parts or any(offset >= size for offset in offsets[:parts]):
        return True
    ratio = _TIFF_RATIOS.get(number(259, 1))
    if ratio is None or number(262, 1) == _SUBSAMPLED:
        return False
    stored = min(sum(counts[:parts]), size) if len(counts) >= parts and all(counts) else size
    return height * ceil(width * samples * depth / 8) > (stored + 8 * parts) * ratio


def numbers_of(directory: Mapping[int, object], tag: int, *default: int) -> tuple[int, ...]:
    """The whole numbers of a tag; ``default`` if there are none, or none that make sense."""
    value = directory.get(tag)
    values = value if isinstance(value, tuple | list) else (value,)
    return tuple(entry for entry in values if isinstance(entry, int)) or default
