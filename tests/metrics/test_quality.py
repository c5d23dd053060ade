"""PSNR, SSIM and luma against scikit-image, MATLAB's values and the published bicubic figures."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from enhance_cli.io.image import read_rgb8
from enhance_cli.metrics.quality import luma_bt601, mae, psnr, ssim
from enhance_cli.resize import imresize


def read(path: Path) -> Tensor:
    return torch.tensor(read_rgb8(path)).permute(2, 0, 1).double() / 255


def pair(*shape: int, noise: float = 0.1, peak: float = 1.0) -> tuple[Tensor, Tensor]:
    """A smooth picture and a noisy copy, in [0, peak]."""
    generator = torch.Generator().manual_seed(math.prod(shape))
    rough = torch.rand(shape, generator=generator, dtype=torch.float64)
    smooth = imresize(imresize(rough, 0.5), 2)[..., : shape[-2], : shape[-1]].clamp(0, 1)
    change = noise * torch.randn(shape, generator=generator, dtype=torch.float64)
    return peak * smooth, peak * (smooth + change).clamp(0, 1)


def skimage_ssim(image: Tensor, reference: Tensor, data_range: float) -> float:
    return float(
        structural_similarity(
            image.numpy(),
            reference.numpy(),
            data_range=data_range,
            channel_axis=0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
    )


CASES = [
    pytest.param((3, 32, 32), 1.0, id="rgb"),
    pytest.param((1, 32, 32), 1.0, id="grey"),
    pytest.param((3, 33, 17), 1.0, id="odd"),
    pytest.param((1, 11, 11), 1.0, id="one window"),
    pytest.param((3, 11, 40), 255.0, id="one row of windows, 8 bits"),
    pytest.param((4, 13, 12), 16383.0, id="raw, 14 bits"),
]


@pytest.mark.parametrize(("shape", "peak"), CASES)
def test_psnr_is_that_of_scikit_image(shape: tuple[int, ...], peak: float) -> None:
    image, reference = pair(*shape, peak=peak)
    expected = peak_signal_noise_ratio(reference.numpy(), image.numpy(), data_range=peak)
    assert psnr(image, reference, peak) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize(("shape", "peak"), CASES)
def test_ssim_is_that_of_scikit_image(shape: tuple[int, ...], peak: float) -> None:
    image, reference = pair(*shape, peak=peak)
    expected = skimage_ssim(image, reference, peak)
    assert expected < 0.97  # else nearly any formula would pass
    assert ssim(image, reference, peak) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("number", [1, 3, 5])
def test_both_agree_with_scikit_image_on_photographs(shared_data: Path, number: int) -> None:
    folder = shared_data / "benchmarks" / "Set5" / "x4"
    reference = read(folder / f"img_{number:03}_HR.png")[:, :201, :187]
    image = imresize(read(folder / f"img_{number:03}_LR.png"), 4)[:, :201, :187]
    expected = peak_signal_noise_ratio(reference.numpy(), image.numpy(), data_range=1)
    assert psnr(image, reference, 1) == pytest.approx(expected, abs=1e-10)
    assert ssim(image, reference, 1) == pytest.approx(skimage_ssim(image, reference, 1), abs=1e-6)
    luma = luma_bt601(image), luma_bt601(reference)
    assert ssim(*luma, 255) == pytest.approx(skimage_ssim(*luma, 255), abs=1e-6)


def test_uint8_pictures_are_not_subtracted_in_uint8() -> None:
    image, reference = (value.round().to(torch.uint8) for value in pair(3, 20, 20, peak=255))
    assert psnr(image, reference, 255) == psnr(image.double(), reference.double(), 255)
    assert ssim(image, reference, 255) == ssim(image.double(), reference.double(), 255)
    assert psnr(image, reference, 255) == pytest.approx(
        peak_signal_noise_ratio(reference.numpy(), image.numpy()), abs=1e-10
    )


def test_known_values() -> None:
    black = torch.zeros(3, 16, 16)
    assert psnr(black, black + 0.1, 1) == pytest.approx(20, abs=1e-5)
    assert psnr(black, black + 1, 1) == 0
    assert psnr(black, black, 1) == math.inf
    assert ssim(black, black, 1) == 1
    assert mae(black.byte(), black.byte() + 51, 255) == mae(black, black - 51, 255) == 0.2
    assert mae(black, black, 1) == 0
    # Two constants: contrast and structure are 1, the luminance term is left.
    x, y, c1 = 0.2, 0.6, 0.01**2
    expected = (2 * x * y + c1) / (x * x + y * y + c1)
    assert ssim(black.double() + x, black.double() + y, 1) == pytest.approx(expected, abs=1e-9)


def test_a_small_error_on_a_large_picture_is_not_lost() -> None:
    """One value off by one level among three million; float32 sums would still show it."""
    image = torch.full((3, 1000, 1000), 200.0)
    other = image.clone()
    other[0, 0, 0] += 1
    assert psnr(image, other, 255) == pytest.approx(10 * math.log10(255**2 * 3e6), abs=1e-9)


def test_symmetric_and_scale_free() -> None:
    image, reference = pair(3, 24, 19)
    for metric in (psnr, ssim, mae):
        score = metric(image, reference, 1)
        assert metric(reference, image, 1) == pytest.approx(score, abs=1e-12)
        assert metric(image * 255, reference * 255, 255) == pytest.approx(score, abs=1e-9)
        assert metric(image.flip(1), reference.flip(1), 1) == pytest.approx(score, abs=1e-12)
        assert metric(image.mT, reference.mT, 1) == pytest.approx(score, abs=1e-12)


def test_data_range_matters() -> None:
    image, reference = pair(3, 24, 24)
    assert psnr(image, reference, 2) == pytest.approx(
        psnr(image, reference, 1) + 20 * math.log10(2), abs=1e-9
    )
    assert ssim(image, reference, 255) > ssim(image, reference, 1)
    assert mae(image, reference, 2) == pytest.approx(mae(image, reference, 1) / 2, abs=1e-12)


@pytest.mark.parametrize("size", [(10, 10), (10, 30), (30, 10), (1, 1)])
def test_ssim_needs_a_window(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=f"11x11.*{size[0]}, {size[1]}"):
        ssim(torch.rand(3, *size), torch.rand(3, *size), 1)


@pytest.mark.parametrize("metric", [psnr, ssim, mae])
@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 1, 16), (3, 16, 15)])
def test_shapes_must_be_equal(metric: object, shape: tuple[int, ...]) -> None:
    """Broadcasting would score a picture against another one."""
    assert callable(metric)
    with pytest.raises(ValueError, match="shape"):
        metric(torch.rand(3, 16, 16), torch.rand(shape), 1)


@pytest.mark.parametrize(
    ("rgb", "luma"),
    [
        ((0, 0, 0), 16),
        ((255, 255, 255), 235),
        # rgb2ycbcr(uint8([255 0 0])) and so on, MATLAB's documentation and BT.601 tables
        ((255, 0, 0), 81.481),
        ((0, 255, 0), 144.553),
        ((0, 0, 255), 40.966),
        ((128, 128, 128), 16 + 219 * 128 / 255),
    ],
)
def test_luma_of_known_colours(rgb: tuple[int, int, int], luma: float) -> None:
    image = torch.tensor(rgb, dtype=torch.float64).view(3, 1, 1) / 255
    assert luma_bt601(image).item() == pytest.approx(luma, abs=1e-9)


def test_luma_of_grey_is_that_of_equal_channels() -> None:
    grey = torch.rand(2, 1, 5, 7, dtype=torch.float64)
    assert torch.allclose(luma_bt601(grey), luma_bt601(grey.expand(2, 3, 5, 7)), atol=1e-12)
    assert luma_bt601(grey).shape == (2, 1, 5, 7)


def test_luma_is_that_of_scikit_image() -> None:
    from skimage.color import rgb2ycbcr

    image = torch.rand(3, 9, 8, dtype=torch.float64)
    expected = rgb2ycbcr(image.numpy(), channel_axis=0)[:1]
    assert np.abs(luma_bt601(image).numpy() - expected).max() < 1e-9


def test_luma_of_whole_numbers_is_refused() -> None:
    """The weights would be cut to integers, and 8-bit values overflow, without a word."""
    with pytest.raises(ValueError, match="uint8"):
        luma_bt601(torch.zeros(3, 4, 4, dtype=torch.uint8))


@pytest.mark.parametrize(
    ("dataset", "scale", "exact", "rounded"),
    [
        ("Set5", 4, 28.43, 28.42),
        ("Set14", 4, 26.09, 26.09),
        ("Set5", 2, 33.68, 33.65),
        ("Set14", 2, 30.33, 30.32),
    ],
)
def test_published_bicubic_figures(
    shared_data: Path, dataset: str, scale: int, exact: float, rounded: float
) -> None:
    """Y of 8-bit pictures, border of ``scale`` cut off.

    28.43 and 26.09 dB come from a luma that is not rounded. ``rgb2ycbcr`` of uint8 rounds it, and
    gives the PSNR (28.42, 33.66) and SSIM of dissertation 003, table 2.4; its PSNR of Set14 (26.00,
    30.24) is of another release of those files.
    """
    scores = []
    for path in sorted((shared_data / "benchmarks" / dataset / f"x{scale}").glob("*_HR.png")):
        frame_lr = read(path.with_name(path.name.replace("_HR", "_LR")))
        made = imresize(frame_lr, scale).clamp(0, 1).mul(255).round() / 255
        cut = slice(scale, -scale)
        luma = [luma_bt601(image)[..., cut, cut] for image in (made, read(path))]
        whole = [image.round() for image in luma]
        scores.append([psnr(*luma, 255), psnr(*whole, 255), ssim(*whole, 255)])
    means = np.mean(scores, axis=0)
    assert means[0] == pytest.approx(exact, abs=0.005)
    assert means[1] == pytest.approx(rounded, abs=0.005)
    structure = {("Set5", 4): 0.810, ("Set14", 4): 0.703, ("Set5", 2): 0.930, ("Set14", 2): 0.869}[
        dataset, scale
    ]
    assert means[2] == pytest.approx(structure, abs=0.0015)
