"""Measures of quality. To add one, write a function and give it a line in ``METRICS``."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from enhance_cli.metrics.distribution import jsd
from enhance_cli.metrics.quality import mae, psnr, ssim


@dataclass(frozen=True)
class Metric:
    """A measure that compares a picture with the true one.

    Attributes:
        measure: takes the picture and the reference, both (C, H, W), and the range of their values.
        unit: the unit of the result, as tables show it.
        decimals: how many decimals are worth showing.
    """

    measure: Callable[[Tensor, Tensor, float], float]
    unit: str
    decimals: int


METRICS: dict[str, Metric] = {
    "psnr": Metric(psnr, "dB", 2),
    "ssim": Metric(ssim, "", 4),
    "mae": Metric(mae, "", 5),
    "jsd": Metric(jsd, "", 4),
}
