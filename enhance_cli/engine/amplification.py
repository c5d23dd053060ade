"""How much to amplify a dark picture (thesis 000, ch. 8.6: "automatically estimates")."""

import math

import torch
from torch import Tensor
from torch.nn import functional

MAX_RATIO = 300.0  # the darkest that the networks have learned (ch. 2)
# Share of the picture that may become pure white without a second thought, and at the very most.
CLIPPED_SHARE, MAX_CLIPPED_SHARE = 0.01, 0.1
# What is brighter than this may: it is nearly white as it is (lamps, skies, windows).
_BRIGHT = 0.75
# Side of the squares whose means are judged instead of pixels: in the dark a pixel is noise.
_CELL = 8
# Log-average luminance of a well-exposed picture, Reinhard et al., Photographic Tone
# Reproduction for Digital Images, SIGGRAPH 2002; and the least that a night scene is given.
_KEY = 0.18
_NIGHT_KEY = 0.09


def choose_ratio(balanced: Tensor, relative_exposure: float | None = None) -> float:
    """The amplification that makes a picture well exposed.

    Brings the log-average luminance to a key: 0.18, or less for a scene that was really dark,
    where the file says how it was exposed. Where that makes more than ``CLIPPED_SHARE`` of the
    picture white that was not nearly so before, the ratio lies halfway, in stops, to the one
    that does not; and more than ``MAX_CLIPPED_SHARE`` is never given up.

    Args:
        balanced: (4, h, w) packed or (3, H, W), linear and white-balanced, 1 is white.
        relative_exposure: seconds times ISO over the squared f-number, for the scene's
            luminance; None where it is not known.

    Returns:
        1 (nothing is ever darkened) to 300.
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
    # A floor, so that black parts do not drag the log-average to nothing.
    log_average = math.exp(float(light.clamp(min=average / 50).log().mean()))
    wanted = _choose_key(average, relative_exposure) / log_average
    brightest = _thin(means.amax(0).flatten())
    shares = torch.tensor([1 - CLIPPED_SHARE, 1 - MAX_CLIPPED_SHARE])
    whites = torch.quantile(brightest.masked_fill(brightest > _BRIGHT, 0), shares)
    careful, most = (1 / max(float(white), 1e-6) for white in whites)
    ratio = min(wanted, math.sqrt(wanted * careful), most)
    return min(max(ratio, 1.0), MAX_RATIO)


def _thin(values: Tensor) -> Tensor:
    """At most a million of the values: ``torch.quantile`` takes no more than 16 million."""
    return values[:: max(len(values) // 1_000_000, 1)]


def _choose_key(average: float, relative_exposure: float | None) -> float:
    """The key of a scene from its absolute luminance.

    Krawczyk et al., Lightness Perception in Tone Reproduction for High Dynamic Range Images,
    Eurographics 2005: 1.03 - 2 / (2 + log10(L + 1)), L in cd/m^2. A sensor saturates at
    78 / ISO lux seconds (ISO 12232), which is 120 N^2 / (t ISO) cd/m^2 through a lens of
    transmission 0.65.
    """
    if not relative_exposure:
        return _KEY
    scene = average * 120 / relative_exposure
    return min(max(1.03 - 2 / (2 + math.log10(scene + 1)), _NIGHT_KEY), _KEY)
