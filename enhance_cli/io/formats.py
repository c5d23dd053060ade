"""The formats that pictures are written in: what each of them can hold, and what it loses."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL.ExifTags import Base

from enhance_cli.errors import OutputError
from enhance_cli.io.captions import COMMENT, Captions
from enhance_cli.io.metadata import (
    load_exif,
    note_texts,
    resize_exif,
    shorten_exif,
    srgb_profile,
    usable_profile,
)
from enhance_cli.io.picture import Picture, Samples, round_to_8_bits


@dataclass(frozen=True)
class Format:
    """What a file format can hold.

    Attributes:
        name: the name that users know.
        pillow: the name that Pillow has for it.
        deep: whether it holds 16 bits a sample.
        alpha: whether it holds transparency.
        metadata: whether it holds EXIF, XMP and colour profiles.
        iptc: whether it holds IPTC.
        texts: whether it holds texts with any name, as PNG does.
        comment: whether it holds one text, the comment.
        ratio: whether it holds a resolution or a ratio of the pixels' sides.
        always_rgb: whether grey pictures are stored, or read back, as RGB.
        max_side: largest width and height in pixels.
        max_pixels: largest number of pixels, or None for no limit.
        max_bytes: largest size of the pixels before compression, or None for no limit.
    """

    name: str
    pillow: str
    deep: bool = False
    alpha: bool = False
    metadata: bool = True
    iptc: bool = False
    texts: bool = False
    comment: bool = False
    ratio: bool = False
    always_rgb: bool = False
    max_side: int = 2**31 - 1
    max_pixels: int | None = None
    max_bytes: int | None = None


PNG = Format("PNG", "PNG", deep=True, alpha=True, iptc=True, texts=True, ratio=True)
# The limit is that of libjpeg; that of JPEG is 65535.
JPEG = Format("JPEG", "JPEG", iptc=True, comment=True, ratio=True, max_side=65_500)
TIFF = Format("TIFF", "TIFF", deep=True, alpha=True, iptc=True, ratio=True)
WEBP = Format("WebP", "WEBP", alpha=True, always_rgb=True, max_side=16_383)
# libavif writes more, but does not read it back.
AVIF = Format("AVIF", "AVIF", alpha=True, always_rgb=True, max_side=32_768, max_pixels=2**28)
BMP = Format("BMP", "BMP", metadata=False, max_bytes=2**32 - 2**20)
PPM = Format("PPM", "PPM", metadata=False)

FORMATS = {
    ".png": PNG,
    ".jpg": JPEG,
    ".jpeg": JPEG,
    ".jpe": JPEG,
    ".jfif": JPEG,
    ".tif": TIFF,
    ".tiff": TIFF,
    ".webp": WEBP,
    ".avif": AVIF,
    ".bmp": BMP,
    ".ppm": PPM,
    ".pnm": PPM,
}
WRITABLE_SUFFIXES = frozenset(FORMATS)

# Keywords of PNG (third edition, section 11.3.3.1) that EXIF has tags for.
TEXT_TAGS: dict[str, int] = {
    "Description": Base.ImageDescription,
    "Author": Base.Artist,
    "Copyright": Base.Copyright,
    "Software": Base.Software,
}
JPEG_EXIF_BYTES = 65_533
JPEG_SEGMENT_BYTES = 65_450  # leaves room for the names of what is in a segment
MAX_BUFFER = 2**31 - 1


def picture_suffix(source: Path) -> str:
    """The suffix of a result: that of its input if such files can be written, and else .png."""
    return source.suffix if source.suffix.lower() in FORMATS else ".png"


def holds_pages(path: Path) -> bool:
    """Whether a file of a path's suffix can hold several pictures.

    Raises:
        OutputError: if such pictures cannot be written.
    """
    return find_format(path) is TIFF


def check_writable(path: Path, height: int, width: int, *, depth: int, alpha: bool) -> None:
    """Check, before any work is done, that a picture of this size can be written.

    A format that holds less depth, or no alpha, is no error; see :func:`write_notices`.

    Args:
        path: the output, whose suffix gives the format.
        height: height in pixels.
        width: width in pixels.
        depth: bits of a sample, 8 or 16.
        alpha: whether the picture has transparency.

    Raises:
        OutputError: if the suffix is unknown, the format cannot hold the size, or the folder
            cannot be written.
    """
    format_ = find_format(path)
    planes = 3 + (alpha and format_.alpha)
    size = height * width * planes * (depth // 8 if format_.deep else 1)
    limits = (
        (max(height, width), format_.max_side, "pixels a side"),
        (height * width, format_.max_pixels, "pixels"),
        (size, format_.max_bytes, "bytes"),
    )
    for value, limit, unit in limits:
        if limit is not None and value > limit:
            raise OutputError(
                f"{path}: {width}x{height} pixels are too many, {format_.name} holds at most "
                f"{limit} {unit}: use .png or .tif"
            )
    check_folder(path)


def write_notices(path: Path, picture: Picture) -> list[str]:
    """One line on each thing that a picture will lose in the format of a path."""
    format_ = find_format(path)
    notices = []
    if picture.pixels.dtype == np.uint16 and not format_.deep:
        notices.append(f"{format_.name} holds 8 bits: 16-bit values are rounded")
    if picture.alpha is not None and not format_.alpha:
        notices.append(f"{format_.name} has no transparency: placed on white")
    if picture.icc_profile not in (None, srgb_profile()) and not format_.metadata:
        notices.append(f"{format_.name} holds no colour profile: colours may look different")
    elif format_.always_rgb and usable_profile(picture.icc_profile, 1):
        notices.append(f"{format_.name} stores grey as RGB: its grey profile is left out")
    if picture.exif and not format_.metadata:
        notices.append(f"{format_.name} holds no EXIF: it is left out")
    kept, given = _fit_captions(picture.captions, format_), picture.captions
    if given.xmp and not kept.xmp:
        notices.append(f"{format_.name} holds no XMP, or not so much: it is left out")
    if given.iptc and not kept.iptc:
        notices.append(f"{format_.name} holds no IPTC, or not so much: it is left out")
    told = {*dict(kept.texts), *_texts_for_exif(picture, format_)}
    if lost := [name for name, _ in given.texts if name not in told]:
        notices.append(f"{format_.name} does not hold these texts: {', '.join(lost)}")
    if picture.density and not format_.ratio:
        notices.append(f"{format_.name} holds no ratio of the pixels' sides: it is left out")
    return notices


def _fit_captions(captions: Captions, format_: Format) -> Captions:
    """What a format can hold of what is written about a picture."""
    most = JPEG_SEGMENT_BYTES if format_ is JPEG else MAX_BUFFER
    xmp = captions.xmp if format_.metadata and len(captions.xmp or b"") <= most else None
    iptc = captions.iptc if format_.iptc and len(captions.iptc or b"") <= most else None
    texts = tuple(
        (name, text)
        for name, text in captions.texts
        if format_.texts or (format_.comment and name == COMMENT and len(text.encode()) <= most)
    )
    return Captions(xmp, iptc, texts)


def find_format(path: Path) -> Format:
    """The format that the suffix of a path stands for.

    Raises:
        OutputError: if such pictures cannot be written.
    """
    format_ = FORMATS.get(path.suffix.lower())
    if format_ is None:
        named = f"{path.suffix} pictures" if path.suffix else "a picture without a suffix"
        raise OutputError(
            f"{path}: cannot write {named}, use .png or .tif, or another of "
            f"{', '.join(sorted(FORMATS))}"
        )
    return format_


def check_folder(path: Path) -> None:
    """Check that a file can be written where a path says.

    Raises:
        OutputError: if its folder may not be written or is none, or there is a folder of its name.
    """
    try:
        exists_as_folder = path.is_dir()
    except OSError as error:  # a name that is too long
        raise OutputError(
            f"{path}: no file can have this name ({error.strerror}), choose another with -o"
        ) from error
    if exists_as_folder:
        raise OutputError(f"{path}: is a folder, name a file")
    folder = path.absolute().parent
    while not folder.exists():  # those that are missing will be made
        folder = folder.parent
    if not folder.is_dir():
        raise OutputError(f"{path}: {folder} is not a folder, choose another output with -o")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(
            f"{path}: the folder {folder} may not be written, choose another output with -o"
        )


def fit(picture: Picture, format_: Format) -> Picture:
    """Reduce a picture to what the format can hold."""
    pixels, alpha = picture.pixels, picture.alpha
    if alpha is not None and not format_.alpha:
        pixels, alpha = place_on_white(pixels, alpha), None
    if not format_.deep:
        pixels = round_to_8_bits(pixels)
        alpha = None if alpha is None else round_to_8_bits(alpha)
    channels = 3 if format_.always_rgb else pixels.shape[2]
    profile = usable_profile(picture.icc_profile, channels) if format_.metadata else None
    return replace(
        picture,
        pixels=pixels,
        alpha=alpha,
        icc_profile=profile,
        exif=_fit_exif(picture, format_),
        captions=_fit_captions(picture.captions, format_),
    )


def place_on_white(pixels: Samples, alpha: Samples) -> Samples:
    """Blend pixels (H, W, C) with white by their alpha (H, W), as browsers do."""
    white = int(np.iinfo(pixels.dtype).max)
    cover = alpha[..., None].astype(np.uint32)  # 65535 squared still fits
    blended = pixels * cover
    blended += white * (white - cover) + white // 2
    blended //= white
    return blended.astype(pixels.dtype)


def _texts_for_exif(picture: Picture, format_: Format) -> dict[str, str]:
    """The texts of a PNG that a format without them holds in EXIF, unless that says otherwise."""
    texts = {name: text for name, text in picture.captions.texts if name in TEXT_TAGS}
    if not texts or format_.texts or not format_.metadata:
        return {}
    taken = load_exif(picture.exif) if picture.exif else {}
    return {name: text for name, text in texts.items() if TEXT_TAGS[name] not in taken}


def _fit_exif(picture: Picture, format_: Format) -> bytes | None:
    exif = picture.exif
    if texts := _texts_for_exif(picture, format_):
        exif = note_texts(exif, {TEXT_TAGS[name]: text for name, text in texts.items()})
    if exif is None or not format_.metadata:
        return None
    # If it has that tag, Pillow's AVIF writer packs the EXIF anew and keeps only ASCII letters.
    exif = resize_exif(exif, picture.height, picture.width, orientation=format_ is not AVIF)
    return shorten_exif(exif, JPEG_EXIF_BYTES) if format_ is JPEG else exif
