"""The evidence lower bound of an autoencoder, where the likelihood is known in closed form."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from enhance_cli.architectures import ARCHITECTURES
from enhance_cli.architectures.autoencoder import Autoencoder, AutoencoderConfig
from enhance_cli.engine.catalogue import Model
from enhance_cli.engine.checkpoint import CheckpointInfo
from enhance_cli.engine.generation import elbo

CPU = torch.device("cpu")
SIDE, LATENT, DEVIATION = 16, 2, 0.2


class Linear(Autoencoder):
    """x = W z + b + noise, W with orthogonal columns: all densities are known.

    The posterior is exact, and can be moved away from that.
    """

    def __init__(self, shift: float = 0.0) -> None:
        super().__init__(
            AutoencoderConfig(
                side=SIDE,
                channels=1,
                latent=LATENT,
                width=1,
                kernel=4,
                posterior="gaussian",
                prior=True,
                likelihood="white",
            )
        )
        generator = torch.Generator().manual_seed(0)
        columns = torch.linalg.qr(torch.randn(SIDE**2, LATENT, generator=generator))[0]
        self.weight = columns * torch.tensor([0.5, 0.9])
        self.shift = shift
        assert self.likelihood is not None
        unit = self.likelihood.log_deviation.detach() / self.likelihood.scale.detach()
        self.likelihood.scale.data.copy_(math.log(DEVIATION) / unit)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        precision = 1 + self.weight.square().sum(0) / DEVIATION**2
        mean = (x.flatten(1) - 0.5) @ self.weight / DEVIATION**2 / precision
        return mean + self.shift, -precision.log().expand_as(mean)

    def decode(self, z: Tensor) -> Tensor:
        return (0.5 + z @ self.weight.T).unflatten(1, (1, SIDE, SIDE))


def as_model(network: Autoencoder, dtype: torch.dtype = torch.float32) -> Model:
    info = CheckpointInfo(
        Path("none"), "linear", ARCHITECTURES["autoencoder"], network.config, network.contract
    )
    return Model(network.eval(), info.contract, CPU, dtype, info=info)


def pictures(count: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return 0.5 + 0.2 * torch.randn(count, 1, SIDE, SIDE, generator=generator)


def log_density(network: Linear, x: Tensor) -> Tensor:
    covariance = network.weight @ network.weight.T + DEVIATION**2 * torch.eye(SIDE**2)
    return torch.distributions.MultivariateNormal(
        torch.full((SIDE**2,), 0.5).double(), covariance.double()
    ).log_prob(x.flatten(1).double())


def test_the_bound_of_an_exact_posterior_is_the_likelihood():
    network, x = Linear(), pictures(120)  # more than a batch
    bounds = elbo(as_model(network), x, samples=400)
    assert bounds is not None and bounds.shape == (120,)
    assert bounds.double() == pytest.approx(log_density(network, x), abs=0.6)
    difference = (bounds.double() - log_density(network, x)).mean()
    assert abs(float(difference)) < 0.02


def test_another_posterior_loses_its_divergence():
    """By KL(q || p(z|x)), of two Gaussians of one covariance."""
    network, x = Linear(shift=0.1), pictures(100)
    precision = 1 + network.weight.square().sum(0) / DEVIATION**2
    lost = float((0.1**2 * precision).sum() / 2)
    bounds = elbo(as_model(network), x, samples=400)
    assert bounds is not None
    gap = (log_density(network, x) - bounds.double()).mean()
    assert float(gap) == pytest.approx(lost, abs=0.02)
    assert lost > 0.1


def test_levels_are_values_and_a_seed_repeats():
    model = as_model(Linear())
    levels = (pictures(5) * 255).round().clamp(0, 255).to(torch.uint8)
    first = elbo(model, levels, seed=2)
    assert first is not None
    torch.testing.assert_close(first, elbo(model, levels.float() / 255, seed=2), rtol=0, atol=0)
    other = elbo(model, levels, seed=3)
    assert other is not None and not torch.equal(first, other)


@pytest.mark.parametrize(
    "changes",
    [
        {"likelihood": "squares", "posterior": "gaussian"},
        {"likelihood": "white", "posterior": "point"},
    ],
)
def test_no_bound_without_two_densities(changes: dict[str, str]):
    network = Autoencoder(
        AutoencoderConfig(side=SIDE, channels=1, latent=2, width=1, kernel=4, **changes)
    )
    assert elbo(as_model(network), pictures(2)) is None
