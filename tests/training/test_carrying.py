"""The path for detail: exact where it should be, and without effect where nothing is carried."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from enhance_cli.architectures.frvsr import Frvsr, FrvsrConfig, space_to_depth
from enhance_cli.errors import UsageError
from enhance_cli.training.carrying import lay_path


def lively(channels: int = 20, **config: int) -> Frvsr:
    torch.manual_seed(0)
    network = Frvsr(FrvsrConfig(channels=channels, blocks=2, **config))
    with torch.no_grad():
        network.srnet.out.weight.mul_(20)
        network.srnet.head.weight[:, 3:] = 0  # as started from SISR
    return network.eval()


def luma(image: Tensor) -> Tensor:
    return (image * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)


def cells(image: Tensor) -> Tensor:
    mean = functional.avg_pool2d(image, 4)
    return mean.repeat_interleave(4, -1).repeat_interleave(4, -2)


def srnet(network: Frvsr, frame_lr: Tensor, carried: Tensor) -> Tensor:
    with torch.no_grad():
        made: Tensor = network.srnet(torch.cat([frame_lr, space_to_depth(carried, 4)], 1))
    return made


def test_detail_of_what_is_carried_is_added_exactly() -> None:
    network = lively()
    lay_path(network, 0.3)
    frame_lr, carried = torch.rand(1, 3, 5, 6), torch.rand(1, 3, 20, 24)
    added = srnet(network, frame_lr, carried) - srnet(network, frame_lr, carried * 0)
    detail = luma(carried) - cells(luma(carried))
    assert torch.allclose(added, 0.3 * detail.expand(-1, 3, -1, -1), atol=2e-6)


def test_the_frame_s_own_detail_is_not_added_again() -> None:
    network = lively()
    with torch.no_grad():  # nothing but the path is left
        network.srnet.out.weight.zero_()
        network.srnet.out.bias.zero_()
    lay_path(network, 0.5)
    frame_lr = torch.rand(1, 3, 6, 7)
    enlarged = functional.interpolate(frame_lr, scale_factor=4, mode="bilinear")
    inside = (..., slice(4, -4), slice(4, -4))
    made = srnet(network, frame_lr, enlarged)
    plain = srnet(lively_without_result(), frame_lr, enlarged)
    assert torch.allclose(made[inside], plain[inside], atol=2e-6)


def lively_without_result() -> Frvsr:
    network = lively()
    with torch.no_grad():
        network.srnet.out.weight.zero_()
        network.srnet.out.bias.zero_()
    return network


def test_flat_frames_stay_as_they_were_less_the_strength() -> None:
    network = lively()
    network.srnet.eval()
    before = network.srnet.out.weight.norm()
    lay_path(network, 0.25)
    assert network.srnet.out.weight.norm() < before
    grey = torch.full((1, 3, 4, 4), 0.5)
    flat = srnet(network, grey, torch.full((1, 3, 16, 16), 0.5))
    black = srnet(network, grey, torch.zeros(1, 3, 16, 16))
    assert torch.allclose(flat, black, atol=2e-6)  # neither holds detail


@pytest.mark.parametrize("config", [{"scale": 2}, {"channels": 16}])
def test_networks_without_room(config: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="carried"):
        lay_path(lively(**config), 0.3)
