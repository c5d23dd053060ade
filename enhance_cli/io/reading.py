"""Read pictures from files.

Pillow reads whatever has 8 bits. libvips reads PNG and TIFF of 16 bits, which Pillow would reduce
to 8, and is imported when it is first needed.

Some things are not read: XMP, the pages of a TIFF after the first, and the bits beyond 8 of AVIF
and of JPEG 2000 in colour, which Pillow rounds away.
"""

import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageFile, UnidentifiedImageError

from enhance_cli.errors import InputError
from enhance_cli.io.files import open_input
from enhance_cli.io.libraries import import_pyvips, pillow_setting
from enhance_cli.io.metadata import (
    clean_exif,
    find_exif,
    find_orientation,
    find_tiff_exif,
    to_srgb,
    turn_upright,
    usable_profile,
)
from enhance_cli.io.picture import Picture, Samples, round_to_8_bits

READABLE_SUFFIXES = frozenset(
    {
        ".png",
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".mpo",
        ".tif",
        ".tiff",
        ".webp",
        ".bmp",
        ".gif",
        ".avif",
        ".jp2",
        ".j2k",
        ".jpx",
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
    }
)
# Pillow knows more formats, but some of them are programs (EPS) and others have no signature.
READABLE_FORMATS = (
    "PNG",
    "JPEG",
    "MPO",
    "TIFF",
    "WEBP",
    "BMP",
    "GIF",
    "AVIF",
    "JPEG2000",
    "PPM",
)
ANIMATED_FORMATS = frozenset({"PNG", "WEBP", "GIF", "AVIF"})
TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
PIXEL_LIMIT = 10**9  # a file of a few kilobytes can ask for any amount of memory

# What Pillow's modes are converted to. The modes that are left out cannot be read.
PLAIN_MODES = {"1": "L", "L": "L", "P": "RGB", "RGB": "RGB", "RGBX": "RGB"}
ALPHA_MODES = {
    "1": "LA",
    "L": "LA",
    "LA": "LA",
    "La": "LA",
    "P": "RGBA",
    "PA": "RGBA",
    "RGB": "RGBA",
    "RGBA": "RGBA",
    "RGBa": "RGBA",
}
CONVERTED_MODES = frozenset({"CMYK", "LAB", "YCbCr", "HSV"})
CONVERTED_INTERPRETATIONS = frozenset({"cmyk", "lab", "labs"})  # of libvips


def find_images(
    folder: Path, recursive: bool = False, suffixes: Collection[str] = READABLE_SUFFIXES
) -> list[Path]:
    """List the pictures of a folder in the order of their paths, without hidden files.

    Args:
        folder: where to look. A folder that does not exist holds no pictures.
        recursive: whether to look into the folders inside too.
        suffixes: suffixes of the files that count as pictures, in lower case.
    """
    walk = folder.rglob("*") if recursive else folder.glob("*")
    return sorted(
        path
        for path in walk
        if path.suffix.lower() in suffixes
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )


def read_image(path: Path) -> Picture:
    """Read a picture, whole or not at all.

    8 and 16 bits, grey and transparency stay as they are. A palette becomes RGB, black and white
    becomes grey, and CMYK and LAB become sRGB by their profile. The picture is turned upright as
    its EXIF says. If a TIFF or MPO holds several pictures, the first one is read.

    Args:
        path: the file. Its content tells the format, whatever its suffix is.

    Raises:
        InputError: if the file does not exist, is no picture, is damaged, animated or larger than
            a gigapixel, or if its samples are not unsigned integers of 8 or 16 bits.
    """
    with open_input(path, "a picture") as file, _patient_pillow():
        image = _identify(path, file)
        if image is None:
            return _read_deep(path, "TIFF", find_tiff_exif(file))
        with image:
            assert image.format is not None
            with _decoding(path):
                _check_kind(path, image)
            if _is_deep(image):
                return _read_deep(path, image.format, find_exif(image), _find_dpi(image))
            return _read_plain(path, image, image.format)


def read_rgb8(path: Path) -> NDArray[np.uint8]:
    """Read a picture as RGB of 8 bits, (H, W, 3): 16 bits are rounded, and alpha is left out.

    Raises:
        InputError: see :func:`read_image`.
    """
    pixels = round_to_8_bits(read_image(path).pixels)
    return np.repeat(pixels, 3 // pixels.shape[2], axis=2)


@contextmanager
def _patient_pillow() -> Iterator[None]:
    """Silence Pillow's warnings, and let it refuse only pictures above ``PIXEL_LIMIT``."""
    # Pillow warns above its setting, and refuses above twice of it.
    with pillow_setting(Pillow, "MAX_IMAGE_PIXELS", PIXEL_LIMIT // 2), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _decoding(path: Path) -> Iterator[None]:
    try:
        yield
    except Pillow.DecompressionBombError as error:
        raise InputError(_too_many_pixels(path)) from error
    except MemoryError as error:
        raise InputError(f"{path}: too large for the memory of this machine") from error
    except InputError:
        raise
    except Exception as error:  # Pillow's decoders raise whatever their damaged input leads to.
        raise InputError(
            f"{path}: damaged or cut off ({_one_line(error)}), get a fresh copy"
        ) from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _too_many_pixels(path: Path) -> str:
    return f"{path}: more than {PIXEL_LIMIT:,} pixels, cut it into parts"


def _identify(path: Path, file: IO[bytes]) -> ImageFile.ImageFile | None:
    """Read the header; None means a TIFF of a kind that only libvips knows."""
    Pillow.init()
    known = [name for name in READABLE_FORMATS if name in Pillow.OPEN]
    with _decoding(path):
        try:
            return Pillow.open(file, formats=known)
        except UnidentifiedImageError as error:
            file.seek(0)
            if file.read(4) in TIFF_SIGNATURES:
                return None
            raise InputError(
                f"{path}: not a picture that can be read, or damaged; convert it to PNG or JPEG"
            ) from error


def _check_kind(path: Path, image: ImageFile.ImageFile) -> None:
    if image.format in ANIMATED_FORMATS and getattr(image, "is_animated", False):
        raise InputError(
            f"{path}: animated {image.format} of several frames, save the one you want as PNG"
        )
    if image.format == "TIFF" and _is_preview(image):
        raise InputError(
            f"{path}: begins with a reduced preview, as camera RAW files do; develop it to a "
            "16-bit TIFF or PNG"
        )
    depth = {"I": "32-bit integer", "F": "floating-point"}.get(image.mode)
    codec = str(image.tile[0].args) if image.tile else ""
    if image.format == "PPM" and (image.mode == "I" or _ppm_maximum(image) > 255):
        depth = "16-bit PPM"
    elif "I;12" in codec:
        depth = "12-bit"
    if depth and not (image.format == "TIFF" and ";16" in codec):
        raise InputError(f"{path}: {depth} samples, convert it to a 16-bit PNG or TIFF")


def _is_preview(image: ImageFile.ImageFile) -> bool:
    """Whether a TIFF's first picture says that it is a smaller version of another (tag 254)."""
    subfile_type = image.tag_v2.get(254, 0)  # type: ignore[attr-defined]
    return isinstance(subfile_type, int) and bool(subfile_type & 1)


def _ppm_maximum(image: ImageFile.ImageFile) -> int:
    args = image.tile[0].args if image.tile else None
    return int(args[-1]) if isinstance(args, tuple) and isinstance(args[-1], int) else 255


def _is_deep(image: ImageFile.ImageFile) -> bool:
    """Whether Pillow would reduce 16 bits to 8, or mix them up."""
    return image.format in ("PNG", "TIFF") and any(";16" in str(tile.args) for tile in image.tile)


def _find_dpi(image: ImageFile.ImageFile) -> tuple[float, float] | None:
    try:
        across, down = (float(value) for value in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    plausible = all(isfinite(value) and 1 <= value <= 65_535 for value in (across, down))
    return (across, down) if plausible else None


def _read_plain(path: Path, image: ImageFile.ImageFile, format_: str) -> Picture:
    """Decode with Pillow: 8 bits, or grey JPEG 2000 of more, which it scales to 16 bits."""
    with _decoding(path):
        image.load()
    exif = find_exif(image)  # after loading: a TIFF is then turned already, and says so
    profile = None if image.mode in CONVERTED_MODES else image.info.get("icc_profile")
    with _decoding(path):
        planes = np.asarray(_in_plain_mode(path, image))
    planes = planes.astype(planes.dtype.newbyteorder("="), copy=False)
    return _picture(planes, format_, exif, profile, _find_dpi(image))


def _in_plain_mode(path: Path, image: Pillow.Image) -> Pillow.Image:
    """Convert a picture to the mode L, LA, RGB, RGBA or I;16."""
    if image.mode.startswith("I;16"):
        return image
    if image.mode in CONVERTED_MODES:
        return to_srgb(image)
    modes = ALPHA_MODES if image.has_transparency_data else PLAIN_MODES
    if image.mode not in modes:
        raise InputError(f"{path}: colour mode {image.mode!r}, convert it to RGB")
    return image if image.mode == modes[image.mode] else image.convert(modes[image.mode])


def _read_deep(
    path: Path, format_: str, exif: Pillow.Exif, dpi: tuple[float, float] | None = None
) -> Picture:
    """Decode with libvips, which keeps 16 bits."""
    pyvips = import_pyvips(path, InputError)
    try:
        with path.open("rb", buffering=0) as file:
            image = _open_with_vips(pyvips, file)
            profile = _vips_blob(image, "icc-profile-data")
            planes = _in_plain_space(path, image, profile).numpy()
    except pyvips.Error as error:
        reason = str(error).strip().splitlines()[-1]  # earlier lines may tell of earlier files
        raise InputError(
            f"{path}: damaged, cut off or unusual ({reason.strip()}), get a fresh copy or "
            "convert it to a 16-bit PNG"
        ) from error
    planes = planes.reshape(image.height, image.width, -1)
    if image.interpretation in CONVERTED_INTERPRETATIONS:
        profile = None
    return _picture(planes, format_, exif, profile, dpi)


def _open_with_vips(pyvips: Any, file: IO[bytes]) -> Any:
    """Open a file by its descriptor: libvips finds options in file names, and caches by name."""

    def open_at(level: str) -> Any:
        source = pyvips.Source.new_from_descriptor(file.fileno())
        return pyvips.Image.new_from_source(source, "", access="sequential", fail_on=level)

    image = open_at("error")
    # To libvips a strip that cannot be decoded is an error, but a tile only a warning.
    return open_at("warning") if image.get_typeof("tile-width") else image


def _in_plain_space(path: Path, image: Any, profile: bytes | None) -> Any:
    """Convert an image of libvips to grey or RGB of 8 or 16 bits; nothing is decoded yet."""
    if image.width * image.height > PIXEL_LIMIT:
        raise InputError(_too_many_pixels(path))
    if image.interpretation == "cmyk" and profile:
        image = image.icc_transform("srgb", embedded=True, depth=16)
    elif image.interpretation in CONVERTED_INTERPRETATIONS:
        image = image.colourspace("rgb16")
    if image.format not in ("uchar", "ushort") or not 1 <= image.bands <= 4:
        raise InputError(
            f"{path}: {image.bands} channels of {image.format} samples, "
            "convert it to a 16-bit PNG or TIFF, grey or RGB"
        )
    return image


def _vips_blob(image: Any, name: str) -> bytes | None:
    return bytes(image.get(name)) if image.get_typeof(name) else None


def _picture(
    planes: Samples,
    format_: str,
    exif: Pillow.Exif,
    profile: bytes | None,
    dpi: tuple[float, float] | None,
) -> Picture:
    """Turn planes (H, W) or (H, W, 1 to 4) upright; the last one of 2 or 4 is the alpha."""
    planes = planes if planes.ndim == 3 else planes[..., None]
    orientation = find_orientation(exif)
    channels = {1: 1, 2: 1, 3: 3, 4: 3}[planes.shape[2]]
    pixels = turn_upright(planes[..., :channels], orientation)
    alpha = turn_upright(planes[..., -1], orientation) if planes.shape[2] > channels else None
    return Picture(pixels, alpha, usable_profile(profile, channels), clean_exif(exif), format_, dpi)
