"""The low-light networks against table 7, their contracts and their formulas."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from enhance_cli.architectures import ARCHITECTURES, MODELS, pix2pix
from enhance_cli.architectures.pix2pix import Pix2Pix, Pix2PixConfig
from enhance_cli.architectures.sid_fcn import SidFcn, SidFcnConfig
from enhance_cli.architectures.sid_net import SidNet, SidNetConfig, double_block
from enhance_cli.colour import LUMINANCE, compress, expand
from enhance_cli.data.darkness import pack, unpack
from enhance_cli.engine.checkpoint import (
    build,
    load_network,
    read_checkpoint_info,
    save_checkpoint,
)
from enhance_cli.engine.complexity import measure_complexity
from enhance_cli.engine.tiled import TilePlan, run_tiled
from enhance_cli.errors import CheckpointError

CPU = torch.device("cpu")
LOWLIGHT = [
    name for name, spec in MODELS.items() if ARCHITECTURES[spec.architecture].task == "lowlight"
]
# Thesis 000, table 7: parameters in millions, MACs in billions.
TABLE_7 = {
    "sid-net": (49.48, 15.86),
    "sid-net-no-skip": (46.33, 12.84),
    "sid-net-small": (29.16, 4.01),
    "pix2pix": (54.41, 18.16),
}


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def on_meta(name: str) -> Any:
    spec = MODELS[name]
    return build(ARCHITECTURES[spec.architecture], spec.config, "meta").eval()


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pix2Pix with few filters: the published one has 54 million parameters."""
    monkeypatch.setattr(pix2pix, "_WIDTHS", (2, 3, 4, 5, 5, 5, 5))
    monkeypatch.setattr(pix2pix, "LATENT", 6)


SMALL: dict[str, Callable[[], Any]] = {
    "sid-net": lambda: SidNet(SidNetConfig(width=2, latent=5)),
    "sid-net-no-skip": lambda: SidNet(SidNetConfig(width=2, latent=5, skips=False)),
    "sid-net-grey": lambda: SidNet(SidNetConfig(width=2, latent=5, channels_out=1)),
    "sid-net-srgb": lambda: SidNet(SidNetConfig(width=2, latent=5, channels_in=3)),
    "pix2pix": lambda: Pix2Pix(Pix2PixConfig()),
    "pix2pix-grey": lambda: Pix2Pix(Pix2PixConfig(channels_in=3, channels_out=1)),
    "sid-fcn": lambda: SidFcn(SidFcnConfig(width=2, latent=3)),
    "sid-fcn-grey": lambda: SidFcn(SidFcnConfig(width=2, latent=3, colours=1)),
    "sid-fcn-srgb": lambda: SidFcn(SidFcnConfig(width=2, latent=3, source="srgb")),
    "sid-fcn-srgb-grey": lambda: SidFcn(SidFcnConfig(width=2, latent=3, source="srgb", colours=1)),
    "sid-fcn-noise": lambda: SidFcn(SidFcnConfig(width=2, latent=3, noise_plane=True)),
    "sid-fcn-srgb-noise": lambda: SidFcn(
        SidFcnConfig(width=2, latent=3, source="srgb", noise_plane=True)
    ),
}


def small(name: str, lively: bool = True) -> Any:
    """A small network in which every layer counts, unless told otherwise."""
    torch.manual_seed(3)
    network = SMALL[name]().eval()
    if lively:
        with torch.no_grad():
            for parameter in network.parameters():
                fan = parameter[0].numel() if parameter.dim() > 1 else 100
                parameter.copy_(torch.randn_like(parameter) * fan**-0.5)
    return network


def an_input(network: Any, count: int = 1, side: int | None = None) -> Tensor:
    contract = network.contract
    side = contract.patch_size or side or 2 * contract.size_multiple
    return random(count, contract.channels_in, side, side)


# --- table 7 ---------------------------------------------------------------------------------


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


# --- what they are ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sid-net", "sid-net-grey"),
        ("sid-net", "sid-net-srgb"),
        ("sid-fcn", "sid-fcn-grey"),
        ("sid-fcn", "sid-fcn-srgb"),
    ],
)
def test_tasks_differ_in_channels_alone(one: str, other: str) -> None:
    left, right = (on_meta(name).state_dict() for name in (one, other))
    assert left.keys() == right.keys()
    changed = {key for key in left if left[key].shape != right[key].shape}
    if one == "sid-net":
        assert changed == (
            {"out.weight", "out.bias"} if other.endswith("grey") else {"down.blocks.0.0.weight"}
        )
    for key in changed:  # only the axis of the channels
        pair = left[key].shape, right[key].shape
        assert len(pair[0]) == len(pair[1])
        assert sum(a != b for a, b in zip(*pair, strict=True)) == 1


@pytest.mark.parametrize("name", SMALL)
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


@pytest.mark.parametrize("name", SMALL)
def test_forward_decodes_the_prior_s_mean(name: str, narrow: None) -> None:
    network = small(name)
    y = an_input(network)
    with torch.no_grad():
        mean, context = network.prior(y)
        assert torch.equal(network.decode(mean, context), network(y))
        moved = network.decode(mean + 10, context)
        assert not torch.allclose(moved, network(y), atol=1e-5)  # z is used


@pytest.mark.parametrize("name", SMALL)
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


@pytest.mark.parametrize("name", [name for name in SMALL if not name.endswith("no-skip")])
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
    ],
)
def test_impossible_configs_are_refused(config: Callable[[], Any]) -> None:
    with pytest.raises(ValueError, match="maps|no network"):
        config()


@pytest.mark.parametrize("name", SMALL)
def test_every_parameter_learns(name: str, narrow: None) -> None:
    network = small(name).train()
    network(an_input(network, 2) * 2 - 0.5).square().mean().backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.abs().max() > 0, key


# --- checkpoints -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", SMALL)
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


# --- sid-fcn ---------------------------------------------------------------------------------

FCN = [name for name in SMALL if name.startswith("sid-fcn")]


@pytest.mark.parametrize("name", ["sid-fcn", "sid-fcn-srgb", "sid-fcn-noise"])
def test_halo_is_exact(name: str) -> None:
    """A NaN reaches outputs as far as the halo from somewhere, and none beyond from anywhere.

    Along one axis, from every place of a period: the other axis is the same.
    """
    network = small(name)
    contract = network.contract
    halo, multiple, scale = contract.halo, contract.size_multiple, contract.scale
    length = -(-(2 * halo + 2 * multiple) // multiple) * multiple
    start = length // 2 // multiple * multiple
    farthest = 0
    places = range(start, start + multiple)
    for transposed in (False, True):
        for place in places if not transposed else (places[0], places[-1]):
            image = random(1, contract.channels_in, multiple, length)
            image[0, 0, multiple // 2, place] = torch.nan
            if transposed:
                image = image.transpose(2, 3)
            with torch.no_grad():
                made = network(image)[0].isnan().any(0)
            touched = made.any(int(transposed)).nonzero()[:, 0] // scale
            distance = (touched - place).abs()
            assert distance.max() <= halo, place
            # All that is near is read.
            assert set(range(place - halo + multiple, place + halo - multiple + 1)) <= set(
                touched.tolist()
            )
            farthest = max(farthest, int(distance.max()))
    assert farthest == halo


@pytest.mark.parametrize("name", ["sid-fcn", "sid-fcn-srgb"])
def test_pixels_beyond_the_halo_change_nothing(name: str) -> None:
    """As above without NaN, which some layers might swallow: by gradients."""
    network = small(name)
    contract = network.contract
    multiple, scale = contract.size_multiple, contract.scale
    length = -(-(2 * contract.halo + 2 * multiple) // multiple) * multiple
    image = random(1, contract.channels_in, multiple, length).requires_grad_()
    middle = length // 2 // multiple * multiple + multiple - 1
    network(image)[..., scale * middle : scale * middle + scale].sum().backward()
    assert image.grad is not None
    seen = image.grad[0].abs().amax((0, 1)).nonzero()[:, 0]
    assert (seen - middle).abs().max() <= contract.halo
    assert len(seen) > contract.halo


@pytest.mark.parametrize("name", ["sid-fcn", "sid-fcn-srgb", "sid-fcn-grey"])
def test_tiled_equals_whole(name: str) -> None:
    network = small(name)
    contract = network.contract
    tile = 2 * -(-2 * contract.halo // contract.size_multiple) * contract.size_multiple
    image = random(contract.channels_in, 37, tile + 93) * 1.4 - 0.2
    whole = run_tiled(network, contract, image, TilePlan(tile=0), device=CPU)
    assert whole.shape[-2:] == (37 * contract.scale, (tile + 93) * contract.scale)
    tiles: list[int] = []

    def counted(x: Tensor) -> Tensor:
        tiles.append(len(x))
        made: Tensor = network(x)
        return made

    for picture, expected in ((image, whole), (image.transpose(1, 2).contiguous(), None)):
        if expected is None:
            expected = run_tiled(network, contract, picture, TilePlan(tile=0), device=CPU)
        made = run_tiled(counted, contract, picture, TilePlan(tile=tile), device=CPU)
        torch.testing.assert_close(made, expected, rtol=1e-4, atol=1e-4 * float(whole.std()))
    assert sum(tiles) >= 4


def test_tiles_off_the_size_multiple_would_not_be_exact() -> None:
    """The law above must be able to fail."""
    network = small("sid-fcn")
    image = random(1, 4, 16, 400)
    with torch.no_grad():
        whole = network(image)
        halo = network.contract.halo
        for start, same in ((32, True), (33, False)):
            part = network(image[..., start : start + 2 * halo + 26])
            inner = slice(2 * (start + halo), 2 * (start + halo + 26))
            cut = slice(2 * halo, 2 * (halo + 26))
            assert torch.allclose(part[..., cut], whole[..., inner], rtol=1e-4, atol=1e-4) == same


@pytest.mark.parametrize("name", FCN)
@pytest.mark.parametrize("size", [(1, 1), (2, 33), (15, 17), (35, 1)])
def test_any_size_is_taken_by_way_of_padding(name: str, size: tuple[int, int]) -> None:
    network = small(name)
    contract = network.contract
    made = run_tiled(network, contract, random(contract.channels_in, *size), TilePlan(), device=CPU)
    assert made.shape == (contract.channels_out, *(side * contract.scale for side in size))
    assert made.isfinite().all()


def as_planes(image: Tensor, network: SidFcn) -> Tensor:
    """What a network is given of full-size linear RGB."""
    return pack(image) if network.config.source == "raw" else image


def quiet(network: SidFcn, level: int | None = None) -> SidFcn:
    """Without a correction; at one resolution alone, or at an even blend of all."""
    with torch.no_grad():
        network.out.weight.zero_()
        network.out.bias.zero_()
        if level is not None:
            colours = network.config.colours
            network.out.bias[4 * colours :].view(colours, 5)[:, level] = 200
    return network


@pytest.mark.parametrize("name", ["sid-fcn", "sid-fcn-srgb", "sid-fcn-grey", "sid-fcn-srgb-grey"])
@pytest.mark.parametrize("level", range(5))
def test_the_result_may_be_any_resolution_of_the_input(name: str, level: int) -> None:
    network = quiet(small(name), level)
    image = random(2, 3, 64, 96) * 3 - 1
    packed = pack(image)
    with torch.no_grad():
        made = network(as_planes(image, network))
    if level == 0 and network.config.source == "srgb":
        expected = image
    elif level == 0:
        # Nearest-neighbour demosaicing: each block's R and B, the nearest greens.
        expected = packed[:, [0, 1, 2]].repeat_interleave(2, -1).repeat_interleave(2, -2)
        green = ((packed[:, 1] + packed[:, 3]) / 2).repeat_interleave(2, -1)
        green = green.repeat_interleave(2, -2)
        mosaic = unpack(packed)
        green[:, ::2, 1::2], green[:, 1::2, ::2] = mosaic[:, ::2, 1::2], mosaic[:, 1::2, ::2]
        expected[:, 1] = green
    else:
        blocks = (
            functional.avg_pool2d(image, 2)
            if network.config.source == "srgb"
            else (torch.stack([packed[:, 0], (packed[:, 1] + packed[:, 3]) / 2, packed[:, 2]], 1))
        )
        means = functional.avg_pool2d(blocks, 2**level)
        if network.config.colours == 1:
            means = (means * LUMINANCE.view(3, 1, 1)).sum(1, keepdim=True)
        # Over packed pixels, then each of them as a block of 2x2.
        means = functional.interpolate(means, size=(32, 48), mode="bilinear", align_corners=False)
        expected = means.repeat_interleave(2, -1).repeat_interleave(2, -2)
    if network.config.colours == 1 and expected.shape[1] == 3:
        expected = (expected * LUMINANCE.view(3, 1, 1)).sum(1, keepdim=True)
    assert torch.allclose(made, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", FCN)
def test_starts_at_the_input_s_colours(name: str) -> None:
    """Flat pictures come out as they are, of any light: negative, or above white."""
    network = small(name, lively=False)
    colour = torch.tensor([0.9, -0.05, 3.0]).view(1, 3, 1, 1).expand(1, 3, 64, 64)
    y = as_planes(colour, network)
    if network.config.noise_plane:
        y = torch.cat([y, y[:, :1] * 0.1], 1)
    expected = colour
    if network.config.colours == 1:
        expected = (colour * LUMINANCE.view(3, 1, 1)).sum(1, keepdim=True)
    with torch.no_grad():
        assert torch.allclose(network(y), expected, rtol=0, atol=0.1)
        assert torch.allclose(quiet(network)(y), expected, rtol=0, atol=1e-4)


def test_the_blend_is_of_compressed_values() -> None:
    network = quiet(small("sid-fcn"))
    y = random(1, 4, 32, 32) * 2
    with torch.no_grad():
        parts = [compress(quiet(small("sid-fcn"), level)(y)) for level in range(5)]
        assert torch.allclose(network(y), expand(sum(parts) / 5), atol=1e-4)


def test_autocast_leaves_the_input_in_full_precision() -> None:
    for name in ("sid-fcn", "sid-fcn-srgb", "sid-fcn-grey"):
        network = quiet(small(name), 0)
        y = an_input(network)
        with torch.no_grad():
            exact = network(y)
            with torch.autocast("cpu", torch.bfloat16):
                made = network(y)
        assert made.dtype == torch.float32
        assert torch.allclose(made, exact, rtol=0, atol=1e-6)


def test_the_noise_plane_is_used() -> None:
    for name in ("sid-fcn-noise", "sid-fcn-srgb-noise"):
        network = small(name)
        y = an_input(network)
        louder = y.clone()
        louder[:, -1] += 0.5
        with torch.no_grad():
            assert not torch.allclose(network(y), network(louder), atol=1e-5)


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
        "sid-fcn": ("balanced-raw", 4, 3, 2, "camera"),
        "sid-fcn-grey": ("balanced-raw", 4, 1, 2, "camera"),
        "sid-fcn-srgb": ("linear-srgb", 3, 3, 1, "srgb"),
        "sid-net": ("amplified-raw", 4, 3, 1, "srgb"),
        "sid-net-no-skip": ("amplified-raw", 4, 3, 1, "srgb"),
        "sid-net-small": ("amplified-raw", 4, 3, 1, "srgb"),
        "sid-net-grey": ("amplified-raw", 4, 1, 1, "srgb"),
        "sid-net-srgb": ("amplified-srgb", 3, 3, 1, "srgb"),
        "pix2pix": ("amplified-raw", 4, 3, 1, "srgb"),
    }


def test_automatic_tiles_hold_the_halo() -> None:
    for config in (SidFcnConfig(width=2), SidFcnConfig(width=2, source="srgb")):
        contract = SidFcn(config).contract
        assert contract.auto_tile is not None
        assert contract.auto_tile % contract.size_multiple == 0
        assert contract.auto_tile >= 4 * contract.halo
