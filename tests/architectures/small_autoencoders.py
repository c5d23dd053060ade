"""Small autoencoders, which several test files look at."""

from dataclasses import replace

import torch
from torch import Tensor

from enhance_cli.architectures import ARCHITECTURES, MODELS
from enhance_cli.architectures.autoencoder import (
    Autoencoder,
    AutoencoderConfig,
    Densities,
)
from enhance_cli.engine.checkpoint import (
    build,
)

ENTRY = ARCHITECTURES["autoencoder"]
SAMPLED = [spec for spec in MODELS.values() if spec.architecture == "autoencoder"]
SMALL = AutoencoderConfig(side=16, width=2, latent=3, kernel=4, components=2)
VARIANTS = [
    SMALL,
    replace(SMALL, kernel=5),
    replace(SMALL, channels=1, side=12, padding=2),
    replace(SMALL, side=28, padding=2, kernel=5, posterior="constant"),
    replace(SMALL, posterior="gaussian", prior=True, side=32),
    replace(SMALL, spectral=True),
    replace(SMALL, posterior="gaussian", likelihood="white"),
    replace(SMALL, posterior="gaussian", likelihood="blur", blur_kernel=5),
    replace(SMALL, components=1, latent=1),
]


def make(config: AutoencoderConfig) -> Autoencoder:
    torch.manual_seed(0)
    network = build(ENTRY, config)
    assert isinstance(network, Autoencoder)
    return network


def pictures(config: AutoencoderConfig, count: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(count, config.channels, config.side, config.side, generator=generator)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def fitted(latent: int = 3, components: int = 2) -> Densities:
    densities = Densities(latent, components)
    draw = torch.Generator().manual_seed(7)
    densities.gaussian_mean.copy_(torch.randn(latent, generator=draw))
    densities.gaussian_factor.copy_(torch.randn(latent, latent, generator=draw).tril())
    densities.mixture_weights.copy_(torch.tensor([0.2, 0.8]))
    densities.mixture_means.copy_(20 * torch.randn(components, latent, generator=draw))
    densities.mixture_factors.copy_(torch.randn(components, latent, latent, generator=draw).tril())
    return densities
