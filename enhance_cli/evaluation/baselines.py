"""What a network for dark pictures must beat: amplification and classical denoising.

They are given what a user would have to find out, the exposure ratio, and the networks' own
white balance, matrix and output curve.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from enhance_cli.colour import estimate_noise
from enhance_cli.data.dark_sets import DarkScene, Source
from enhance_cli.errors import UsageError
from enhance_cli.io.libraw_render import demosaic_linear, measure_wavelet_noise
from enhance_cli.levels import to_planes

Baseline = Callable[[DarkScene, float], Tensor]  # scene, ratio -> shown (C, H, W) in [0, 1]

# The best for the test itself, so that the baselines are not wronged: of thresholds of 0.5, 1,
# 1.5, 2 and 3 deviations on twelve cases of synthetic-dark at ratio 100 (mean PSNR 14.8, 15.7,
# 16.0, 15.9 and 15.6 dB), and of strengths of 0.6 to 3, with and without subtracting the
# variance, on six.
_WAVELET_STRENGTH = 1.5
_NL_MEANS_STRENGTH = 3.0


def _amplify(linear: Tensor, scene: DarkScene, ratio: float) -> Tensor:
    return scene.show((linear * ratio).clamp(max=1), scene.camera_to_srgb)


def _libraw(scene: DarkScene, ratio: float) -> Tensor:
    assert scene.mosaic is not None
    return _amplify(
        torch.from_numpy(demosaic_linear(scene.mosaic, gains=scene.gains)), scene, ratio
    )


def _libraw_denoised(scene: DarkScene, ratio: float) -> Tensor:
    assert scene.mosaic is not None
    linear = demosaic_linear(
        scene.mosaic,
        gains=scene.gains,
        fbdd=True,
        wavelet_threshold=_WAVELET_STRENGTH * measure_wavelet_noise(scene.mosaic),
    )
    return _amplify(torch.from_numpy(linear), scene, ratio)


def _amplified(scene: DarkScene, ratio: float) -> Tensor:
    return _amplify(scene.planes, scene, ratio)


def _nl_means(scene: DarkScene, ratio: float) -> Tensor:
    """Buades et al., A Non-Local Algorithm for Image Denoising, CVPR 2005, on what is shown."""
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
    # Of a single channel it drops the axis.
    return to_planes(result.reshape(*shown.shape[1:], -1)).clamp(0, 1)


def _noise_of(shown: Tensor) -> float:
    """Standard deviation of the noise; of the whole detail where most of it is exactly zero.

    That is so behind JPEG and in clipped shadows, where the median says that there is no noise.
    """
    noise = float(estimate_noise(shown[None]))
    if noise > 0:
        return noise
    steps = (shown[:, :, 1:] - shown[:, :, :-1]).abs().mean()
    return float(steps) * math.sqrt(math.pi) / 2  # of the difference of two Gaussians


BASELINES: dict[Source, dict[str, Baseline]] = {
    "raw": {"libraw": _libraw, "libraw-denoised": _libraw_denoised, "nl-means": _nl_means},
    "srgb": {"amplified": _amplified, "nl-means": _nl_means},
}
