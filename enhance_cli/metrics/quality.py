"""How close a picture is to the true one: PSNR, SSIM and mean absolute error.

Every measure takes a picture and its reference as tensors of one shape, and the range of their
values: ``data_range`` is the largest possible value minus the smallest, 255 for 8-bit levels and
1 for values in [0, 1]. It is always an argument, since pixels do not tell it. A ``ValueError`` is
raised if the shapes differ.
"""

import torch
from torch import Tensor

# MATLAB rgb2ycbcr: BT.601 luma of 8-bit sRGB in studio swing, 16..235.
_LUMA = (65.481, 128.553, 24.966)


def _check_shapes(image: Tensor, reference: Tensor) -> None:
    if image.shape != reference.shape:
        raise ValueError(
            f"pictures of one shape are compared, not {tuple(image.shape)} "
            f"and {tuple(reference.shape)}"
        )


def luma_bt601(image: Tensor) -> Tensor:
    """Convert sRGB to the luma of ITU-R BT.601, as MATLAB's ``rgb2ycbcr`` does, without rounding.

    Args:
        image: (..., 3, H, W) in [0, 1], or (..., 1, H, W) for a grey picture, where R = G = B.

    Returns:
        Y of shape (..., 1, H, W), from 16 for black to 235 for white.

    Raises:
        ValueError: if the values are not floating point.
    """
    if not image.is_floating_point():
        raise ValueError(f"luma needs floating point values in [0, 1], got {image.dtype}")
    if image.shape[-3] == 1:
        return 16 + sum(_LUMA) * image
    weights = image.new_tensor(_LUMA).view(3, 1, 1)
    return 16 + (image * weights).sum(-3, keepdim=True)


def psnr(image: Tensor, reference: Tensor, data_range: float) -> float:
    """Peak signal-to-noise ratio over all values in dB; infinite for equal pictures."""
    _check_shapes(image, reference)
    error = (image.double() - reference.double()).square().mean().item()
    if error == 0:
        return float("inf")
    return float(10 * torch.log10(torch.tensor(data_range**2 / error, dtype=torch.float64)))


def mae(image: Tensor, reference: Tensor, data_range: float) -> float:
    """Mean absolute error over all values as a share of ``data_range`` (thesis 000, ch. 6.3.1)."""
    _check_shapes(image, reference)
    return float((image.double() - reference.double()).abs().mean() / data_range)


def ssim(image: Tensor, reference: Tensor, data_range: float) -> float:
    """Mean structural similarity (Wang et al., 2004); 1 for equal pictures.

    Means, variances and the covariance are taken in a Gaussian window of 11x11 pixels with a
    standard deviation of 1.5, with K1 = 0.01 and K2 = 0.03. The result is the mean over the
    channels and over all places where the whole window fits, which is what scikit-image gives for
    ``gaussian_weights=True, sigma=1.5, use_sample_covariance=False``.

    Raises:
        ValueError: if the shapes differ, or a side of the pictures is smaller than the window.
    """
    _check_shapes(image, reference)
    if min(image.shape[-2:]) < 11:
        raise ValueError(f"SSIM needs at least 11x11 pixels, got {tuple(image.shape[-2:])}")
    steps = torch.arange(6, dtype=torch.float64)
    half = torch.exp(-(steps**2) / (2 * 1.5**2))
    taps = (half / (2 * half.sum() - half[0])).tolist()

    def blur(x: Tensor) -> Tensor:
        # A weighted sum of shifted views: several times as fast as conv2d in float64.
        for axis in (-2, -1):
            size = x.shape[axis] - 10
            middle = taps[0] * x.narrow(axis, 5, size)
            for step, tap in enumerate(taps[1:], 1):
                both = x.narrow(axis, 5 - step, size) + x.narrow(axis, 5 + step, size)
                middle += tap * both
            x = middle
        return x

    x, y = image.double(), reference.double()
    mean_x, mean_y = blur(x), blur(y)
    product, squares = mean_x * mean_y, mean_x**2 + mean_y**2
    covariance = blur(x * y) - product
    variances = blur(x * x + y * y) - squares  # the sum of both, which is all that is needed
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    score = ((2 * product + c1) * (2 * covariance + c2)) / ((squares + c1) * (variances + c2))
    return float(score.mean())
