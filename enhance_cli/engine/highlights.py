"""Highlights of dark pictures: what is brighter than white once a picture is amplified.

The networks have learned pictures that end at white, so brighter parts are exposed for shorter, by
a map of factors, and brightened again behind the network.
"""

import torch
from torch import Tensor
from torch.nn import functional

from enhance_cli.architectures.spec import Contract
from enhance_cli.colour import estimate_noise, luminance, packed_to_rgb
from enhance_cli.demosaicing import demosaic_adaptive
from enhance_cli.engine.runnable import Network
from enhance_cli.tone import HIGHEST_KNEE, LOWEST_KNEE, Curve, Tone

# The share of a picture that may be brighter than what the shoulder makes room for.
_BRIGHTEST_SHARE = 0.001
_CELL = 8  # side of the squares whose means tell how bright highlights are
# Sides of the squares whose means say how bright a place is: in a noisy picture larger ones.
_SQUARES = (1, 3, 5, 9, 17)
_NOISE = 0.1  # most standard deviation of these means, where white is 1
# Sensors saturate at this share of the stated white level or above it, as LibRaw has it too.
_LEAST_WHITE = 0.75
# Pixels of a mosaic that the demosaicing looks at in each direction, in packed pixels.
DEMOSAICING_HALO = 4


def light_map(amplified: Tensor) -> Tensor:
    """How many times brighter than white each place of a picture is.

    Args:
        amplified: (4, h, w) packed or (3, H, W), linear; 1 is white.

    Returns:
        (1, h, w) of at least 1: the brightest channel, of local means where there is noise.
    """
    noise = float(estimate_noise(amplified[None])[0])
    side = next((side for side in _SQUARES if noise <= _NOISE * side), _SQUARES[-1])
    means = _to_rgb(amplified)[None]
    if side > 1:
        for kernel in ((side, 1), (1, side)):
            margin = (kernel[0] // 2, kernel[1] // 2)
            means = functional.avg_pool2d(means, kernel, 1, margin, count_include_pad=False)
    return means[0].amax(0, keepdim=True).clamp(min=1)


def choose_tone(amplified: Tensor, curve: Curve, white: float) -> Tone:
    """Choose the shoulder that suits a picture: the brighter its highlights, the lower the knee.

    Args:
        amplified: (4, h, w) packed or (3, H, W), linear; 1 is white.
        curve: key of ``tone.CURVES``.
        white: the brightest value that can occur.
    """
    cell = min(_CELL, *amplified.shape[-2:])
    means = functional.avg_pool2d(_to_rgb(amplified)[None], cell)[0].amax(0).flatten()
    place = max(round((1 - _BRIGHTEST_SHARE) * len(means)), 1)
    brightest = float(means.kthvalue(place).values)
    knee = min(max(1 / max(brightest, 1), LOWEST_KNEE), HIGHEST_KNEE)
    return Tone(curve, knee, max(white, 1.0))


def _to_rgb(planes: Tensor) -> Tensor:
    return packed_to_rgb(planes) if len(planes) == 4 else planes


def find_saturation(planes: Tensor) -> Tensor:
    """Where the channels R, G and B of a sensor saturate, as shares of the stated white level.

    Args:
        planes: (4, h, w) packed, before the white balance.

    Returns:
        (3,), each the largest value that occurs if it is near the stated level; else 1.
    """
    red, green1, blue, green2 = planes.flatten(1).amax(1).tolist()
    return torch.tensor(
        [
            min(largest, 1.0) if largest > _LEAST_WHITE else 1.0
            for largest in (red, max(green1, green2), blue)
        ]
    )


def expose_highlights(
    network: Network, contract: Contract, bounds: tuple[float, float], strength: float
) -> Network:
    """A network that is shown highlights within its range, and whose result keeps some noise.

    Args:
        network: a network of low light whose values are linear.
        contract: of that network.
        bounds: range of the values that it is given.
        strength: share of the network's result, from 0 to 1; the rest is the input itself, from a
            RAW file demosaiced, in linear light. At 0 the network does not run.

    Returns:
        A network that takes the amplified picture without bounds, the map of light as one plane,
        and the further planes of ``network``, if any. It gives linear values of any size.
    """
    shown = 4 if contract.is_raw else 3

    def run(y: Tensor) -> Tensor:
        planes, light, further = y[:, :shown], y[:, shown : shown + 1], y[:, shown + 1 :]
        result = None
        if strength > 0:
            result = network(torch.cat([(planes / light).clamp(*bounds), further], 1))
        # Autocast would round what is bright.
        with torch.autocast(y.device.type, enabled=False):
            if result is not None:
                size = result.shape[-2:]
                result = result.float() * functional.interpolate(light, size=size, mode="nearest")
                if strength == 1:
                    return result
            plain = _demosaic(planes, contract)
            return plain if result is None else torch.lerp(plain, result, strength)

    return run


def _demosaic(planes: Tensor, contract: Contract) -> Tensor:
    """The input of a network as a picture of the size and the colours of its output."""
    if contract.is_raw:
        mosaic = functional.pixel_shuffle(planes[:, [0, 1, 3, 2]], 2)
        planes = demosaic_adaptive(mosaic)
    return luminance(planes) if contract.channels_out == 1 else planes
