"""The objectives of thesis 000, ch. 4, against their definitions and Monte-Carlo estimates."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from enhance_cli.training.objectives import (
    HybridObjective,
    absolute_error,
    gaussian_kl,
    gsnn,
    negative_elbo,
    reparameterise,
    squared_error,
    summed,
    variational_loss,
)

# A Monte-Carlo mean lies this many standard errors from the truth once in 150,000 times, and
# the seeds are fixed.
ERRORS = 4.5


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def gaussians(seed: int = 0, count: int = 4, size: int = 3) -> tuple[Tensor, ...]:
    """Mean and log-variance of q, mean and log-variance of p."""
    return tuple(torch.randn(4, count, size, generator=generator(seed)).double())


class Tiny(nn.Module):
    """A linear conditional model: x of 6 values, y of 4, z of 2."""

    def __init__(self, skips: bool = True) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.skips = skips
        self.to_prior = nn.Linear(4, 2)
        self.to_posterior = nn.Linear(6, 4)
        self.from_code = nn.Linear(2 + 4 * skips, 6)

    def prior(self, y: Tensor) -> tuple[Tensor, Any]:
        return self.to_prior(y), y if self.skips else None

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.to_posterior(x).chunk(2, 1)
        return mean, log_variance

    def decode(self, z: Tensor, context: Any) -> Tensor:
        out: Tensor = self.from_code(z if context is None else torch.cat([z, context], 1))
        return out


def pairs(count: int = 8) -> tuple[Tensor, Tensor]:
    """x and y that share four hidden causes; x has noise of its own too."""
    causes, noise = torch.randn(2, count, 4, generator=generator(1))
    mixing = torch.randn(4, 6, generator=generator(2))
    return causes @ mixing + 0.3 * noise @ mixing.flip(0), causes


def loss_of(objective: HybridObjective, model: Any, x: Tensor, y: Tensor, seed: int = 0) -> Tensor:
    return variational_loss(
        model, x, y, lambda estimate: squared_error(x, estimate), objective, generator(seed)
    )


# --- errors and KL-divergence ----------------------------------------------------------------


def test_errors_are_negative_log_densities_up_to_a_constant() -> None:
    x, estimate = torch.randn(2, 5, 3, 4, generator=generator())
    expected = -summed(Normal(estimate, 1.0).log_prob(x)) - 6 * math.log(2 * math.pi)
    assert torch.allclose(squared_error(x, estimate), expected, atol=1e-4)
    laplace = torch.distributions.Laplace(estimate, 1.0)
    expected = -summed(laplace.log_prob(x)) - 12 * math.log(2)
    assert torch.allclose(absolute_error(x, estimate), expected, atol=1e-4)


def test_kl_is_the_expectation_that_defines_it() -> None:
    """Eq. 24 against eq. 2, estimated from 100,000 samples of q."""
    mean_q, log_q, mean_p, log_p = (part[:, None] for part in gaussians())
    q, p = Normal(mean_q, (log_q / 2).exp()), Normal(mean_p, (log_p / 2).exp())
    noise = torch.randn(4, 100_000, 3, generator=generator(1), dtype=torch.float64)
    z = mean_q + (log_q / 2).exp() * noise
    ratio = (q.log_prob(z) - p.log_prob(z)).sum(2)
    standard_error = ratio.std(1) / math.sqrt(ratio.shape[1])
    closed = gaussian_kl(*gaussians())
    assert ((ratio.mean(1) - closed).abs() < ERRORS * standard_error).all()
    assert (standard_error < 0.1 * closed).all()  # or the test would say nothing
    assert torch.allclose(closed, kl_divergence(q, p).sum((1, 2)))


def test_kl_to_the_standard_normal_is_eq_25() -> None:
    mean, log_variance, *_ = gaussians(2)
    expected = (-log_variance - 1 + log_variance.exp() + mean**2).sum(1) / 2
    assert torch.allclose(gaussian_kl(mean, log_variance), expected)
    zeros = torch.zeros_like(mean)
    assert torch.allclose(gaussian_kl(mean, log_variance, zeros, zeros), expected)


def test_kl_to_a_unit_variance_is_half_the_distance_of_the_means() -> None:
    mean, _, other, _ = gaussians(3)
    expected = (mean - other).square().sum(1) / 2
    assert torch.allclose(gaussian_kl(mean, torch.zeros_like(mean), other), expected)


def test_kl_is_positive_unless_the_distributions_are_the_same() -> None:
    mean_q, log_q, mean_p, log_p = gaussians(4, count=500)
    assert (gaussian_kl(mean_q, log_q, mean_p, log_p) > 0).all()
    assert gaussian_kl(mean_q, log_q, mean_q, log_q).abs().max() < 1e-12
    assert (gaussian_kl(mean_q, log_q, mean_q + 1e-3, log_q) > 0).all()
    assert (gaussian_kl(mean_q, log_q, mean_q, log_q + 1e-3) > 0).all()


# --- samples ---------------------------------------------------------------------------------


def test_a_sample_has_the_mean_and_the_variance_asked_for() -> None:
    count = 100_000
    mean, log_variance = torch.tensor([-2.0, 0.0, 5.0]), torch.tensor([-3.0, 0.0, 1.0])
    z = reparameterise(mean.expand(count, 3), log_variance.expand(count, 3), generator()).double()
    variance = log_variance.double().exp()
    assert ((z.mean(0) - mean).abs() < ERRORS * (variance / count).sqrt()).all()
    # The variance of a sample variance of Gaussians is 2 sigma^4 / (n - 1).
    spread = variance * math.sqrt(2 / (count - 1))
    assert ((z.var(0) - variance).abs() < ERRORS * spread).all()


def test_a_sample_can_be_differentiated() -> None:
    mean = torch.randn(5, 3, generator=generator(1), requires_grad=True)
    log_variance = torch.randn(5, 3, generator=generator(2), requires_grad=True)
    z = reparameterise(mean, log_variance, generator(3))
    z.sum().backward()  # type: ignore[no-untyped-call]
    assert torch.equal(mean.grad, torch.ones(5, 3))  # type: ignore[arg-type]
    # z = mean + exp(log_variance / 2) * noise, so dz / dlog_variance = (z - mean) / 2.
    assert torch.allclose(log_variance.grad, ((z - mean) / 2).detach())  # type: ignore[arg-type]


def test_the_gradient_of_an_expectation_is_estimated_without_bias() -> None:
    """E[z^2] = mean^2 + variance, whose derivatives are 2 mean and variance."""
    count = 100_000
    mean = torch.full((count, 1), 0.7, requires_grad=True)
    log_variance = torch.full((count, 1), -0.4, requires_grad=True)
    z = reparameterise(mean, log_variance, generator())
    z.square().sum().backward()  # type: ignore[no-untyped-call]
    for grad, truth in ((mean.grad, 1.4), (log_variance.grad, math.exp(-0.4))):
        assert grad is not None
        standard_error = grad.std() / math.sqrt(count)
        assert abs(grad.mean() - truth) < ERRORS * standard_error


# --- the family of eq. 15 --------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        {"alpha": -0.1},
        {"alpha": 1.1},
        {"alpha": math.nan},
        {"beta": -1.0},
        {"samples": 0},
        {"prior_deviation": -1.0},
    ],
)
def test_an_objective_that_is_none_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        HybridObjective(**values)


@pytest.mark.parametrize("divided", [False, True])
def test_the_ends_of_the_family(divided: bool) -> None:
    model, (x, y) = Tiny(), pairs()

    def error(estimate: Tensor) -> Tensor:
        return squared_error(x, estimate)

    elbo = HybridObjective(alpha=1.0, beta=0.7, divided=divided)
    assert torch.equal(
        loss_of(elbo, model, x, y),
        negative_elbo(model, x, model.prior(y), error, elbo, generator()),
    )
    stochastic = HybridObjective(alpha=0.0, divided=divided)
    assert torch.equal(
        loss_of(stochastic, model, x, y),
        gsnn(model, model.prior(y), error, stochastic, generator()),
    )


def test_the_elbo_is_reconstruction_and_weighted_divergence() -> None:
    model, (x, y) = Tiny(), pairs()
    mean, log_variance = model.posterior(x)
    mean_p, context = model.prior(y)
    estimate = model.decode(reparameterise(mean, log_variance, generator()), context)
    divergence = gaussian_kl(mean, log_variance, mean_p)
    for beta in (0.0, 1.0, 3.0):
        expected = squared_error(x, estimate) + beta * divergence
        assert torch.allclose(loss_of(HybridObjective(beta=beta), model, x, y), expected)


@pytest.mark.parametrize("error", [absolute_error, squared_error])
@pytest.mark.parametrize("skips", [True, False])
def test_plain_reconstruction_needs_neither_encoder_nor_sample(error: Any, skips: bool) -> None:
    class NoPosterior(Tiny):
        def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
            raise AssertionError("the posterior was asked")

    model, (x, y) = NoPosterior(skips), pairs()
    plain = HybridObjective(alpha=0.0, prior_deviation=0.0)
    assert not plain.needs_posterior
    losses = [
        variational_loss(model, x, y, lambda estimate: error(x, estimate), plain, generator(seed))
        for seed in (0, 1)
    ]
    assert torch.equal(losses[0], losses[1])
    assert torch.equal(losses[0], error(x, model.decode(*model.prior(y))))


def test_a_hybrid_is_the_weighted_mean_of_its_ends() -> None:
    """With no noise in either term, so that both see the same codes."""
    model, (x, y) = Tiny(), pairs()
    with torch.no_grad():
        model.to_posterior.bias[2:] -= 60
    ends = [
        loss_of(HybridObjective(alpha=alpha, prior_deviation=0.0), model, x, y)
        for alpha in (0.0, 1.0)
    ]
    mixed = loss_of(HybridObjective(alpha=0.3, prior_deviation=0.0), model, x, y)
    assert torch.allclose(mixed, 0.7 * ends[0] + 0.3 * ends[1])


def test_the_error_of_gsnn_grows_with_the_deviation_of_the_prior() -> None:
    """A linear decoder W adds half of deviation^2 * |W|^2 to the squared error."""
    model, (x, y) = Tiny(), pairs()
    plain = loss_of(HybridObjective(alpha=0.0, prior_deviation=0.0), model, x, y)
    added = model.from_code.weight[:, :2].square().sum() / 2
    for deviation in (0.5, 2.0):
        objective = HybridObjective(alpha=0.0, prior_deviation=deviation)
        draws = torch.stack([loss_of(objective, model, x, y, seed).mean() for seed in range(600)])
        standard_error = draws.std() / math.sqrt(len(draws))
        expected = plain.mean() + deviation**2 * added
        assert abs(draws.mean() - expected) < ERRORS * standard_error


@pytest.mark.parametrize("alpha", [0.3, 0.5, 0.9])
@pytest.mark.parametrize(("count", "deviation"), [(1, 1.0), (2, 1.0), (4, 0.0), (5, 1.0)])
def test_a_divided_batch_is_on_average_eq_15(alpha: float, count: int, deviation: float) -> None:
    """Over all rotations of a batch, so that each picture gets either term in its turn."""
    model, (x, y) = Tiny(), pairs(count)
    whole = HybridObjective(alpha=alpha, beta=2.0, prior_deviation=deviation)
    divided = HybridObjective(alpha=alpha, beta=2.0, prior_deviation=deviation, divided=True)
    differences = []
    with torch.no_grad():
        for seed in range(300):
            parts = [
                loss_of(divided, model, x.roll(turn, 0), y.roll(turn, 0), 7 * seed + turn).mean()
                for turn in range(count)
            ]
            differences.append(
                torch.stack(parts).mean() - loss_of(whole, model, x, y, 50_000 + seed).mean()
            )
    found = torch.stack(differences)
    assert abs(found.mean()) < ERRORS * found.std() / math.sqrt(len(found))


def test_a_divided_batch_is_decoded_once() -> None:
    class Counting(Tiny):
        decoded = 0

        def decode(self, z: Tensor, context: Any) -> Tensor:
            self.decoded += len(z)
            return super().decode(z, context)

    x, y = pairs(8)
    for divided, expected in ((True, 8), (False, 16)):
        model = Counting()
        losses = loss_of(HybridObjective(alpha=0.5, divided=divided), model, x, y)
        assert losses.shape == (8,)
        assert model.decoded == expected


@pytest.mark.parametrize("divided", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_more_samples_lower_the_variance(alpha: float, divided: bool) -> None:
    model, (x, y) = Tiny(), pairs()
    variances = []
    with torch.no_grad():
        for samples in (1, 8):
            objective = HybridObjective(alpha=alpha, samples=samples, divided=divided)
            draws = [loss_of(objective, model, x, y, seed).mean() for seed in range(300)]
            variances.append(torch.stack(draws).var())
    assert 5 < variances[0] / variances[1] < 12  # 8, as variances of 300 draws go


# --- learning --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "objective",
    [
        pytest.param(HybridObjective(), id="elbo"),
        pytest.param(HybridObjective(samples=5), id="five samples"),
        pytest.param(HybridObjective(alpha=0.5), id="hybrid 0.5"),
        pytest.param(HybridObjective(alpha=0.9), id="hybrid 0.9"),
        pytest.param(HybridObjective(alpha=0.5, divided=True), id="divided 0.5"),
        pytest.param(
            HybridObjective(alpha=0.5, prior_deviation=0.0, divided=True), id="divided mean"
        ),
        pytest.param(HybridObjective(alpha=0.0), id="gsnn"),
        pytest.param(HybridObjective(alpha=0.0, prior_deviation=0.0), id="reconstruction only"),
    ],
)
@pytest.mark.parametrize("skips", [True, False])
def test_a_tiny_conditional_model_learns(objective: HybridObjective, skips: bool) -> None:
    model, (x, y) = Tiny(skips), pairs(64)

    def mean_loss() -> Tensor:
        with torch.no_grad():
            return torch.stack(
                [loss_of(objective, model, x, y, 900 + seed).mean() for seed in range(10)]
            ).mean()

    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    before = mean_loss()
    for step in range(60):
        optimiser.zero_grad()
        loss_of(objective, model, x, y, step).mean().backward()  # type: ignore[no-untyped-call]
        for parameter in model.parameters():
            assert parameter.grad is None or torch.isfinite(parameter.grad).all()
        optimiser.step()
    trained = model.to_posterior.weight.grad is not None
    assert trained == objective.needs_posterior
    assert mean_loss() < 0.8 * before
