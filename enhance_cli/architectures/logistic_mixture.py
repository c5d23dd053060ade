"""The discretised mixture of logistics (Salimans et al., PixelCNN++, ICLR 2017, sec. 2.1 and 2.2).

It is the likelihood of VDVAE: for every pixel a mixture of distributions of its three colours, each
a logistic density that is summed over the bins of the levels. Green leans on red, and blue on both.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

# The narrowest puts nearly all of a component into one bin of 8 bits, the widest is flat.
_LOG_SCALES = (-7.0, 7.0)


def parameter_count(components: int) -> int:
    """How many values a pixel's mixture has: weights, and three for every colour."""
    return 10 * components


@dataclass(frozen=True)
class LogisticMixture:
    """Distributions of the pixels of pictures, whose colours lie in [-1, 1].

    Attributes:
        log_weights: (N, K, H, W), logarithms of the components' weights, whose sum is 1.
        means: (N, K, 3, H, W), of each colour as far as it leans on no other.
        log_scales: (N, K, 3, H, W).
        leaning: (N, K, 3, H, W): how far green leans on red, blue on red and blue on green.
        bits: the pictures have ``2 ** bits`` levels.
        offset: (N, 3, H, W) of [-1, 1], from which colours are counted, or None for 0.
    """

    log_weights: Tensor
    means: Tensor
    log_scales: Tensor
    leaning: Tensor
    bits: int = 8
    offset: Tensor | None = None

    @classmethod
    def of(
        cls,
        parameters: Tensor,
        bits: int = 8,
        offset: Tensor | None = None,
        unit: float = 1.0,
        widest: float | None = None,
    ) -> "LogisticMixture":
        """Split the output of a network (N, 10 * K, H, W), in the order of Child's code.

        Args:
            parameters: the output.
            bits, offset: see the class.
            unit: what the network counts colours in, so that its outputs can be about 1.
            widest: no component's scale is larger than this, or None for any; scales approach it
                smoothly.
        """
        components = parameters.shape[1] // 10
        parameters = parameters.float()
        weights, rest = parameters[:, :components], parameters[:, components:]
        shape = (len(rest), 3, 3, components, *rest.shape[2:])  # colours, kinds, components
        kinds = rest.reshape(shape).transpose(1, 3)
        means, log_scales, leaning = kinds.unbind(2)
        log_scales = log_scales + math.log(unit)
        if widest is not None:
            most = math.log(widest)
            log_scales = most - functional.softplus(most - log_scales)
        return cls(
            weights.log_softmax(1),
            means * unit,
            log_scales.clamp(*_LOG_SCALES),
            leaning.tanh(),
            bits,
            offset,
        )

    def log_prob(self, values: Tensor) -> Tensor:
        """Logarithms of the probabilities of pictures.

        The probability of a level is the integral over its bin; the lowest and the highest level
        have what lies beyond them too. So the sum over all levels is 1.

        Args:
            values: (N, 3, H, W) in [0, 1], multiples of 1/255. With fewer than 8 bits the lowest
                ones are dropped first, as Child's code does.

        Returns:
            (N, H, W) in nats.
        """
        dropped = 2 ** (8 - self.bits)
        levels = (values.float() * 255).round().div(dropped, rounding_mode="floor") * dropped
        x = levels / 127.5 - 1
        centred = (x if self.offset is None else x - self.offset)[:, None]
        means = self._conditional_means(centred)
        half = dropped / 255
        narrowness = (-self.log_scales).exp()
        above = (centred - means + half) * narrowness
        below = (centred - means - half) * narrowness
        # Exactly log(sigmoid(above) - sigmoid(below)), without a difference of like numbers.
        inside = (
            functional.logsigmoid(above)
            + functional.logsigmoid(-below)
            + torch.log(-torch.expm1(-2 * half * narrowness))
        )
        lowest, highest = levels <= 0, levels >= 256 - dropped
        log_probs = torch.where(
            lowest[:, None],
            functional.logsigmoid(above),
            torch.where(highest[:, None], functional.logsigmoid(-below), inside),
        )
        return (log_probs.sum(2) + self.log_weights).logsumexp(1)

    def _conditional_means(self, centred: Tensor) -> Tensor:
        """The means given the colours before: (N, K or 1, 3, H, W) -> (N, K, 3, H, W)."""
        red, green, _ = centred.unbind(2)
        own, lean = self.means.unbind(2), self.leaning.unbind(2)
        return torch.stack(
            (own[0], own[1] + lean[0] * red, own[2] + lean[1] * red + lean[2] * green), 2
        )

    @property
    def mean(self) -> Tensor:
        """The expected picture (N, 3, H, W), in [0, 1]; what lies beyond is cut off at the end."""
        red = self.means[:, :, 0]
        green = self.means[:, :, 1] + self.leaning[:, :, 0] * red
        blue = self.means[:, :, 2] + self.leaning[:, :, 1] * red + self.leaning[:, :, 2] * green
        expected = (torch.stack((red, green, blue), 2) * self.log_weights.exp()[:, :, None]).sum(1)
        return self._to_values(expected)

    def sample(self, generators: Sequence[torch.Generator]) -> Tensor:
        """Draw pictures (N, 3, H, W) in [0, 1]; their values are not rounded to levels.

        Args:
            generators: one for each picture, of the CPU, so that a seed gives the same everywhere.
        """

        def chance(like: Tensor) -> Tensor:
            shares = [torch.rand(like.shape[1:], generator=g) for g in generators]
            return torch.stack(shares).clamp(1e-5, 1 - 1e-5).to(like)

        # The maximum with Gumbel noise is a choice by the weights.
        noisy = self.log_weights - (-chance(self.log_weights).log()).log()
        index = noisy.argmax(1)[:, None, None].expand(-1, 1, 3, -1, -1)
        means, scales, lean = (
            part.gather(1, index)[:, 0] for part in (self.means, self.log_scales, self.leaning)
        )
        drawn = means + scales.exp() * chance(means).logit()
        offset = torch.zeros_like(drawn) if self.offset is None else self.offset

        def bounded(colour: int, value: Tensor) -> Tensor:
            return (value + offset[:, colour]).clamp(-1, 1) - offset[:, colour]

        red = bounded(0, drawn[:, 0])
        green = bounded(1, drawn[:, 1] + lean[:, 0] * red)
        blue = bounded(2, drawn[:, 2] + lean[:, 1] * red + lean[:, 2] * green)
        return self._to_values(torch.stack((red, green, blue), 1))

    def _to_values(self, centred: Tensor) -> Tensor:
        x = centred if self.offset is None else centred + self.offset
        return ((x + 1) / 2).clamp(0, 1)
