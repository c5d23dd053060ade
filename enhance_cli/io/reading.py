"""Read pictures from files.

Pillow reads whatever has 8 bits. libvips reads PNG and TIFF of 16 bits, which Pillow would reduce
to 8, and TIFF whose channels are stored apart; it is imported when it is first needed.

Some things are not read: the pages of a TIFF after the first, and the bits beyond 8 of AVIF and of
JPEG 2000 in colour, which Pillow rounds away.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageFile, UnidentifiedImageError

from enhance_cli.errors import InputError
from enhance_cli.io.captions import find_captions
from enhance_cli.io.colour_tags import (
    ColourTagError,
    avif_code_points,
    profile_of_code_points,
    profile_of_gamma,
)
from enhance_cli.io.completeness import lacks_bytes, numbers_of, tiff_lacks_bytes
from enhance_cli.io.files import open_input
from enhance_cli.io.libraries import pillow_setting
from enhance_cli.io.metadata import (
    clean_exif,
    find_density,
    find_dpi,
    find_exif,
    find_orientation,
    find_tiff_exif,
    find_tiff_tags,
    to_srgb,
    turn_upright,
    usable_profile,
)
from enhance_cli.io.picture import Picture, Samples, round_to_8_bits
from enhance_cli.io.png import StoredPng, open_png
from enhance_cli.io.vips_reading import TiffLayout, decode_with_vips

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
RGB = 2  # photometric interpretation of TIFF
JPEG_END = b"\xff\xd9"
NOTHING: Mapping[Any, Any] = MappingProxyType({})


def _ignore(_notice: str) -> None:
    pass


def read_image(path: Path, notice: Callable[[str], None] = _ignore) -> Picture:
    """Read a picture, whole or not at all.

    8 and 16 bits, grey and transparency stay as they are. A palette becomes RGB, black and white
    becomes grey, and CMYK and LAB become sRGB by their profile. The picture is turned upright as
    its EXIF says. If a TIFF or MPO holds several pictures, the first one is read. Colours that the
    file describes in other ways than by an ICC profile get one that says the same.

    Args:
        path: the file. Its content tells the format, whatever its suffix is.
        notice: is called with a line on each thing that is left out, or not as one would expect.

    Raises:
        InputError: if the file does not exist, is no picture, is damaged, animated or larger than
            a gigapixel, if its samples are not unsigned integers of 8 or 16 bits, or if its
            colours have a high dynamic range.
    """
    with open_input(path, "a picture") as file, _patient_pillow():
        png = open_png(file)
        if png and png.left_out:
            notice(f"damaged and left out: the PNG chunks {', '.join(png.left_out)}")
        stored = png.file if png else file
        image = _identify(path, stored)
        if image is None or image.format == "TIFF":
            return _read_tiff(path, file, image, notice)
        with image:
            assert image.format is not None
            image.info.update(png.info if png else {})
            if png.lacks_bytes if png else lacks_bytes(image, path.stat().st_size):
                raise InputError(_too_few_bytes(path, image.width, image.height))
            with _decoding(path):
                _check_kind(path, image)
            if _is_deep(image):
                exif = find_exif(image)  # before libvips moves on in the file
                planes, profile = decode_with_vips(path, stored, None, notice)
            else:
                planes, profile, exif = _decode_plain(path, stored, image, notice)
            if profile is None or (png and png.cicp):
                profile = _tagged_profile(path, image, png, file, planes, notice)
            texts = png.texts if png else {}
            return _picture(planes, image, exif, profile, texts=texts)


def _read_tiff(
    path: Path,
    file: IO[bytes],
    image: ImageFile.ImageFile | None,
    notice: Callable[[str], None],
) -> Picture:
    """Read a TIFF; ``image`` is None if only libvips knows its kind."""
    tags = find_tiff_tags(file)
    if tiff_lacks_bytes(tags, path.stat().st_size):
        raise InputError(_too_few_bytes(path, tags.get(256), tags.get(257)))
    layout = TiffLayout.of(tags)
    if layout.left_out and layout.photometric == RGB:
        notice(f"channels that are neither colour nor alpha are left out: {layout.left_out}")
    if image is None:
        if numbers_of(tags, 256, 0)[0] * numbers_of(tags, 257, 0)[0] > PIXEL_LIMIT:
            raise InputError(_too_many_pixels(path))
        planes, profile = decode_with_vips(path, file, layout, notice)
        return _picture(planes, None, find_tiff_exif(file), profile, tags=tags)
    with image:
        with _decoding(path):
            _check_kind(path, image)
        if _is_deep(image) or layout.is_planar:
            exif = find_exif(image)
            planes, profile = decode_with_vips(path, file, layout, notice)
        else:
            planes, profile, exif = _decode_plain(path, file, image, notice)
        return _picture(planes, image, exif, profile, tags=tags)


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
        if "unsupported" in str(error).lower():
            raise InputError(
                f"{path}: not supported ({_one_line(error)}), convert it to PNG"
            ) from error
        raise InputError(
            f"{path}: damaged or cut off ({_one_line(error)}), get a fresh copy"
        ) from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _too_few_bytes(path: Path, width: object, height: object) -> str:
    return (
        f"{path}: damaged or cut off, the file is too small for {width}x{height} pixels, get a "
        "fresh copy"
    )


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


def _decode_plain(
    path: Path, file: IO[bytes], image: ImageFile.ImageFile, notice: Callable[[str], None]
) -> tuple[Samples, bytes | None, Pillow.Exif]:
    """Decode with Pillow: 8 bits, or grey JPEG 2000 of more, which it scales to 16 bits.

    Returns:
        The planes, the colour profile for them, and the EXIF.
    """
    with _decoding(path):
        pictures = getattr(image, "n_frames", 1)
        if pictures > 1:
            notice(f"holds {pictures} pictures, the first one is read")
        image = _load(path, file, image, notice)
        exif = find_exif(image)  # after loading: a TIFF is then turned already, and says so
        profile = None if image.mode in CONVERTED_MODES else image.info.get("icc_profile")
        planes = np.asarray(_in_plain_mode(path, image))
    return planes.astype(planes.dtype.newbyteorder("="), copy=False), profile, exif


def _load(
    path: Path, file: IO[bytes], image: ImageFile.ImageFile, notice: Callable[[str], None]
) -> ImageFile.ImageFile:
    """Decode the pixels; of a JPEG the two bytes that mark its end may be missing."""
    depth = {"L;2": 2, "L;4": 4}.get(str(image.tile[0].args)) if image.tile else None
    try:
        image.load()
    except OSError:
        if image.format != "JPEG":
            raise
        file.seek(0)
        closed = _close_jpeg(file.read())
        if closed is None:
            raise
        image = closed
        notice("the end of the file is missing, but all pixels are there")
    if depth and isinstance(image.info.get("transparency"), int):
        # Pillow scales the levels of 2 and 4 bits to 8, but not the one that is transparent.
        image.info["transparency"] = image.info["transparency"] * 255 // (2**depth - 1)
    return image


def _close_jpeg(data: bytes) -> ImageFile.ImageFile | None:
    """Decode a JPEG without its end; None if more than the end is missing.

    Where pixels are missing, their place in the data is taken by what is put behind it.
    """
    images = []
    for filling in (b"", b"\x5a\xc3" * 64):
        image = Pillow.open(BytesIO(data + filling + JPEG_END), formats=["JPEG"])
        image.load()
        images.append(image)
    return images[0] if images[0].tobytes() == images[1].tobytes() else None


def _tagged_profile(
    path: Path,
    image: ImageFile.ImageFile,
    png: StoredPng | None,
    file: IO[bytes],
    planes: Samples,
    notice: Callable[[str], None],
) -> bytes | None:
    """An ICC profile of what a PNG or AVIF without one says of its colours; None for sRGB."""
    channels = 1 if planes.ndim == 2 or planes.shape[2] < 3 else 3
    info = image.info
    try:
        if png and png.cicp:
            primaries, transfer, _, full = png.cicp
            profile = profile_of_code_points(primaries, transfer, channels, full_range=full == 1)
        elif png and "srgb" not in info and ("gamma" in info or "chromaticity" in info):
            profile = profile_of_gamma(info.get("gamma"), info.get("chromaticity"), channels)
        elif image.format == "AVIF":
            profile = profile_of_code_points(*avif_code_points(file), channels)
        else:
            return None
    except ColourTagError as error:
        raise InputError(f"{path}: {error}") from error
    if profile is not None:
        notice("the colours that the file describes by numbers are kept as an ICC profile")
    return profile


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


def _picture(
    planes: Samples,
    image: Pillow.Image | None,
    exif: Pillow.Exif,
    profile: bytes | None,
    *,
    tags: Mapping[int, Any] = NOTHING,
    texts: Mapping[str, str] = NOTHING,
) -> Picture:
    """Turn planes (H, W) or (H, W, 1 to 4) upright; the last one of 2 or 4 is the alpha.

    ``tags`` are those of a TIFF, ``texts`` those of a PNG.
    """
    planes = planes if planes.ndim == 3 else planes[..., None]
    orientation = find_orientation(exif)
    channels = {1: 1, 2: 1, 3: 3, 4: 3}[planes.shape[2]]
    density = find_density(image) if image else None
    dpi = find_dpi(image) if image and not density else None
    if orientation > 4:  # across becomes down
        dpi, density = dpi and dpi[::-1], density and density[::-1]
    return Picture(
        turn_upright(planes[..., :channels], orientation),
        turn_upright(planes[..., -1], orientation) if planes.shape[2] > channels else None,
        usable_profile(profile, channels),
        clean_exif(exif),
        image.format if image and image.format else "TIFF",
        dpi,
        density,
        find_captions(image, tags, texts),
    )
