"""Estimate how much a dark picture must be amplified (thesis 000, ch. 8.6)."""

import math

import torch
from torch import Tensor
from torch.nn import functional

MAX_RATIO = 300.0  # of the darkest pictures that the networks have learned (ch. 2)
# The share of a picture that may always become pure white, and the largest share that ever may.
CLIPPED_SHARE, MAX_CLIPPED_SHARE = 0.01, 0.1
# What is brighter than this does not count: lamps, skies and windows are nearly white already.
_BRIGHT = 0.75
# Side of the squares whose means are judged instead of single pixels, which in the dark are noise.
_CELL = 8
# The key is the log-average luminance of a well-exposed picture (Reinhard et al., Photographic
# Tone Reproduction for Digital Images, SIGGRAPH 2002). The darkest night scenes get half of it.
_KEY = 0.18
_NIGHT_KEY = 0.09


def choose_ratio(balanced: Tensor, relative_exposure: float | None = None) -> float:
    """Choose the amplification that makes a picture well exposed.

    The ratio brings the log-average luminance to a key. That is 0.18, or less for a scene that was
    really dark, which shows in how it was exposed. If the ratio turned more than ``CLIPPED_SHARE``
    of the picture white, it is moved half the way, in stops, to the ratio that turns just so much
    white. It never turns more than ``MAX_CLIPPED_SHARE`` white. What was nearly white before does
    not count.

    Args:
        balanced: (4, h, w) packed or (3, H, W), linear and white-balanced; 1 is white.
        relative_exposure: exposure time in seconds times ISO over the squared f-number, which
            tells the luminance of the scene; None if the file does not say.

    Returns:
        From 1, since nothing is ever darkened, to 300.
    """
    rgb = (
        balanced
        if len(balanced) == 3
        else torch.stack([balanced[0], (balanced[1] + balanced[3]) / 2, balanced[2]])
    )
    cell = min(_CELL, *rgb.shape[-2:])
    means = functional.avg_pool2d(rgb[None], cell)[0]
    light = (means * torch.tensor([0.2126, 0.7152, 0.0722]).view(3, 1, 1)).sum(0).flatten()
    average = float(light.mean())
    if average <= 0:
        return MAX_RATIO
    # With a floor, so that black parts do not pull the log-average down to nothing.
    log_average = math.exp(float(light.clamp(min=average / 50).log().mean()))
    wanted = _choose_key(average, relative_exposure) / log_average
    brightest = _thin(means.amax(0).flatten())
    shares = torch.tensor([1 - CLIPPED_SHARE, 1 - MAX_CLIPPED_SHARE])
    whites = torch.quantile(brightest.masked_fill(brightest > _BRIGHT, 0), shares)
    careful, most = (1 / max(float(white), 1e-6) for white in whites)
    ratio = min(wanted, math.sqrt(wanted * careful), most)
    return min(max(ratio, 1.0), MAX_RATIO)


def _thin(values: Tensor) -> Tensor:
    """Take at most a million of the values, since ``torch.quantile`` takes at most 16 million."""
    return values[:: max(len(values) // 1_000_000, 1)]


def _choose_key(average: float, relative_exposure: float | None) -> float:
    """Choose the key of a scene by its absolute luminance.

    For a luminance of L cd/m^2 it is 1.03 - 2 / (2 + log10(L + 1)) (Krawczyk et al., Lightness
    Perception in Tone Reproduction for High Dynamic Range Images, Eurographics 2005). A sensor
    saturates at 78 / ISO lux seconds (ISO 12232), which is 120 N^2 / (t ISO) cd/m^2 through a lens
    of transmission 0.65.
    """
    if not relative_exposure:
        return _KEY
    scene = average * 120 / relative_exposure
    return min(max(1.03 - 2 / (2 + math.log10(scene + 1)), _NIGHT_KEY), _KEY)
