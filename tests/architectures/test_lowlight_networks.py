"""The low-light networks against table 7, their contracts and their checkpoints."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lowlight_networks import FAMILIES, LOWLIGHT, an_input, on_meta, small
from tensors import random
from torch import Tensor, nn
from torch.nn import functional

from enhance_cli.architectures import ARCHITECTURES, MODELS
from enhance_cli.architectures.pix2pix import Pix2PixConfig
from enhance_cli.architectures.sid_fcn import SidFcnConfig
from enhance_cli.architectures.sid_net import SidNetConfig, double_block
from enhance_cli.engine.checkpoint import (
    load_network,
    read_checkpoint_info,
    save_checkpoint,
)
from enhance_cli.engine.complexity import measure_complexity
from enhance_cli.errors import CheckpointError

# Thesis 000, table 7: parameters in millions, MACs in billions.
TABLE_7 = {
    "sid-net": (49.48, 15.86),
    "sid-net-no-skip": (46.33, 12.84),
    "sid-net-small": (29.16, 4.01),
    "pix2pix": (54.41, 18.16),
}


@pytest.mark.parametrize("name", TABLE_7)
def test_parameters_are_those_of_table_7(name: str) -> None:
    """Of the test-time network: without the encoder q(z|x)."""
    count = sum(parameter.numel() for parameter in on_meta(name).parameters())
    assert round(count / 1e6, 2) == TABLE_7[name][0]


def count_macs(network: nn.Module, shape: tuple[int, ...], in_full: bool) -> int:
    """Multiply-accumulates of convolutions and fully connected layers.

    Args:
        in_full: count as ptflops does: a transposed convolution as though every tap of its
            kernel reached every output (with a stride only 1 of stride^2 does), and one more
            operation for each bias, for each LeakyReLU and for each value that is pooled.
    """
    total = 0

    def count(layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        nonlocal total
        if in_full:  # the bias, or the operation of a layer without weights
            total += output.numel()
        if isinstance(layer, nn.LeakyReLU | nn.Sequential):
            return
        if isinstance(layer, nn.Linear):
            total += layer.in_features * layer.out_features
            return
        assert isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
        taps = layer.kernel_size[0] * layer.kernel_size[1]
        each = taps * layer.in_channels * layer.out_channels
        plane = output if in_full or isinstance(layer, nn.Conv2d) else inputs[0]
        total += each * plane.shape[-2] * plane.shape[-1]

    handles = [
        layer.register_forward_hook(count)
        for layer in network.modules()
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d | nn.LeakyReLU)
    ]
    # Each block of the way down is followed by a pooling.
    handles += [
        block.register_forward_hook(count)
        for name, block in network.named_modules()
        if name.startswith("down.blocks.") and isinstance(block, nn.Sequential)
    ]
    network(torch.empty(1, *shape, device="meta"))
    for handle in handles:
        handle.remove()
    return total


@pytest.mark.parametrize("name", TABLE_7)
def test_operations_are_those_of_table_7(name: str) -> None:
    assert (
        round(count_macs(on_meta(name), (4, 256, 256), in_full=True) / 1e9, 2) == (TABLE_7[name][1])
    )


@pytest.mark.parametrize("name", LOWLIGHT)
def test_complexity_is_the_true_count(name: str) -> None:
    spec = MODELS[name]
    size = measure_complexity(ARCHITECTURES[spec.architecture], spec.config)
    network = on_meta(name)
    assert size.macs_input == (network.contract.channels_in, 256, 256)
    assert size.macs == count_macs(network, size.macs_input, in_full=False)
    assert size.parameters == sum(parameter.numel() for parameter in network.parameters())


def test_the_true_count_of_sid_net() -> None:
    spec = MODELS["sid-net"]
    assert measure_complexity(ARCHITECTURES["sid-net"], spec.config).macs / 1e9 == (
        pytest.approx(14.0, abs=0.1)
    )


@pytest.mark.parametrize(
    ("other", "differing"),
    [
        ("sid-net-grey", {"out.weight", "out.bias"}),
        ("sid-net-srgb", {"down.blocks.0.0.weight"}),
    ],
)
def test_tasks_differ_in_channels_alone(other: str, differing: set[str]) -> None:
    left, right = (on_meta(name).state_dict() for name in ("sid-net", other))
    assert left.keys() == right.keys()
    changed = {key for key in left if left[key].shape != right[key].shape}
    assert changed == differing
    for key in changed:  # only the axis of the channels
        pair = left[key].shape, right[key].shape
        assert len(pair[0]) == len(pair[1])
        assert sum(a != b for a, b in zip(*pair, strict=True)) == 1


@pytest.mark.parametrize("name", FAMILIES)
def test_shapes_follow_the_contract(name: str, narrow: None) -> None:
    network = small(name)
    contract = network.contract
    y = an_input(network, 2)
    with torch.no_grad():
        made = network(y)
    side = y.shape[-1] * contract.scale
    assert made.shape == (2, contract.channels_out, side, side)
    assert made.isfinite().all()
    assert made.std() > 0
    # Pictures of a batch do not meet.
    with torch.no_grad():
        assert torch.allclose(network(y[1:]), made[1:], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", FAMILIES)
def test_forward_decodes_the_prior_s_mean(name: str, narrow: None) -> None:
    network = small(name)
    y = an_input(network)
    with torch.no_grad():
        mean, context = network.prior(y)
        assert torch.equal(network.decode(mean, context), network(y))
        moved = network.decode(mean + 10, context)
        assert not torch.allclose(moved, network(y), atol=1e-5)  # z is used


@pytest.mark.parametrize("name", FAMILIES)
def test_the_posterior_is_of_the_prior_s_shape(name: str, narrow: None) -> None:
    network = small(name)
    y = an_input(network, 2)
    with torch.no_grad():
        mean, _ = network.prior(y)
        x = network(y).clamp(0, 1)
    posterior: Any = network.make_posterior()
    made = posterior(x)
    assert len(made) == 2
    for part in made:
        assert part.shape == mean.shape
        assert part.isfinite().all()
    # It learns, and is no part of the network.
    sum(part.square().sum() for part in posterior(random(*x.shape))).backward()
    for key, parameter in posterior.named_parameters():
        assert parameter.grad is not None, key
    assert not {id(p) for p in posterior.parameters()} & {id(p) for p in network.parameters()}


@pytest.mark.parametrize("name", [name for name in FAMILIES if not name.endswith("no-skip")])
def test_skips_reach_the_decoder(name: str, narrow: None) -> None:
    network = small(name)
    with torch.no_grad():
        mean, context = network.prior(an_input(network))
        _, other = network.prior(an_input(network).flip(-1))
        assert not torch.allclose(network.decode(mean, context), network.decode(mean, other))


def test_each_skip_of_sid_net_counts() -> None:
    network = small("sid-net")
    with torch.no_grad():
        mean, context = network.prior(an_input(network))
        whole = network.decode(mean, context)
        assert [skip.shape[-1] for skip in context] == [256, 128, 64, 32, 16]
        for level in range(5):
            changed = [skip + (index == level) for index, skip in enumerate(context)]
            assert not torch.allclose(network.decode(mean, changed), whole, atol=1e-6), level


def test_each_skip_of_pix2pix_counts(narrow: None) -> None:
    network = small("pix2pix")
    with torch.no_grad():
        mean, context = network.prior(an_input(network))
        whole = network.decode(mean, context)
        assert mean.shape[-2:] == (1, 1)
        assert [skip.shape[-1] for skip in context] == [128, 64, 32, 16, 8, 4, 2]
        for level in range(7):
            changed = [skip + (index == level) for index, skip in enumerate(context)]
            assert not torch.allclose(network.decode(mean, changed), whole, atol=1e-7), level


def test_without_skips_only_the_code_is_seen() -> None:
    network = small("sid-net-no-skip")
    with torch.no_grad():
        mean, context = network.prior(an_input(network))
        assert context is None
        assert torch.equal(network.decode(mean, None), network(an_input(network)))
    with torch.no_grad():
        network.to_latent.weight.zero_()  # then every picture has the same code
        one, other = (network(random(1, 4, 256, 256, seed=seed)) for seed in (1, 2))
    assert torch.equal(one, other)


@pytest.mark.parametrize("name", ["sid-net", "pix2pix"])
def test_weights_start_as_the_thesis_has_it(name: str, narrow: None) -> None:
    network = small(name, lively=False)
    for module in (network, network.make_posterior()):
        weights = torch.cat(
            [p.detach().flatten() for k, p in module.named_parameters() if k.endswith("weight")]
        )
        assert float(weights.std()) == pytest.approx(0.02, rel=0.05)
        assert float(weights.mean()) == pytest.approx(0, abs=0.002)
        assert all((p == 0).all() for k, p in module.named_parameters() if k.endswith("bias"))


def test_a_double_block_is_two_convolutions_with_leaky_relus() -> None:
    block = double_block(2, 3)
    x = random(1, 2, 6, 5) - 0.5
    first = functional.leaky_relu(
        functional.conv2d(x, block[0].weight, block[0].bias, padding=1), 0.2
    )
    second = functional.leaky_relu(
        functional.conv2d(first, block[2].weight, block[2].bias, padding=1), 0.2
    )
    assert torch.equal(block(x), second)


def test_pix2pix_drops_out_only_when_trained(narrow: None) -> None:
    network = small("pix2pix")
    y = an_input(network)
    with torch.no_grad():
        assert torch.equal(network(y), network(y))
        assert network(y).abs().max() < 1  # a tanh
        network.train()
        assert not torch.equal(network(y), network(y))


@pytest.mark.parametrize(
    "config",
    [
        lambda: SidNetConfig(channels_in=1),
        lambda: SidNetConfig(channels_out=2),
        lambda: SidNetConfig(width=0),
        lambda: SidNetConfig(latent=0),
        lambda: Pix2PixConfig(channels_in=5),
        lambda: Pix2PixConfig(channels_out=4),
        lambda: SidFcnConfig(source="jpeg"),
        lambda: SidFcnConfig(colours=2),
        lambda: SidFcnConfig(width=0),
        lambda: SidFcnConfig(latent=-1),
        lambda: SidFcnConfig(demosaicing="bilinear"),  # type: ignore[arg-type]
        lambda: SidFcnConfig(source="srgb", demosaicing="adaptive"),
        lambda: SidFcnConfig(refinements=-1),
    ],
)
def test_impossible_configs_are_refused(config: Callable[[], Any]) -> None:
    with pytest.raises(ValueError, match="maps|no network"):
        config()


@pytest.mark.parametrize("name", FAMILIES)
def test_every_parameter_learns(name: str, narrow: None) -> None:
    network = small(name).train()
    network(an_input(network, 2) * 2 - 0.5).square().mean().backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.abs().max() > 0, key


@pytest.mark.parametrize("name", FAMILIES)
def test_checkpoint_round_trip(name: str, narrow: None, tmp_path: Path) -> None:
    network = small(name)
    architecture = next(
        ARCHITECTURES[key] for key in ("sid-net", "pix2pix", "sid-fcn") if name.startswith(key)
    )
    save_checkpoint(tmp_path / "model.safetensors", network, architecture, name)
    info = read_checkpoint_info(tmp_path / "model.safetensors")
    assert (info.name, info.config, info.contract) == (name, network.config, network.contract)
    loaded = load_network(info)
    y = an_input(network)
    with torch.no_grad():
        assert torch.equal(loaded(y), network(y))


def test_a_checkpoint_with_an_encoder_is_refused(tmp_path: Path) -> None:
    network = small("sid-fcn")
    extra = {f"encoder.{k}": v for k, v in network.make_posterior().state_dict().items()}
    save_checkpoint(
        tmp_path / "model.safetensors",
        network,
        ARCHITECTURES["sid-fcn"],
        "sid-fcn",
        tensors={**network.state_dict(), **extra},
    )
    with pytest.raises(CheckpointError, match=r"unexpected: encoder\."):
        load_network(read_checkpoint_info(tmp_path / "model.safetensors"))


def test_contracts_say_what_goes_in_and_out() -> None:
    found = {
        name: (
            network.contract.colour,
            network.contract.channels_in,
            network.contract.channels_out,
            network.contract.scale,
            network.contract.curve,
        )
        for name in LOWLIGHT
        for network in [on_meta(name)]
    }
    assert found == {
        "sid-fcn": ("balanced-raw", 5, 3, 2, "camera"),
        "sid-fcn-grey": ("balanced-raw", 4, 1, 2, "camera"),
        "sid-fcn-srgb": ("linear-srgb", 5, 3, 1, "srgb"),
        "sid-net": ("amplified-raw", 4, 3, 1, "srgb"),
        "sid-net-no-skip": ("amplified-raw", 4, 3, 1, "srgb"),
        "sid-net-small": ("amplified-raw", 4, 3, 1, "srgb"),
        "sid-net-grey": ("amplified-raw", 4, 1, 1, "srgb"),
        "sid-net-srgb": ("amplified-srgb", 3, 3, 1, "srgb"),
        "pix2pix": ("amplified-raw", 4, 3, 1, "srgb"),
    }
