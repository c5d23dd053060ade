"""What two pictures are reduced to before a measure compares them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from enhance_cli.metrics import METRICS
from enhance_cli.metrics.quality import luma_bt601


@dataclass(frozen=True)
class Protocol:
    """One way to compare pictures.

    Attributes:
        summary: one line for help and tables.
        reduce: turns a picture, (C, H, W) in [0, 1], and a border in pixels into what is measured.
        data_range: the range of the values that ``reduce`` gives.
    """

    summary: str
    reduce: Callable[[Tensor, int], Tensor]
    data_range: float


def cut_border(image: Tensor, border: int) -> Tensor:
    """Cut ``border`` pixels off each side of pictures (..., H, W)."""
    height, width = image.shape[-2:]
    return image[..., border : height - border, border : width - border]


def _luma_cropped(image: Tensor, border: int) -> Tensor:
    return cut_border(luma_bt601(image), border)


def _rgb(image: Tensor, border: int) -> Tensor:
    return image.expand(3, -1, -1) if image.shape[0] == 1 else image


PROTOCOLS: dict[str, Protocol] = {
    "y-crop": Protocol(
        "BT.601 luma of 8-bit pictures, not rounded, a border of one LR pixel cut off; "
        "the protocol of published super-resolution tables",
        _luma_cropped,
        255.0,
    ),
    "rgb": Protocol("all values of RGB, no border cut off", _rgb, 1.0),
}


def score(
    image: Tensor,
    reference: Tensor,
    protocol: str,
    border: int,
    metrics: Sequence[str] = ("psnr", "ssim"),
) -> dict[str, float]:
    """Compare a picture with its reference.

    Args:
        image, reference: (C, H, W) of the same size, in [0, 1]. If one of them has a single
            channel and the other has three, it is taken for a grey picture in RGB.
        protocol: key of ``PROTOCOLS``.
        border: pixels that protocol ``y-crop`` cuts off at each side.
        metrics: names of ``METRICS``.

    Returns:
        The value of each metric by its name.

    Raises:
        ValueError: if the sizes differ, or the picture is too small for a metric.
    """
    if image.shape[-2:] != reference.shape[-2:]:
        raise ValueError(
            f"sizes differ: {image.shape[-1]}x{image.shape[-2]} against "
            f"{reference.shape[-1]}x{reference.shape[-2]}"
        )
    chosen = PROTOCOLS[protocol]
    pair = [chosen.reduce(picture.to(torch.float64), border) for picture in (image, reference)]
    if not pair[0].numel():
        raise ValueError(f"nothing is left inside a border of {border} pixels")
    return {name: METRICS[name].measure(pair[0], pair[1], chosen.data_range) for name in metrics}
