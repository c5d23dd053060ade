"""How much fine detail pictures have: their power at high spatial frequencies."""

import torch
from torch import Tensor

CUTOFF = 0.25
_CHUNK = 256  # pictures, so that float64 spectra of thousands are not held at once


def high_frequency_energy(images: Tensor, cutoff: float = CUTOFF) -> float:
    """Mean power per pixel at radial frequencies above ``cutoff``.

    The mean of each plane is taken off and its discrete Fourier transform squared; no window, so
    the jump from one border to the opposite one counts as detail, in equal measure for two sets of
    pictures alike. By Parseval's theorem all frequencies together give the variance. The energy
    is absolute: blur lowers it, and two sets are compared by the ratio of theirs.

    Args:
        images: (N, C, H, W) in [0, 1].
        cutoff: cycles per pixel, from 0 to below sqrt(1/2), the corner of the spectrum.

    Returns:
        The mean over pictures and channels, in squared units of the values.

    Raises:
        ValueError: if there are no pictures of four axes, or the cutoff is out of range.
    """
    if images.ndim != 4 or not images.numel():
        raise ValueError(f"a spectrum needs (N, C, H, W) pictures, not {tuple(images.shape)}")
    if not 0 <= cutoff < 0.5**0.5:
        raise ValueError(f"cutoff {cutoff}: give cycles per pixel from 0 to below 0.7071")
    height, width = images.shape[-2:]
    rows, columns = (torch.fft.fftfreq(side, dtype=torch.float64) for side in (height, width))
    high = torch.hypot(rows[:, None], columns[None]) > cutoff
    total = 0.0
    for chunk in torch.split(images, _CHUNK):
        planes = chunk.detach().double().cpu().flatten(0, 1)
        spectrum = torch.fft.fft2(planes - planes.mean((1, 2), keepdim=True))
        total += float(spectrum[:, high].abs().square().sum())
    return total / (images.shape[0] * images.shape[1] * (height * width) ** 2)
