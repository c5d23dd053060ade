"""The networks of features: their published structure, preprocessing and precision."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from enhance_cli.architectures import ARCHITECTURES, inception, squeezenet
from enhance_cli.architectures.inception import FidInception
from enhance_cli.architectures.squeezenet import MAP_CHANNELS, SMALLEST_SIDE, SqueezeNet
from enhance_cli.engine.checkpoint import load_tensors, read_tensors


def randomised(network: nn.Module) -> nn.Module:
    """Weights that let signals through, and statistics that are not 0 and 1."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            fan = module.weight[0].numel()
            module.weight.data.normal_(0, (2 / fan) ** 0.5, generator=generator)
        elif isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
    return network.eval().requires_grad_(False)


def record(network: nn.Module) -> dict[str, tuple[Tensor, Tensor]]:
    """Will hold input and output of every module, by name, after a pass."""
    seen: dict[str, tuple[Tensor, Tensor]] = {}
    for name, module in network.named_modules():
        module.register_forward_hook(lambda _, x, y, name=name: seen.__setitem__(name, (x[0], y)))
    return seen


@pytest.fixture(scope="module")
def inception_pass() -> tuple[FidInception, Tensor, Tensor, dict[str, tuple[Tensor, Tensor]]]:
    network = randomised(FidInception())
    assert isinstance(network, FidInception)
    seen = record(network)
    images = torch.rand(1, 3, 40, 52, generator=torch.Generator().manual_seed(1))
    return network, images, network(images), seen


def test_inception_has_the_published_parameters() -> None:
    with torch.device("meta"):
        network = FidInception()
    # Inception-v3 of 1000 classes has 27,161,264: less 3,326,696 of the auxiliary classifier and
    # 2,049,000 of the last layer.
    assert sum(p.numel() for p in network.parameters()) == 27_161_264 - 3_326_696 - 2_049_000
    assert sum(isinstance(module, nn.Conv2d) for module in network.modules()) == 94
    assert {module.eps for module in network.modules() if isinstance(module, nn.BatchNorm2d)} == {
        0.001
    }


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("Conv2d_1a_3x3.conv.weight", (32, 3, 3, 3)),
        ("Conv2d_2b_3x3.bn.running_var", (64,)),
        ("Conv2d_3b_1x1.conv.weight", (80, 64, 1, 1)),
        ("Conv2d_4a_3x3.conv.weight", (192, 80, 3, 3)),
        ("Mixed_5b.branch5x5_2.conv.weight", (64, 48, 5, 5)),
        ("Mixed_5b.branch_pool.conv.weight", (32, 192, 1, 1)),
        ("Mixed_5d.branch3x3dbl_3.conv.weight", (96, 96, 3, 3)),
        ("Mixed_6a.branch3x3.conv.weight", (384, 288, 3, 3)),
        ("Mixed_6b.branch7x7_2.conv.weight", (128, 128, 1, 7)),
        ("Mixed_6c.branch7x7dbl_2.conv.weight", (160, 160, 7, 1)),
        ("Mixed_6e.branch7x7dbl_5.conv.weight", (192, 192, 1, 7)),
        ("Mixed_7a.branch7x7x3_4.conv.weight", (192, 192, 3, 3)),
        ("Mixed_7b.branch3x3_2a.conv.weight", (384, 384, 1, 3)),
        ("Mixed_7c.branch3x3dbl_3b.conv.weight", (384, 384, 3, 1)),
        ("Mixed_7c.branch_pool.bn.bias", (192,)),
    ],
)
def test_inception_names(name: str, shape: tuple[int, ...]) -> None:
    with torch.device("meta"):
        assert tuple(FidInception().state_dict()[name].shape) == shape


def test_inception_sizes(inception_pass: tuple) -> None:
    _, images, features, seen = inception_pass
    assert features.shape == (1, inception.DIMENSIONS)
    sizes = {
        name: tuple(seen[name][1].shape[1:])
        for name in (
            "Conv2d_1a_3x3",
            "Conv2d_2b_3x3",
            "Conv2d_4a_3x3",
            "Mixed_5b",
            "Mixed_5d",
            "Mixed_6a",
            "Mixed_6e",
            "Mixed_7a",
            "Mixed_7c",
        )
    }
    assert sizes == {
        "Conv2d_1a_3x3": (32, 149, 149),
        "Conv2d_2b_3x3": (64, 147, 147),
        "Conv2d_4a_3x3": (192, 71, 71),
        "Mixed_5b": (256, 35, 35),
        "Mixed_5d": (288, 35, 35),
        "Mixed_6a": (768, 17, 17),
        "Mixed_6e": (768, 17, 17),
        "Mixed_7a": (1280, 8, 8),
        "Mixed_7c": (2048, 8, 8),
    }
    entering = functional.interpolate(images, (299, 299), mode="bilinear") * 2 - 1
    torch.testing.assert_close(seen["Conv2d_1a_3x3"][0], entering)
    torch.testing.assert_close(features, seen["Mixed_7c"][1].mean((2, 3)))


def test_inception_pools_as_fid_does(inception_pass: tuple) -> None:
    """Averages without the padding everywhere but in the last block, which takes the maximum."""
    _, _, _, seen = inception_pass
    for name in ("Mixed_5b", "Mixed_5d", "Mixed_6b", "Mixed_6e", "Mixed_7b"):
        block, pooled = seen[name][0], seen[f"{name}.branch_pool"][0]
        torch.testing.assert_close(pooled[..., 0, 0], block[..., :2, :2].mean((2, 3)))
        torch.testing.assert_close(pooled[..., 1, 1], block[..., :3, :3].mean((2, 3)))
    block, pooled = seen["Mixed_7c"][0], seen["Mixed_7c.branch_pool"][0]
    assert torch.equal(pooled[..., 0, 0], block[..., :2, :2].amax((2, 3)))
    assert torch.equal(pooled[..., 4, 4], block[..., 3:6, 3:6].amax((2, 3)))


def test_inception_branches_read_their_sources(inception_pass: tuple) -> None:
    """The order of the published network: each branch's part of the output, in its place."""
    _, _, _, seen = inception_pass
    for block, branches in {
        "Mixed_5c": ("branch1x1", "branch5x5_2", "branch3x3dbl_3", "branch_pool"),
        "Mixed_6a": ("branch3x3", "branch3x3dbl_3"),
        "Mixed_6d": ("branch1x1", "branch7x7_3", "branch7x7dbl_5", "branch_pool"),
        "Mixed_7a": ("branch3x3_2", "branch7x7x3_4"),
        "Mixed_7b": (
            "branch1x1",
            "branch3x3_2a",
            "branch3x3_2b",
            "branch3x3dbl_3a",
            "branch3x3dbl_3b",
            "branch_pool",
        ),
    }.items():
        parts = torch.cat([seen[f"{block}.{branch}"][1] for branch in branches], 1)
        assert torch.equal(seen[block][1][:, : parts.shape[1]], parts)
    for late, early in (
        ("Mixed_6b.branch7x7dbl_4", "Mixed_6b.branch7x7dbl_3"),
        ("Mixed_7b.branch3x3_2b", "Mixed_7b.branch3x3_1"),
        ("Mixed_7c.branch3x3dbl_3b", "Mixed_7c.branch3x3dbl_2"),
        ("Mixed_7a.branch7x7x3_3", "Mixed_7a.branch7x7x3_2"),
    ):
        assert torch.equal(seen[late][0], seen[early][1])


def test_inception_agrees_with_float64(inception_pass: tuple) -> None:
    network, images, features, _ = inception_pass
    exact = FidInception()
    exact.load_state_dict(network.state_dict())
    exact = exact.double().eval().requires_grad_(False)(images.double())
    assert features.std() > 1e-3
    torch.testing.assert_close(features.double(), exact, rtol=1e-4, atol=1e-5)


def test_squeezenet_has_the_published_parameters(shared_data: Path) -> None:
    network = SqueezeNet()
    # SqueezeNet 1.1 has 1,235,496: less 513,000 of conv10.
    assert sum(p.numel() for p in network.parameters()) == 1_235_496 - 513_000
    load_tensors(
        network, read_tensors(shared_data / "nets" / "squeezenet_1_1_features.safetensors"), "it"
    )


def test_squeezenet_maps() -> None:
    network = randomised(SqueezeNet())
    assert isinstance(network, SqueezeNet)
    images = torch.rand(2, 3, 64, 80, generator=torch.Generator().manual_seed(0))
    maps = network.maps(images)
    # No padding: (64 - 3) // 2 + 1 and so on
    assert [tuple(layer.shape[1:]) for layer in maps] == list(
        zip(MAP_CHANNELS, (31, 15, 7, 3, 3, 3, 3), (39, 19, 9, 4, 4, 4, 4), strict=True)
    )
    assert all((layer >= 0).all() and layer.any() for layer in maps)
    features = network(images)
    assert features.shape == (2, squeezenet.DIMENSIONS)
    torch.testing.assert_close(features, maps[-1].mean((2, 3)))
    exact = network.double()(images.double())
    torch.testing.assert_close(features.double(), exact, rtol=1e-4, atol=1e-4)


def test_squeezenet_takes_blue_first_less_the_mean() -> None:
    network = SqueezeNet()
    seen = record(network)
    network(torch.tensor([1.0, 0.5, 0.0]).view(1, 3, 1, 1).expand(1, 3, 31, 31))
    colour = seen["conv1"][0][0, :, 7, 9]
    assert colour.tolist() == pytest.approx([-103.939, 127.5 - 116.779, 255 - 123.68], abs=1e-4)


def test_fire_is_squeeze_then_both_expansions() -> None:
    network = randomised(SqueezeNet())
    seen = record(network)
    network(torch.rand(1, 3, 48, 48, generator=torch.Generator().manual_seed(2)))
    squeezed = functional.relu(seen["fire4.squeeze1x1"][1])
    assert torch.equal(seen["fire4.expand1x1"][0], squeezed)
    assert torch.equal(seen["fire4.expand3x3"][0], squeezed)
    both = torch.cat([seen["fire4.expand1x1"][1], seen["fire4.expand3x3"][1]], 1)
    assert torch.equal(seen["fire4"][1], both.relu())
    for pooled, before in (("fire2", "conv1"), ("fire4", "fire3"), ("fire6", "fire5")):
        expected = functional.max_pool2d(seen[before][1].relu(), 3, 2)
        assert torch.equal(seen[pooled][0], expected)


@pytest.mark.parametrize(
    "shape",
    [(1, 3, SMALLEST_SIDE - 1, 64), (1, 3, 64, SMALLEST_SIDE - 1), (1, 1, 64, 64), (3, 64, 64)],
)
def test_pictures_that_do_not_fit(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="SqueezeNet takes"):
        SqueezeNet()(torch.zeros(shape))
    if shape[1] != 3:
        with torch.device("meta"), pytest.raises(ValueError, match="Inception takes"):
            FidInception()(torch.zeros(shape))


def test_smallest_picture() -> None:
    assert SqueezeNet()(torch.zeros(1, 3, SMALLEST_SIDE, SMALLEST_SIDE)).shape == (1, 512)


def test_they_make_no_pictures() -> None:
    assert not {"inception", "squeezenet"} & set(ARCHITECTURES)
