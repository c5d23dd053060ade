"""EDSR, RRDBNet and SRVGGNetCompact against published sizes and their own contracts."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from enhance_cli.architectures import ARCHITECTURES
from enhance_cli.architectures.edsr import Edsr, EdsrConfig
from enhance_cli.architectures.rrdbnet import RrdbNet, RrdbNetConfig
from enhance_cli.architectures.srvgg import Srvgg, SrvggConfig
from enhance_cli.engine.checkpoint import build

# The official files: EDSR table 1 (1.5 M and 43 M), realesr-general-x4v3, RealESRGAN_x2plus (which
# differs from x4 by 9 more planes of 3x3x64) and RealESRGAN_x4plus_anime_6B.
COUNTS = [
    ("edsr", EdsrConfig(), 1_517_571),
    ("edsr", EdsrConfig(scale=2), 1_369_859),
    ("edsr", EdsrConfig(channels=256, blocks=32, residual_scale=0.1), 43_089_923),
    ("rrdbnet", RrdbNetConfig(), 16_697_987),
    ("rrdbnet", RrdbNetConfig(scale=2, unshuffle=2), 16_697_987 + 9 * 9 * 64),
    ("rrdbnet", RrdbNetConfig(blocks=6), 4_467_779),
    ("srvgg", SrvggConfig(), 621_424),
    ("srvgg", SrvggConfig(layers=32), 1_213_296),
]


@pytest.mark.parametrize(("name", "config", "count"), COUNTS)
def test_parameter_counts_are_those_of_the_official_files(name: str, config: object, count: int):
    network = build(ARCHITECTURES[name], config, "meta")
    assert sum(parameter.numel() for parameter in network.parameters()) == count


SMALL: dict[str, Callable[[], nn.Module]] = {
    "edsr x1": lambda: Edsr(EdsrConfig(1, channels=2, blocks=1)),
    "edsr x3": lambda: Edsr(EdsrConfig(3, channels=2, blocks=2)),
    "edsr x4": lambda: Edsr(EdsrConfig(4, channels=2, blocks=1, levels=1)),
    "rrdbnet x4": lambda: RrdbNet(RrdbNetConfig(4, channels=2, blocks=1, growth=2)),
    "rrdbnet x2": lambda: RrdbNet(RrdbNetConfig(2, channels=2, blocks=0, unshuffle=2)),
    "rrdbnet x1": lambda: RrdbNet(RrdbNetConfig(1, channels=2, blocks=0)),
    "srvgg x2": lambda: Srvgg(SrvggConfig(2, channels=2, layers=3)),
}


@pytest.mark.parametrize("kind", SMALL)
def test_an_output_depends_on_inputs_within_the_halo_and_no_farther(kind: str):
    torch.manual_seed(0)
    network = SMALL[kind]().double()
    for module in network.modules():  # no ReLU may hide what lies behind it
        if isinstance(module, nn.Conv2d):
            nn.init.uniform_(module.weight, 0.1, 1)
    contract = network.contract
    reach, scale, unit = contract.halo, contract.scale, contract.size_multiple
    side = 2 * unit * (reach // unit + 2)
    middle = side // 2 // unit * unit
    farthest = 0
    for pixel in range(scale * unit):  # the outputs of one cell see to different distances
        image = torch.rand(1, 3, side, side, dtype=torch.float64, requires_grad=True)
        made = network(image)
        assert made.shape == (1, 3, scale * side, scale * side)
        made[..., scale * middle + pixel, scale * middle + pixel].sum().backward()
        assert image.grad is not None
        rows = image.grad.abs().amax((0, 1, 3)).nonzero()[:, 0]
        distance = (rows - (middle + pixel // scale)).abs().max()
        assert distance <= reach
        farthest = max(farthest, int(distance))
    assert farthest == reach


def test_the_halo_of_a_deep_rrdbnet_is_smaller_than_its_receptive_field():
    """Of the published depths; what lies beyond is told in its docstring."""
    for config in (RrdbNetConfig(), RrdbNetConfig(scale=2, unshuffle=2)):
        contract = build(ARCHITECTURES["rrdbnet"], config, "meta").contract
        assert contract.halo == 80 * config.unshuffle
        assert contract.auto_tile >= 4 * contract.halo  # else the engine refuses its own default


@pytest.mark.parametrize(
    "make",
    [
        lambda: Edsr(EdsrConfig(scale=5)),
        lambda: Edsr(EdsrConfig(levels=0)),
        lambda: RrdbNet(RrdbNetConfig(scale=3)),
        lambda: RrdbNet(RrdbNetConfig(growth=0)),
        lambda: Srvgg(SrvggConfig(scale=0)),
        lambda: Srvgg(SrvggConfig(layers=-1)),
    ],
)
def test_impossible_networks_are_refused(make: Callable):
    with pytest.raises(ValueError, match=r"enlarges|no network|doubles"):
        make()
