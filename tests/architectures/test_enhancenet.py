"""EnhanceNet against the dissertation's counts, its own contract and the pilot's weights."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from enhance_cli.architectures import ARCHITECTURES
from enhance_cli.architectures.enhancenet import EnhanceNet, EnhanceNetConfig
from enhance_cli.engine.checkpoint import load_tensors, read_tensors, restore_config
from enhance_cli.io.image import read_rgb8
from enhance_cli.metrics.quality import luma_bt601, psnr
from enhance_cli.resize import imresize


def make(scale: int, channels: int = 4, blocks: int = 10) -> EnhanceNet:
    torch.manual_seed(0)
    return EnhanceNet(EnhanceNetConfig(scale, channels, blocks)).eval()


def by_hand(net: EnhanceNet, x: Tensor) -> Tensor:
    """Table 2.1 read aloud, from the state dict alone."""
    weights = net.state_dict()

    def conv(name: str, value: Tensor) -> Tensor:
        return nn.functional.conv2d(
            value, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=1
        )

    y = conv("head", x).relu()
    for i in range(net.config.blocks):
        y = y + conv(f"body.{i}.conv2", conv(f"body.{i}.conv1", y).relu())
    for i in range(net.config.scale.bit_length() - 1):
        y = y.repeat_interleave(2, -1).repeat_interleave(2, -2)
        y = conv(f"up{i + 1}", y).relu()
    return imresize(x, net.config.scale) + conv("out", conv("hr", y).relu())


@pytest.mark.parametrize(("scale", "count"), [(4, 852_867), (2, 815_939)])
def test_parameter_count_is_the_published_one(scale: int, count: int) -> None:
    with torch.device("meta"):
        net = EnhanceNet(EnhanceNetConfig(scale=scale))
    assert sum(p.numel() for p in net.parameters()) == count


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_output_follows_table_2_1(scale: int) -> None:
    net = make(scale, channels=5, blocks=3)
    with torch.no_grad():
        for parameter in net.parameters():  # undo the damping, so that every layer counts
            parameter.copy_(torch.randn_like(parameter) * 0.2)
        x = torch.rand(2, 3, 6, 5)
        assert torch.allclose(net(x), by_hand(net, x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize("size", [(1, 1), (1, 5), (7, 3), (13, 17)])
def test_any_size_is_taken(scale: int, size: tuple[int, int]) -> None:
    with torch.no_grad():
        made = make(scale, blocks=1)(torch.rand(2, 3, *size))
    assert made.shape == (2, 3, scale * size[0], scale * size[1])
    assert made.isfinite().all()


@pytest.mark.parametrize("scale", [0, 1, 3, 6, 16])
def test_scale_must_be_a_known_power_of_two(scale: int) -> None:
    with pytest.raises(ValueError, match=f"not {scale}"):
        EnhanceNet(EnhanceNetConfig(scale=scale))


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_halo_is_exact(scale: int) -> None:
    """A NaN reaches outputs up to the halo, some of them at that distance, and none beyond."""
    net = make(scale, channels=2)
    halo = net.contract.halo
    side = 2 * halo + 5
    farthest = 0
    for row, column in ((halo + 2, halo + 1), (halo + 1, halo + 3), (1, side - 4), (side - 1, 0)):
        image = torch.rand(1, 3, side, side)
        image[0, 1, row, column] = torch.nan
        with torch.no_grad():
            touched = net(image)[0].isnan().any(0).nonzero() // scale
        assert len(touched)
        distance = (touched - torch.tensor([row, column])).abs().amax(1)
        assert distance.max() <= halo, (row, column)
        farthest = max(farthest, int(distance.max()))
        # The whole neighbourhood is read: nothing within the halo, less one, is left untouched.
        rows, columns = (touched[:, axis].unique() for axis in (0, 1))
        for place, found in ((row, rows), (column, columns)):
            first, last = max(place - halo + 1, 0), min(place + halo - 1, side - 1)
            assert set(range(first, last + 1)) <= set(found.tolist())
    assert farthest == halo


def test_halo_of_the_published_networks() -> None:
    """1 + 2 * 10 convolutions at x1, then, walked back from HR, 2 more input pixels at most."""
    assert make(4).contract.halo == 23
    assert make(2).contract.halo == 23


@pytest.mark.parametrize("scale", [2, 4])
def test_cropping_by_the_halo_gives_the_whole(scale: int) -> None:
    """What ``tiling="exact"`` promises."""
    net = make(scale, channels=6, blocks=3)
    halo = net.contract.halo
    assert net.contract.tiling == "exact"
    image = torch.rand(1, 3, 3 * halo, 40)
    with torch.no_grad():
        whole = net(image)
        tile = net(image[:, :, 3 : 3 + 2 * halo + 4])
    inner = slice((3 + halo) * scale, (3 + halo + 4) * scale)
    cut = slice(halo * scale, (halo + 4) * scale)
    assert torch.allclose(tile[:, :, cut], whole[:, :, inner], rtol=0, atol=1e-5)


@pytest.mark.parametrize("scale", [2, 4])
def test_starts_near_the_bicubic_picture(scale: int) -> None:
    net = make(scale, channels=64)
    image = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        residual = net(image) - imresize(image, scale)
    assert 0 < residual.square().mean().sqrt() < 0.1
    assert torch.equal(residual, residual.clamp(-0.5, 0.5))


def test_every_parameter_learns() -> None:
    net = make(4, channels=8, blocks=2).train()
    net(torch.rand(1, 3, 8, 8)).square().mean().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_autocast_leaves_the_bicubic_part_in_full_precision() -> None:
    net = make(2, blocks=1)
    with torch.no_grad():
        nn.init.zeros_(net.out.weight)
        image = torch.rand(1, 3, 9, 9)
        with torch.autocast("cpu", torch.bfloat16):
            made = net(image)
    assert made.dtype == torch.float32
    assert torch.equal(made, imresize(image, 2))


# That of the package spandrel has no network of its own.
@pytest.mark.parametrize("name", sorted(ARCHITECTURES.keys() - {"spandrel"}))
def test_every_architecture_describes_itself(name: str) -> None:
    architecture = ARCHITECTURES[name]
    config = architecture.config()
    assert architecture.name == name
    assert restore_config(architecture.config, json.loads(json.dumps(asdict(config)))) == config
    with torch.device("meta"):
        net = architecture.build(config)
    assert net.config == config
    contract = net.contract
    assert contract.halo == 0 or contract.tiling != "forbidden"
    if contract.patch_size is not None:
        assert contract.patch_size % contract.size_multiple == 0


def pilot_network(shared_data: Path) -> EnhanceNet:
    path = shared_data.parent / "pilot" / "enet_e_x4_l1.safetensors"
    if not path.exists():
        pytest.skip("the pilot's weights (../shared/pilot) are not on this machine")
    net = EnhanceNet(EnhanceNetConfig())
    tensors = read_tensors(path)
    assert set(tensors) == set(net.state_dict())
    load_tensors(net, tensors, str(path))
    return net.eval()


def test_pilot_weights_fit(shared_data: Path) -> None:
    net = pilot_network(shared_data)
    image = torch.rand(1, 3, 5, 6)
    with torch.no_grad():
        assert torch.allclose(net(image), by_hand(net, image), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_pilot_weights_beat_bicubic_on_set5(shared_data: Path) -> None:
    """Its README's 31.31 dB needs its own bicubic residual, torch's with a = -0.75."""
    net = pilot_network(shared_data)
    scores = []
    for path in sorted((shared_data / "benchmarks" / "Set5" / "x4").glob("*_HR.png")):
        frame_lr, frame_hr = (
            torch.tensor(read_rgb8(file)).permute(2, 0, 1)[None].float() / 255
            for file in (path.with_name(path.name.replace("_HR", "_LR")), path)
        )
        with torch.no_grad():
            bicubic, ours = imresize(frame_lr, 4), net(frame_lr)
            theirs = (
                ours
                - bicubic
                + nn.functional.interpolate(
                    frame_lr, scale_factor=4, mode="bicubic", align_corners=False
                )
            )
        *lumas, truth = (
            luma_bt601(image.clamp(0, 1))[..., 4:-4, 4:-4]
            for image in (bicubic, ours, theirs, frame_hr)
        )
        scores.append([psnr(luma, truth, 255) for luma in lumas])
    means = torch.tensor(scores).mean(0).tolist()
    assert means[0] == pytest.approx(28.43, abs=0.01)
    assert means[1] > means[0] + 2
    assert means[2] == pytest.approx(31.31, abs=0.02)
