"""FRVSR and its baselines against the dissertation's figures and equations, and on any frame."""

from collections.abc import Callable
from dataclasses import fields

import pytest
import torch
from chapter_3_by_hand import flow_by_hand, srnet_by_hand
from torch import Tensor, nn
from torch.nn import functional
from video_networks import SIZES, constant_flow, make_network, random, smooth

from enhance_cli.architectures.cells import space_to_depth
from enhance_cli.architectures.frvsr import Frvsr, FrvsrConfig, Sisr, VideoState, Vsr
from enhance_cli.architectures.srnet import SisrConfig
from enhance_cli.architectures.warping import warp
from enhance_cli.data.clips import ClipBatch
from enhance_cli.resize import imresize
from enhance_cli.training.unroll import run_clip

KINDS = ("frvsr", "sisr", "vsr")


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("config", "parameters"),
    [(FrvsrConfig(), 5_054_693), (FrvsrConfig(channels=64, blocks=3), 2_072_101)],
)
def test_parameter_counts(config: FrvsrConfig, parameters: int) -> None:
    with torch.device("meta"):
        network = Frvsr(config)
        baselines = Sisr(config), Vsr(config)
    assert count(network) == parameters
    assert count(network.fnet) == 1_745_506
    # The baselines differ in what SRNet sees beside the frame, and SISR has no FNet.
    width = config.channels
    assert count(baselines[0]) == parameters - 1_745_506 - 48 * 9 * width
    assert count(baselines[1]) == parameters - (48 - 6) * 9 * width


def test_a_step_follows_equation_3_6() -> None:
    network = make_network(lively=True, limit=3.0)
    previous, current = random(1, 3, 8, 16), random(1, 3, 8, 16, seed=1)
    estimate = random(1, 3, 32, 64, seed=2)
    with torch.no_grad():
        flow = 4 * functional.interpolate(
            3 * flow_by_hand(network, previous, current), scale_factor=4, mode="bilinear"
        )
        warped = space_to_depth(warp(estimate, flow), 4)
        expected = srnet_by_hand(network, torch.cat([current, warped], 1)).clamp(0, 1)
        made, state = network.step(current, VideoState(previous, estimate))
    assert torch.allclose(made, expected, rtol=0, atol=1e-3)
    assert state.frame_lr is current
    assert state.frame_hr is made


@pytest.mark.parametrize(("x", "y"), [(1, 0), (0.25, -0.5), (-1.75, 0.3)])
def test_the_previous_estimate_lands_on_the_current_frame(x: float, y: float) -> None:
    """A scene that moved by a part of an LR pixel: its true flow brings the old estimate here."""
    network = make_network()
    assert isinstance(network, Frvsr)
    height, width = 10, 12
    before = smooth(4 * height, 4 * width)
    now = smooth(4 * height, 4 * width, left=4 * x, top=4 * y)
    frame_lr = random(1, 3, height, width)
    state = VideoState(frame_lr, before)
    made = network.align(frame_lr, constant_flow(height, width, x, y), state)
    assert made.shape == (1, 51, height, width)
    assert torch.equal(made[:, :3], frame_lr)
    inner = (..., slice(3, -3), slice(3, -3))
    assert torch.allclose(made[:, 3:][inner], space_to_depth(now, 4)[inner], rtol=0, atol=2e-3)
    unmoved = network.align(frame_lr, torch.zeros(1, 2, height, width), state)
    wrong = network.align(frame_lr, constant_flow(height, width, -x, -y), state)
    for other in (unmoved, wrong):
        assert (other[:, 3:] - space_to_depth(now, 4))[inner].abs().max() > 0.02


def test_neighbours_land_on_the_current_frame() -> None:
    """VSR's scene moves on: the flow to the next frame is another than to the last."""
    network = make_network("vsr")
    assert isinstance(network, Vsr)
    now, before = smooth(20, 24), smooth(20, 24, left=-1.5)
    after = smooth(20, 24, left=2, top=0.5)
    made = network.align(
        now, constant_flow(20, 24, 1.5, 0), before, constant_flow(20, 24, -2, -0.5), after
    )
    inner = (..., slice(3, -3), slice(3, -3))
    for part in made.split(3, dim=1):
        assert torch.allclose(part[inner], now[inner], rtol=0, atol=5e-3)


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_shifts_on_frames_of_any_size(kind: str, size: tuple[int, int], scale: int) -> None:
    """Without its last layer a network is bicubic enlargement, to the last bit."""
    network = make_network(kind, lively=True, scale=scale)
    with torch.no_grad():
        nn.init.zeros_(network.srnet.out.weight)
        nn.init.zeros_(network.srnet.out.bias)  # type: ignore[arg-type]
        frames = random(2, 3, *size), random(2, 3, *size, seed=1), random(2, 3, *size, seed=2)
        _, state = network.step(frames[0], None, frames[1])
        made, state = network.step(frames[1], state, frames[2])
    assert torch.allclose(made, imresize(frames[1], scale).clamp(0, 1), rtol=0, atol=1e-6)
    assert state.frame_hr.shape == (2, 3, scale * size[0], scale * size[1])


@pytest.mark.parametrize("kind", KINDS)
def test_forward_is_the_first_step(kind: str) -> None:
    network = make_network(kind, lively=True)
    frame = random(2, 3, 7, 9)
    with torch.no_grad():
        assert torch.equal(network(frame), network.step(frame)[0])
        assert torch.equal(network(frame), network.step(frame, None)[0])


def test_nothing_is_remembered_before_the_first_frame() -> None:
    """Ch. 3.3.5: it is black, whatever FNet says."""
    network = make_network(lively=True)
    frame = random(1, 3, 6, 5)
    features = network.condition(frame, None)
    assert torch.equal(features[:, :3], frame)
    assert features.shape == (1, 51, 6, 5)
    assert not features[:, 3:].any()
    black = VideoState(random(1, 3, 6, 5, seed=1), torch.zeros(1, 3, 24, 20))
    assert torch.equal(network.condition(frame, black), features)


@pytest.mark.parametrize("kind", KINDS)
def test_the_estimate_and_what_is_carried_are_in_range(kind: str) -> None:
    network = make_network(kind)
    with torch.no_grad():
        nn.init.normal_(network.srnet.out.weight)
        made, state = network.step(random(1, 3, 8, 8))
        raw = network.srnet(network.condition(random(1, 3, 8, 8), None))
    assert raw.min() < 0
    assert raw.max() > 1
    assert torch.equal(made, raw.clamp(0, 1))
    assert torch.equal(state.frame_hr, made)


def test_frvsr_sees_the_previous_estimate_and_both_frames() -> None:
    network = make_network(lively=True)
    frames = [random(1, 3, 8, 8, seed=index) for index in range(3)]
    states = [
        VideoState(frames[0], random(1, 3, 32, 32, seed=5)),
        VideoState(frames[0], random(1, 3, 32, 32, seed=6)),
        VideoState(frames[1], random(1, 3, 32, 32, seed=5)),
    ]
    with torch.no_grad():
        first, estimate, frame = (network.step(frames[2], state)[0] for state in states)
        assert (first - estimate).abs().mean() > 1e-3
        assert (first - frame).abs().mean() > 1e-4
        assert torch.equal(network.step(frames[2], states[0], frames[1])[0], first)


def test_sisr_has_no_memory() -> None:
    network = make_network("sisr", lively=True)
    assert network.contract.lookahead == 0
    assert not hasattr(network, "fnet")
    frames = [random(1, 3, 8, 8, seed=index) for index in range(3)]
    with torch.no_grad():
        first = network.step(frames[0])[0]
        state = VideoState(frames[1], random(1, 3, 32, 32))
        assert torch.equal(network.step(frames[0], state, frames[2])[0], first)


def test_vsr_sees_both_neighbours_and_no_estimate() -> None:
    network = make_network("vsr", lively=True)
    assert network.contract.lookahead == 1
    now, before, after, other = (random(1, 3, 8, 8, seed=index) for index in range(4))
    estimate = random(1, 3, 32, 32)

    def step(previous: Tensor, following: Tensor | None) -> Tensor:
        return network.step(now, VideoState(previous, estimate), following)[0]

    with torch.no_grad():
        both = step(before, after)
        assert (step(other, after) - both).abs().mean() > 1e-3
        assert (step(before, other) - both).abs().mean() > 1e-3
        again = network.step(now, VideoState(before, torch.zeros_like(estimate)), after)[0]
        assert torch.equal(again, both)
        # At the ends the frame stands in for its neighbour.
        assert torch.equal(network.step(now, None, after)[0], step(now, after))
        assert torch.equal(step(before, None), step(before, now))


@pytest.mark.parametrize("kind", KINDS)
def test_contract_of_the_whole(kind: str) -> None:
    network = make_network(kind, scale=2)
    assert network.contract.scale == network.srnet.contract.scale == 2
    assert network.contract.channels_in == 3
    assert network.contract.tiling == "forbidden"
    assert network.srnet.contract.tiling == "exact"
    assert network.srnet.contract.channels_in == {"frvsr": 15, "sisr": 3, "vsr": 9}[kind]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [2, 4])
def test_starts_near_bicubic_and_without_motion(kind: str, scale: int) -> None:
    network = make_network(kind, scale=scale, channels=32, blocks=2)
    clip = random(3, 1, 3, 16, 16)
    state = None
    with torch.no_grad():
        for frame, following in zip(clip, [*clip[1:], None], strict=True):
            if kind != "sisr":
                before = frame if state is None else state.frame_lr
                flow = network.fnet(before, frame)  # type: ignore[operator]
                assert flow.abs().mean() < 1
            made, state = network.step(frame, state, following)
            residual = made - imresize(frame, scale).clamp(0, 1)
            assert 0 < residual.square().mean().sqrt() < 0.1


def unlabelled(frames_lr: Tensor) -> ClipBatch:
    """Clips of which nothing but the small frames matters."""
    count, length, _, height, width = frames_lr.shape
    return ClipBatch(
        frames_lr,
        torch.zeros(count, length, 3, 4 * height, 4 * width),
        torch.zeros(count, length, 2, height, width),
        torch.zeros(count, dtype=torch.bool),
    )


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_learns(kind: str) -> None:
    network = make_network(kind, channels=8, blocks=2).train()
    estimates, flow_loss = run_clip(network, unlabelled(random(1, 3, 3, 8, 8)), functional.mse_loss)
    (estimates.square().mean() + flow_loss).backward()  # type: ignore[no-untyped-call]
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def flow_gradients(pick: Callable[[Tensor], Tensor]) -> Tensor:
    """How strongly FNet's flow of each pair of a clip of 6 matters to a part of the estimates."""
    network = make_network()
    assert isinstance(network, Frvsr)
    with torch.no_grad():  # estimates that stay between black and white, so that nothing is cut
        network.srnet.out.weight.mul_(5)
    seen: list[Tensor] = []

    look = network.fnet._estimate

    def keep(previous_lr: Tensor, frame_lr: Tensor) -> Tensor:
        flow = look(previous_lr, frame_lr)
        if flow.requires_grad and len(flow):
            flow.retain_grad()
            seen.append(flow)
        return flow

    network.fnet._estimate = keep  # type: ignore[method-assign]
    estimates, _ = run_clip(
        network, unlabelled(0.4 + 0.2 * random(1, 6, 3, 8, 8)), functional.mse_loss
    )
    pick(estimates).backward()  # type: ignore[no-untyped-call]
    (flows,) = seen
    assert flows.grad is not None
    return flows.grad.abs().amax((1, 2, 3))


def test_the_last_frame_s_loss_reaches_the_first_flow() -> None:
    """Ch. 3.3.5: through time, back to the first pair of the clip."""
    found = flow_gradients(lambda estimates: estimates[:, 5].square().mean())
    assert found.shape == (5,)
    assert (found > 0).all()


@pytest.mark.parametrize("frame", range(6))
def test_a_frame_s_loss_reaches_the_flows_up_to_it_and_no_later(frame: int) -> None:
    found = flow_gradients(lambda estimates: estimates[:, frame].square().mean())
    assert (found > 0).tolist() == [pair < frame for pair in range(5)]


@pytest.mark.parametrize("kind", KINDS)
def test_autocast_leaves_the_bicubic_part_in_full_precision(kind: str) -> None:
    network = make_network(kind, lively=True)
    with torch.no_grad():
        nn.init.zeros_(network.srnet.out.weight)
        nn.init.zeros_(network.srnet.out.bias)  # type: ignore[arg-type]
        frame, other = random(1, 3, 9, 7), random(1, 3, 9, 7, seed=1)
        with torch.autocast("cpu", torch.bfloat16):
            made, state = network.step(frame, None, other)
            made, _ = network.step(other, state, frame)
    assert made.dtype == torch.float32
    assert torch.allclose(made, imresize(other, 4).clamp(0, 1), rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_autocast_is_near_full_precision(kind: str) -> None:
    network = make_network(kind, channels=16)
    clip = random(4, 1, 3, 12, 12)
    made: dict[bool, list[Tensor]] = {False: [], True: []}
    for reduced, estimates in made.items():
        state = None
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=reduced):
            for frame in clip:
                estimate, state = network.step(frame, state)
                estimates.append(estimate)
    for exact, near in zip(made[False], made[True], strict=True):
        assert near.dtype == torch.float32
        assert (exact - near).abs().mean() < 5e-3


def test_the_previous_estimate_is_warped_as_the_settings_say() -> None:
    frame, state = random(1, 3, 8, 8), VideoState(random(1, 3, 8, 8), random(1, 3, 32, 32))
    made = [
        make_network(warping=warping).condition(frame, state) for warping in ("bilinear", "bicubic")
    ]
    assert torch.equal(made[0][:, :3], made[1][:, :3])
    assert not torch.equal(made[0][:, 3:], made[1][:, 3:])


def test_a_configuration_holds_what_its_network_uses() -> None:
    assert [field.name for field in fields(SisrConfig)] == ["scale", "channels", "blocks"]
    assert [field.name for field in fields(FrvsrConfig)] == ["scale", "channels", "blocks", "flow"]
