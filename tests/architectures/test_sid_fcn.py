"""SidFcn: its halo, its tiles and the resolutions that it blends."""

import math
from collections.abc import Callable

import pytest
import torch
from lowlight_networks import SMALL, an_input, small
from tensors import random
from torch import Tensor
from torch.nn import functional

from enhance_cli.architectures.sid_fcn import SidFcn, SidFcnConfig
from enhance_cli.colour import LUMINANCE, compress_range, expand_range
from enhance_cli.data.darkness import pack, unpack
from enhance_cli.demosaicing import demosaic_adaptive, demosaic_gradient_corrected
from enhance_cli.engine.runnable import Runnable
from enhance_cli.engine.tiled import TilePlan, run_tiled

CPU = torch.device("cpu")
FCN = [name for name in SMALL if name.startswith("sid-fcn")]


@pytest.mark.parametrize("name", ["sid-fcn", "sid-fcn-srgb", "sid-fcn-adaptive"])
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


@pytest.mark.parametrize("name", ["sid-fcn-adaptive", "sid-fcn-srgb", "sid-fcn-grey"])
def test_tiled_equals_whole(name: str) -> None:
    network = small(name)
    contract = network.contract
    tile = 2 * -(-2 * contract.halo // contract.size_multiple) * contract.size_multiple
    image = random(contract.channels_in, 37, tile + 93) * 1.4 - 0.2
    whole = run_tiled(Runnable(network, contract, CPU), image, TilePlan(tile=0))
    assert whole.shape[-2:] == (37 * contract.scale, (tile + 93) * contract.scale)
    tiles: list[int] = []

    def counted(x: Tensor) -> Tensor:
        tiles.append(len(x))
        made: Tensor = network(x)
        return made

    for picture, expected in ((image, whole), (image.transpose(1, 2).contiguous(), None)):
        if expected is None:
            expected = run_tiled(Runnable(network, contract, CPU), picture, TilePlan(tile=0))
        made = run_tiled(Runnable(counted, contract, CPU), picture, TilePlan(tile=tile))
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


@pytest.mark.parametrize("name", ["sid-fcn", "sid-fcn-srgb-grey"])
@pytest.mark.parametrize("size", [(1, 1), (2, 33), (15, 17)])
def test_any_size_is_taken_by_way_of_padding(name: str, size: tuple[int, int]) -> None:
    network = small(name)
    contract = network.contract
    made = run_tiled(
        Runnable(network, contract, CPU), random(contract.channels_in, *size), TilePlan()
    )
    assert made.shape == (contract.channels_out, *(side * contract.scale for side in size))
    assert made.isfinite().all()


def as_planes(image: Tensor, network: SidFcn) -> Tensor:
    """What a network is given of full-size linear RGB."""
    return pack(image) if network.config.source == "raw" else image


def quiet(network: SidFcn, level: int | None = None) -> SidFcn:
    """Without a correction; at one picture of the blend alone, or at an even blend of all.

    Level -1 is the demosaiced picture.
    """
    colours = network.config.colours
    with torch.no_grad():
        for layer in (network.out, network.out_sharp):
            if layer is not None:
                layer.weight.zero_()
                layer.bias.zero_()
        if level is not None and level >= 0:
            network.out.bias[4 * colours :].view(colours, 5)[:, level] = 200
        elif level is not None:
            network.out_sharp.bias.fill_(200)
    return network


@pytest.mark.parametrize("name", ["sid-fcn", "sid-fcn-srgb-grey"])
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


@pytest.mark.parametrize(
    ("name", "demosaic"),
    [
        ("sid-fcn-adaptive", demosaic_adaptive),
        ("sid-fcn-gradient-corrected-grey", demosaic_gradient_corrected),
    ],
)
def test_the_result_may_be_the_demosaiced_input(
    name: str, demosaic: Callable[[Tensor], Tensor]
) -> None:
    """Of compressed values, cut at white as the clean picture is."""
    image = random(2, 3, 64, 96) * 1.5 - 0.2
    expected = expand_range(demosaic(compress_range(unpack(pack(image)).clamp(max=1))[:, None]))
    network = quiet(small(name), -1)
    if network.config.colours == 1:
        expected = (expected * LUMINANCE.view(3, 1, 1)).sum(1, keepdim=True)
    with torch.no_grad():
        assert torch.allclose(network(pack(image)), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", FCN)
def test_starts_at_the_input_s_colours(name: str) -> None:
    """Flat pictures come out as they are, of any light: negative, or above white."""
    network = small(name, lively=False)
    light = 3.0 if network.config.demosaicing == "nearest" else 1.0  # demosaicing ends at white
    colour = torch.tensor([0.9, -0.05, light]).view(1, 3, 1, 1).expand(1, 3, 64, 64)
    y = as_planes(colour, network)
    y = torch.cat([y, *[y[:, :1] * 0.1] * network.config.noise_planes], 1)
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
        parts = [compress_range(quiet(small("sid-fcn"), level)(y)) for level in range(5)]
        assert torch.allclose(network(y), expand_range(sum(parts) / 5), atol=1e-4)


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


def test_the_noise_planes_are_used() -> None:
    for name in ("sid-fcn-noise", "sid-fcn-srgb-bounded"):
        network = small(name)
        y = an_input(network)
        for plane in range(1, network.config.noise_planes + 1):
            louder = y.clone()
            louder[:, -plane] += 0.5
            with torch.no_grad():
                assert not torch.allclose(network(y), network(louder), atol=1e-5)


@pytest.mark.parametrize("name", ["sid-fcn-srgb-bounded", "sid-fcn-adaptive-bounded"])
def test_a_bounded_result_stays_near_the_input(name: str) -> None:
    """As near as the network says, in standard deviations of the noise and half a level of 255."""
    noise, times = 0.03, 3.0
    network = small(name)
    y = an_input(network)
    y[:, -1] = math.log1p(200 * noise) / 2
    with torch.no_grad():
        network.out_bound.weight.zero_()
        network.out_bound.bias.fill_(math.log(times))
        made = compress_range(network(y))
        if name == "sid-fcn-srgb-bounded":
            sharpest = y[:, :3]
        else:
            sharpest = quiet(small("sid-fcn-adaptive"), -1)(y[:, :4])
        away = (made - compress_range(sharpest)).abs()
    assert float(away.max()) <= times * (noise + 0.002) + 1e-5
    assert float(away.max()) > 2 * noise


def test_automatic_tiles_hold_the_halo() -> None:
    for config in (SidFcnConfig(width=2), SidFcnConfig(width=2, source="srgb")):
        contract = SidFcn(config).contract
        assert contract.auto_tile is not None
        assert contract.auto_tile % contract.size_multiple == 0
        assert contract.auto_tile >= 4 * contract.halo
