"""Demosaics camera RAW files with LibRaw and gives linear light.

The results are a baseline that low-light models are measured against, and the bright reference
pictures of recorded pairs.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enhance_cli.errors import InputError
from enhance_cli.io.dng_tags import read_dng_tags
from enhance_cli.io.raw_area import cut_blocks, find_area
from enhance_cli.io.raw_files import open_libraw

_MAX_LEVEL = 65_535
# dcraw's wavelet denoising works on 256 times the square root of levels that fill 16 bits. White
# noise of deviation 1 has these deviations at the five scales of its wavelet transform.
_ROOT_SCALE = 256
_UNIT_NOISE = (0.8002, 0.2735, 0.1202, 0.0585, 0.0291)


def demosaic_linear(
    source: Path | BytesIO,
    *,
    gains: tuple[float, float, float] | None = None,
    fbdd: bool = False,
    wavelet_threshold: float = 0.0,
) -> NDArray[np.float32]:
    """Demosaic a Bayer mosaic with LibRaw's AHD method, and nothing more.

    There is no tone curve, no colour matrix, no amplification and no turning. LibRaw clips what
    lies below the black level and gives 16 bits. After a large amplification both show, as they
    do for everyone who brightens LibRaw's results.

    Args:
        source: a camera RAW file, or the bytes of one.
        gains: the white-balance gains of red, green and blue, the smallest of which is 1; None
            uses those of the file.
        fbdd: whether LibRaw's FBDD noise reduction runs before demosaicing, at full strength.
        wavelet_threshold: the threshold of the wavelet denoising that runs before all else, in
            the units of ``measure_wavelet_noise``; 0 runs none.

    Returns:
        float32 (3, 2h, 2w), white-balanced linear camera RGB in [0, 1], where 1 is the white
        level. It is the area that ``io.raw.read_raw`` gives as planes (4, h, w), with the same
        margins beyond the picture.

    Raises:
        InputError: if the file cannot be decoded or is no Bayer mosaic, or rawpy is not
            installed.
    """
    tags = read_dng_tags(source)
    with _open(source) as raw:
        import rawpy

        first, area = _first_red(source, raw), find_area(raw, tags)
        noise = rawpy.FBDDNoiseReductionMode
        options: dict[str, Any] = (
            {"use_camera_wb": True}
            if gains is None
            else {"user_wb": [gains[0], gains[1], gains[2], gains[1]]}
        )
        if wavelet_threshold > 0:
            options |= _denoise_in_place(raw, wavelet_threshold)
        pixels = raw.postprocess(
            output_color=rawpy.ColorSpace.raw,
            gamma=(1, 1),
            output_bps=16,
            user_flip=0,
            no_auto_bright=True,
            adjust_maximum_thr=0.0,  # else the brightest value of a dark picture becomes white
            fbdd_noise_reduction=noise.Full if fbdd else noise.Off,
            **options,
        )
    pixels, _ = cut_blocks(pixels, area, first)
    planes: NDArray[np.float32] = pixels.transpose(2, 0, 1).astype(np.float32)
    planes /= _MAX_LEVEL
    return planes


def measure_wavelet_noise(source: Path | BytesIO) -> float:
    """Measure the standard deviation of a mosaic's noise in the units of ``wavelet_threshold``.

    The method is that of ``colour.estimate_noise``: the median of the absolute diagonal Haar
    details, here of the scaled square roots that the wavelet denoising works on.

    Args:
        source: a camera RAW file, or the bytes of one.

    Raises:
        InputError: in the cases in which ``demosaic_linear`` raises it.
    """
    with _open(source) as raw:
        _first_red(source, raw)
        details = []
        for _, root in _roots(raw)[0]:
            even = root[: root.shape[0] // 2 * 2, : root.shape[1] // 2 * 2]
            details.append(
                (even[::2, ::2] - even[::2, 1::2] - even[1::2, ::2] + even[1::2, 1::2]).ravel() / 2
            )
    return float(np.median(np.abs(np.concatenate(details)))) / 0.6745


def _roots(raw: Any) -> tuple[list[tuple[NDArray[np.uint16], NDArray[np.float32]]], float]:
    """The four planes of a mosaic, each as a view of it and as scaled square roots; the scale.

    Like in LibRaw, values below the black level become 0.
    """
    blacks = np.array(raw.black_level_per_channel, np.float32)
    span = float(raw.white_level) - float(blacks.max())
    scale = float(2.0 ** np.floor(np.log2(_MAX_LEVEL / span)))
    planes = []
    for row in (0, 1):
        for column in (0, 1):
            view = raw.raw_image_visible[row::2, column::2]
            light = (view - blacks[raw.raw_pattern[row, column]]).clip(min=0) * scale
            planes.append((view, _ROOT_SCALE * np.sqrt(light)))
    return planes, scale


def _denoise_in_place(raw: Any, threshold: float) -> dict[str, Any]:
    """Denoise a mosaic in place, like dcraw's option ``-n``, and give its new levels to LibRaw.

    An undecimated wavelet transform with the hat filter (1, 2, 1) / 4 splits each plane into
    five scales, whose values are drawn towards 0 by the threshold. LibRaw has this built in, but
    version 0.22.2 with OpenMP, which rawpy 0.28 contains, writes beyond its memory there
    (github.com/LibRaw/LibRaw/issues/842). dcraw's last step, which brings the two greens closer
    to each other, is left out.

    Returns:
        LibRaw's options for the black and white levels that the mosaic has now.
    """
    planes, scale = _roots(raw)
    white = round((float(raw.white_level) - max(raw.black_level_per_channel)) * scale)
    for view, root in planes:
        smooth = root
        clean = np.zeros_like(root)
        for level, unit in enumerate(_UNIT_NOISE):
            smoother = _blur(smooth, 1 << level)
            detail = smooth - smoother
            clean += np.sign(detail) * (np.abs(detail) - threshold * unit).clip(min=0)
            smooth = smoother
        light = np.square((clean + smooth).clip(min=0) / _ROOT_SCALE)
        view[:] = light.round().clip(0, _MAX_LEVEL).astype(np.uint16)
    return {"user_black": 0, "user_cblack": [0, 0, 0, 0], "user_sat": white}


def _blur(plane: NDArray[np.float32], step: int) -> NDArray[np.float32]:
    """Filter along both axes with the hat (1, 2, 1) / 4, with taps that lie ``step`` apart."""
    for _ in range(2):  # along the rows; the plane is then turned, and the columns follow
        size = len(plane)
        reach = min(step, size - 1)
        wide = np.pad(plane, ((reach, reach), (0, 0)), "reflect")
        plane = ((2 * plane + wide[:size] + wide[2 * reach :]) * np.float32(0.25)).T
    return plane


@contextmanager
def _open(source: Path | BytesIO) -> Iterator[Any]:
    if isinstance(source, Path):
        with open_libraw(source) as raw:
            yield raw
        return
    try:
        import rawpy
    except (ImportError, OSError) as missing:
        raise InputError("camera RAW needs LibRaw, run: pip install rawpy") from missing
    source.seek(0)
    with rawpy.imread(source) as raw:
        yield raw


def _first_red(source: Path | BytesIO, raw: Any) -> tuple[int, int]:
    """The row and column of the first red pixel in the visible area."""
    pattern = raw.raw_pattern
    if pattern is None or pattern.shape != (2, 2) or raw.num_colors != 3:
        name = source if isinstance(source, Path) else "this RAW data"
        raise InputError(f"{name}: not a Bayer mosaic of red, green and blue")
    (top,), (left,) = np.nonzero(pattern == raw.color_desc.index(b"R"))
    return int(top), int(left)
