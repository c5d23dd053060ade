"""LibRaw's demosaicing with linear results: a baseline, and the reference of real pairs."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from enhance_cli.errors import InputError
from enhance_cli.io.raw_files import open_libraw

_MAX_LEVEL = 65_535
# dcraw's wavelet denoising works on 256 times the root of levels that fill 16 bits; at each
# scale unit noise leaves these deviations.
_ROOT_SCALE = 256
_UNIT_NOISE = (0.8002, 0.2735, 0.1202, 0.0585, 0.0291)


def demosaic_linear(
    source: Path | BytesIO,
    *,
    gains: tuple[float, float, float] | None = None,
    fbdd: bool = False,
    wavelet_threshold: float = 0.0,
) -> NDArray[np.float32]:
    """What LibRaw makes of a Bayer mosaic without curve, matrix, amplification and turning.

    AHD demosaicing. LibRaw clips what is below black, and gives 16 bits: after a large
    amplification both are seen, as they are by everyone who brightens its results.

    Args:
        source: a camera RAW file, or the bytes of one.
        gains: white balance of R, G, B, the smallest 1; None for the file's own.
        fbdd: full FBDD noise reduction before demosaicing.
        wavelet_threshold: of the wavelet denoising before that, 0 for none; see
            ``measure_wavelet_noise``.

    Returns:
        (3, 2h, 2w) white-balanced linear camera RGB in [0, 1], 1 is the white level: the area
        that ``io.raw.read_raw`` gives as planes of h x w, from its first red pixel on.

    Raises:
        InputError: if it cannot be decoded, is no Bayer mosaic, or rawpy is not installed.
    """
    with _open(source) as raw:
        import rawpy

        top, left = _first_red(source, raw)
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
            adjust_maximum_thr=0.0,  # white is white, however dark it is
            fbdd_noise_reduction=noise.Full if fbdd else noise.Off,
            **options,
        )
    pixels = pixels[top:, left:]
    height, width = (side // 2 * 2 for side in pixels.shape[:2])
    planes: NDArray[np.float32] = pixels[:height, :width].transpose(2, 0, 1).astype(np.float32)
    planes /= _MAX_LEVEL
    return planes


def measure_wavelet_noise(source: Path | BytesIO) -> float:
    """Standard deviation of a mosaic's noise in the units of ``wavelet_threshold``.

    Measured like ``colour.estimate_noise``: the median of absolute diagonal Haar details of each
    colour's plane, here of the roots that the wavelet denoising works on.

    Args:
        source: a camera RAW file, or the bytes of one.

    Raises:
        InputError: as ``demosaic_linear``.
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
    """The four planes of a mosaic, as views of it and as scaled roots; and the scale.

    Like LibRaw, without what is below black.
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
    """dcraw's wavelet denoising (its option ``-n``), and the levels that the mosaic has then.

    Soft thresholding of five scales of an undecimated wavelet transform with the hat (1, 2, 1).
    LibRaw's own is not called: in version 0.22.2 with OpenMP, that of rawpy 0.28, it writes
    beyond its memory (github.com/LibRaw/LibRaw/issues/842). Left out is the last step, which
    draws the two greens together.
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
    """The hat (1, 2, 1) / 4 along both axes, its taps ``step`` apart."""
    for _ in range(2):  # rows, then, turned, columns
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
    """Row and column of the first red pixel of the visible area."""
    pattern = raw.raw_pattern
    if pattern is None or pattern.shape != (2, 2) or raw.num_colors != 3:
        name = source if isinstance(source, Path) else "this RAW data"
        raise InputError(f"{name}: not a Bayer mosaic of red, green and blue")
    (top,), (left,) = np.nonzero(pattern == raw.color_desc.index(b"R"))
    return int(top), int(left)
