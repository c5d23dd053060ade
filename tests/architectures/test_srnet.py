"""SRNet against fig. 3.4 and eq. 3.5, its halo, and its way of training."""

import pytest
import torch
from chapter_3_by_hand import srnet_by_hand
from torch import nn
from video_networks import make_network, random

from enhance_cli.architectures.cells import depth_to_space, space_to_depth
from enhance_cli.architectures.frvsr import Frvsr, FrvsrConfig
from enhance_cli.architectures.srnet import SisrConfig


@pytest.mark.parametrize("scale", [2, 4])
def test_srnet_follows_figure_3_4(scale: int) -> None:
    network = make_network("frvsr", lively=True, scale=scale, channels=5, blocks=2)
    features = random(2, 3 + 3 * scale * scale, 5, 7)
    with torch.no_grad():
        assert torch.allclose(
            network.srnet(features), srnet_by_hand(network, features), rtol=1e-4, atol=1e-4
        )


def test_space_to_depth_is_equation_3_5() -> None:
    for scale in (1, 2, 3, 4):
        image = random(2, 3, 2 * scale, 3 * scale)
        made = space_to_depth(image, scale)
        assert made.shape == (2, 3 * scale * scale, 2, 3)
        for k in range(3 * scale * scale):
            for i in range(2):
                for j in range(3):
                    expected = image[
                        :, k // scale**2, scale * i + k % scale, scale * j + k // scale % scale
                    ]
                    assert torch.equal(made[:, k, i, j], expected)


@pytest.mark.parametrize("scale", [2, 4])
def test_depth_to_space_undoes_space_to_depth(scale: int) -> None:
    image = random(2, 3, 3 * scale, 5 * scale)
    assert torch.equal(depth_to_space(space_to_depth(image, scale), scale), image)


@pytest.mark.parametrize("blocks", [0, 2])
@pytest.mark.parametrize("scale", [2, 4])
def test_halo_is_exact(scale: int, blocks: int) -> None:
    """A NaN reaches outputs up to the halo, some of them at that distance, and none beyond."""
    network = make_network("sisr", scale=scale, blocks=blocks, channels=2, lively=True).srnet
    halo = network.contract.halo
    side = 2 * halo + 5
    farthest = 0
    for row, column in ((halo + 2, halo + 1), (halo + 1, halo + 3), (1, side - 4), (side - 1, 0)):
        image = random(1, 3, side, side)
        image[0, 1, row, column] = torch.nan
        with torch.no_grad():
            touched = network(image)[0].isnan().any(0).nonzero() // scale
        distance = (touched - torch.tensor([row, column])).abs().amax(1)
        assert distance.max() <= halo, (row, column)
        farthest = max(farthest, int(distance.max()))
    assert farthest == halo


@pytest.mark.parametrize("scale", [2, 4])
def test_cropping_by_the_halo_gives_the_whole(scale: int) -> None:
    network = make_network(scale=scale, blocks=2, lively=True).srnet
    halo = network.contract.halo
    features = random(1, 3 + 3 * scale * scale, 3 * halo, 24)
    with torch.no_grad():
        whole = network(features)
        tile = network(features[:, :, 3 : 3 + 2 * halo + 4])
    inner = slice((3 + halo) * scale, (3 + halo + 4) * scale)
    cut = slice(halo * scale, (halo + 4) * scale)
    assert torch.allclose(tile[:, :, cut], whole[:, :, inner], rtol=0, atol=1e-3)


def test_halo_of_the_published_networks() -> None:
    """1 + 2 * 10 convolutions, then at most 1 more for each doubling to HR."""
    with torch.device("meta"):
        assert Frvsr(FrvsrConfig()).srnet.contract.halo == 22
        assert Frvsr(FrvsrConfig(channels=64, blocks=3)).srnet.contract.halo == 8


def test_the_way_of_training_gives_the_same() -> None:
    """A transposed convolution's bias is added apart where gradients are wanted."""
    network = make_network(lively=True)
    features = random(2, 51, 6, 7)
    trained = network.srnet(features)
    with torch.no_grad():
        assert torch.allclose(trained, network.srnet(features), atol=1e-5)
    trained.square().sum().backward()
    layer = network.srnet.enlarge[-1]
    assert isinstance(layer, nn.ConvTranspose2d)
    assert layer.bias is not None
    assert layer.bias.grad is not None
    nudged, step = [], 1e-2
    for sign in (1, -1):
        with torch.no_grad():
            layer.bias[1] += sign * step
            nudged.append(network.srnet(features).double().square().sum())
            layer.bias[1] -= sign * step
    slope = float(nudged[0] - nudged[1]) / (2 * step)
    assert float(layer.bias.grad[1]) == pytest.approx(slope, rel=1e-2)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("scale", 1), ("scale", 3), ("scale", 8), ("channels", 0), ("blocks", -1)],
)
def test_settings_are_checked_where_they_are_declared(setting: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{setting} must be .*{value}"):
        SisrConfig(**{setting: value})
