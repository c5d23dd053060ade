"""The likelihood that weighs blur errors: a Gaussian, and the one of its derivation."""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal

from enhance_cli.architectures.blur_error import BlurGaussian, WhiteGaussian


def make(latent: int = 2, side: int = 3, wiener: float = 0.05, seed: int = 0) -> BlurGaussian:
    torch.manual_seed(seed)
    likelihood = BlurGaussian(latent, side, wiener).double()
    with torch.no_grad():  # kernels of their own for every code
        likelihood.logits.weight.mul_(30)
        likelihood.scale.fill_(-0.02)
    return likelihood


def circulant(kernel: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """The matrix of a circular convolution, written down entry by entry."""
    matrix = torch.zeros(height * width, height * width, dtype=kernel.dtype)
    for y in range(height):
        for x in range(width):
            for dy in range(len(kernel)):
                for dx in range(len(kernel)):
                    source = (y - dy) % height * width + (x - dx) % width
                    matrix[y * width + x, source] += kernel[dy, dx]
    return matrix


def covariance(likelihood: BlurGaussian, z: torch.Tensor, height: int, width: int) -> torch.Tensor:
    kernel = likelihood.kernels(z[None])[0].double()
    blur = circulant(kernel, height, width)
    white = likelihood.wiener * torch.eye(height * width, dtype=torch.float64)
    return torch.exp(2 * likelihood.log_deviation) * (blur @ blur.T + white)


@pytest.mark.parametrize(("height", "width"), [(4, 4), (5, 4), (3, 7)])
def test_it_is_the_gaussian_with_the_covariance_of_the_derivation(height: int, width: int):
    likelihood = make()
    z = torch.randn(3, 2, dtype=torch.float64)
    x, mean = torch.rand(2, 3, 2, height, width, dtype=torch.float64)
    with torch.no_grad():
        found = likelihood.negative_log(x, mean, z)
        for index in range(3):
            dense = covariance(likelihood, z[index], height, width)
            normal = MultivariateNormal(torch.zeros(height * width, dtype=torch.float64), dense)
            errors = (x - mean)[index].flatten(1)
            assert float(found[index]) == pytest.approx(
                -float(normal.log_prob(errors).sum()), rel=1e-5
            )


def test_its_integral_over_all_pictures_is_one():
    likelihood = make(wiener=0.1)
    z = torch.tensor([[0.7, -1.2]], dtype=torch.float64)
    mean = torch.rand(1, 1, 3, 3, dtype=torch.float64)
    with torch.no_grad():
        widest = float(likelihood.variances(z, 3, 3).max())
        torch.manual_seed(1)
        draws = torch.randn(400_000, 1, 3, 3, dtype=torch.float64) * math.sqrt(1.2 * widest)
        proposal = draws.square().flatten(1).sum(1) / (2.4 * widest) + 4.5 * math.log(
            2 * math.pi * 1.2 * widest
        )
        cost = likelihood.negative_log(mean + draws, mean, z.expand(len(draws), 2))
        weights = (proposal - cost).exp()
    error = float(weights.std()) / math.sqrt(len(draws))
    assert error < 0.03
    assert float(weights.mean()) == pytest.approx(1, abs=5 * error)


def test_the_quadratic_form_is_the_value_of_wieners_problem():
    likelihood = make()
    z = torch.randn(1, 2, dtype=torch.float64)
    error = torch.rand(1, 1, 5, 5, dtype=torch.float64) - 0.5
    constant, blur = likelihood.wiener, circulant(likelihood.kernels(z)[0].detach().double(), 5, 5)
    r = error.flatten()
    # Wiener's filter, as the document writes it.
    gain = torch.fft.fft2(likelihood.kernels(z).detach()[0].double(), s=(5, 5))
    filtered = gain.conj() / (gain.abs() ** 2 + constant) * torch.fft.fft2(error[0, 0])
    sharp = torch.fft.ifft2(filtered).real.flatten()
    value = sharp.square().sum() + (r - blur @ sharp).square().sum() / constant
    with torch.no_grad():
        zero = torch.zeros_like(error)
        cost, least = (likelihood.negative_log(part, zero, z) for part in (error, zero))
        form = 2 * (cost - least) * torch.exp(2 * likelihood.log_deviation)
    assert float(form) == pytest.approx(float(value), rel=1e-5)
    for _ in range(5):  # and no other sharp error costs less
        other = sharp + 0.1 * torch.randn(25, dtype=torch.float64)
        assert other.square().sum() + (r - blur @ other).square().sum() / constant > value


def test_fine_errors_cost_more_than_coarse_ones_of_the_same_size():
    likelihood = make(side=5, wiener=0.01)
    z = torch.zeros(1, 2, dtype=torch.float64)
    place = torch.arange(16, dtype=torch.float64)
    coarse = torch.cos(2 * math.pi * place / 16).expand(1, 1, 16, 16)
    fine = torch.cos(2 * math.pi * 7 * place / 16).expand(1, 1, 16, 16)
    with torch.no_grad():
        likelihood.logits.weight.zero_()
        zero = torch.zeros_like(fine)
        base, low, high = (
            likelihood.negative_log(error, zero, z) for error in (zero, coarse, fine)
        )
    assert float(coarse.square().sum()) == pytest.approx(float(fine.square().sum()))
    assert high - base > 2 * (low - base)


def test_a_kernel_that_is_a_point_gives_the_white_gaussian():
    blur = make(wiener=0.25)
    with torch.no_grad():
        blur.logits.weight.zero_()
        blur.logits.bias.fill_(-1e3)
        blur.logits.bias[4] = 0
    white = WhiteGaussian().double()
    with torch.no_grad():
        white.scale.copy_(blur.scale * (1 + math.log(1.25) / 2 / blur.log_deviation))
    x, mean = torch.rand(2, 4, 3, 8, 8, dtype=torch.float64)
    z = torch.randn(4, 2, dtype=torch.float64)
    torch.testing.assert_close(
        blur.negative_log(x, mean, z), white.negative_log(x, mean, z), rtol=1e-6, atol=1e-6
    )


def test_kernels_blur_and_cannot_amplify():
    likelihood = make(side=5)
    kernels = likelihood.kernels(torch.randn(6, 2, dtype=torch.float64) * 3)
    assert (kernels >= 0).all()
    torch.testing.assert_close(kernels.sum((1, 2)), torch.ones(6, dtype=kernels.dtype))
    ratio = likelihood.variances(torch.randn(6, 2, dtype=torch.float64), 8, 8)
    torch.testing.assert_close(ratio.amax((1, 2)), ratio[:, 0, 0])


def test_kernels_become_the_blur_of_the_reconstructions():
    """Two kinds of pictures, told by their codes, that are blurred in two ways."""
    torch.manual_seed(0)
    x = torch.rand(64, 1, 12, 12)
    line = {0: torch.tensor([0.0, 1.0, 0.0]), 1: torch.tensor([0.25, 0.5, 0.25])}
    kind = torch.arange(64) % 2
    blurred = torch.stack(
        [
            sum(line[int(k)][i] * picture.roll(i - 1, 2) for i in range(3))
            for k, picture in zip(kind, x, strict=True)
        ]
    )
    z = 2 * kind[:, None].float() - 1
    likelihood = BlurGaussian(1, 3, 0.01)
    optimiser = torch.optim.Adam(likelihood.parameters(), lr=0.03)
    for _ in range(200):
        optimiser.zero_grad()
        likelihood.blur_distance(x, blurred, z).mean().backward()
        optimiser.step()
    kernels = likelihood.kernels(z[:2]).detach()
    for k in (0, 1):
        wanted = torch.zeros(3, 3)
        wanted[1] = line[k]
        torch.testing.assert_close(kernels[k], wanted, atol=0.03, rtol=0)


def test_each_loss_trains_its_own_part():
    likelihood = make()
    x, estimate = torch.rand(2, 3, 1, 8, 8, dtype=torch.float64)
    z = torch.randn(3, 2, dtype=torch.float64)
    for tensor in (estimate, z):
        tensor.requires_grad_()
    kernels = [*likelihood.hidden.parameters(), *likelihood.logits.parameters()]
    likelihood.blur_distance(x, estimate, z).sum().backward()
    assert estimate.grad is None and z.grad is None and likelihood.scale.grad is None
    assert all(part.grad is not None and part.grad.abs().sum() > 0 for part in kernels)
    for part in kernels:
        part.grad = None
    likelihood.negative_log(x, estimate, z).sum().backward()
    assert all(part.grad is None for part in kernels)
    assert estimate.grad is not None and likelihood.scale.grad is not None
