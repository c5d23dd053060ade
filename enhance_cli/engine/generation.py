"""Run a network that draws: samples, and of an autoencoder codes, reconstructions and ways."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from enhance_cli.architectures.autoencoder import Autoencoder
from enhance_cli.architectures.vdvae import Vdvae
from enhance_cli.engine.catalogue import Model
from enhance_cli.engine.memory import shrink_to_fit
from enhance_cli.levels import to_values

Notice = Callable[[str], None]

BATCH = 100  # pictures that run at once; with the width of table 6.1 they take some 100 MB
_LADDER_BATCH = 4  # pictures of a VDVAE, whose features are those of hundreds of wide layers


class CodeDensities(Protocol):
    """What codes are drawn from; see ``architectures.autoencoder.Densities``."""

    @property
    def fitted(self) -> bool:
        """Whether there are ``gaussian`` and ``mixture``."""

    def sample(
        self, density: str, count: int, temperature: float, generator: torch.Generator
    ) -> Tensor:
        """Draw codes (count, D)."""


class CodeNetwork(Protocol):
    """A network that turns codes into pictures: an autoencoder, or a GAN's generator.

    Attributes:
        config: its hyperparameters, among them ``side`` and ``channels`` of the pictures, and
            ``prior``, whether codes may be drawn from N(0, I).
        densities: what its codes are drawn from.
    """

    config: Any
    densities: Any

    def decode(self, z: Tensor) -> Tensor:
        """Pictures (N, C, side, side) for codes (N, D)."""


def default_density(network: CodeNetwork | Vdvae) -> str:
    """The mixture, which gives the best samples (table 6.2), or the prior if none was fitted."""
    if isinstance(network, Vdvae):
        return "prior"
    return "mixture" if network.densities.fitted else "prior"


def usable_densities(network: CodeNetwork | Vdvae) -> list[str]:
    """The entries of ``DENSITIES`` from which a model can draw."""
    if isinstance(network, Vdvae):
        return ["prior"]
    fitted = ["gaussian", "mixture"] if network.densities.fitted else []
    return (["prior"] if network.config.prior else []) + fitted


def draw_codes(
    network: CodeNetwork, density: str, count: int, *, temperature: float = 1.0, seed: int = 0
) -> Iterator[Tensor]:
    """Draw codes on the CPU in blocks of at most ``BATCH``, so that any number fits in memory.

    The codes of a seed are one sequence: a smaller ``count`` gives the beginning of a larger one.

    Args:
        network, density, temperature: see ``Densities.sample``.
        count: number of all codes.
        seed: seed of the generator.
    """
    generator = torch.Generator().manual_seed(seed)
    for start in range(0, count, BATCH):
        densities: CodeDensities = network.densities
        block = densities.sample(density, BATCH, temperature, generator)
        yield block[: count - start]


def encode_pictures(
    model: Model, pictures: Tensor, batch: int = BATCH, notice: Notice = lambda _: None
) -> Tensor:
    """Encode pictures as the means of q(z|x).

    Args:
        model: an autoencoder.
        pictures: (N, C, side, side) in [0, 1], or uint8 levels.
        batch: how many pictures run at once. It is halved when memory runs out.
        notice: called with one line when the batch is halved.

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
    """Decode codes to pictures, (n, C, side, side) in [0, 1] on the CPU for each batch.

    Args:
        codes: (N, D), or blocks of such codes.
        model, batch, notice: see :func:`encode_pictures`, which also says what is raised.
    """
    blocks = [codes] if isinstance(codes, Tensor) else codes
    return _run_batches(model, lambda network, z: network.decode(z), blocks, batch, notice)


def draw_pictures(
    model: Model,
    density: str,
    count: int,
    *,
    temperature: float = 1.0,
    seed: int = 0,
    notice: Notice = lambda _: None,
) -> Iterator[Tensor]:
    """Draw pictures of any model.

    Args:
        model: what draws.
        density: one of the model's ``usable_densities``.
        count: number of pictures.
        temperature: factor on every standard deviation of the codes or latents.
        seed: of all noise.
        notice: see :func:`encode_pictures`, which also says what is raised.

    Yields:
        Pictures (n, C, side, side) in [0, 1] on the CPU, a batch at a time.
    """
    if isinstance(model.network, Vdvae):
        return _draw_ladder(model, count, temperature, seed, notice)
    network = cast(CodeNetwork, model.network)
    codes = draw_codes(network, density, count, temperature=temperature, seed=seed)
    return decode_codes(model, codes, notice=notice)


def _draw_ladder(
    model: Model, count: int, temperature: float, seed: int, notice: Notice
) -> Iterator[Tensor]:
    """Draw pictures of a VDVAE, whose latents are too many to be held as codes.

    Each picture has noise of its own, by the seed and its number: a smaller ``count`` gives the
    beginning of a larger one.
    """

    def draw(network: Vdvae, numbers: Tensor) -> Tensor:
        seeds = [seed * 1_000_003 + int(number) for number in numbers]
        return network.sample(temperature, [torch.Generator().manual_seed(s) for s in seeds])

    # A block at a time, so that any number fits in memory; as float since others are levels.
    blocks = (
        torch.arange(start, min(start + BATCH, count)).double() for start in range(0, count, BATCH)
    )
    return _run_batches(model, draw, blocks, _LADDER_BATCH, notice)


def reconstruct_pictures(
    model: Model,
    blocks: Iterable[Tensor],
    batch: int | None = None,
    notice: Notice = lambda _: None,
) -> Iterator[Tensor]:
    """Encode pictures by the mean of q(z|x) and decode them again.

    Args:
        blocks: blocks of pictures (N, C, side, side) in [0, 1], or of uint8 levels.
        model, batch, notice: see :func:`encode_pictures`, which also says what is raised.

    Yields:
        Pictures (n, C, side, side) in [0, 1] on the CPU, a batch at a time.
    """
    usual = _LADDER_BATCH if isinstance(model.network, Vdvae) else BATCH
    return _run_batches(model, lambda network, x: network(x), blocks, batch or usual, notice)


def elbo(model: Model, pictures: Tensor, *, seed: int = 0, samples: int = 1) -> Tensor | None:
    """Evidence lower bound of pictures (eq. 6.4): E_q[log p(x|z)] - KL(q(z|x) || N(0, I)).

    It is the bound for a density of values in [0, 1], taken at the 8-bit levels without added
    noise.

    A VDVAE has a bound for the probability of whole levels, which is turned into one for the
    density that is even within each level.

    Args:
        model: an autoencoder, or a VDVAE.
        pictures: (N, C, side, side) in [0, 1], or uint8 levels.
        seed: seed of the codes that are drawn.
        samples: number of codes for each picture, over which log p(x|z) is averaged; a VDVAE
            takes one.

    Returns:
        (N,) in nats on the CPU. None if there is no bound, because the likelihood is no density
        (``squares``) or the posterior is a point.
    """
    generator = torch.Generator().manual_seed(seed)
    if isinstance(model.network, Vdvae):
        in_ladder = partial(_ladder_bound, generator)
        return torch.cat(
            list(_run_batches(model, in_ladder, [pictures], _LADDER_BATCH, lambda _: None))
        )
    network = cast(Autoencoder, model.network)
    likelihood = network.likelihood
    if likelihood is None or network.config.posterior == "point":
        return None

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


def _ladder_bound(generator: torch.Generator, network: Vdvae, x: Tensor) -> Tensor:
    bits = network.config.bits - network.bound(x, generator).total
    return bits * math.log(2) * x[0].numel()


def slerp(first: Tensor, second: Tensor, share: Tensor | float) -> Tensor:
    """Interpolate between codes on a sphere (ch. 6.8.1).

    The direction follows the great circle from one code to the other, and the length changes
    evenly. The way is straight if a code is zero or if the directions are the same or opposite.

    Args:
        first, second: codes (..., D).
        share: 0 gives the first code and 1 the second. It must broadcast against (..., 1).

    Returns:
        Codes of the broadcast shape.
    """
    t = torch.as_tensor(share, dtype=first.dtype, device=first.device)
    lengths = [code.norm(dim=-1, keepdim=True) for code in (first, second)]
    one, two = (
        code / length.clamp_min(1e-12)
        for code, length in zip((first, second), lengths, strict=True)
    )
    # The arccosine would give the smallest and the largest angles only to within 3e-4.
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
    function: Callable[[Any, Tensor], Tensor],
    blocks: Iterable[Tensor],
    batch: int,
    notice: Notice,
) -> Iterator[Tensor]:
    """Apply a function to blocks in parts of at most ``batch``, or fewer once memory runs out."""
    part_of_model = replace(model, network=partial(function, model.network))

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
