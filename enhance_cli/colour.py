"""Colour arithmetic between a sensor and a screen: curves and matrices, all differentiable.

A 3x3 matrix turns white-balanced linear camera RGB into linear sRGB, and a tone curve turns that
into the sRGB values that are shown. The tone curve of a camera has more contrast than sRGB's own.
As with Brooks et al. (Unprocessing Images for Learned Raw Denoising, CVPR 2019, sec. 3) it is
sRGB's gamma followed by a smoothstep.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

ToneCurve = Literal["camera", "srgb"]

# Linear sRGB -> CIE XYZ (D65), IEC 61966-2-1.
SRGB_TO_XYZ = torch.tensor(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
# ITU-R BT.709 luminance of linear RGB.
LUMINANCE = torch.tensor([0.2126, 0.7152, 0.0722])
_LUMA = (0.299, 0.587, 0.114)  # of R'G'B', ITU-R BT.601
_LINEAR_END = 0.0031308
_LINEAR_SLOPE = 12.92


def linear_to_srgb(linear: Tensor) -> Tensor:
    """Apply the transfer curve of sRGB (IEC 61966-2-1); f(-x) is -f(x). Any shape."""
    size = linear.abs()
    curved = 1.055 * size.clamp(min=_LINEAR_END) ** (1 / 2.4) - 0.055
    return torch.where(size <= _LINEAR_END, _LINEAR_SLOPE * linear, linear.sign() * curved)


def srgb_to_linear(values: Tensor) -> Tensor:
    """Invert ``linear_to_srgb``."""
    size = values.abs()
    end = _LINEAR_END * _LINEAR_SLOPE
    curved = ((size.clamp(min=end) + 0.055) / 1.055) ** 2.4
    return torch.where(size <= end, values / _LINEAR_SLOPE, values.sign() * curved)


def smoothstep(values: Tensor) -> Tensor:
    """Compute 3x^2 - 2x^3 of values x in [0, 1]."""
    return values * values * (3 - 2 * values)


def inverse_smoothstep(values: Tensor) -> Tensor:
    """Invert ``smoothstep`` on [0, 1]."""
    return 0.5 - torch.sin(torch.asin(1 - 2 * values.clamp(0, 1)) / 3)


def _to_camera_curve(linear: Tensor) -> Tensor:
    return smoothstep(linear_to_srgb(linear))


def _from_camera_curve(values: Tensor) -> Tensor:
    return srgb_to_linear(inverse_smoothstep(values))


# For each tone curve, the way from linear sRGB in [0, 1] to shown values in [0, 1], and back.
TONE_CURVES: dict[ToneCurve, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "camera": (_to_camera_curve, _from_camera_curve),
    "srgb": (linear_to_srgb, srgb_to_linear),
}


def apply_matrix(image: Tensor, matrix: Tensor) -> Tensor:
    """Multiply the colour of every pixel by a matrix.

    Args:
        image: (N, 3, H, W) or (3, H, W).
        matrix: (3, 3), or (N, 3, 3) with one matrix for each picture.
    """
    return torch.einsum("...ij,...jhw->...ihw", matrix, image)


def luminance(linear: Tensor) -> Tensor:
    """Compute the luminance of BT.709, (..., 1, H, W), of linear RGB (..., 3, H, W)."""
    weights = LUMINANCE.to(linear).view(3, 1, 1)
    return (linear * weights).sum(-3, keepdim=True)


def packed_to_rgb(planes: Tensor) -> Tensor:
    """The mean colours (3, h, w) of the cells of a packed mosaic, R, G1, B, G2 (4, h, w)."""
    return torch.stack([planes[0], (planes[1] + planes[3]) / 2, planes[2]])


def render(linear: Tensor, camera_to_srgb: Tensor, curve: ToneCurve, grey: bool = False) -> Tensor:
    """Turn white-balanced linear camera RGB into shown values: matrix, clipping and tone curve.

    A single plane goes through the tone curve alone, since no matrix applies to it.

    Args:
        linear: (..., 3, H, W) or (..., 1, H, W), where 1 is white.
        camera_to_srgb: (3, 3), or (N, 3, 3) with one matrix for each picture.
        curve: key of ``TONE_CURVES``.
        grey: whether to give only the luminance, (..., 1, H, W).

    Returns:
        (..., 3, H, W) or (..., 1, H, W) in [0, 1].
    """
    if linear.shape[-3] == 3:
        # The colours of a sensor are wrong above white, where some channels are saturated.
        linear = apply_matrix(linear.clamp(max=1), camera_to_srgb)
        if grey:
            linear = luminance(linear)
    return TONE_CURVES[curve][0](linear.clamp(0, 1))


def camera_matrices(xyz_to_camera: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the matrices between linear sRGB and white-balanced linear camera RGB.

    Args:
        xyz_to_camera: (..., 3, 3), the ColorMatrix of a DNG.

    Returns:
        ``(srgb_to_camera, camera_to_srgb)``. The rows of both sum to 1, so that grey stays grey.
    """
    forward = xyz_to_camera @ SRGB_TO_XYZ.to(xyz_to_camera)
    forward = forward / forward.sum(-1, keepdim=True)
    return forward, torch.linalg.inv(forward)


# The range of the amplified values that networks are given, where white is 1. The noise of a RAW
# file goes below black and must keep its mean. In a file of 8 bits it is cut off at black already,
# and very bright lamps beside black would only leave rings.
AMPLIFIED_RANGE = (-8.0, 8.0)
AMPLIFIED_SRGB_RANGE = (0.0, 2.0)

# Noise lies around zero, where a square root is infinitely steep. This limits the slope to 10.
_TOE = 0.01
# Side in details of 2x2 pixels.
_SMOOTH_BLOCK = 8


def compress_range(linear: Tensor) -> Tensor:
    """Compress linear values y to y / sqrt(|y| + 0.01), which is roughly their square root.

    The function is smooth at zero, and f(-y) is -f(y). It evens out photon noise, whose variance
    grows with the signal, and comes close to what is shown in the end. Any shape.
    """
    return linear / (linear.abs() + _TOE).sqrt()


def expand_range(compressed: Tensor) -> Tensor:
    """Invert ``compress_range``."""
    size = compressed.abs()
    return compressed * (size + (size * size + 4 * _TOE).sqrt()) / 2


def estimate_noise(planes: Tensor) -> Tensor:
    """Estimate the standard deviation of the noise in pictures, whatever they show.

    It follows from the median of the absolute diagonal Haar details over all planes of a picture
    (Donoho and Johnstone, Ideal spatial adaptation by wavelet shrinkage, Biometrika 1994).

    Args:
        planes: (N, C, H, W). The noise of neighbouring pixels must be independent.

    Returns:
        (N,), which is zero for pictures of less than 2x2 pixels.
    """
    # The median of |N(0, 1)| is 0.6745.
    details = _diagonal_details(planes).flatten(1)
    return details.median(1).values / 0.6745 if details.numel() else planes.new_zeros(len(planes))


def _diagonal_details(planes: Tensor) -> Tensor:
    """Absolute diagonal Haar details of (N, C, H, W), float32 (N, C, H // 2, W // 2)."""
    height, width = (side // 2 * 2 for side in planes.shape[-2:])
    even = planes[..., :height, :width]
    return (
        even[..., ::2, ::2] - even[..., ::2, 1::2] - even[..., 1::2, ::2] + even[..., 1::2, 1::2]
    ).abs().float() / 2


def noise_planes(planes: Tensor, count: int) -> Tensor:
    """The planes that tell a network how noisy its input is.

    Each holds a standard deviation s of the noise in compressed values, as log(1 + 200 s) / 2,
    since a factor matters alike wherever it is: about 0.5 for a clean photograph, 3 for hardly more
    than noise.

    - The first is by the mean of the lower three quarters of the diagonal Haar details. That takes
      the place of the median of ``estimate_noise``, which is zero where a dark file has few levels.
    - The second is by the blocks of 16x16 pixels of which a tenth of all are smoother, so texture
      is not taken for noise. It is small where a file's compression has smoothed what is even.

    Args:
        planes: (N, C, H, W) linear input of the network.
        count: How many of these planes are wanted, 0 to 2.

    Returns:
        (N, count, H, W), constant for each picture; zero for pictures of less than 2x2 pixels.
    """
    if count == 0:
        return planes[:, :0]
    details = _diagonal_details(compress_range(planes))
    told = planes.new_zeros(len(planes), count)
    if details.numel():
        estimates = (_lower_deviation, _smooth_deviation)[:count]
        deviations = torch.stack([estimate(details) for estimate in estimates], 1)
        told = torch.log1p(200 * deviations).to(planes) / 2
    return told[:, :, None, None].expand(-1, -1, *planes.shape[-2:])


def _lower_deviation(details: Tensor) -> Tensor:
    ordered = details.flatten(1).sort(1).values
    # The mean of |N(0, 1)| below its third quartile is 0.5149.
    return ordered[:, : -(-ordered.shape[1] * 3 // 4)].mean(1) / 0.5149


def _smooth_deviation(details: Tensor) -> Tensor:
    side = min(_SMOOTH_BLOCK, *details.shape[-2:])
    means = functional.avg_pool2d(details.mean(1, keepdim=True), side).flatten(1)
    # The mean of |N(0, 1)| is 0.7979, and that of the smoothest tenth of such blocks a little less.
    return means.quantile(0.1, dim=1) / 0.755


def noise_of_plane(plane: Tensor) -> Tensor:
    """The standard deviation that a plane of ``noise_planes`` tells of, of the same shape."""
    return torch.expm1(2 * plane) / 200


def luma(values: Tensor) -> Tensor:
    """The luma of sRGB values, (N, 3, H, W) -> (N, 1, H, W), by the weights of ITU-R BT.601.

    Values in [0, 1] have a luma in [0, 1]. Differences of values have the difference of their luma.
    """
    red, green, blue = (weight * values[:, at : at + 1] for at, weight in enumerate(_LUMA))
    return red + green + blue
