"""Objectives of (conditional) variational autoencoders (thesis 000, ch. 4).

All are losses, the negative of what the thesis maximises, and give one value per picture. The
network's own error of reconstruction is passed in as a function, since some decoders' outputs
are rendered before they are compared.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

Error = Callable[[Tensor], Tensor]  # the decoder's output -> (N,)
Distance = Callable[[Tensor, Tensor], Tensor]  # two batches -> a value per item, or their mean


class VariationalModel(Protocol):
    """The three networks of a conditional autoencoder while it is trained."""

    def prior(self, y: Any) -> tuple[Tensor, Any]:
        """The mean of p(z|y), whose variance is 1, and what the decoder is shown of y."""

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The mean and the log-variance of q(z|x)."""

    def decode(self, z: Tensor, context: Any) -> Tensor:
        """The mean of p(x|y, z); ``context`` is what ``prior`` has returned beside the mean."""


def summed(values: Tensor) -> Tensor:
    """The sum over everything but the first axis: (N, ...) -> (N,)."""
    return values.flatten(1).sum(1)


def absolute_error(x: Tensor, estimate: Tensor) -> Tensor:
    """The summed absolute error of each picture, (N,).

    It is the negative logarithm of a Laplace density of scale 1 but for a constant (eq. 8).
    """
    return summed((x - estimate).abs())


def squared_error(x: Tensor, estimate: Tensor) -> Tensor:
    """Half the summed squared error of each picture, (N,).

    It is the negative logarithm of a Gaussian density of variance 1 but for a constant (eq. 7).
    """
    return summed((x - estimate).square()) / 2


def gaussian_kl(
    mean_q: Tensor,
    log_variance_q: Tensor,
    mean_p: Tensor | float = 0.0,
    log_variance_p: Tensor | float = 0.0,
) -> Tensor:
    """The KL-divergence D(q || p) of diagonal Gaussians in nats, (N,) (eq. 24).

    Args:
        mean_q: Means of q, (N, ...).
        log_variance_q: Logarithms of the variances of q, of the same shape.
        mean_p: Means of p; with the defaults p is N(0, I), and this is eq. 25.
        log_variance_p: Logarithms of the variances of p.
    """
    log_ratio = log_variance_q - log_variance_p
    distance = (mean_q - mean_p).square()
    scaled = distance * torch.exp(-torch.as_tensor(log_variance_p, device=mean_q.device))
    return summed(log_ratio.exp() + scaled - 1 - log_ratio) / 2


def reparameterise(
    mean: Tensor, log_variance: Tensor | float, generator: torch.Generator
) -> Tensor:
    """A sample of a diagonal Gaussian that can be differentiated (ch. 4.2.3).

    The noise is drawn on the generator's device, so that a CPU generator gives the same sample
    wherever the network runs.

    Args:
        mean: Means, (N, ...).
        log_variance: Logarithms of the variances, of the same shape or one for all.
        generator: The source of the noise.
    """
    noise = torch.randn(mean.shape, generator=generator, device=generator.device).to(mean)
    scale = torch.exp(torch.as_tensor(log_variance, device=mean.device) / 2)
    return mean + scale * noise


@dataclass(frozen=True)
class HybridObjective:
    """A point in the family of eq. 15: alpha * L_CVAE + (1 - alpha) * L_GSNN.

    ``alpha`` 1 is the ELBO, 0 is GSNN, and 0 with ``prior_deviation`` 0 is the plain loss of
    reconstruction (ch. 6.1.3), where neither an encoder nor a sample is needed.

    Attributes:
        alpha: Weight of the CVAE's term, from 0 to 1.
        beta: Weight of the KL-divergence in the CVAE's term (eq. 9).
        samples: L of eq. 11, the number of Monte-Carlo samples of each expectation.
        prior_deviation: Standard deviation of p(z|y) in the GSNN term: 1, or 0 to decode its mean.
        divided: Whether the first share ``alpha`` of a batch goes to the CVAE's term and the rest
            to the other, each with the weight that its share should have. The mean over a batch
            is on average eq. 15 too, for one pass through the decoder instead of two.
    """

    alpha: float = 1.0
    beta: float = 1.0
    samples: int = 1
    prior_deviation: float = 1.0
    divided: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha must be from 0 to 1, not {self.alpha}")
        if self.beta < 0 or self.samples < 1 or self.prior_deviation < 0:
            raise ValueError("beta and prior_deviation must be 0 or more, samples at least 1")

    @property
    def needs_posterior(self) -> bool:
        """Whether an encoder q(z|x) is trained at all."""
        return self.alpha > 0


def negative_elbo(
    model: VariationalModel,
    x: Tensor,
    prior: tuple[Tensor, Any],
    error: Error,
    objective: HybridObjective,
    generator: torch.Generator,
) -> Tensor:
    """-L_CVAE of eq. 12 for each picture, (N,); that of eq. 13 if the context is None.

    Args:
        model: The networks.
        x: Clean pictures, (N, ...).
        prior: What ``model.prior`` has returned for the inputs.
        error: From the decoder's output to the error of each picture.
        objective: Gives beta and the number of samples.
        generator: The source of the samples.
    """
    mean_p, context = prior
    mean, log_variance = (part.float() for part in model.posterior(x))
    reconstruction = sum(
        error(model.decode(reparameterise(mean, log_variance, generator), context))
        for _ in range(objective.samples)
    )
    divergence = gaussian_kl(mean, log_variance, mean_p.float())
    return reconstruction / objective.samples + objective.beta * divergence


def gsnn(
    model: VariationalModel,
    prior: tuple[Tensor, Any],
    error: Error,
    objective: HybridObjective,
    generator: torch.Generator,
) -> Tensor:
    """-L_GSNN of eq. 14 for each picture, (N,); see ``negative_elbo`` for the arguments.

    With a ``prior_deviation`` of 0 it is the error of what is decoded from the prior's mean.
    """
    mean, context = prior
    if objective.prior_deviation == 0:
        return error(model.decode(mean, context))
    log_variance = 2 * math.log(objective.prior_deviation)
    total = sum(
        error(model.decode(reparameterise(mean.float(), log_variance, generator), context))
        for _ in range(objective.samples)
    )
    return torch.as_tensor(total) / objective.samples


def variational_loss(
    model: VariationalModel,
    x: Tensor,
    y: Any,
    error: Error,
    objective: HybridObjective,
    generator: torch.Generator,
) -> Tensor:
    """The loss of an objective for each picture, (N,).

    Args:
        model: The networks.
        x: Clean pictures, (N, ...).
        y: What the model is conditioned on.
        error: From the decoder's output for all N to the error of each.
        objective: The loss that is wanted.
        generator: The source of the samples.
    """
    prior = model.prior(y)
    alpha = objective.alpha
    if alpha == 1:
        return negative_elbo(model, x, prior, error, objective, generator)
    if alpha == 0:
        return gsnn(model, prior, error, objective, generator)
    if objective.divided and len(x) > 1:
        return _divided(model, x, prior, error, objective, generator)
    return alpha * negative_elbo(model, x, prior, error, objective, generator) + (1 - alpha) * gsnn(
        model, prior, error, objective, generator
    )


def _divided(
    model: VariationalModel,
    x: Tensor,
    prior: tuple[Tensor, Any],
    error: Error,
    objective: HybridObjective,
    generator: torch.Generator,
) -> Tensor:
    """Eq. 15 with each of N > 1 pictures decoded once per sample, (N,)."""
    mean_p, context = prior
    alpha, count = objective.alpha, len(x)
    first = min(max(round(alpha * count), 1), count - 1)
    mean_q, log_variance_q = (part.float() for part in model.posterior(x[:first]))
    rest = mean_p[first:].float()
    deviation = objective.prior_deviation
    mean = torch.cat([mean_q, rest])
    log_variance = torch.cat(
        [
            log_variance_q,
            torch.full_like(rest, 2 * math.log(deviation) if deviation else -math.inf),
        ]
    )
    total = sum(
        error(model.decode(reparameterise(mean, log_variance, generator), context))
        for _ in range(objective.samples)
    )
    loss = torch.as_tensor(total) / objective.samples
    divergence = gaussian_kl(mean_q, log_variance_q, mean_p[:first].float())
    # A batch seldom divides exactly, so the weights make good what rounding did to the shares.
    return torch.cat(
        [
            (loss[:first] + objective.beta * divergence) * (alpha * count / first),
            loss[first:] * ((1 - alpha) * count / (count - first)),
        ]
    )
