"""Measures of quality. To add one: a function and its line in ``METRICS``."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from enhance_cli.metrics.distribution import jsd
from enhance_cli.metrics.quality import mae, psnr, ssim


@dataclass(frozen=True)
class Metric:
    """A full-reference measure: (image, reference, data_range) -> number.

    Attributes:
        measure: on (C, H, W) tensors.
        unit: for tables.
        better: ``"higher"`` or ``"lower"``.
        decimals: worth showing.
    """

    measure: Callable[[Tensor, Tensor, float], float]
    unit: str
    better: str
    decimals: int


METRICS: dict[str, Metric] = {
    "psnr": Metric(psnr, "dB", "higher", 2),
    "ssim": Metric(ssim, "", "higher", 4),
    "mae": Metric(mae, "", "lower", 5),
    "jsd": Metric(jsd, "", "lower", 4),
}
