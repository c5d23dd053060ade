"""What a network for dark pictures must beat: amplification and classical denoising.

They are told the exposure ratio, which a user would have to find out, and use the same white
balance, colour matrix and output curve as the networks.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from enhance_cli.colour import estimate_noise
from enhance_cli.data.dark_sets import DarkScene, Source
from enhance_cli.errors import UsageError
from enhance_cli.io.libraw_render import demosaic_linear, measure_wavelet_noise
from enhance_cli.levels import to_planes

Baseline = Callable[[DarkScene, float], Tensor]  # scene, ratio -> shown (C, H, W) in [0, 1]

# Both strengths are the best ones for the test pictures themselves, so that no baseline is wronged.
# Thresholds of 0.5, 1, 1.5, 2 and 3 standard deviations gave a mean PSNR of 14.8, 15.7, 16.0, 15.9
# and 15.6 dB on twelve cases of synthetic-dark at ratio 100. For non-local means, strengths from
# 0.6 to 3 were tried on six cases, with and without subtracting the variance of the noise.
_WAVELET_STRENGTH = 1.5
_NL_MEANS_STRENGTH = 3.0


def _amplify(linear: Tensor, scene: DarkScene, ratio: float) -> Tensor:
    """Brighten linear values by the ratio, and show them as the networks' results are shown."""
    return scene.show((linear * ratio).clamp(max=1), scene.camera_to_srgb)


def _libraw(scene: DarkScene, ratio: float, *, denoise: bool = False) -> Tensor:
    """LibRaw's demosaicing, with its own denoising (FBDD and wavelets) or without."""
    assert scene.mosaic is not None
    threshold = _WAVELET_STRENGTH * measure_wavelet_noise(scene.mosaic) if denoise else 0.0
    linear = demosaic_linear(
        scene.mosaic, gains=scene.gains, fbdd=denoise, wavelet_threshold=threshold
    )
    return _amplify(torch.from_numpy(linear), scene, ratio)


def _amplified(scene: DarkScene, ratio: float) -> Tensor:
    """The dark picture itself, brighter."""
    return _amplify(scene.planes, scene, ratio)


def _nl_means(scene: DarkScene, ratio: float) -> Tensor:
    """Non-local means of the brightened picture (Buades et al., CVPR 2005)."""
    try:
        from skimage.restoration import denoise_nl_means
    except ImportError as missing:
        raise UsageError(
            "the baseline nl-means needs scikit-image, run: pip install scikit-image"
        ) from missing
    shown = (_libraw if scene.view.source == "raw" else _amplified)(scene, ratio)
    noise = _noise_of(shown)
    if noise == 0:
        return shown
    result = denoise_nl_means(
        shown.movedim(0, -1).numpy(),
        patch_size=5,
        patch_distance=6,
        h=_NL_MEANS_STRENGTH * noise,
        fast_mode=True,
        channel_axis=-1,
    )
    # The result of a picture of one channel lacks that axis.
    return to_planes(result.reshape(*shown.shape[1:], -1)).clamp(0, 1)


def _noise_of(shown: Tensor) -> float:
    """Standard deviation of the noise of a picture.

    It is estimated from the median of the finest detail. Behind JPEG and in clipped shadows most
    of that detail is exactly zero; there the mean difference of neighbouring pixels is used.
    """
    noise = float(estimate_noise(shown[None]))
    if noise > 0:
        return noise
    difference = float((shown[:, :, 1:] - shown[:, :, :-1]).abs().mean())
    return difference * math.sqrt(math.pi) / 2  # such is the mean difference of two Gaussians


BASELINES: dict[Source, dict[str, Baseline]] = {
    "raw": {
        "libraw": _libraw,
        "libraw-denoised": partial(_libraw, denoise=True),
        "nl-means": _nl_means,
    },
    "srgb": {"amplified": _amplified, "nl-means": _nl_means},
}
