"""Tone: from linear light, which may be far brighter than white, to a picture that is shown.

``colour.render`` cuts each channel at white, so an orange lamp that was amplified turns yellow.
Here the brightest of the three channels says how bright a pixel is. Up to the *knee* the curve is
followed. Above it a shoulder rises ever more slowly and reaches white at the brightest value that
the sensor can record; there all three channels are scaled alike, so that the colour stays what it
was at the knee. Benchmarks and training show pictures by ``colour.render``, whose curves are fixed.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from enhance_cli.colour import apply_matrix, linear_to_srgb, luminance, smoothstep

Curve = Literal["camera", "flat", "linear"]
CURVES: tuple[Curve, ...] = get_args(Curve)

# Where the shoulder begins. The first leaves highlights most room, the second hardly any.
LOWEST_KNEE, HIGHEST_KNEE = 0.5, 0.98
# The contrast curve is a smoothstep but for its toe, which is this cubic below 0.4: both have the
# value 0.352 and the slope 1.44 there. A smoothstep begins flat, and would show linear 0.01 (0.1 in
# sRGB) at 0.028, where the cubic shows 0.062.
_TOE_END, _TOE_SLOPE, _TOE_CUBIC = 0.4, 0.6, 1.75
# A channel of the sensor counts as saturated from the second of these shares of its largest value
# on, and as measured up to the first.
_MEASURED, _SATURATED = 0.85, 0.95


@dataclass(frozen=True)
class Tone:
    """A tone curve with its shoulder.

    Attributes:
        curve: ``camera`` has the contrast of a camera's pictures, ``flat`` is the transfer curve of
            sRGB alone, ``linear`` neither encodes nor compresses.
        knee: the linear value, below 1, above which highlights are compressed.
        end: the linear value, at least 1, that becomes white.
    """

    curve: Curve
    knee: float = HIGHEST_KNEE
    end: float = 1.0

    def show(self, linear: Tensor) -> Tensor:
        """Show linear values.

        Args:
            linear: (..., C, H, W) of 1 or 3 channels, where 1 is white before any compression.

        Returns:
            The same shape, in [0, 1]. ``linear`` cuts each channel at black and white.
        """
        if self.curve == "linear":
            return linear.clamp(0, 1)
        encode = _ENCODINGS[self.curve]
        brightest = linear.amax(-3, keepdim=True).clamp(self.knee, max(self.end, self.knee))
        shown = encode((linear * (self.knee / brightest)).clamp(0, self.knee))
        return (shown * self._lift(brightest)).clamp(max=1)

    def _lift(self, brightest: Tensor) -> Tensor:
        """How many times brighter than at the knee a pixel is shown; its values are [knee, end].

        What is shown rises with the logarithm of the light, from the curve's own slope at the knee.
        """
        at_knee, slope = _value_and_slope(_ENCODINGS[self.curve], self.knee)
        span = self.end - self.knee
        steep = _solve_logarithm(slope * span / (1 - at_knee))
        above = (brightest - self.knee) / span
        risen = torch.log1p(steep * above) / math.log1p(steep) if steep > 0 else above
        return 1 + (1 / at_knee - 1) * risen


def add_contrast(values: Tensor) -> Tensor:
    """Add the contrast of a camera's pictures to values in [0, 1]: a smoothstep with a toe."""
    toe = values * (_TOE_SLOPE + _TOE_CUBIC * values * values)
    return torch.where(values < _TOE_END, toe, smoothstep(values))


_ENCODINGS: dict[Curve, Callable[[Tensor], Tensor]] = {
    "camera": lambda linear: add_contrast(linear_to_srgb(linear)),
    "flat": linear_to_srgb,
}


def _value_and_slope(function: Callable[[Tensor], Tensor], at: float) -> tuple[float, float]:
    step = 1e-6
    below, value, above = function(
        torch.tensor([at - step, at, at + step], dtype=torch.float64)
    ).tolist()
    return value, (above - below) / (2 * step)


def _solve_logarithm(slope: float) -> float:
    """The b for which log(1 + b x) / log(1 + b) has the given slope at 0; 0 for a slope of 1."""
    low, high = 0.0, max(slope, 1.0) ** 2 * 4  # b / log(1 + b) is above the root of b / 4
    for _ in range(200):
        middle = (low + high) / 2
        if middle > slope * math.log1p(middle):
            high = middle
        else:
            low = middle
    return low


def restore_saturated(balanced: Tensor, saturation: Tensor, white: float) -> Tensor:
    """Give colours to pixels of which some channels are saturated.

    The white balance lifts red and blue, so that a saturated pixel would be magenta. A saturated
    channel is at least as bright as the mean of the others, which makes the brightest neutral
    parts neutral again. Where two channels are saturated nobody knows the colour, and the pixel
    becomes white. Both set in smoothly.

    Args:
        balanced: (..., 3, H, W), amplified white-balanced linear camera RGB.
        saturation: (3,), the values at which the channels are saturated.
        white: the value that saturated pixels get.
    """
    share = balanced / saturation.to(balanced).view(3, 1, 1)
    saturated = smoothstep(((share - _MEASURED) / (_SATURATED - _MEASURED)).clamp(0, 1))
    others = (balanced.sum(-3, keepdim=True) - balanced) / 2
    restored = torch.lerp(balanced, torch.maximum(balanced, others), saturated)
    lost = saturated.median(-3, keepdim=True).values  # that of the second of the three
    return torch.lerp(restored, torch.full_like(restored, white), lost)


def develop(
    linear: Tensor,
    camera_to_srgb: Tensor,
    tone: Tone,
    *,
    saturation: Tensor | None = None,
    grey: bool = False,
) -> Tensor:
    """Turn white-balanced linear camera RGB into shown values: matrix, tone curve and shoulder.

    A single plane goes through the tone curve alone, since no matrix applies to it.

    Args:
        linear: (..., 3, H, W) or (..., 1, H, W), of any range.
        camera_to_srgb: (3, 3).
        tone: the curve.
        saturation: (3,), where the channels of the sensor saturate; None for pictures, whose white
            is meant.
        grey: whether to give only the luminance, (..., 1, H, W).

    Returns:
        (..., 3, H, W) or (..., 1, H, W) in [0, 1].
    """
    if linear.shape[-3] == 3:
        if saturation is not None:
            linear = restore_saturated(linear, saturation, tone.end)
        linear = apply_matrix(linear, camera_to_srgb)
        if grey:
            linear = luminance(linear)
    return tone.show(linear)
