"""Measures of video (dissertation 003, ch. 3.4)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

from enhance_cli.levels import quantise
from enhance_cli.metrics.quality import luma_bt601, ssim

# Liu et al. (2017) give no estimates for the first and last two frames (ch. 3.4.8).
LEFT_OUT = 2
PEAK = 255.0  # of 8-bit luma


def frame_luma(frame: Tensor) -> Tensor:
    """Round a frame (3, H, W) in [0, 1] to 8 bits and give its BT.601 luma (1, H, W) in float64."""
    return luma_bt601(quantise(frame.double()))


def frame_error(luma: Tensor, reference: Tensor) -> float:
    """Mean squared error of two frames' luma.

    Raises:
        ValueError: if the shapes differ.
    """
    if luma.shape != reference.shape:
        raise ValueError(f"shapes differ: {tuple(luma.shape)} and {tuple(reference.shape)}")
    return float((luma - reference).square().mean())


def error_to_psnr(error: float) -> float:
    """Turn a mean squared error of 8-bit luma into PSNR in dB; no error gives infinity."""
    return 10 * math.log10(PEAK**2 / error) if error else math.inf


def counted(values: Sequence[float], left_out: int = LEFT_OUT) -> Sequence[float]:
    """The values of a clip's frames without those at its beginning and end.

    Raises:
        ValueError: if none is left.
    """
    inside = values[left_out : len(values) - left_out]
    if not inside:
        raise ValueError(f"{len(values)} frames: none is left without {left_out} at either end")
    return inside


@dataclass
class ClipScore:
    """Scores of a clip, collected frame by frame so that no frame need be kept.

    Attributes:
        with_ssim: whether to measure structural similarity, which takes much longer than PSNR.
        errors: mean squared error of the luma of each frame.
        similarities: SSIM of the luma of each frame.
    """

    with_ssim: bool = True
    errors: list[float] = field(default_factory=list)
    similarities: list[float] = field(default_factory=list)

    def add(self, luma: Tensor, reference: Tensor) -> None:
        """Count the next frame, given its ``frame_luma`` and its reference's.

        Raises:
            ValueError: if the shapes differ, or are too small for SSIM.
        """
        self.errors.append(frame_error(luma, reference))
        if self.with_ssim:
            self.similarities.append(ssim(luma, reference, PEAK))

    def psnr(self, left_out: int = LEFT_OUT) -> float:
        """Video PSNR in dB: from the squared error over all pixels of the frames that count."""
        inside = counted(self.errors, left_out)
        return error_to_psnr(sum(inside) / len(inside))

    def ssim(self, left_out: int = LEFT_OUT) -> float:
        """Mean SSIM of the counted frames."""
        inside = counted(self.similarities, left_out)
        return sum(inside) / len(inside)

    def frame_psnrs(self) -> list[float]:
        """PSNR of every single frame in dB; no frame is left out."""
        return [error_to_psnr(error) for error in self.errors]


def video_psnr(frames: Tensor, reference: Tensor, left_out: int = LEFT_OUT) -> float:
    """PSNR of BT.601 luma from the squared error over all pixels of a clip, in dB.

    Args:
        frames, reference: (T, 3, H, W) in [0, 1]; both are rounded to 8 bits.
        left_out: how many frames do not count at the beginning, and as many at the end.

    Raises:
        ValueError: if the shapes differ, or no frame is left.
    """
    if frames.shape != reference.shape:
        raise ValueError(f"shapes differ: {tuple(frames.shape)} and {tuple(reference.shape)}")
    score = ClipScore(with_ssim=False)
    for pair in zip(frames, reference, strict=True):
        score.add(*map(frame_luma, pair))
    return score.psnr(left_out)


def flicker(frames: Tensor, reference: Tensor) -> float:
    """Root mean square error of the change from frame to frame, in levels of 8-bit luma.

    The dissertation has no such measure; it judges figure 3.6 by eye. A clip that moves just as
    the truth does scores 0, however large an error it has that does not change.

    Args:
        frames, reference: (T, ...) luma in levels, T at least 2.

    Raises:
        ValueError: if the shapes differ or there is a single frame.
    """
    if frames.shape != reference.shape or len(frames) < 2:
        raise ValueError(
            f"two clips of at least 2 frames are compared, not "
            f"{tuple(frames.shape)} and {tuple(reference.shape)}"
        )
    error = frames.double() - reference.double()
    return float((error[1:] - error[:-1]).square().mean().sqrt())
