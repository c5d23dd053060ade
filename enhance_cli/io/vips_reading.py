"""Decode pictures with libvips: those of 16 bits, and the layouts of TIFF that Pillow mixes up."""

import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np
import tifffile
from PIL import Image as Pillow

from enhance_cli.errors import InputError
from enhance_cli.io.completeness import numbers_of
from enhance_cli.io.libraries import import_pyvips
from enhance_cli.io.metadata import to_srgb
from enhance_cli.io.picture import Samples

CONVERTED_INTERPRETATIONS = frozenset({"cmyk", "lab", "labs"})  # of libvips
# Photometric interpretations of TIFF.
CMYK, ICC_LAB, ITU_LAB = 5, 9, 10
_CHANNELS = {0: 1, 1: 1, 2: 3, 3: 1, CMYK: 4, 6: 3, 8: 3, ICC_LAB: 3, ITU_LAB: 3}
_ALPHA_KINDS = (1, 2)  # of ExtraSamples: multiplied into the colours, or not
_BACKGROUND_KIND = 0


@dataclass(frozen=True)
class TiffLayout:
    """How a TIFF stores its first picture (TIFF 6.0, sections 8, 18 and 23; TIFF Technical Note 4).

    Attributes:
        photometric: the photometric interpretation, 2 for RGB.
        samples: the number of channels, alpha and others included.
        extras: what each channel behind the colours is: 1 and 2 stand for alpha, 0 for anything.
        is_planar: whether each channel is stored by itself.
    """

    photometric: int = 2
    samples: int = 1
    extras: tuple[int, ...] = ()
    is_planar: bool = False

    @classmethod
    def of(cls, tags: Any) -> "TiffLayout":
        """The layout that tags, by their numbers, describe."""

        samples = numbers_of(tags, 277, 1)[0]
        photometric = numbers_of(tags, 262, 2)[0]
        behind = max(samples - _CHANNELS.get(photometric, samples), 0)
        # Old programs write one channel more, and do not say that it is alpha.
        extras = numbers_of(tags, 338, 2)[:behind] if 338 in tags or behind == 1 else ()
        extras += (_BACKGROUND_KIND,) * (behind - len(extras))
        return cls(photometric, samples, extras, samples > 1 and numbers_of(tags, 284, 1)[0] == 2)

    @property
    def channels(self) -> int:
        """The number of channels that hold colour."""
        return self.samples - len(self.extras)

    @property
    def alpha(self) -> int | None:
        """The place of the alpha among the channels, or None."""
        kinds = [kind in _ALPHA_KINDS for kind in self.extras]
        return self.channels + kinds.index(True) if any(kinds) else None

    @property
    def left_out(self) -> int:
        """The number of channels that are neither colour nor alpha."""
        return len(self.extras) - (self.alpha is not None)


def decode_with_vips(
    path: Path, file: IO[bytes], layout: TiffLayout | None = None, page: int = 0
) -> tuple[Samples, bytes | None]:
    """Decode an open picture.

    Args:
        path: where it is, for messages.
        file: the file, or a copy in memory.
        layout: for a TIFF, what the tags of the picture say.
        page: which picture of a TIFF, counted from 0.

    Returns:
        Planes (H, W, 1 to 4) of 8 or 16 bits, grey or RGB and perhaps alpha; and the colour
        profile for them.

    Raises:
        InputError: if the picture is damaged, or of a kind that cannot be read.
    """
    pyvips = import_pyvips(path, InputError)
    try:
        image = _open(pyvips, file, {"page": page} if page else {})
        profile = bytes(image.get("icc-profile-data")) if _has(image, "icc-profile-data") else None
        if layout is None:
            layout = TiffLayout(samples=image.bands, extras=(2,) * (image.bands in (2, 4)))
        _check(path, image, layout)
        if layout.is_planar and layout.samples == 2:
            planes = _decode_split_grey(file, page)
        else:
            planes = _decode(image, layout, profile)
    except pyvips.Error as error:
        reason = str(error).strip().splitlines()[-1]  # earlier lines may tell of earlier files
        raise InputError(
            f"{path}: damaged, cut off or unusual ({reason.strip()}), get a fresh copy or "
            "convert it to a 16-bit PNG"
        ) from error
    except (ValueError, tifffile.TiffFileError, zlib.error) as error:
        if "imagecodecs" in str(error):  # a package that tifffile decodes some compressions with
            raise InputError(
                f"{path}: grey and alpha stored apart with this compression are not supported, "
                "convert it to PNG"
            ) from error
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: damaged or unusual ({reason}), convert it to PNG") from error
    converted = layout.channels == 4 or image.interpretation in CONVERTED_INTERPRETATIONS
    return planes, None if converted or layout.photometric == ICC_LAB else profile


def _has(image: Any, field: str) -> bool:
    return bool(image.get_typeof(field))


def _open(pyvips: Any, file: IO[bytes], options: dict[str, int]) -> Any:
    """Open a file by its descriptor: libvips finds options in file names, and caches by name."""

    def open_at(level: str) -> Any:
        if isinstance(file, BytesIO):
            source = pyvips.Source.new_from_memory(file.getvalue())
        else:
            file.seek(0)
            source = pyvips.Source.new_from_descriptor(file.fileno())
        return pyvips.Image.new_from_source(
            source, "", access="sequential", fail_on=level, **options
        )

    image = open_at("error")
    # To libvips a strip that cannot be decoded is an error, but a tile only a warning.
    return open_at("warning") if _has(image, "tile-width") else image


def _check(path: Path, image: Any, layout: TiffLayout) -> None:
    samples = f"{image.bands} channels of {image.format} samples"
    known = layout.channels in (1, 3) or layout.photometric == CMYK and layout.channels == 4
    depth_known = image.format in ("uchar", "ushort") or (
        image.interpretation in CONVERTED_INTERPRETATIONS
    )
    several_of_grey = layout.channels == 1 and len(layout.extras) > 1
    if not known or not depth_known or several_of_grey or layout.photometric == ITU_LAB:
        raise InputError(f"{path}: {samples}, convert it to a 16-bit PNG or TIFF, grey or RGB")


def _decode(image: Any, layout: TiffLayout, profile: bytes | None) -> Samples:
    """Decode to grey or RGB of the file's own depth, 8 or 16 bits, with its alpha if it has one."""
    deep = (image.get("bits-per-sample") if _has(image, "bits-per-sample") else 16) > 8
    space, interpretation = "rgb16" if deep else "srgb", image.interpretation
    colour = image.extract_band(0, n=min(layout.channels, image.bands))
    colour = colour.copy(interpretation=interpretation)
    if layout.photometric == ICC_LAB:
        # Lightness fills the range; a and b are moved by its middle (ICC.1:2001, 6.3.4.2).
        unit = 256 if image.format == "ushort" else 1
        lab = (colour / unit) * [100 / 255, 1, 1] - [0, 128, 128]
        lab = lab.copy(interpretation="lab")
        colour = lab.icc_export(output_profile="srgb", depth=16 if deep else 8)
    elif interpretation == "cmyk" and not deep:
        planes = image.numpy()
        stored = Pillow.frombytes("CMYK", planes.shape[1::-1], planes[..., :4].tobytes())
        stored.info["icc_profile"] = profile
        rgb = np.asarray(to_srgb(stored))
        return rgb if layout.alpha is None else np.dstack([rgb, planes[..., layout.alpha]])
    elif interpretation == "cmyk" and profile:
        colour = colour.icc_transform("srgb", embedded=True, depth=16)
    elif interpretation in CONVERTED_INTERPRETATIONS:
        colour = colour.colourspace(space)
    if layout.alpha is not None:
        colour = colour.bandjoin(image[layout.alpha].cast(colour.format))
    planes = colour.numpy()
    return np.asarray(planes).reshape(image.height, image.width, -1)


def _decode_split_grey(file: IO[bytes], place: int) -> Samples:
    """Decode grey and alpha that are stored apart: libvips 8.18 mixes up their rows."""
    file.seek(0)
    with tifffile.TiffFile(file) as tiff:
        page = tiff.pages[place]
        assert isinstance(page, tifffile.TiffPage)
        planes = np.moveaxis(page.asarray(), 0, -1)
        if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
            planes = np.concatenate([~planes[..., :1], planes[..., 1:]], axis=2)
    return planes
