"""``enhance weights import`` of a VDVAE that is named as its author's code names it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from enhance_cli.architectures import vdvae
from enhance_cli.architectures.vdvae import Vdvae, VdvaeConfig
from enhance_cli.engine.checkpoint import load_network, read_checkpoint_info

Tensors = dict[str, Tensor]
UP = [(8, None), (8, 2), (4, 4), (1, None)]  # side, pooling
DOWN = [(1, None), (4, 1), (8, 4), (8, None)]  # side, mixed in
WIDTH, INSIDE, LATENT, MIXTURES = 8, 2, 3, 2
CONFIG = VdvaeConfig(
    side=8,
    encoder="8x1,8d2,4d4,1x1",
    decoder="1x1,4m1,8m4,8x1",
    width=WIDTH,
    latent=LATENT,
    mixtures=MIXTURES,
)


def official(prefix: str = "") -> Tensors:
    """A state dict of random values under the names of Child's code."""
    generator = torch.Generator().manual_seed(0)
    made: Tensors = {}

    def add(name: str, *shape: int) -> None:
        made[prefix + name] = torch.randn(shape, generator=generator) * 0.3

    def conv(name: str, into: int, out: int, kernel: int) -> None:
        add(f"{name}.weight", out, into, kernel, kernel)
        add(f"{name}.bias", out)

    def block(name: str, into: int, out: int, side: int) -> None:
        kernel = 3 if side > 2 else 1
        conv(f"{name}.c1", into, INSIDE, 1)
        conv(f"{name}.c2", INSIDE, INSIDE, kernel)
        conv(f"{name}.c3", INSIDE, INSIDE, kernel)
        conv(f"{name}.c4", INSIDE, out, 1)

    conv("encoder.in_conv", 3, WIDTH, 3)
    for index, (side, _) in enumerate(UP):
        block(f"encoder.enc_blocks.{index}", WIDTH, WIDTH, side)
    for index, (side, _) in enumerate(DOWN):
        name = f"decoder.dec_blocks.{index}"
        block(f"{name}.enc", 2 * WIDTH, 2 * LATENT, side)
        block(f"{name}.prior", WIDTH, 2 * LATENT + WIDTH, side)
        conv(f"{name}.z_proj", LATENT, WIDTH, 1)
        block(f"{name}.resnet", WIDTH, WIDTH, side)
    for index, side in enumerate((1, 4, 8)):
        add(f"decoder.bias_xs.{index}", 1, WIDTH, side, side)
    conv("decoder.out_net.out_conv", WIDTH, 10 * MIXTURES, 1)
    add("decoder.gain", 1, WIDTH, 1, 1)
    add("decoder.bias", 1, WIDTH, 1, 1)
    return made


def draw_by_hand(t: Tensors, noises: list[Tensor]) -> Tensor:
    """The likelihood's parameters for latents of the prior, step by step."""

    def conv(name: str, x: Tensor) -> Tensor:
        weight = t[f"{name}.weight"]
        return functional.conv2d(x, weight, t[f"{name}.bias"], padding=weight.shape[-1] // 2)

    def block(name: str, x: Tensor) -> Tensor:
        for number in (1, 2, 3, 4):
            x = conv(f"{name}.c{number}", functional.gelu(x))
        return x

    xs = {side: t[f"decoder.bias_xs.{index}"] for index, side in enumerate((1, 4, 8))}
    for index, (side, mixin) in enumerate(DOWN):
        name, x = f"decoder.dec_blocks.{index}", xs[side]
        if mixin is not None:
            times = side // mixin
            x = x + xs[mixin].repeat_interleave(times, 2).repeat_interleave(times, 3)
        mean, log_std, features = block(f"{name}.prior", x).split((LATENT, LATENT, WIDTH), 1)
        z = mean + log_std.exp() * noises[index]
        x = x + features + conv(f"{name}.z_proj", z)
        xs[side] = x + block(f"{name}.resnet", x)
    return conv("decoder.out_net.out_conv", xs[8] * t["decoder.gain"] + t["decoder.bias"])


@pytest.mark.parametrize("prefix", ["", "module."])
def test_official_names(
    prefix: str, enhance: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(vdvae.VDVAE_CONFIGS, "tiny", CONFIG)
    monkeypatch.chdir(tmp_path)
    given = official(prefix)
    torch.save(given, "theirs.pth")
    ran = enhance("weights", "import", "theirs.pth", "-o", "ours.safetensors")
    assert ran.code == 0, ran.err
    assert "VDVAE" in ran.err
    kept = load_file("ours.safetensors")
    assert {prefix + name for name in kept} == given.keys()
    network = load_network(read_checkpoint_info(Path("ours.safetensors")))
    assert isinstance(network, Vdvae)
    assert network.config == CONFIG
    generator = torch.Generator().manual_seed(1)
    noises = [torch.randn(1, *shape, generator=generator) for shape in network.latent_shapes()]
    parameters = draw_by_hand(official(), noises)
    with torch.no_grad():
        drawn = network.draw(1.0, noises)
    means = parameters[0, MIXTURES:].view(3, 3, MIXTURES, 8, 8)[:, 0]
    assert torch.allclose(drawn.means[0].transpose(0, 1), means, rtol=1e-4, atol=1e-5)
    weights = parameters[0, :MIXTURES].softmax(0)
    assert torch.allclose(drawn.log_weights[0].exp(), weights, rtol=1e-4, atol=1e-5)


def test_a_network_of_other_blocks_is_refused(
    enhance: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(official(), "theirs.pth")
    ran = enhance("weights", "import", "theirs.pth", "-o", "ours.safetensors")
    assert ran.code == 1
    assert "4 blocks up, 4 down and 8 channels are none of cifar10, imagenet32" in ran.err
    assert not Path("ours.safetensors").exists()
