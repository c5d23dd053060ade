"""VDVAE-SR: the four models of table 5.1, and the compact one."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from enhance_cli.architectures import ARCHITECTURES
from enhance_cli.architectures.enhancenet import EnhanceNetConfig
from enhance_cli.architectures.vdvae import Vdvae, VdvaeConfig
from enhance_cli.architectures.vdvae_blocks import draw_noise
from enhance_cli.architectures.vdvae_sr import SR64, SR256, VdvaeSr, VdvaeSrConfig
from enhance_cli.architectures.vdvae_sr_compact import VdvaeSrCompact, VdvaeSrCompactConfig
from enhance_cli.engine.checkpoint import build

SMALL = VdvaeSrConfig(
    vdvae=VdvaeConfig(
        side=16,
        encoder="16x1,16d4,4x1,4d4,1x1",
        decoder="1x1,4m1,4x1,16m4",
        width=8,
        latent=2,
        mixtures=2,
    ),
    lr_encoder="4x1,4d4,1x1",
)
COMPACT = VdvaeSrCompactConfig(
    encoder="32x1,32d2,16d2",
    lr_encoder="16x1,16d2",
    decoder="8x1,16m8,32m16",
    width=8,
    widths="32:6",
    latent=2,
    base=EnhanceNetConfig(channels=6, blocks=1),
)
CONFIGURATIONS = ("trivial", "lr-encoder", "posterior", "final")


def stirred(network: nn.Module) -> Any:
    """With priors and an output that are not those of the first step."""
    torch.manual_seed(1)
    for name, parameter in network.named_parameters():
        if name.endswith(("prior.c4.weight", "out.weight", "z_proj.weight")):
            nn.init.normal_(parameter, std=0.2)
    return network


def make(config: Any) -> Any:
    torch.manual_seed(0)
    kind = VdvaeSr if isinstance(config, VdvaeSrConfig) else VdvaeSrCompact
    return stirred(kind(config))


def pair(side_lr: int = 4, count: int = 2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    frame_hr = torch.randint(256, (count, 3, 4 * side_lr, 4 * side_lr), generator=generator) / 255
    return nn.functional.avg_pool2d(frame_hr, 4), frame_hr


def noises(network: Any, height: int, width: int, seed: int = 0, count: int = 2) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return draw_noise(network.latent_shapes(height, width), count, generator)


@pytest.mark.parametrize(
    ("config", "total", "lr_encoder", "layers"),
    # Ch. 7.1.4 says 180 million for a network that it does not name.
    [(SR64, 137_369_711, 12_363_776, 75), (SR256, 141_325_734, 26_450_816, 66)],
)
def test_the_thesis_s_networks(
    config: VdvaeSrConfig, total: int, lr_encoder: int, layers: int
) -> None:
    network = build(ARCHITECTURES["vdvae-sr"], config, "meta")
    count = sum(parameter.numel() for parameter in network.parameters())
    own = sum(parameter.numel() for parameter in network.lr_encoder.parameters())
    side = config.side_lr
    assert (count, own) == (total, lr_encoder)
    # The rest is that VDVAE and a gate for each block.
    vdvae = build(ARCHITECTURES["vdvae"], config.vdvae, "meta")
    assert count - own - layers == sum(parameter.numel() for parameter in vdvae.parameters())
    assert len(network.latent_shapes(side, side)) == layers
    frame_hr = network(torch.empty(1, 3, side, side, device="meta"))
    assert frame_hr.shape == (1, 3, config.vdvae.side, config.vdvae.side)


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
@pytest.mark.parametrize("trainable", [True, False])
def test_a_step_of_each_configuration(configuration: Any, trainable: bool) -> None:
    """The HR encoder is never trained, the decoder if it is asked for, all that is new always."""
    config = replace(SMALL, configuration=configuration, trainable_decoder=trainable)
    network = make(config)
    network.bound(*pair(), torch.Generator().manual_seed(0)).total.mean().backward()
    trained = {name for name, p in network.named_parameters() if p.grad is not None}
    parts = {name.partition(".")[0] for name in trained}
    assert parts == {
        "lr_encoder",
        *(["decoder"] if trainable else []),
        *(["gates"] if configuration == "final" else []),
    }
    if configuration == "final":
        assert (network.gates.grad[:3] != 0).all()  # of the blocks at the LR encoder's sides
        assert network.gates.grad[3] == 0


def test_each_configuration_begins_as_the_one_before_it() -> None:
    """All see the same of the small picture at the top, and gates begin at zero."""
    before = make(replace(SMALL, configuration="lr-encoder"))
    frame_lr, frame_hr = pair()
    chance = noises(before, 4, 4)
    drawn, bounds = [], []
    for configuration in CONFIGURATIONS[1:]:
        network = make(replace(SMALL, configuration=configuration))
        missing = network.load_state_dict(before.state_dict(), strict=False).missing_keys
        assert missing == (["gates"] if configuration == "final" else [])
        drawn.append(network.draw(frame_lr, 0.7, chance))
        bounds.append(network.bound(frame_lr, frame_hr, torch.Generator().manual_seed(0)).total)
    assert torch.equal(drawn[0], drawn[1])
    assert torch.equal(drawn[1], drawn[2])
    assert not torch.equal(bounds[0], bounds[1])  # its posterior sees more
    assert torch.equal(bounds[1], bounds[2])
    nn.init.constant_(network.gates, 0.5)
    assert not torch.equal(network.draw(frame_lr, 0.7, chance), drawn[2])


def test_the_weights_of_vdvae_fit() -> None:
    """With nothing at the top from the LR encoder it draws what VDVAE draws."""
    torch.manual_seed(3)
    vdvae = stirred(Vdvae(SMALL.vdvae))
    network = make(replace(SMALL, configuration="trivial"))
    assert not network.load_state_dict(vdvae.state_dict(), strict=False).unexpected_keys
    nn.init.zeros_(network.lr_encoder.linear.weight)
    nn.init.zeros_(network.lr_encoder.linear.bias)
    chance = noises(network, 4, 4)
    assert torch.equal(network.draw(pair()[0], 0.9, chance), vdvae.draw(0.9, chance).mean)


@pytest.mark.parametrize("config", [SMALL, COMPACT], ids=["thesis", "compact"])
def test_what_a_network_that_draws_promises(config: Any) -> None:
    network = make(config)
    assert network.contract.draws
    frame_lr, _ = pair()
    shapes = network.latent_shapes(4, 4)
    assert [noise.shape[1:] for noise in noises(network, 4, 4)] == [torch.Size(s) for s in shapes]
    mean = network(frame_lr)
    assert mean.shape == (2, 3, 16, 16)
    assert mean.min() >= 0
    assert mean.max() <= 1
    first, second = noises(network, 4, 4, seed=1), noises(network, 4, 4, seed=2)
    assert torch.equal(network.draw(frame_lr, 0.0, first), mean)
    assert torch.equal(network.draw(frame_lr, 0.5, first), network.draw(frame_lr, 0.5, first))
    for index in range(len(shapes)):  # the noise of every layer matters
        changed = [*first[:index], second[index], *first[index + 1 :]]
        assert not torch.equal(
            network.draw(frame_lr, 1.0, changed), network.draw(frame_lr, 1.0, first)
        )


@pytest.mark.parametrize(
    "config",
    [
        {"configuration": "all"},
        {"lr_encoder": "8x1,8d8"},
        {"lr_encoder": "4x1"},
    ],
)
def test_impossible_networks(config: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="configuration|lr_encoder"):
        VdvaeSr(replace(SMALL, **config))


# --- the compact one ----------------------------------------------------------------------------


def test_compact_counts() -> None:
    network = build(ARCHITECTURES["vdvae-sr-compact"], VdvaeSrCompactConfig(), "meta")
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == 3_792_715
    learning = sum(p.numel() for p in network.parameters() if p.requires_grad)
    assert count - learning == 852_867  # ENet-E's


def test_compact_begins_as_enet_e() -> None:
    torch.manual_seed(0)
    network = VdvaeSrCompact(COMPACT)
    frame_lr, frame_hr = pair(6)
    enlarged = network.base(frame_lr).clamp(0, 1)
    assert torch.allclose(network(frame_lr), enlarged, atol=1e-6)
    assert torch.allclose(network.draw(frame_lr, 1.0, noises(network, 6, 6)), enlarged, atol=1e-6)
    network.bound(frame_lr, frame_hr, torch.Generator().manual_seed(0)).total.mean().backward()
    assert all(parameter.grad is None for parameter in network.base.parameters())


def test_compact_takes_any_even_size_and_moves_with_the_picture() -> None:
    network = make(COMPACT)
    frame_lr = torch.rand(1, 3, 60, 52, generator=torch.Generator())
    whole = network(frame_lr)
    assert whole.shape == (1, 3, 240, 208)
    reach = 16
    part = network(frame_lr[..., 8:52, 4:48])
    inner = slice(4 * reach, -4 * reach)
    expected = whole[..., 32:208, 16:192][..., inner, inner]
    assert torch.allclose(part[..., inner, inner], expected, atol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"scale": 2},
        {"decoder": "8x1,16m8"},
        {"encoder": "32x1,32d4"},
        {"lr_encoder": "16x2"},
        {"width": 0},
    ],
)
def test_impossible_compact_networks(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="x4|side|end|at least"):
        VdvaeSrCompact(replace(COMPACT, **changes))
