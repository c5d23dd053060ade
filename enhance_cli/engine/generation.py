"""Pictures from codes: samples, reconstructions and the ways between two codes."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import cast

import torch
from torch import Tensor

from enhance_cli.architectures.autoencoder import Autoencoder
from enhance_cli.engine.catalogue import Model
from enhance_cli.engine.memory import shrink_to_fit
from enhance_cli.levels import to_values

Notice = Callable[[str], None]

BATCH = 100  # pictures decoded at once: about 100 MB of maps at table 6.1's width


def default_density(network: Autoencoder) -> str:
    """The mixture, which samples best (table 6.2), or the prior where none has been fitted."""
    return "mixture" if network.densities.fitted else "prior"


def usable_densities(network: Autoencoder) -> list[str]:
    """Those of ``DENSITIES`` that a model can be sampled from."""
    fitted = ["gaussian", "mixture"] if network.densities.fitted else []
    return (["prior"] if network.config.prior else []) + fitted


def draw_codes(
    network: Autoencoder, density: str, count: int, *, temperature: float = 1.0, seed: int = 0
) -> Tensor:
    """Codes (count, D) on the CPU, all those of :func:`iterate_codes`."""
    return torch.cat(
        list(iterate_codes(network, density, count, temperature=temperature, seed=seed))
    )


def iterate_codes(
    network: Autoencoder, density: str, count: int, *, temperature: float = 1.0, seed: int = 0
) -> Iterator[Tensor]:
    """Codes in blocks of at most ``BATCH``, on the CPU, so that any number fits in memory.

    A seed's codes are one sequence: a smaller ``count`` gives the beginning of a larger one's.

    Args:
        network, density, temperature: see ``Densities.sample``.
        count: of all codes.
        seed: of the CPU's generator.
    """
    generator = torch.Generator().manual_seed(seed)
    for start in range(0, count, BATCH):
        block = network.densities.sample(density, BATCH, temperature, generator)
        yield block[: count - start]


def encode_pictures(
    model: Model, pictures: Tensor, batch: int = BATCH, notice: Notice = lambda _: None
) -> Tensor:
    """Means of q(z|x).

    Args:
        model: an autoencoder.
        pictures: (N, C, side, side) in [0, 1], or uint8 levels.
        batch: how many at once; halved where memory ends.
        notice: called with a line when it is.

    Returns:
        (N, D) float32 on the CPU.

    Raises:
        DeviceError: if not even one picture fits in memory.
    """
    return torch.cat(
        list(
            _run_batches(model, lambda network, x: network.encode(x)[0], [pictures], batch, notice)
        )
    )


def decode_codes(
    model: Model,
    codes: Tensor | Iterable[Tensor],
    batch: int = BATCH,
    notice: Notice = lambda _: None,
) -> Iterator[Tensor]:
    """Pictures from codes, a batch at a time: (n, C, side, side) in [0, 1] on the CPU.

    Args:
        codes: (N, D), or blocks of them.
        model, batch, notice: as of :func:`encode_pictures`, which also tells what is raised.
    """
    blocks = [codes] if isinstance(codes, Tensor) else codes
    return _run_batches(model, lambda network, z: network.decode(z), blocks, batch, notice)


def reconstruct_pictures(
    model: Model, blocks: Iterable[Tensor], batch: int = BATCH, notice: Notice = lambda _: None
) -> Iterator[Tensor]:
    """Pictures through the autoencoder, by the mean of q(z|x), a batch at a time.

    Args:
        blocks: of pictures (N, C, side, side) in [0, 1], or of uint8 levels.
        model, batch, notice: as of :func:`encode_pictures`, which also tells what is raised.

    Yields:
        (n, C, side, side) in [0, 1] on the CPU.
    """
    return _run_batches(model, lambda network, x: network(x), blocks, batch, notice)


def elbo(model: Model, pictures: Tensor, *, seed: int = 0, samples: int = 1) -> Tensor | None:
    """Evidence lower bound of pictures (eq. 6.4): E_q[log p(x|z)] - KL(q(z|x) || N(0, I)).

    Of the density of values in [0, 1], at the levels of 8 bits as they are.

    Args:
        model: an autoencoder.
        pictures: (N, C, side, side) in [0, 1], or uint8 levels.
        seed: of the codes that are drawn.
        samples: codes for each picture, over which log p(x|z) is averaged.

    Returns:
        (N,) nats on the CPU; None where there is no bound: for a likelihood that is no density
        (``squares``) or a posterior that is a point.
    """
    network = cast(Autoencoder, model.network)
    likelihood = network.likelihood
    if likelihood is None or network.config.posterior == "point":
        return None
    generator = torch.Generator().manual_seed(seed)

    def bound(network: Autoencoder, x: Tensor) -> Tensor:
        mean, log_variance = network.encode(x)
        assert log_variance is not None
        total = -(mean.square() + log_variance.exp() - 1 - log_variance).sum(1) / 2
        for _ in range(samples):
            noise = torch.randn(mean.shape, generator=generator).to(mean.device)
            z = mean + (log_variance / 2).exp() * noise
            total = total - likelihood.negative_log(x, network.decode(z), z) / samples
        return total

    return torch.cat(list(_run_batches(model, bound, [pictures], BATCH, lambda _: None)))


def slerp(first: Tensor, second: Tensor, share: Tensor | float) -> Tensor:
    """Spherical interpolation of codes (ch. 6.8.1).

    Along the great circle from one direction to the other, while the length changes evenly;
    straight where a direction is missing or the two are opposite or the same.

    Args:
        first, second: (..., D).
        share: 0 gives the first, 1 the second; broadcasts against (..., 1).

    Returns:
        Codes of the broadcast shape.
    """
    t = torch.as_tensor(share, dtype=first.dtype, device=first.device)
    lengths = [code.norm(dim=-1, keepdim=True) for code in (first, second)]
    one, two = (
        code / length.clamp_min(1e-12)
        for code, length in zip((first, second), lengths, strict=True)
    )
    # Not by the arccosine, which knows the smallest and the largest angles to 3e-4 alone.
    angle = 2 * torch.atan2(
        (one - two).norm(dim=-1, keepdim=True), (one + two).norm(dim=-1, keepdim=True)
    )
    sine = angle.sin()
    curved = (torch.sin((1 - t) * angle) * one + torch.sin(t * angle) * two) / sine
    round_way = curved * ((1 - t) * lengths[0] + t * lengths[1])
    known = (sine > 1e-4) & (lengths[0] > 1e-12) & (lengths[1] > 1e-12)
    return torch.where(known, round_way, (1 - t) * first + t * second)


def _run_batches(
    model: Model,
    function: Callable[[Autoencoder, Tensor], Tensor],
    blocks: Iterable[Tensor],
    batch: int,
    notice: Notice,
) -> Iterator[Tensor]:
    """Apply a function to blocks in parts of at most ``batch``, fewer once memory has ended."""
    part_of_model = replace(model, network=partial(function, cast(Autoencoder, model.network)))

    def run_first(count: int, block: Tensor) -> Tensor:
        return part_of_model.run(to_values(block[:count])).cpu()

    for block in blocks:
        rest = block
        while len(rest):
            tried = min(batch, len(rest))
            result, fitting = shrink_to_fit(
                partial(run_first, block=rest),
                tried,
                smaller=lambda count: count // 2 or None,
                describe=lambda count: f"{count} picture{'s' * (count > 1)} at a time",
                device=model.device,
                notice=notice,
            )
            if fitting < tried:
                batch = fitting
            yield result
            rest = rest[fitting:]
