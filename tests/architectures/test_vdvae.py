"""VDVAE against the printed figures, its likelihood and its bound."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from enhance_cli.architectures import ARCHITECTURES
from enhance_cli.architectures.logistic_mixture import LogisticMixture
from enhance_cli.architectures.vdvae import VDVAE_CONFIGS, Vdvae, VdvaeConfig
from enhance_cli.architectures.vdvae_blocks import (
    BlockSpec,
    TopDownBlock,
    Widths,
    draw_noise,
    parse_blocks,
)
from enhance_cli.engine.checkpoint import build

SMALL = VdvaeConfig(
    side=8, encoder="8x1,8d2,4x1,4d4,1x1", decoder="1x1,4m1,8m4,8x1", width=8, latent=2, mixtures=2
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small(config: VdvaeConfig = SMALL) -> Vdvae:
    """A network whose priors are not those of its first step."""
    torch.manual_seed(0)
    network = Vdvae(config)
    for block in network.decoder.dec_blocks:
        torch.nn.init.normal_(block.prior.c4.weight, std=0.2)
    return network


def pictures(count: int = 2, side: int = 8) -> Tensor:
    return torch.randint(256, (count, 3, side, side), generator=generator()) / 255


@pytest.mark.parametrize(
    ("name", "millions", "exact", "layers"),
    [  # fig. 6.1 of thesis 002, whose 45 and 62 layers are 43 and 66 by Child's block strings
        ("cifar10", 39, 39_145_700, 43),
        ("imagenet32", 119, 119_280_868, 78),
        ("imagenet64", 125, 125_005_860, 75),
        ("ffhq256", 115, 114_874_852, 66),
    ],
)
def test_parameter_counts(name: str, millions: int, exact: int, layers: int) -> None:
    network = build(ARCHITECTURES["vdvae"], VDVAE_CONFIGS[name], "meta")
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == exact
    assert round(count / 1e6) == millions
    assert len(network.latent_shapes()) == layers
    assert {channels for channels, _, _ in network.latent_shapes()} == {16}


def test_block_strings() -> None:
    assert parse_blocks("4x2,4d2,8m4") == (
        BlockSpec(4),
        BlockSpec(4),
        BlockSpec(4, 2),
        BlockSpec(8, 4),
    )
    for text in ("", "4x0", "4y2", "4x1,,", "x4"):
        with pytest.raises(ValueError, match="write 64x11"):
            parse_blocks(text)


@pytest.mark.parametrize(
    "changes",
    [
        {"decoder": "1x1,4m2,8m4"},
        {"decoder": "2x1,8m2"},
        {"encoder": "4x1,4d4"},
        {"side": 16},
        {"bits": 9},
        {"widths": "8=4"},
    ],
)
def test_impossible_networks(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="block|bits|widths"):
        Vdvae(replace(SMALL, **changes))  # type: ignore[arg-type]


def test_custom_widths_cut_and_fill_channels() -> None:
    network = small(replace(SMALL, widths="8:4,4:12"))
    assert network(pictures()).shape == (2, 3, 8, 8)
    assert network.decoder.gain.shape == (1, 4, 1, 1)


# --- the likelihood -----------------------------------------------------------------------------


def mixture(count: int, bits: int, components: int = 2, offset: float | None = None) -> Tensor:
    """The same random parameters for so many pixels in a row."""
    parameters = torch.randn(1, 10 * components, 1, 1, generator=generator(3))
    moved = None if offset is None else torch.full((1, 3, 1, count), offset)
    return LogisticMixture.of(parameters.expand(-1, -1, -1, count), bits, moved)


@pytest.mark.parametrize("offset", [None, 0.4])
def test_the_mixture_sums_to_one_over_all_colours(offset: float | None) -> None:
    levels = torch.arange(8) * 32 / 255
    colours = torch.cartesian_prod(levels, levels, levels).T[None, :, None]
    log_probs = mixture(512, 3, offset=offset).log_prob(colours)
    assert log_probs.exp().sum() == pytest.approx(1, abs=1e-5)


def test_the_mixture_sums_to_one_over_256_values() -> None:
    """Green and blue are narrow and lean on nothing, so that few of their levels count."""
    parameters = torch.zeros(1, 10, 1, 1)
    parameters[0, 1:3, 0, 0] = torch.tensor([0.3, -1.2])  # mean and scale of red
    parameters[:, 4:10:3] = 5 / 127.5 - 1
    parameters[:, 5:10:3] = -7.0
    few = torch.arange(10) / 255
    colours = torch.cartesian_prod(torch.arange(256) / 255, few, few).T[None, :, None]
    of_all = LogisticMixture.of(parameters.expand(-1, -1, -1, colours.shape[-1]))
    assert of_all.log_prob(colours).exp().sum() == pytest.approx(1, abs=1e-4)


def test_a_far_level_has_a_probability_and_a_gradient() -> None:
    parameters = torch.zeros(1, 10, 1, 1)
    parameters[:, 2::3] = -6.0
    parameters.requires_grad_()
    found = LogisticMixture.of(parameters).log_prob(torch.full((1, 3, 1, 1), 250 / 255))
    found.sum().backward()
    assert found.isfinite().all()
    assert parameters.grad is not None
    assert parameters.grad[:, 1].item() > 0  # red's mean should rise


def test_scales_stay_below_the_widest() -> None:
    parameters = torch.linspace(-6, 6, 30)[None, :, None, None] * 2
    free, held = (LogisticMixture.of(parameters, unit=0.2, widest=w) for w in (None, 0.03))
    assert held.log_scales.max() <= torch.tensor(0.03).log()
    assert free.log_scales.max() > 0
    narrow = free.log_scales < -6
    assert narrow.any()
    assert torch.allclose(held.log_scales[narrow], free.log_scales[narrow], atol=0.1)


def test_samples_of_the_mixture_have_its_mean() -> None:
    parameters = torch.randn(1, 20, 1, 1, generator=generator(4))
    parameters[:, 4:6] = parameters[:, 10:12] = parameters[:, 16:18] = -12.0  # the scales
    many = LogisticMixture.of(parameters.expand(-1, -1, 200, 200) * 0.3)
    drawn = many.sample([generator()]).mean((2, 3))
    assert (drawn - many.mean[..., 0, 0]).abs().max() < 0.01


# --- the bound ----------------------------------------------------------------------------------


def test_the_divergence_is_that_of_monte_carlo() -> None:
    torch.manual_seed(1)
    block = TopDownBlock(BlockSpec(4), Widths(16, bottleneck=1.0), latent=3, depth=2)
    torch.nn.init.normal_(block.prior.c4.weight, std=1.0)
    torch.nn.init.normal_(block.enc.c4.weight, std=1.0)
    x, acts = 3 * torch.randn(2, 1, 16, 4, 4)
    _, divergence = block.infer(x, acts, None)
    q = Normal(*_moments(block.enc(torch.cat((x, acts), 1))))
    p = Normal(*_moments(block.prior(x)[:, :6]))
    z = q.sample((4000,))
    sampled = (q.log_prob(z) - p.log_prob(z)).sum((1, 2, 3, 4))
    error = sampled.std().item() / 4000**0.5
    assert 1 < divergence.item() == pytest.approx(sampled.mean().item(), abs=5 * error)


def _moments(parameters: Tensor) -> tuple[Tensor, Tensor]:
    mean, log_std = parameters.chunk(2, 1)
    return mean, log_std.exp()


def test_a_fresh_prior_is_the_standard_normal_and_adds_nothing() -> None:
    torch.manual_seed(0)
    block = TopDownBlock(BlockSpec(4), Widths(8), latent=2, depth=1)
    x, noise = torch.randn(1, 8, 4, 4), torch.randn(1, 2, 4, 4)
    assert torch.equal(block.draw(x, 0.5, noise), block.resnet(x + block.z_proj(0.5 * noise)))


def test_the_bound_is_what_its_parts_say() -> None:
    network, x = small(), pictures()
    bound = network.bound(x, generator(5))
    noises = draw_noise(network.latent_shapes(), 2, generator(5))
    likelihood, divergences = network.infer(x, noises)
    values = 3 * 8 * 8 * torch.tensor(2.0).log()
    assert torch.allclose(bound.distortion, -likelihood.log_prob(x).sum((1, 2)) / values)
    assert torch.allclose(bound.rate, sum(divergences) / values)
    assert (bound.rate > 0).all()
    assert torch.equal(bound.total, bound.distortion + bound.rate)


def test_temperature_nought_gives_the_means() -> None:
    network = small()
    shapes = network.latent_shapes()
    first, second = (draw_noise(shapes, 1, generator(seed)) for seed in (1, 2))
    assert torch.equal(network.draw(0.0, first).mean, network.draw(0.0, second).mean)
    assert not torch.equal(network.draw(1.0, first).mean, network.draw(1.0, second).mean)
    # Half the noise and half the temperature are the same.
    halves = [noise / 2 for noise in first]
    assert torch.allclose(network.draw(0.5, first).mean, network.draw(1.0, halves).mean)
