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

# LibRaw's wavelet denoising works on 256 times the root of levels that fill 16 bits.
_ROOT_SCALE = 256
_MAX_LEVEL = 65_535


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
        balance: dict[str, Any] = {"use_camera_wb": True} if gains is None else {
            "user_wb": [gains[0], gains[1], gains[2], gains[1]]}
        pixels = raw.postprocess(
            output_color=rawpy.ColorSpace.raw, gamma=(1, 1), output_bps=16, user_flip=0,
            no_auto_bright=True, adjust_maximum_thr=0.0,  # white is white, however dark it is
            fbdd_noise_reduction=noise.Full if fbdd else noise.Off,
            noise_thr=wavelet_threshold or None, **balance,
        )
    pixels = pixels[top:, left:]
    height, width = (side // 2 * 2 for side in pixels.shape[:2])
    planes = pixels[:height, :width].transpose(2, 0, 1).astype(np.float32)
    planes /= _MAX_LEVEL
    return planes


def measure_wavelet_noise(source: Path | BytesIO) -> float:
    """Standard deviation of a mosaic's noise in the units of ``wavelet_threshold``.

    LibRaw thresholds wavelet details of the mosaic's square root, at each scale at the
    threshold times the deviation of unit noise there. Measured like ``colour.estimate_noise``:
    the median of absolute diagonal Haar details of each colour's plane.

    Args:
        source: a camera RAW file, or the bytes of one.

    Raises:
        InputError: as ``demosaic_linear``.
    """
    with _open(source) as raw:
        _first_red(source, raw)
        blacks = np.array(raw.black_level_per_channel, np.float32)
        span = float(raw.white_level) - float(blacks.max())
        scale = 2.0 ** np.floor(np.log2(_MAX_LEVEL / max(span, 1)))
        mosaic = raw.raw_image_visible
        height, width = (side // 4 * 4 for side in mosaic.shape)
        details = []
        for row in (0, 1):
            for column in (0, 1):
                black = blacks[raw.raw_pattern[row, column]]
                plane = mosaic[row:height:2, column:width:2] - black
                root = _ROOT_SCALE * np.sqrt(plane.clip(min=0) * scale)
                details.append((root[::2, ::2] - root[::2, 1::2]
                                - root[1::2, ::2] + root[1::2, 1::2]) / 2)
    return float(np.median(np.abs(details))) / 0.6745


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
