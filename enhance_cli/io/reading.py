"""Read pictures from files.

Pillow decodes whatever has 8 bits. libvips decodes PNG and TIFF of 16 bits, which Pillow would
reduce to 8, and TIFF whose channels are stored apart; it is imported when it is first needed.

The bits beyond 8 of AVIF, HEIC and of JPEG 2000 in colour are not read: Pillow rounds them away.
"""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageFile

from enhance_cli.errors import InputError
from enhance_cli.io.captions import find_captions
from enhance_cli.io.colour_tags import (
    ColourTagError,
    avif_code_points,
    profile_of_code_points,
    profile_of_gamma,
    profile_of_tiff,
)
from enhance_cli.io.completeness import lacks_bytes, numbers_of, tiff_lacks_bytes
from enhance_cli.io.files import open_input
from enhance_cli.io.jpeg import JPEG_START, estimate_quality, extract_mpo_page, find_mpo_pages
from enhance_cli.io.metadata import (
    clean_exif,
    find_density,
    find_dpi,
    find_exif,
    find_orientation,
    turn_upright,
    usable_profile,
)
from enhance_cli.io.picture import Picture, Samples, round_to_8_bits
from enhance_cli.io.pillow_reading import (
    TIFF_SIGNATURES,
    check_area,
    check_kind,
    decode_with_pillow,
    decoding,
    identify,
    is_deep,
    patient_pillow,
    too_few_bytes,
)
from enhance_cli.io.png import StoredPng, open_png
from enhance_cli.io.tiff import TiffPage, find_tiff_exif, find_tiff_pages
from enhance_cli.io.vips_reading import TiffLayout, decode_with_vips

RGB = 2  # photometric interpretation of TIFF
TAGGED_PHOTOMETRICS = (0, 1, RGB, 6)  # grey, RGB and YCbCr, whose colours tags may describe
# The entry of an item of the kind tmap in an AVIF (ISO/IEC 14496-12, section 8.11.6).
AVIF_GAIN_MAP = re.compile(rb"infe[\2\3]\0\0.(?:..|....)\0\0tmap", re.DOTALL)
_NO_GAIN_MAP = "its gain map, which brightens it on HDR displays, is left out"
NOTHING: Mapping[Any, Any] = MappingProxyType({})


def _ignore(_notice: str) -> None:
    pass


def read_image(
    path: Path, notice: Callable[[str], None] = _ignore, page: int | None = None
) -> Picture:
    """Read a picture, whole or not at all.

    8 and 16 bits, grey and transparency stay as they are. A palette becomes RGB, black and white
    becomes grey, and CMYK and LAB become sRGB by their profile. The picture is turned upright as
    its EXIF says. Colours that the file describes in other ways than by an ICC profile get one
    that says the same.

    Args:
        path: the file. Its content tells the format, whatever its suffix is.
        notice: is called with a line on each thing that is left out, or not as one would expect.
        page: which picture of a file that holds several, from :func:`find_pages`; None takes the
            first, and tells that there are others.

    Raises:
        InputError: if the file does not exist, is no picture, is damaged, animated or larger than
            a gigapixel, if its samples are not unsigned integers of 8 or 16 bits, or if its
            colours have a high dynamic range.
    """
    with open_input(path, "a picture") as file, patient_pillow():
        png = open_png(file)
        if png and png.left_out:
            notice(f"damaged and left out: the PNG chunks {', '.join(png.left_out)}")
        stored = png.file if png else file
        image = identify(path, stored)
        if image is None or image.format == "TIFF":
            return _read_tiff(path, file, image, notice, page)
        if image.format == "MPO":
            if page is None:
                _tell_pages(len(find_mpo_pages(image)), notice)
            elif page:
                with decoding(path):
                    stored = extract_mpo_page(image, file, page)
                image = identify(path, stored)
                assert image is not None
        with image:
            assert image.format is not None
            image.info.update(png.info if png else {})
            if png.lacks_bytes if png else lacks_bytes(image, path.stat().st_size):
                raise InputError(too_few_bytes(path, image.width, image.height))
            with decoding(path):
                check_kind(path, image)
            if is_deep(image):
                exif = find_exif(image)  # before libvips moves on in the file
                planes, profile = decode_with_vips(path, stored)
            else:
                planes, profile, exif = decode_with_pillow(path, stored, image, notice)
            if profile is None or (png and png.cicp):
                channels = 1 if planes.ndim == 2 or planes.shape[2] < 3 else 3
                profile = find_tagged_profile(path, image, png, file, channels)
                _tell_profile(profile, notice)
            if image.format == "HEIF":
                for text in _left_out_of_heif(image):
                    notice(text)
            elif _has_gain_map(image, file):
                notice(_NO_GAIN_MAP)
            texts = png.texts if png else {}
            return _picture(planes, image, exif, profile, texts=texts)


def _read_tiff(
    path: Path,
    file: IO[bytes],
    image: ImageFile.ImageFile | None,
    notice: Callable[[str], None],
    page: int | None,
) -> Picture:
    """Read a TIFF; ``image`` is None if only libvips knows its kind."""
    pages, place = find_tiff_pages(file), page or 0
    if page is None:
        _tell_pages(sum(each.is_picture for each in pages), notice)
    chosen = pages[place] if place < len(pages) else TiffPage(0, {})
    if chosen.is_reduced:
        raise InputError(
            f"{path}: begins with a reduced preview, as camera RAW files do; develop it to a "
            "16-bit TIFF or PNG"
        )
    tags = chosen.tags
    if tiff_lacks_bytes(tags, path.stat().st_size):
        raise InputError(too_few_bytes(path, tags.get(256), tags.get(257)))
    layout = TiffLayout.of(tags)
    if layout.left_out and layout.photometric == RGB:
        notice(f"channels that are neither colour nor alpha are left out: {layout.left_out}")
    if image is not None and place:
        image = _turn_to(image, place)
    if image is None:
        check_area(path, numbers_of(tags, 256, 0)[0], numbers_of(tags, 257, 0)[0])
        exif = find_tiff_exif(file, chosen.place)
        planes, profile = decode_with_vips(path, file, layout, place)
    else:
        with image, decoding(path):
            check_kind(path, image)
            if is_deep(image) or layout.is_planar:
                exif = find_exif(image)
                planes, profile = decode_with_vips(path, file, layout, place)
            else:
                planes, profile, exif = decode_with_pillow(path, file, image, notice)
    if profile is None and layout.photometric in TAGGED_PHOTOMETRICS:
        try:
            profile, left_out = profile_of_tiff(tags, layout.channels)
        except ColourTagError as error:
            raise InputError(f"{path}: {error}") from error
        _tell_profile(profile, notice)
        for name in left_out:
            notice(f"what the tag {name} says of its colours is left out")
    return _picture(planes, image, exif, profile, tags=tags)


def _tell_profile(profile: bytes | None, notice: Callable[[str], None]) -> None:
    if profile is not None:
        notice("the colours that the file describes by numbers are kept as an ICC profile")


def _has_gain_map(image: ImageFile.ImageFile, file: IO[bytes]) -> bool:
    """Whether a JPEG (Ultra HDR) or AVIF holds a map to a high dynamic range (ISO 21496-1)."""
    if image.format == "AVIF":
        file.seek(0)
        return AVIF_GAIN_MAP.search(file.read(2**16)) is not None
    return image.format in ("JPEG", "MPO") and b"hdrgm:" in image.info.get("xmp", b"")


def _left_out_of_heif(image: ImageFile.ImageFile) -> list[str]:
    """What a HEIC holds beside its primary picture, a line on each."""
    info, others = image.info, getattr(image, "n_frames", 1) - 1
    texts = [f"holds {others} more pictures, only its primary one is read"] if others else []
    if any("gainmap" in kind.lower() for kind in info.get("aux", {})):
        texts.append(_NO_GAIN_MAP)
    if info.get("depth_images"):
        texts.append("its depth map is left out")
    if (bits := info.get("bit_depth", 8)) > 8:
        texts.append(f"its {bits} bits are rounded to 8")
    return texts


def _turn_to(image: ImageFile.ImageFile, place: int) -> ImageFile.ImageFile | None:
    """Turn to another picture of a TIFF; None if Pillow does not know its kind."""
    image.info.clear()  # Pillow keeps what the picture before had and this one has not.
    try:
        image.seek(place)
    except Exception:  # whatever the content of the directory leads to
        return None
    return image


def _tell_pages(count: int, notice: Callable[[str], None]) -> None:
    if count > 1:
        notice(f"holds {count} pictures, the first one is read (superres --pages all enlarges all)")


def find_pages(path: Path) -> list[int]:
    """The places of the pictures in a file, for :func:`read_image`.

    The pages of a TIFF and the views of an MPO count, but not their smaller versions. The frames
    of animations do not count.

    Raises:
        InputError: if the file does not exist or is no picture.
    """
    with open_input(path, "a picture") as file, patient_pillow():
        head, pages = file.read(4), list[int]()
        if head in TIFF_SIGNATURES:
            found = enumerate(find_tiff_pages(file))
            pages = [place for place, page in found if page.is_picture]
        elif head.startswith(JPEG_START):
            image = identify(path, file)
            if image is not None and image.format == "MPO":
                pages = find_mpo_pages(image)
        return pages or [0]


def find_size(path: Path) -> tuple[int, int]:
    """The height and width of a picture as it stands upright, as far as its header tells.

    Raises:
        InputError: if the file does not exist or is no picture.
    """
    with open_input(path, "a picture") as file, patient_pillow():
        png = open_png(file)
        image = identify(path, png.file if png else file)
        if image is not None:
            check_kind(path, image)
        if image is None or image.format == "TIFF":  # which Pillow may have turned already
            tags = next(iter(find_tiff_pages(file)), TiffPage(0, {})).tags
            width, height, orientation = (
                numbers_of(tags, tag, default)[0] for tag, default in ((256, 0), (257, 0), (274, 1))
            )
            return (width, height) if orientation > 4 else (height, width)
        with image, decoding(path):
            turned = find_orientation(find_exif(image)) > 4
            return (image.width, image.height) if turned else (image.height, image.width)


def is_compressed(path: Path, below: int, untold: bool = True) -> bool:
    """Whether what a file was compressed by has left traces.

    Args:
        path: The file; of several pictures in it the first counts.
        below: A JPEG of at least this quality, from 1 to 100, by its quantisation tables, does not
            count.
        untold: Whether WebP with losses and AVIF count, which do not tell their quality.

    Raises:
        InputError: if the file does not exist or is no picture.
    """
    with open_input(path, "a picture") as file, patient_pillow():
        if open_png(file) or (image := identify(path, file)) is None:
            return False
        with image:
            if image.format in ("JPEG", "MPO"):
                return estimate_quality(image.quantization) < below  # type: ignore[attr-defined]
            return untold and (
                image.format == "AVIF" or image.format == "WEBP" and _has_losses(file)
            )


def _has_losses(webp: IO[bytes]) -> bool:
    """Whether a WebP holds its picture in a chunk ``VP8`` and not ``VP8L`` (RFC 9649, ch. 2)."""
    webp.seek(12)
    while len(head := webp.read(8)) == 8:
        if head[:4] in (b"VP8 ", b"VP8L"):
            return head[:4] == b"VP8 "
        size = int.from_bytes(head[4:], "little")
        webp.seek(size + size % 2, os.SEEK_CUR)
    return False


def read_rgb8(path: Path) -> NDArray[np.uint8]:
    """Read a picture as RGB of 8 bits, (H, W, 3): 16 bits are rounded, and alpha is left out.

    Raises:
        InputError: see :func:`read_image`.
    """
    pixels = round_to_8_bits(read_image(path).pixels)
    return np.repeat(pixels, 3 // pixels.shape[2], axis=2)


def find_tagged_profile(
    path: Path,
    image: ImageFile.ImageFile,
    png: StoredPng | None,
    file: IO[bytes],
    channels: int,
) -> bytes | None:
    """An ICC profile of what a PNG, AVIF or HEIC without one says of its colours; None for sRGB.

    Args:
        path: the file, for messages.
        image: what Pillow says of it.
        png: its chunks, if it is a PNG.
        file: its content.
        channels: 1 for grey, 3 for colours.

    Raises:
        InputError: if the colours have a high dynamic range, or are not known.
    """
    info = image.info
    try:
        if png and png.cicp:
            primaries, transfer, _, full = png.cicp
            return profile_of_code_points(primaries, transfer, channels, full_range=full == 1)
        if png and "srgb" not in info and ("gamma" in info or "chromaticity" in info):
            return profile_of_gamma(info.get("gamma"), info.get("chromaticity"), channels)
        if image.format == "AVIF":
            return profile_of_code_points(*avif_code_points(file), channels)
        if image.format == "HEIF" and (tags := info.get("nclx_profile")):
            points = tags["color_primaries"], tags["transfer_characteristics"]
            return profile_of_code_points(*points, channels)
    except ColourTagError as error:
        raise InputError(f"{path}: {error}") from error
    return None


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
