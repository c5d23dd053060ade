"""How much fine detail pictures have: their power at high spatial frequencies."""

import torch
from torch import Tensor

CUTOFF = 0.25
_CHUNK = 256  # pictures, so that float64 spectra of thousands are not held at once


def high_frequency_energy(images: Tensor, cutoff: float = CUTOFF) -> float:
    """Mean power per pixel at radial frequencies above ``cutoff``.

    The power is the squared magnitude of the discrete Fourier transform of each plane without its
    mean; by Parseval's theorem the power of all frequencies together is the variance. There is no
    window, so the jump from one border to the opposite one counts as detail, which is fair as long
    as the pictures of both sets have it. Blur lowers the energy. It is absolute, so two sets of
    pictures are compared by the ratio of their energies.

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
