"""Densities of codes: what is drawn has the stored moments, and a generator decides."""

import pytest
import torch
from small_autoencoders import fitted, generator
from torch import Tensor

from enhance_cli.architectures.autoencoder import (
    DENSITIES,
    Densities,
)

COUNT = 40_000


def assert_moments(codes: Tensor, mean: Tensor, factor: Tensor) -> None:
    covariance = factor @ factor.T
    scale = covariance.diagonal().max().item()
    assert torch.allclose(codes.mean(0), mean, atol=5 * (scale / len(codes)) ** 0.5)
    assert torch.allclose(codes.T.cov(), covariance, atol=8 * scale / len(codes) ** 0.5)


def test_gaussian_samples_have_the_stored_mean_and_covariance():
    densities = fitted()
    codes = densities.sample("gaussian", COUNT, 1.0, generator())
    assert codes.shape == (COUNT, 3)
    assert codes.dtype == torch.float32
    assert_moments(codes, densities.gaussian_mean, densities.gaussian_factor)
    # The other way round it would be another covariance: the test above can fail.
    factor = densities.gaussian_factor
    assert not torch.allclose(factor @ factor.T, factor.T @ factor, atol=0.3)


def test_mixture_samples_have_the_stored_shares_means_and_covariances():
    densities = fitted()
    codes = densities.sample("mixture", COUNT, 1.0, generator())
    nearest = torch.cdist(codes, densities.mixture_means).argmin(1)
    for component in range(2):
        own = codes[nearest == component]
        share = densities.mixture_weights[component].item()
        assert len(own) / COUNT == pytest.approx(share, abs=0.01)
        assert_moments(
            own, densities.mixture_means[component], densities.mixture_factors[component]
        )


def test_weights_need_not_sum_to_one_exactly():
    densities = fitted()
    expected = densities.sample("mixture", 500, 1.0, generator())
    densities.mixture_weights.mul_(0.9999)
    codes = densities.sample("mixture", 500, 1.0, generator())
    assert torch.isfinite(codes).all()
    assert torch.equal(codes, expected)


def test_components_without_weight_are_never_drawn():
    densities = fitted()
    for dead in range(2):
        densities.mixture_weights.copy_(torch.tensor([1.0, 1.0]))
        densities.mixture_weights[dead] = 0
        densities.mixture_means[dead] = torch.nan
        assert torch.isfinite(densities.sample("mixture", 2000, 1.0, generator())).all()
        densities.mixture_means[dead] = 0


def test_prior_samples_are_standard_normal():
    codes = Densities(3, 2).sample("prior", COUNT, 1.0, generator())
    assert_moments(codes, torch.zeros(3), torch.eye(3))


@pytest.mark.parametrize("density", DENSITIES)
def test_temperature_scales_every_deviation(density: str):
    densities = fitted()
    still, half, whole = (
        densities.sample(density, 50, temperature, generator()) for temperature in (0.0, 0.5, 1.0)
    )
    assert torch.allclose(half - still, (whole - still) / 2, atol=1e-5)
    means = {
        "prior": torch.zeros(1, 3),
        "gaussian": densities.gaussian_mean[None],
        "mixture": densities.mixture_means,
    }[density]
    assert ((still[:, None] == means).all(2).any(1)).all()
    assert len(still.unique(dim=0)) == len(means)


@pytest.mark.parametrize("density", DENSITIES)
def test_a_generator_decides_the_samples(density: str):
    densities = fitted()
    one, again, other = (densities.sample(density, 20, 1.0, generator(seed)) for seed in (3, 3, 4))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_the_same_seed_gives_kindred_samples():
    densities = fitted()
    densities.gaussian_mean.zero_()
    densities.gaussian_factor.copy_(2 * torch.eye(3))
    assert torch.equal(
        densities.sample("gaussian", 9, 1.0, generator()),
        2 * densities.sample("prior", 9, 1.0, generator()),
    )


def test_unknown_and_unfitted_densities():
    densities = Densities(3, 2)
    assert not densities.fitted
    assert fitted().fitted
    with pytest.raises(ValueError, match="'laplace': choose from prior, gaussian, mixture"):
        densities.sample("laplace", 1, 1.0, generator())
    for density in ("gaussian", "mixture"):
        with pytest.raises(ValueError, match=f"no {density} has been fitted"):
            densities.sample(density, 1, 1.0, generator())
