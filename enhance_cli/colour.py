"""Colour arithmetic between a sensor and a screen: curves and matrices, all differentiable.

A picture goes from white-balanced linear camera RGB by a 3x3 matrix to linear sRGB, and by an
output curve to the sRGB values that are shown. The curve of a camera has more contrast than
sRGB's own; as Brooks et al. (Unprocessing Images for Learned Raw Denoising, CVPR 2019, sec. 3)
it is sRGB's gamma followed by a smoothstep.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

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
_LINEAR_END = 0.0031308
_LINEAR_SLOPE = 12.92


def linear_to_srgb(linear: Tensor) -> Tensor:
    """sRGB's transfer curve (IEC 61966-2-1), odd-symmetric below zero; any shape."""
    size = linear.abs()
    curved = 1.055 * size.clamp(min=_LINEAR_END) ** (1 / 2.4) - 0.055
    return torch.where(size <= _LINEAR_END, _LINEAR_SLOPE * linear, linear.sign() * curved)


def srgb_to_linear(values: Tensor) -> Tensor:
    """Inverse of ``linear_to_srgb``."""
    size = values.abs()
    end = _LINEAR_END * _LINEAR_SLOPE
    curved = ((size.clamp(min=end) + 0.055) / 1.055) ** 2.4
    return torch.where(size <= end, values / _LINEAR_SLOPE, values.sign() * curved)


def smoothstep(values: Tensor) -> Tensor:
    """3x^2 - 2x^3 of values in [0, 1]."""
    return values * values * (3 - 2 * values)


def inverse_smoothstep(values: Tensor) -> Tensor:
    """Inverse of ``smoothstep`` on [0, 1]."""
    return 0.5 - torch.sin(torch.asin(1 - 2 * values.clamp(0, 1)) / 3)


def _to_camera_curve(linear: Tensor) -> Tensor:
    return smoothstep(linear_to_srgb(linear))


def _from_camera_curve(values: Tensor) -> Tensor:
    return srgb_to_linear(inverse_smoothstep(values))


# Linear sRGB in [0, 1] -> shown values in [0, 1], and back.
TONE_CURVES: dict[ToneCurve, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "camera": (_to_camera_curve, _from_camera_curve),
    "srgb": (linear_to_srgb, srgb_to_linear),
}


def apply_matrix(image: Tensor, matrix: Tensor) -> Tensor:
    """Transform colours.

    Args:
        image: (N, 3, H, W) or (3, H, W).
        matrix: (3, 3), or (N, 3, 3) for one matrix per picture.
    """
    return torch.einsum("...ij,...jhw->...ihw", matrix, image)


def luminance(linear: Tensor) -> Tensor:
    """BT.709 luminance (..., 1, H, W) of linear RGB (..., 3, H, W)."""
    weights = LUMINANCE.to(linear).view(3, 1, 1)
    return (linear * weights).sum(-3, keepdim=True)


def render(linear: Tensor, camera_to_srgb: Tensor, curve: ToneCurve, grey: bool = False) -> Tensor:
    """From white-balanced linear camera RGB to shown values: matrix, clipping, curve.

    A single plane goes through the curve alone: no matrix applies to it, and in a grey picture
    of the camera's own colours neutral stays neutral all the same.

    Args:
        linear: (..., 3, H, W) or (..., 1, H, W), 1 is white.
        camera_to_srgb: (3, 3) or (N, 3, 3).
        curve: key of ``TONE_CURVES``.
        grey: give the luminance only, (..., 1, H, W).

    Returns:
        (..., 3, H, W) or (..., 1, H, W) in [0, 1].
    """
    if linear.shape[-3] == 3:
        # Above white a sensor's colours are wrong: some channels were saturated and some not.
        linear = apply_matrix(linear.clamp(max=1), camera_to_srgb)
        if grey:
            linear = luminance(linear)
    return TONE_CURVES[curve][0](linear.clamp(0, 1))


def camera_matrices(xyz_to_camera: Tensor) -> tuple[Tensor, Tensor]:
    """White-balanced camera RGB from linear sRGB, and the way back.

    Args:
        xyz_to_camera: (..., 3, 3), as DNG's ColorMatrix.

    Returns:
        ``(srgb_to_camera, camera_to_srgb)``, both with rows that sum to 1, so that neutral
        stays neutral.
    """
    forward = xyz_to_camera @ SRGB_TO_XYZ.to(xyz_to_camera)
    forward = forward / forward.sum(-1, keepdim=True)
    return forward, torch.linalg.inv(forward)


# Amplified values that networks are given: white is 1, the rest is noise and highlights. The noise
# of a RAW file must keep its mean; in an 8-bit file it is cut already, and bright lamps beside
# blackness would only leave rings.
AMPLIFIED_RANGE = (-8.0, 8.0)
AMPLIFIED_SRGB_RANGE = (0.0, 2.0)

# Noise is spread around zero, where a root is infinitely steep: this keeps the slope at 10.
_TOE = 0.01


def compress_range(linear: Tensor) -> Tensor:
    """Linear values to roughly their square root, smooth and odd-symmetric at zero.

    y / sqrt(|y| + 0.01): evens out photon noise, whose variance grows with the signal, and
    comes close to what is shown in the end. Any shape; inverse of ``expand_range``.
    """
    return linear / (linear.abs() + _TOE).sqrt()


def expand_range(compressed: Tensor) -> Tensor:
    """Inverse of ``compress_range``."""
    size = compressed.abs()
    return compressed * (size + (size * size + 4 * _TOE).sqrt()) / 2


def estimate_noise(planes: Tensor) -> Tensor:
    """Standard deviation of the noise in pictures, robust against what they show.

    The median of absolute diagonal Haar details (Donoho and Johnstone, Ideal spatial adaptation
    by wavelet shrinkage, Biometrika 1994), over all planes of a picture.

    Args:
        planes: (N, C, H, W); noise of neighbouring pixels must be independent.

    Returns:
        (N,); zero for pictures of less than 2x2 pixels.
    """
    # The median of |N(0, 1)| is 0.6745.
    details = _diagonal_details(planes)
    return details.median(1).values / 0.6745 if details.numel() else planes.new_zeros(len(planes))


def _diagonal_details(planes: Tensor) -> Tensor:
    """Absolute diagonal Haar details of (N, C, H, W), float32 (N, C * H // 2 * W // 2)."""
    height, width = (side // 2 * 2 for side in planes.shape[-2:])
    even = planes[..., :height, :width]
    return (
        even[..., ::2, ::2] - even[..., ::2, 1::2] - even[..., 1::2, ::2] + even[..., 1::2, 1::2]
    ).abs().flatten(1).float() / 2


def noise_plane(planes: Tensor) -> Tensor:
    """The plane that tells a network how noisy its input is.

    The standard deviation s of the noise in compressed values, as log(1 + 200 s) / 2, since a
    factor matters alike wherever it is: about 0.5 for a clean photograph, 3 for hardly more than
    noise. The mean of the lower three quarters of the diagonal Haar details takes the place of the
    median of ``estimate_noise``, which is zero where a dark file has few levels.

    Args:
        planes: (N, C, H, W) linear input of the network.

    Returns:
        (N, 1, H, W), constant for each picture; zero for pictures of less than 2x2 pixels.
    """
    details = _diagonal_details(compress_range(planes))
    lower = details.sort(1).values[:, : -(-details.shape[1] * 3 // 4)]
    # The mean of |N(0, 1)| below its third quartile is 0.5149.
    noise = lower.mean(1) / 0.5149 if lower.numel() else planes.new_zeros(len(planes))
    plane = torch.log1p(200 * noise).to(planes) / 2
    return plane.view(-1, 1, 1, 1).expand(-1, 1, *planes.shape[-2:])
