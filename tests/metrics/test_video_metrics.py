"""Video PSNR and SSIM: by hand, and against scikit-image."""

import math

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity
from torch import Tensor

from enhance_cli.metrics.quality import luma_bt601, psnr
from enhance_cli.metrics.video import (
    ClipScore,
    error_to_psnr,
    flicker,
    frame_luma,
    video_psnr,
)


def clips(length: int = 7) -> tuple[Tensor, Tensor]:
    """A clip of 8-bit levels and a copy whose noise grows from frame to frame."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.randint(40, 200, (length, 3, 16, 24), generator=generator)
    strength = 4 * torch.arange(1, length + 1)[:, None, None, None]
    noisy = truth + (torch.rand(truth.shape, generator=generator) * strength).round()
    return noisy.float() / 255, truth.float() / 255


def test_video_psnr_is_that_of_the_error_over_all_pixels() -> None:
    noisy, truth = clips()
    errors = []
    for image, reference in zip(noisy[2:-2].double(), truth[2:-2].double(), strict=True):
        weights = torch.tensor([65.481, 128.553, 24.966], dtype=torch.float64).view(3, 1, 1)
        errors.append(float(((image - reference) * weights).sum(0).square().mean()))
    expected = 10 * math.log10(255**2 / (sum(errors) / 3))
    assert video_psnr(noisy, truth) == pytest.approx(expected, abs=1e-4)
    # The mean of the frames' PSNRs is another number, and always a higher one.
    each = [
        psnr(luma_bt601(a), luma_bt601(b), 255)
        for a, b in zip(noisy[2:-2], truth[2:-2], strict=True)
    ]
    assert sum(each) / 3 > expected + 0.05


def test_first_and_last_two_frames_do_not_count() -> None:
    noisy, truth = clips()
    spoilt = noisy.clone()
    spoilt[[0, 1, -2, -1]] = 0
    assert video_psnr(spoilt, truth) == video_psnr(noisy, truth)
    assert video_psnr(spoilt, truth, left_out=1) < video_psnr(noisy, truth, left_out=1)
    with pytest.raises(ValueError, match="4 frames: none is left"):
        video_psnr(noisy[:4], truth[:4])
    with pytest.raises(ValueError, match="shapes differ"):
        video_psnr(noisy, truth[:, :, 1:])


def test_estimates_are_rounded_to_8_bits() -> None:
    noisy, truth = clips()
    assert video_psnr(noisy + 0.4 / 255, truth) == video_psnr(noisy, truth)
    assert video_psnr(truth - 0.4 / 255, truth) == math.inf


def test_a_clip_frame_by_frame() -> None:
    noisy, truth = clips()
    score = ClipScore()
    for image, reference in zip(noisy, truth, strict=True):
        score.add(frame_luma(image), frame_luma(reference))
    assert score.psnr() == pytest.approx(video_psnr(noisy, truth), abs=1e-12)
    expected = np.mean(
        [
            structural_similarity(
                luma_bt601(reference.double())[0].numpy(),
                luma_bt601(image.double())[0].numpy(),
                data_range=255,
                gaussian_weights=True,
                sigma=1.5,
                use_sample_covariance=False,
            )
            for image, reference in zip(noisy[2:-2], truth[2:-2], strict=True)
        ]
    )
    assert score.ssim() == pytest.approx(expected, abs=1e-6)
    assert len(score.frame_psnrs()) == 7
    assert score.frame_psnrs()[0] > score.frame_psnrs()[-1]


def test_error_to_psnr() -> None:
    assert error_to_psnr(0.0) == math.inf
    assert error_to_psnr(255.0**2) == 0
    assert math.isnan(error_to_psnr(math.nan))


def test_flicker_overlooks_what_does_not_change() -> None:
    truth = torch.rand(5, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert flicker(truth + torch.arange(8), truth) == pytest.approx(0, abs=1e-12)
    alternating = torch.tensor([0.0, 1, 0, 1, 0])[:, None]
    assert flicker(truth + alternating, truth) == pytest.approx(1)
    with pytest.raises(ValueError, match="at least 2 frames"):
        flicker(truth[:1], truth[:1])
