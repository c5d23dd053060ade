"""FNet against fig. 3.4, on frames of any size, in one and in several passes."""

import pytest
import torch
from chapter_3_by_hand import flow_by_hand
from torch import Tensor, nn
from torch.nn import functional
from video_networks import SIZES, constant_flow, make_network, random

from enhance_cli.architectures.flow_net import FlowConfig, FlowNet
from enhance_cli.architectures.frvsr import Frvsr


def test_fnet_follows_figure_3_4() -> None:
    network = make_network(lively=True, limit=3.0)
    previous, current = random(2, 3, 16, 24), random(2, 3, 16, 24, seed=1)
    with torch.no_grad():
        expected = flow_by_hand(network, previous, current)
        assert 0.05 < expected.std() < 0.95  # neither nothing nor all at the limit
        made = network.fnet(previous, current)  # type: ignore[operator]
        assert torch.allclose(made, 3 * expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("size", SIZES)
def test_flow_has_the_size_of_the_frame_and_stays_within_its_limit(size: tuple[int, int]) -> None:
    network = FlowNet(2.5)
    nn.init.normal_(network.out.weight, std=100)
    with torch.no_grad():
        flow = network(random(2, 3, *size), random(2, 3, *size, seed=1))
        assert flow.shape == (2, 2, *size)
        assert flow.dtype == torch.float32
        assert 2.0 < flow.abs().max() <= 2.5
        with torch.autocast("cpu", torch.bfloat16):
            assert network(random(2, 3, *size), random(2, 3, *size)).dtype == torch.float32


def test_what_is_added_to_a_frame_s_size_is_cut_off_again() -> None:
    network = make_network(lively=True)
    previous, current = random(1, 3, 9, 14), random(1, 3, 9, 14, seed=1)
    padded = [
        functional.pad(frame, (0, 2, 0, 7), mode="replicate") for frame in (previous, current)
    ]
    with torch.no_grad():
        whole = network.fnet(*padded)  # type: ignore[operator]
        made = network.fnet(previous, current)  # type: ignore[operator]
    assert torch.equal(made, whole[..., :9, :14])


class HalfSeen(FlowNet):
    """Finds half of what a ramp has moved, by its values: a pixel to the right is 0.02 more."""

    def _estimate(self, previous_lr: Tensor, frame_lr: Tensor) -> Tensor:
        across = (frame_lr - previous_lr).mean(1) / 0.02 / 2
        return torch.stack([across, torch.zeros_like(across)], 1)


@pytest.mark.parametrize(("passes", "found"), [(1, 2.0), (2, 3.0), (3, 3.5)])
def test_every_pass_finds_part_of_what_is_left(passes: int, found: float) -> None:
    """Each pixel shows what was four to its right."""
    ramp = 0.02 * torch.arange(40.0).expand(1, 3, 6, 40)
    flow = HalfSeen(24.0, passes)(ramp, ramp + 0.08)
    inside = flow[..., 5:-8]
    assert torch.allclose(inside[:, 0], torch.full_like(inside[:, 0], found), atol=1e-3)
    assert not inside[:, 1].any()


def test_passes_are_chained_as_they_land() -> None:
    """The first flow is read where the second points, as warping twice would."""
    network = make_network(passes=2)
    assert isinstance(network, Frvsr)
    first, second = 2 * random(1, 2, 9, 11) - 1, constant_flow(9, 11, 2, -1)
    answers = iter([first, second])
    network.fnet._estimate = lambda *_: next(answers)  # type: ignore[method-assign]
    frame = random(1, 3, 9, 11)
    flow = network.fnet(frame, frame)
    inner = (..., slice(2, -2), slice(2, -3))
    assert torch.allclose(flow[inner], (second + first.roll((1, -2), (-2, -1)))[inner], atol=1e-5)


def test_passes_share_their_parameters() -> None:
    shapes = [[p.shape for p in make_network(passes=passes).parameters()] for passes in (1, 2)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize(
    "settings",
    [
        {"limit": 0.0},
        {"limit": float("nan")},
        {"passes": 0},
        {"lucas_kanade_steps": -1},
        {"warping": "nearest"},
    ],
)
def test_settings_are_checked_where_they_are_declared(settings: dict[str, object]) -> None:
    ((name, value),) = settings.items()
    with pytest.raises(ValueError, match=f"{name}.*{value}"):
        FlowConfig(**settings)  # type: ignore[arg-type]
