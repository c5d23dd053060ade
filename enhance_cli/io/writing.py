"""Write pictures to files."""

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow
from PIL import ImageFile

from enhance_cli.defaults import QUALITY
from enhance_cli.errors import OutputError, UsageError
from enhance_cli.io.captions import COMMENT, Captions, jpeg_segment
from enhance_cli.io.files import replacing
from enhance_cli.io.formats import (
    AVIF,
    JPEG,
    MAX_BUFFER,
    PNG,
    TIFF,
    WEBP,
    Format,
    check_writable,
    find_format,
    fit,
)
from enhance_cli.io.libraries import import_pyvips, pillow_setting
from enhance_cli.io.locks import temporary_file
from enhance_cli.io.picture import Picture, Samples
from enhance_cli.io.png import finish_png
from enhance_cli.io.tiff import append_tiff, finish_tiff

# A TIFF that is no BigTIFF ends at 4 GB, and noise hardly shrinks when it is compressed.
CLASSIC_TIFF_BYTES = 3 * 10**9
INCH = 25.4


def write_image(path: Path, picture: Picture, quality: int | None = None) -> None:
    """Write a picture, whole or not at all, in the format of the path's suffix.

    PNG and TIFF keep 16 bits, and compress without loss; other formats get 8 bits. In formats
    without transparency the picture is placed on white, blended in its own levels as browsers do.
    AVIF and WebP are read back as RGB even if the picture was grey.

    Args:
        path: where to write. An existing file is replaced, and missing folders are made.
        picture: what to write; its ``format`` does not matter.
        quality: from 1 to 100. JPEG and WebP take 95 without it and AVIF takes 90; WebP is lossless
            at 100. Colours are never subsampled in JPEG and AVIF. Other formats have no quality.

    Raises:
        UsageError: if the quality is out of range.
        OutputError: see :func:`check_writable`; or if writing fails.
    """
    if quality is not None and not 1 <= quality <= 100:
        raise UsageError(f"quality {quality}: must be from 1 to 100")
    format_ = find_format(path)
    fitted = _fit(path, picture, format_)
    with replacing(path) as temporary:
        if format_ is TIFF:
            _save_tiff(path, temporary, fitted, big=_tiff_bytes(fitted) > CLASSIC_TIFF_BYTES)
            if fitted.exif or not fitted.dpi or fitted.captions != Captions():
                finish_tiff(temporary, fitted)
        elif fitted.pixels.dtype == np.uint16:
            _save_deep_png(path, temporary, fitted)
        else:
            _save_with_pillow(path, temporary, fitted, format_, quality)


@contextmanager
def write_pages(path: Path, count: int) -> Iterator[Callable[[Picture], None]]:
    """Write several pictures into one TIFF, whole or not at all, in a ``with`` statement.

    Args:
        path: where to write. An existing file is replaced, and missing folders are made.
        count: how many pictures there will be, from which the size of the file is guessed.

    Yields:
        A function that adds a picture.

    Raises:
        OutputError: see :func:`check_writable`; or if writing fails, also of a single picture.
    """
    assert find_format(path) is TIFF, path
    link, big = 0, False

    with replacing(path) as temporary:

        def add(picture: Picture) -> None:
            nonlocal link, big
            fitted = _fit(path, picture, TIFF)
            if not link:
                big = count * _tiff_bytes(fitted) > CLASSIC_TIFF_BYTES
                _save_tiff(path, temporary, fitted, big=big)
                link = finish_tiff(temporary, fitted)
                return
            with temporary_file(path) as page:
                _save_tiff(path, page, fitted, big=big)
                try:
                    link = append_tiff(temporary, link, page, fitted)
                except OverflowError as error:
                    raise OutputError(f"{path}: {error}, use .png for a file each") from error

        yield add


def _fit(path: Path, picture: Picture, format_: Format) -> Picture:
    """Check that a picture can be written, and reduce it to what the format can hold."""
    depth = picture.pixels.dtype.itemsize * 8
    has_alpha = picture.alpha is not None
    check_writable(path, picture.height, picture.width, depth=depth, alpha=has_alpha)
    return fit(picture, format_)


def _tiff_bytes(picture: Picture) -> int:
    """The size of the pixels, taken for 16 bits."""
    planes = picture.pixels.shape[2] + (picture.alpha is not None)
    return 2 * picture.height * picture.width * int(planes)


def _planes(picture: Picture) -> Samples:
    """Pixels and alpha in one contiguous array (H, W, 1 to 4)."""
    if picture.alpha is None:
        return np.ascontiguousarray(picture.pixels)
    return np.concatenate([picture.pixels, picture.alpha[..., None]], axis=2)


def _save_with_pillow(
    path: Path, temporary: Path, picture: Picture, format_: Format, quality: int | None
) -> None:
    planes = _planes(picture)
    image = Pillow.fromarray(planes[..., 0] if planes.shape[2] == 1 else planes)
    options = _pillow_options(format_, quality)
    captions = picture.captions
    for name, value in (
        ("icc_profile", picture.icc_profile),
        ("exif", picture.exif),
        ("dpi", picture.dpi),
        ("xmp", captions.xmp),
        ("comment", dict(captions.texts).get(COMMENT, "").encode()),
        ("extra", captions.iptc and jpeg_segment(captions.iptc)),
    ):
        if value:
            options[name] = value
    buffer: Any = nullcontext()
    if format_ is JPEG:
        # libjpeg optimizes only what fits one buffer, which Pillow makes too small for noise.
        room = 2 * planes.size + 2**20
        options["optimize"] = room <= MAX_BUFFER
        if room <= MAX_BUFFER:
            buffer = pillow_setting(ImageFile, "MAXBLOCK", room)
    # Pillow overlooks a disk that fills up in the middle of a write; Python's own files do not.
    encoded = BytesIO()
    try:
        with buffer:
            image.save(encoded, format_.pillow, **options)
    except (ValueError, RuntimeError, OverflowError, MemoryError, KeyError) as error:
        raise OutputError(f"{path}: cannot write {format_.name} ({error})") from error
    data = encoded.getvalue()
    if format_ is PNG:
        data = finish_png(data, picture.dpi, picture.density, captions)
    elif format_ is JPEG and picture.density and data[6:10] == b"JFIF":
        data = data[:13] + struct.pack(">BHH", 0, *picture.density) + data[18:]
    temporary.write_bytes(data)


def _pillow_options(format_: Format, quality: int | None) -> dict[str, Any]:
    if format_ is PNG:
        # Less than half of the time of 6, which Pillow takes, for files of 5% more bytes.
        return {"compress_level": 4}
    if format_ is JPEG:
        return {"quality": quality or QUALITY, "subsampling": 0}
    if format_ is WEBP and quality == 100:
        return {"lossless": True, "exact": True}  # exact: colours under transparency too
    if format_ is WEBP:
        return {"quality": quality or QUALITY}
    if format_ is AVIF:
        # Speed 8 is several times as fast as 6, which Pillow takes, and no worse.
        return {"quality": quality or 90, "subsampling": "4:4:4", "speed": 8}
    return {}


def _save_deep_png(path: Path, temporary: Path, picture: Picture) -> None:
    with _saving_with_vips(path, temporary, picture) as (image, target, keep):
        image.pngsave_target(target, filter="paeth", keep=keep)
    data = finish_png(
        temporary.read_bytes(), picture.dpi, picture.density, picture.captions, picture.exif
    )
    temporary.write_bytes(data)


def _save_tiff(path: Path, temporary: Path, picture: Picture, *, big: bool) -> None:
    """Save pixels, profile and resolution; :func:`finish_tiff` adds the rest."""
    with _saving_with_vips(path, temporary, picture) as (image, target, keep):
        image.tiffsave_target(
            target,
            compression="deflate",
            predictor="horizontal",
            resunit="inch",
            tile=True,
            tile_width=256,
            tile_height=256,
            keep=keep,
            bigtiff=big,
        )


@contextmanager
def _saving_with_vips(
    path: Path, temporary: Path, picture: Picture
) -> Iterator[tuple[Any, Any, int]]:
    """An image of libvips, the target to save it to, and what is kept with it.

    Raises:
        OutputError: if libvips cannot save it.
    """
    pyvips = import_pyvips(path, OutputError)
    try:
        image, keep = _to_vips(pyvips, picture)
        # By its descriptor, since libvips finds options in file names.
        with temporary.open("r+b") as file:
            yield image, pyvips.Target.new_to_descriptor(file.fileno()), keep
    except pyvips.Error as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise OutputError(f"{path}: cannot write {path.suffix[1:].upper()} ({reason})") from error


def _to_vips(pyvips: Any, picture: Picture) -> tuple[Any, int]:
    """Make an image of libvips with metadata, and the flags that keep them when it is written."""
    planes = _planes(picture)
    bits = planes.dtype.itemsize * 8
    grey = planes.shape[2] < 3
    across, down = picture.dpi or (72.0, 72.0)  # libvips always writes a resolution
    image = pyvips.Image.new_from_array(planes).copy(
        interpretation={
            (True, 8): "b-w",
            (True, 16): "grey16",
            (False, 8): "srgb",
            (False, 16): "rgb16",
        }[grey, bits],
        xres=across / INCH,
        yres=down / INCH,
    )
    keep = 0
    for name, data, flag in (
        ("icc-profile-data", picture.icc_profile, pyvips.ForeignKeep.ICC),
        ("exif-data", picture.exif, pyvips.ForeignKeep.EXIF),
    ):
        if data:
            image.set_type(pyvips.GValue.blob_type, name, data)
            keep |= flag
    return image, keep
