"""Losses of pixels against values worked by hand."""

import math

import pytest
import torch

from enhance_cli.training.fidelity import grid_error, psnr_loss
from enhance_cli.training.perceptual import Criterion, LossWeights


def test_a_grid_is_an_error_and_colours_and_textures_are_none() -> None:
    """A dot in every cell of one channel of three has the variance of 1 value in 16."""
    generator = torch.Generator().manual_seed(1)
    true = torch.rand(2, 3, 128, 128, generator=generator)
    dots = torch.zeros_like(true)
    dots[:, 1, 2::4, 3::4] = 0.16
    by_hand = (0.16**2 / 16 - (0.16 / 16) ** 2) / 3
    assert float(grid_error(true + dots, true)) == pytest.approx(by_hand, rel=1e-3)
    assert float(grid_error(true + 0.3, true)) < 1e-12
    texture = 0.16 * torch.randn(true.shape, generator=generator)
    assert float(grid_error(true + texture, true)) < 0.16**2 / 60  # a 64th: cells of a window


def test_every_picture_counts_by_its_own_psnr() -> None:
    """Errors of 0.1 and 0.01 are 20 and 40 dB, and a picture met exactly counts 60."""
    true = torch.full((3, 3, 8, 8), 0.5)
    made = true + torch.tensor([0.1, 0.01, 0.0]).view(3, 1, 1, 1)
    made.requires_grad_()
    loss = Criterion(LossWeights(psnr=0.3), None, None).losses(made, true)[0]
    assert float(loss.detach()) == pytest.approx(-0.3 * (20 + 39.96 + 60) / 3, abs=1e-3)
    loss.backward()
    assert made.grad is not None and made.grad.isfinite().all()


def test_patches_far_below_the_floor_hardly_count() -> None:
    """The gradient of an error e is 2 e / (e^2 + floor): at 1e-4, largest at an error of 0.01."""
    true = torch.full((3, 3, 8, 8), 0.5)
    made = true + torch.tensor([0.1, 0.01, 0.0001]).view(3, 1, 1, 1)
    made.requires_grad_()
    Criterion(LossWeights(psnr=1.0, psnr_floor=1e-4), None, None).losses(made, true)[0].backward()
    assert made.grad is not None
    strengths = made.grad[:, 0, 0, 0] / made.grad[1, 0, 0, 0]
    expected = [0.1 / (0.01 + 1e-4) / 50, 1.0, 0.0001 / (1e-8 + 1e-4) / 50]
    assert strengths.tolist() == pytest.approx(expected, rel=1e-3)


def test_errors_of_colour_count_as_much_as_they_are_told_to() -> None:
    """The error is a grey one, which is all luma, and one that has none."""
    true = torch.full((1, 3, 8, 8), 0.5)
    grey = torch.full((3,), 0.1)
    colour = torch.tensor([0.587, -0.299, 0.0]) * 0.2
    for share in (0.0, 0.5, 1.0):
        by_hand = float((grey + share * colour).square().mean())
        made = true + (grey + colour).view(1, 3, 1, 1)
        loss = psnr_loss(made, true, 1e-9, share)
        assert float(loss) == pytest.approx(10 * math.log10(by_hand), abs=1e-3)


@pytest.mark.parametrize("scale", [2, 4])
def test_errors_that_the_input_rules_out_count_and_others_do_not(scale: int) -> None:
    """A shift of all values stays when pictures are reduced; a checkerboard of pixels does not."""
    true = torch.full((2, 3, 32, 32), 0.5)
    board = (torch.arange(32) + torch.arange(32)[:, None]).remainder(2) - 0.5
    criterion = Criterion(LossWeights(reduced=2.0), None, None, scale=scale)
    shifted, hidden = (criterion.losses(true + error, true)[0] for error in (0.1, 0.2 * board))
    assert float(shifted) == pytest.approx(2 * 0.01, rel=1e-3)
    assert float(hidden) < 0.02 * float(shifted)
