"""Noise of a camera's sensor in extreme darkness, for synthetic RAW data.

The model is that of Wei et al. (A Physics-Based Noise Formation Model for Extreme Low-Light
Raw Denoising, CVPR 2020): photon noise (Poisson) times the system gain K, read noise with heavy
tails (Tukey lambda), row noise (Gaussian, one value per sensor row) and quantization, where the
logarithms of the noise scales are linear in log K. The constants are the calibrations of three
cameras published with it and with Feng et al. (Learnability Enhancement for Low-Light Raw
Denoising, ACM MM 2022), all converted to 14-bit levels. K itself is proportional to ISO.
"""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

ISO_RANGE = (50.0, 25_600.0)  # of the SID dataset (thesis 000, ch. 2)
RATIO_RANGE = (20.0, 300.0)

# Rows: Nikon D850, Sony A7S II (low ISO), Sony IMX686 (a phone's sensor). Columns: slope and
# offset of log(read scale), slope and offset of log(row scale), Tukey's lambda.
_PROFILES = torch.tensor(
    [
        [0.906, -0.675, 0.832, -2.333, -0.26],
        [0.740, 0.862, 0.788, -0.342, -0.026],
        [0.852, 0.490, 0.876, -1.770, 0.102],
    ]
)
# 14-bit levels per electron at ISO 100: the A7S II's about 0.1, the IMX686's about 2.2; full
# wells of 160,000 down to 7,000 electrons.
_GAIN_AT_100 = (0.1, 2.2)
_JITTER = 0.03  # standard deviation of the logarithms, the largest of the published ones
BIT_DEPTHS = (10, 12, 14)


@dataclass(frozen=True)
class Sensor:
    """A batch of N sensors at an ISO each; every field is (N,) unless said otherwise.

    Attributes:
        gain: K, levels per electron.
        read: scale of the read noise in levels.
        tail: Tukey's lambda; below 0.14 the tails are heavier than a Gaussian's.
        row: standard deviation of the row noise in levels.
        black, white: levels of no light and of saturation.
    """

    gain: Tensor
    read: Tensor
    tail: Tensor
    row: Tensor
    black: Tensor
    white: Tensor

    def take(self, share: slice) -> "Sensor":
        """Some of the N."""
        return Sensor(*(getattr(self, entry.name)[share] for entry in fields(self)))


def _uniform(low: float, high: float, count: int, generator: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(count, generator=generator)


def log_uniform(low: float, high: float, count: int, generator: torch.Generator) -> Tensor:
    """(count,) numbers whose logarithms are spread evenly."""
    bounds = torch.tensor([low, high]).log().tolist()
    return _uniform(bounds[0], bounds[1], count, generator).exp()


def draw_sensors(iso: Tensor, generator: torch.Generator) -> Sensor:
    """Random sensors, one per ISO value of (N,)."""
    count = len(iso)
    share = -torch.rand(count, len(_PROFILES), generator=generator).clamp_(min=1e-6).log()
    profile = share / share.sum(1, keepdim=True) @ _PROFILES  # uniform over the triangle
    base = log_uniform(*_GAIN_AT_100, count, generator)
    jitter = _JITTER * torch.randn(2, count, generator=generator)
    log_gain = (base * iso / 100).log()
    bits = torch.tensor(BIT_DEPTHS)[torch.randint(3, (count,), generator=generator)]
    levels = 2.0 ** (bits - 14)
    white = 2.0**bits - 1
    return Sensor(
        gain=log_gain.exp() * levels,
        read=(profile[:, 0] * log_gain + profile[:, 1] + jitter[0]).exp() * levels,
        tail=profile[:, 4],
        row=(profile[:, 2] * log_gain + profile[:, 3] + jitter[1]).exp() * levels,
        black=(white * _uniform(0.015, 0.13, count, generator)).round(),
        white=white,
    )


def _tukey_lambda(shape: torch.Size, tail: Tensor, generator: torch.Generator) -> Tensor:
    """Standard Tukey lambda deviates by the quantile function (u^l - (1-u)^l) / l."""
    u = torch.rand(shape, generator=generator, device=generator.device)
    u = u.clamp_(1e-6, 1 - 1e-6)
    power = torch.where(tail.abs() < 1e-3, torch.full_like(tail, 1e-3), tail)
    return (u**power - (1 - u) ** power) / power


def expose(light: Tensor, sensor: Sensor, generator: torch.Generator) -> Tensor:
    """What a sensor records.

    Args:
        light: (N, 4, h, w) packed R, G1, B, G2; the noiseless signal, 1 is saturation.
        sensor: N sensors, on the device of ``light``.
        generator: on the device of ``light``.

    Returns:
        (N, 4, h, w) float32 whole levels from 0 to ``white``, black level included.
    """

    def each(value: Tensor) -> Tensor:
        return value.to(light).view(-1, 1, 1, 1)

    span = each(sensor.white - sensor.black)
    electrons = (light.clamp(0, 1) * span / each(sensor.gain)).contiguous()
    levels = torch.poisson(electrons, generator=generator) * each(sensor.gain)
    levels += each(sensor.read) * _tukey_lambda(light.shape, each(sensor.tail), generator)
    count, _, height, _ = light.shape
    rows = torch.randn(count, 2, height, 1, generator=generator, device=light.device)
    levels += each(sensor.row) * rows[:, [0, 0, 1, 1]]  # R and G1 share a row, B and G2 the next
    levels = (levels + each(sensor.black)).round()
    return levels.clamp_(min=0).minimum(each(sensor.white))


def normalise(levels: Tensor, sensor: Sensor) -> Tensor:
    """Levels to values where black is 0 and white is 1; noise below black stays negative."""
    black, white = (value.to(levels).view(-1, 1, 1, 1) for value in (sensor.black, sensor.white))
    return (levels - black) / (white - black)
