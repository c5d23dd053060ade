"""Estimate how much a dark picture must be amplified (thesis 000, ch. 8.6)."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from enhance_cli.colour import packed_to_rgb

MAX_RATIO = 300.0  # of the darkest pictures that the networks have learned (ch. 2)
# The largest share of a picture that may newly become pure white.
MAX_CLIPPED_SHARE = 0.1
# Lamps, skies and windows are nearly white already and do not count. Between these levels they
# count less and less, so that a lamp's ratio does not jump.
_BRIGHT, _WHITE = 0.6, 0.9
# Side of the squares whose means are judged instead of single pixels, which in the dark are noise.
_CELL = 8
# Medians over 330 well-exposed photographs: the log-average luminance (Reinhard et al.,
# Photographic Tone Reproduction for Digital Images, SIGGRAPH 2002, have 0.18), and the level of
# the brightest channel that a fiftieth of the picture exceeds.
_KEY, _HIGHLIGHT, _HIGHLIGHT_SHARE = 0.14, 0.66, 0.02
# No picture is brought to a log-average above this, so that a plain night sky stays dark.
_MAX_KEY = 0.25


def choose_ratio(balanced: Tensor) -> float:
    """Choose the amplification that makes a picture well exposed.

    One ratio brings the log-average luminance to 0.14, another the level that 2% of the picture
    exceed to 0.66. The geometric mean of the two is taken, unless it brings the log-average above
    0.25 or turns more than ``MAX_CLIPPED_SHARE`` of the picture white. What was nearly white
    before does not count.

    Only the picture is asked. How it was exposed tells how dark the scene was, but not how bright
    its picture is wanted: a rule that kept night scenes darker was further from the truth.

    Args:
        balanced: (4, h, w) packed or (3, H, W), linear and white-balanced; 1 is white.

    Returns:
        From 1, since nothing is ever darkened, to 300.
    """
    rgb = packed_to_rgb(balanced) if len(balanced) == 4 else balanced
    cell = min(_CELL, *rgb.shape[-2:])
    means = functional.avg_pool2d(rgb[None], cell)[0]
    light = (means * torch.tensor([0.2126, 0.7152, 0.0722]).view(3, 1, 1)).sum(0).flatten()
    average = float(light.mean())
    if average <= 0:
        return MAX_RATIO
    # With a floor, so that black parts do not pull the log-average down to nothing.
    log_average = math.exp(float(light.clamp(min=average / 50).log().mean()))
    brightest = _thin(means.amax(0).flatten())
    shares = torch.tensor([1 - _HIGHLIGHT_SHARE, 1 - MAX_CLIPPED_SHARE])
    counted = ((_WHITE - brightest) / (_WHITE - _BRIGHT)).clamp(0, 1)
    levels = torch.quantile(brightest * counted, shares)
    highlight, tenth = (max(float(level), 1e-6) for level in levels)
    ratio = min(
        math.sqrt(_KEY / log_average * _HIGHLIGHT / highlight), _MAX_KEY / log_average, 1 / tenth
    )
    return min(max(ratio, 1.0), MAX_RATIO)


def _thin(values: Tensor) -> Tensor:
    """Take at most a million of the values, since ``torch.quantile`` takes at most 16 million."""
    return values[:: max(len(values) // 1_000_000, 1)]
