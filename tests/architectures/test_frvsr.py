"""FRVSR and its baselines against the dissertation's figures and equations, and on any frame."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from enhance_cli.architectures.back_projection import back_project, recall, reduce_frame
from enhance_cli.architectures.flow_net import (
    FlowNet,
    enlarge_flow,
    invert_flow,
    refine_flow,
    warp,
)
from enhance_cli.architectures.frvsr import Frvsr, Sisr, VideoNetwork, VideoState, Vsr
from enhance_cli.architectures.srnet import FrvsrConfig, depth_to_space, space_to_depth
from enhance_cli.data.clips import ClipBatch
from enhance_cli.resize import imresize
from enhance_cli.training.unroll import run_clip

NETWORKS: dict[str, type[VideoNetwork]] = {"frvsr": Frvsr, "sisr": Sisr, "vsr": Vsr}
SIZES = [(1, 1), (1, 5), (7, 13), (8, 16), (17, 3)]


def make(kind: str = "frvsr", *, lively: bool = False, **config: float) -> VideoNetwork:
    """A small network; ``lively`` undoes the damping, so that every layer counts."""
    torch.manual_seed(0)
    network = NETWORKS[kind](FrvsrConfig(**{"channels": 4, "blocks": 1} | config))  # type: ignore
    if lively:
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                size = 0.2
                if name.startswith("fnet"):  # keep the size of what goes in, up to tanh
                    size = 1.6 / parameter[0].numel() ** 0.5 if parameter.ndim > 1 else 0.05
                parameter.copy_(torch.randn_like(parameter) * size)
    return network.eval()


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def smooth(
    height: int, width: int, *, left: float = 0, top: float = 0, length: float = 7
) -> Tensor:
    """A picture (1, 3, H, W) of slow waves, seen from ``left``, ``top``: shifts are exact."""
    x, y = torch.arange(width) + left, torch.arange(height)[:, None] + top
    return torch.stack(
        [
            0.5
            + 0.2 * torch.sin(x / length + colour)
            + 0.2 * torch.cos(y / (1.3 * length) - colour)
            for colour in range(3)
        ]
    )[None]


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


# --- the figures -----------------------------------------------------------------------------


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


def convolve(network: nn.Module, name: str, x: Tensor) -> Tensor:
    weights = network.state_dict()
    return functional.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=1)


def double(x: Tensor) -> Tensor:
    """Bilinear doubling by hand: every output a quarter pixel beside an input."""
    for axis in (2, 3):
        length = x.shape[axis]
        before = x.index_select(axis, torch.arange(-1, length - 1).clamp(min=0))
        after = x.index_select(axis, torch.arange(1, length + 1).clamp(max=length - 1))
        x = torch.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], axis + 1)
        x = x.flatten(axis, axis + 1)
    return x


def flow_by_hand(network: nn.Module, previous: Tensor, current: Tensor) -> Tensor:
    """The lower half of fig. 3.4 read aloud, for sides that are multiples of 8.

    In shares of ``max_flow``; before tanh in pixels.
    """

    def leaky(x: Tensor) -> Tensor:
        return torch.where(x > 0, x, 0.2 * x)

    def around(image: Tensor) -> Tensor:
        """The 81 neighbours (81, N, 3, h, w) of each pixel; the border is repeated."""
        rows, columns = image.shape[-2:]
        y = torch.arange(rows)[:, None] + torch.arange(-4, 5)
        x = torch.arange(columns)[:, None] + torch.arange(-4, 5)
        near = image[:, :, y.clamp(0, rows - 1)][..., x.clamp(0, columns - 1)]
        return near.permute(3, 5, 0, 1, 2, 4).flatten(0, 1)

    mean = (around(previous) + around(current)).mean(0) / 2
    # The squares are of each pixel about its own mean.
    spread = around((previous - mean) ** 2 + (current - mean) ** 2).mean(0) / 2
    contrast = spread.mean(1, keepdim=True) ** 0.5 + 0.01
    x = torch.cat([previous - current, current - mean], 1) / contrast
    for half, steps in (("encoder", range(3)), ("decoder", range(3))):
        for step in steps:
            for layer in (0, 2):
                x = leaky(convolve(network, f"fnet.{half}.{step}.{layer}", x))
            if half == "encoder":
                batch, channels, height, width = x.shape
                x = x.view(batch, channels, height // 2, 2, width // 2, 2).amax((3, 5))
            else:
                x = double(x)
    pixels = convolve(network, "fnet.out", leaky(convolve(network, "fnet.last", x)))
    return (pixels / network.config.max_flow).tanh()  # type: ignore[union-attr, operator]


def transposed(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A transposed convolution of stride 2: zeros between the pixels, then the kernel turned."""
    batch, channels, height, width = x.shape
    spread = x.new_zeros(batch, channels, 2 * height + 2, 2 * width + 2)
    spread[:, :, 1:-1:2, 1:-1:2] = x
    return functional.conv2d(spread, weight.flip(2, 3).transpose(0, 1), bias)


def srnet_by_hand(network: VideoNetwork, features: Tensor) -> Tensor:
    """The upper half of fig. 3.4 read aloud, plus the bicubic frame."""
    weights = network.state_dict()
    x = convolve(network, "srnet.head", features).relu()
    for block in range(network.config.blocks):
        name = f"srnet.body.{block}"
        inner = convolve(network, f"{name}.conv1", x).relu()
        x = x + convolve(network, f"{name}.conv2", inner)
    for layer in range(network.config.scale.bit_length() - 1):
        name = f"srnet.enlarge.{layer}"
        x = transposed(x, weights[f"{name}.weight"], weights[f"{name}.bias"]).relu()
    return imresize(features[:, :3], network.config.scale) + convolve(network, "srnet.out", x)


@pytest.mark.parametrize("scale", [2, 4])
def test_srnet_follows_figure_3_4(scale: int) -> None:
    network = make("frvsr", lively=True, scale=scale, channels=5, blocks=2)
    features = random(2, 3 + 3 * scale * scale, 5, 7)
    with torch.no_grad():
        assert torch.allclose(
            network.srnet(features), srnet_by_hand(network, features), rtol=1e-4, atol=1e-4
        )


def test_fnet_follows_figure_3_4() -> None:
    network = make(lively=True, max_flow=3.0)
    previous, current = random(2, 3, 16, 24), random(2, 3, 16, 24, seed=1)
    with torch.no_grad():
        expected = flow_by_hand(network, previous, current)
        assert 0.05 < expected.std() < 0.95  # neither nothing nor all at the limit
        made = network.fnet(previous, current)  # type: ignore[operator]
        assert torch.allclose(made, 3 * expected, rtol=1e-3, atol=1e-3)


def test_a_step_follows_equation_3_6() -> None:
    network = make(lively=True, max_flow=3.0)
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


# --- warping ---------------------------------------------------------------------------------


def constant_flow(height: int, width: int, x: float, y: float) -> Tensor:
    return torch.tensor([x, y], dtype=torch.float32).view(1, 2, 1, 1).expand(1, 2, height, width)


@pytest.mark.parametrize("size", [*SIZES, (101, 257)])
def test_no_flow_changes_nothing(size: tuple[int, int]) -> None:
    image = random(2, 3, *size)
    assert torch.allclose(warp(image, torch.zeros(2, 2, *size)), image, rtol=0, atol=3e-5)


@pytest.mark.parametrize(("x", "y"), [(1, 0), (0, 1), (-3, 2), (4, -5), (100, 0), (0, -100)])
def test_whole_flow_fetches_pixels_and_repeats_the_border(x: int, y: int) -> None:
    """The flow points from a pixel to its source."""
    image = random(1, 2, 9, 11)
    rows = (torch.arange(9) + y).clamp(0, 8)
    columns = (torch.arange(11) + x).clamp(0, 10)
    made = warp(image, constant_flow(9, 11, x, y))
    assert torch.allclose(made, image[:, :, rows][..., columns], rtol=0, atol=1e-5)


def test_flow_between_pixels_is_bilinear() -> None:
    image = random(1, 1, 6, 7)
    made = warp(image, constant_flow(6, 7, 0.25, -0.5))
    expected = 0.5 * (0.75 * image[..., 1:-1, 1:-1] + 0.25 * image[..., 1:-1, 2:]) + 0.5 * (
        0.75 * image[..., :-2, 1:-1] + 0.25 * image[..., :-2, 2:]
    )
    assert torch.allclose(made[..., 1:-1, 1:-1], expected, rtol=0, atol=1e-5)


def test_every_pixel_and_picture_has_its_own_flow() -> None:
    image = random(2, 1, 4, 5)
    flow = torch.zeros(2, 2, 4, 5)
    flow[0, :, 1, 2] = torch.tensor([2.0, -1.0])
    made = warp(image, flow)
    expected = image.clone()
    expected[0, 0, 1, 2] = image[0, 0, 0, 4]
    assert torch.allclose(made, expected, rtol=0, atol=1e-5)


def test_warping_in_reduced_precision_loses_no_position() -> None:
    """Eight bits would place columns of a wide frame half a pixel wrong and more."""
    image = smooth(4, 2000)
    flow = constant_flow(4, 2000, 1.5, 0)
    exact = warp(image, flow)
    with torch.autocast("cpu", torch.bfloat16):
        made = warp(image, flow)
    assert made.dtype == torch.float32
    assert torch.equal(made, exact)
    half = warp(image.bfloat16(), flow)
    assert half.dtype == torch.bfloat16
    assert torch.allclose(half.float(), exact, rtol=0, atol=5e-3)


@pytest.mark.parametrize("scale", [2, 4])
def test_flow_is_enlarged_with_its_displacements(scale: int) -> None:
    made = enlarge_flow(constant_flow(3, 5, 0.5, -2), scale)
    assert made.shape == (1, 2, 3 * scale, 5 * scale)
    assert torch.allclose(made, constant_flow(3 * scale, 5 * scale, 0.5 * scale, -2 * scale))
    # A ramp stays where it is: the flow at an HR pixel is that at its place in the LR frame.
    ramp = torch.stack([torch.arange(8.0).expand(4, 8), torch.arange(4.0)[:, None].expand(4, 8)])
    made = enlarge_flow(ramp[None], scale)[0]
    place = (torch.arange(8 * scale) + 0.5) / scale - 0.5
    inner = slice(scale, -scale)
    assert torch.allclose(made[0, 0, inner], scale * place[inner], rtol=1e-5)


@pytest.mark.parametrize(("x", "y"), [(1, 0), (0.25, -0.5), (-1.75, 0.3)])
def test_the_previous_estimate_lands_on_the_current_frame(x: float, y: float) -> None:
    """A scene that moved by a part of an LR pixel: its true flow brings the old estimate here."""
    network = make()
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
    network = make("vsr")
    assert isinstance(network, Vsr)
    now, before = smooth(20, 24), smooth(20, 24, left=-1.5)
    after = smooth(20, 24, left=2, top=0.5)
    made = network.align(
        now, constant_flow(20, 24, 1.5, 0), before, constant_flow(20, 24, -2, -0.5), after
    )
    inner = (..., slice(3, -3), slice(3, -3))
    for part in made.split(3, dim=1):
        assert torch.allclose(part[inner], now[inner], rtol=0, atol=5e-3)


# --- frames of any size ----------------------------------------------------------------------


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", NETWORKS)
def test_nothing_shifts_on_frames_of_any_size(kind: str, size: tuple[int, int], scale: int) -> None:
    """Without its last layer a network is bicubic enlargement, to the last bit."""
    network = make(kind, lively=True, scale=scale)
    with torch.no_grad():
        nn.init.zeros_(network.srnet.out.weight)
        nn.init.zeros_(network.srnet.out.bias)  # type: ignore[arg-type]
        frames = random(2, 3, *size), random(2, 3, *size, seed=1), random(2, 3, *size, seed=2)
        _, state = network.step(frames[0], None, frames[1])
        made, state = network.step(frames[1], state, frames[2])
    assert torch.allclose(made, imresize(frames[1], scale).clamp(0, 1), rtol=0, atol=1e-6)
    assert state.frame_hr.shape == (2, 3, scale * size[0], scale * size[1])


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
    network = make(lively=True)
    previous, current = random(1, 3, 9, 14), random(1, 3, 9, 14, seed=1)
    padded = [
        functional.pad(frame, (0, 2, 0, 7), mode="replicate") for frame in (previous, current)
    ]
    with torch.no_grad():
        whole = network.fnet(*padded)  # type: ignore[operator]
        made = network.fnet(previous, current)  # type: ignore[operator]
    assert torch.equal(made, whole[..., :9, :14])


# --- streams ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", NETWORKS)
def test_forward_is_the_first_step(kind: str) -> None:
    network = make(kind, lively=True)
    frame = random(2, 3, 7, 9)
    with torch.no_grad():
        assert torch.equal(network(frame), network.step(frame)[0])
        assert torch.equal(network(frame), network.step(frame, None)[0])


def test_nothing_is_remembered_before_the_first_frame() -> None:
    """Ch. 3.3.5: it is black, whatever FNet says."""
    network = make(lively=True)
    frame = random(1, 3, 6, 5)
    features = network.condition(frame, None)
    assert torch.equal(features[:, :3], frame)
    assert features.shape == (1, 51, 6, 5)
    assert not features[:, 3:].any()
    black = VideoState(random(1, 3, 6, 5, seed=1), torch.zeros(1, 3, 24, 20))
    assert torch.equal(network.condition(frame, black), features)


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_estimate_and_what_is_carried_are_in_range(kind: str) -> None:
    network = make(kind)
    with torch.no_grad():
        nn.init.normal_(network.srnet.out.weight)
        made, state = network.step(random(1, 3, 8, 8))
        raw = network.srnet(network.condition(random(1, 3, 8, 8), None))
    assert raw.min() < 0
    assert raw.max() > 1
    assert torch.equal(made, raw.clamp(0, 1))
    assert torch.equal(state.frame_hr, made)


def test_frvsr_sees_the_previous_estimate_and_both_frames() -> None:
    network = make(lively=True)
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
    network = make("sisr", lively=True)
    assert network.contract.lookahead == 0
    assert not hasattr(network, "fnet")
    frames = [random(1, 3, 8, 8, seed=index) for index in range(3)]
    with torch.no_grad():
        first = network.step(frames[0])[0]
        state = VideoState(frames[1], random(1, 3, 32, 32))
        assert torch.equal(network.step(frames[0], state, frames[2])[0], first)


def test_vsr_sees_both_neighbours_and_no_estimate() -> None:
    network = make("vsr", lively=True)
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


@pytest.mark.parametrize("kind", NETWORKS)
def test_contract_of_the_whole(kind: str) -> None:
    network = make(kind, scale=2)
    assert network.contract.scale == network.srnet.contract.scale == 2
    assert network.contract.channels_in == 3
    assert network.contract.tiling == "forbidden"
    assert network.srnet.contract.tiling == "exact"
    assert network.srnet.contract.channels_in == {"frvsr": 15, "sisr": 3, "vsr": 9}[kind]


# --- tiles of SRNet --------------------------------------------------------------------------


@pytest.mark.parametrize("blocks", [0, 2])
@pytest.mark.parametrize("scale", [2, 4])
def test_halo_is_exact(scale: int, blocks: int) -> None:
    """A NaN reaches outputs up to the halo, some of them at that distance, and none beyond."""
    network = make("sisr", scale=scale, blocks=blocks, channels=2, lively=True).srnet
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
    network = make(scale=scale, blocks=2, lively=True).srnet
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


# --- the beginning, and learning -------------------------------------------------------------


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("scale", [2, 4])
def test_starts_near_bicubic_and_without_motion(kind: str, scale: int) -> None:
    network = make(kind, scale=scale, channels=32, blocks=2)
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


@pytest.mark.parametrize("kind", NETWORKS)
def test_every_parameter_learns(kind: str) -> None:
    network = make(kind, channels=8, blocks=2).train()
    estimates, flow_loss = run_clip(network, unlabelled(random(1, 3, 3, 8, 8)), functional.mse_loss)
    (estimates.square().mean() + flow_loss).backward()  # type: ignore[no-untyped-call]
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def flow_gradients(pick: Callable[[Tensor], Tensor]) -> Tensor:
    """How strongly FNet's flow of each pair of a clip of 6 matters to a part of the estimates."""
    network = make()
    assert isinstance(network, Frvsr)
    with torch.no_grad():  # estimates that stay between black and white, so that nothing is cut
        network.srnet.out.weight.mul_(5)
    seen: list[Tensor] = []

    look = network.fnet._look

    def keep(previous_lr: Tensor, frame_lr: Tensor) -> Tensor:
        flow = look(previous_lr, frame_lr)
        if flow.requires_grad and len(flow):
            flow.retain_grad()
            seen.append(flow)
        return flow

    network.fnet._look = keep  # type: ignore[method-assign]
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


# --- reduced precision -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", NETWORKS)
def test_autocast_leaves_the_bicubic_part_in_full_precision(kind: str) -> None:
    network = make(kind, lively=True)
    with torch.no_grad():
        nn.init.zeros_(network.srnet.out.weight)
        nn.init.zeros_(network.srnet.out.bias)  # type: ignore[arg-type]
        frame, other = random(1, 3, 9, 7), random(1, 3, 9, 7, seed=1)
        with torch.autocast("cpu", torch.bfloat16):
            made, state = network.step(frame, None, other)
            made, _ = network.step(other, state, frame)
    assert made.dtype == torch.float32
    assert torch.allclose(made, imresize(other, 4).clamp(0, 1), rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", NETWORKS)
def test_autocast_is_near_full_precision(kind: str) -> None:
    network = make(kind, channels=16)
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


# --- what is refused -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("scale", 0),
        ("scale", 1),
        ("scale", 3),
        ("scale", 8),
        ("channels", 0),
        ("blocks", -1),
        ("max_flow", 0.0),
        ("max_flow", -1.0),
    ],
)
def test_networks_that_cannot_be(kind: str, setting: str, value: float) -> None:
    with pytest.raises(ValueError, match=str(value)):
        make(kind, **{setting: value})


def test_bicubic_warping_keeps_more_detail_through_many_frames() -> None:
    """Half a pixel to and fro, forty times; whole pixels are fetched exactly by both."""
    x = torch.arange(48.0)
    wave = (0.5 + 0.4 * torch.sin(x / 1.6)).expand(1, 3, 48, 48)
    left = {}
    for interpolation in ("bilinear", "bicubic"):
        moved = wave
        for step in range(40):
            moved = warp(moved, constant_flow(48, 48, 0.5 * (-1) ** step, 0), interpolation)
        left[interpolation] = float(moved[..., 8:-8].std() / wave[..., 8:-8].std())
        exact = warp(wave, constant_flow(48, 48, 2, 0), interpolation)
        assert torch.allclose(exact[..., 4:-4], wave.roll(-2, -1)[..., 4:-4], atol=1e-4)
    assert left["bilinear"] < 0.2
    assert left["bicubic"] > 0.6


def test_warping_is_one_of_two() -> None:
    with pytest.raises(ValueError, match="warping 'nearest': choose from"):
        Frvsr(FrvsrConfig(channels=4, blocks=1, warping="nearest"))  # type: ignore[arg-type]
    networks = [make(warping=kind) for kind in ("bilinear", "bicubic")]  # type: ignore[arg-type]
    frame, state = random(1, 3, 8, 8), VideoState(random(1, 3, 8, 8), random(1, 3, 32, 32))
    made = [network.condition(frame, state) for network in networks]
    assert torch.equal(made[0][:, :3], made[1][:, :3])
    assert not torch.equal(made[0][:, 3:], made[1][:, 3:])


def test_the_way_of_training_gives_the_same() -> None:
    """A transposed convolution's bias is added apart where gradients are wanted."""
    network = make(lively=True)
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


# --- trust -----------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [2, 4])
def test_depth_to_space_undoes_space_to_depth(scale: int) -> None:
    image = random(2, 3, 3 * scale, 5 * scale)
    assert torch.equal(depth_to_space(space_to_depth(image, scale), scale), image)


def trusting(trust: float = 0.8, *, silent: bool = False, **config: float) -> Frvsr:
    network = make(lively=True, trust=trust, **config)
    assert isinstance(network, Frvsr)
    if silent:
        with torch.no_grad():
            network.srnet.out.weight.zero_()
            network.srnet.out.bias.zero_()  # type: ignore[union-attr]
    return network


def features_of(network: Frvsr, frame_lr: Tensor, frame_hr: Tensor) -> Tensor:
    """What SRNet sees of an estimate where nothing moved."""
    nothing = torch.zeros(1, 2, *frame_lr.shape[-2:])
    return network.align(frame_lr, nothing, VideoState(frame_lr, frame_hr))


@pytest.mark.parametrize("scale", [2, 4])
def test_an_estimate_that_explains_the_frame_stays(scale: int) -> None:
    """But for the share that is not trusted, which goes to the enlarged frame."""
    network = trusting(0.75, silent=True, scale=scale)
    warped = random(1, 3, 5 * scale, 7 * scale)
    frame = reduce_frame(warped, scale)
    made = network.srnet(features_of(network, frame, warped))
    assert torch.allclose(made, 0.75 * warped + 0.25 * imresize(frame, scale), atol=1e-5)


def test_an_estimate_that_does_not_is_dropped() -> None:
    network = trusting(0.75)
    frame = 0.5 + 0.5 * random(1, 3, 6, 7)
    plain = make(lively=True)
    black = torch.zeros(1, 3, 24, 28)
    cells = torch.cat([frame, torch.zeros(1, 48, 6, 7)], 1)
    assert torch.allclose(
        network.srnet(features_of(network, frame, black)), plain.srnet(cells), atol=1e-4
    )


def test_what_is_kept_is_corrected_towards_the_frame() -> None:
    """Small errors of brightness vanish: the result's small version is the frame's."""
    network = trusting(0.99, silent=True, tolerance=1.0, noise_floor=1.0)
    warped = imresize(random(1, 3, 6, 7), 4).clamp(0, 1)
    frame = reduce_frame(warped, 4) + 0.02
    made = network.srnet(features_of(network, frame, warped))
    before = (reduce_frame(warped, 4) - frame).abs().mean()
    after = (reduce_frame(made, 4) - frame).abs().mean()
    assert after < 0.1 * before


def test_trust_adds_no_parameters_and_begins_as_bicubic() -> None:
    plain, other = make(), make(trust=0.8)
    assert [p.shape for p in plain.parameters()] == [p.shape for p in other.parameters()]
    assert type(make("vsr", trust=0.8).srnet) is type(make("sisr", trust=0.8).srnet)
    with torch.no_grad():
        other.srnet.out.weight.zero_()
        frame = random(1, 3, 6, 7)
        first, _ = other.step(frame)
    assert (first - imresize(frame, 4).clamp(0, 1)).abs().max() < 1e-5


def test_a_sharp_still_scene_grows_sharper_with_every_frame() -> None:
    """Without a trained part: by correction alone, and without bounds being left."""
    network = trusting(0.9, silent=True)
    with torch.no_grad():
        network.fnet.out.weight.zero_()
        network.fnet.out.bias.zero_()  # type: ignore[union-attr]
        truth = 0.2 + 0.6 * random(1, 3, 48, 64).gt(0.5).float()
        truth = imresize(imresize(truth, 0.5), 2).clamp(0, 1)
        frame, state, errors = reduce_frame(truth, 4), None, []
        for _ in range(12):
            made, state = network.step(frame, state)
            errors.append(float((made - truth).square().mean()))
    assert errors[5] < 0.97 * errors[0]
    assert errors[-1] <= 1.001 * errors[5]  # and it stays so


@pytest.mark.parametrize("trust", [-0.1, 1.0])
def test_trust_is_a_share(trust: float) -> None:
    with pytest.raises(ValueError, match="trust from 0 to below 1"):
        Frvsr(FrvsrConfig(channels=4, blocks=1, trust=trust))


def test_trusted_estimates_are_the_same_in_tiles() -> None:
    network = trusting(0.8)
    features = features_of(network, random(1, 3, 30, 34), random(1, 3, 120, 136))
    assert features.shape[1] == network.srnet.contract.channels_in
    whole = network.srnet(features)
    halo = network.srnet.contract.halo
    part = network.srnet(features[..., 10 - halo : 20 + halo, 12 - halo : 22 + halo])
    inner = part[..., 4 * halo : -4 * halo, 4 * halo : -4 * halo]
    assert torch.allclose(inner, whole[..., 40:80, 48:88], atol=1e-5)


def test_trust_is_kept_in_reduced_precision() -> None:
    network = trusting(0.8, sweeps=2, refinements=1)
    warped = random(1, 3, 24, 28)
    frame = reduce_frame(warped, 4)
    features = features_of(network, frame, warped)
    exact = network.srnet(features)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(features_of(network, frame, warped), features)
        near = network.srnet(features)
    assert near.dtype == torch.float32
    assert (near - exact).abs().mean() < 0.02


# --- sweeps ----------------------------------------------------------------------------------


def moved_pair(shift: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A picture with detail, its small version, and both as they were ``shift`` HR pixels off."""

    def detail(left: float) -> Tensor:  # waves of 7 HR pixels, which small frames alias
        x, y = torch.arange(160) + left, torch.arange(128)[:, None]
        return (0.5 + 0.3 * torch.sin(x * 0.9 + y * 0.2)).expand(1, 3, 128, 160)

    now, before = detail(0), detail(-shift)
    return now, reduce_frame(now, 4), before, reduce_frame(before, 4)


def recalled(sweeps: int, shift: float = 0.5) -> tuple[Tensor, Tensor]:
    """The estimate from two frames and no detail, and the truth."""
    truth, frame, _, previous = moved_pair(shift)
    flow = constant_flow(32, 40, shift / 4, 0)
    warped = warp(imresize(previous, 4).clamp(0, 1), enlarge_flow(flow, 4), "bicubic")
    kept, likeness = recall(
        frame,
        warped,
        previous,
        flow,
        scale=4,
        tolerance=1e3,
        damping=0.003,
        noise_floor=10.0,
        sweeps=sweeps,
    )
    assert likeness.min() > 0.99
    return kept + imresize(frame, 4), truth


def inner_error(made: Tensor, truth: Tensor) -> float:
    return float((made - truth)[..., 24:-24, 24:-24].square().mean().sqrt())


def test_two_frames_in_turn_tell_more_than_one_after_the_other() -> None:
    errors = [inner_error(*recalled(sweeps)) for sweeps in (0, 1, 3, 10)]
    assert errors[1] < 0.9 * errors[0]
    assert errors[2] < 0.9 * errors[1]
    assert errors[3] < 0.9 * errors[2]


def test_sweeps_leave_both_frames_explained() -> None:
    _, frame, _, previous = moved_pair(0.5)
    back = enlarge_flow(constant_flow(32, 40, -0.5 / 4, 0), 4)

    def left(sweeps: int) -> tuple[float, float]:
        made, _ = recalled(sweeps)
        of_both = reduce_frame(made, 4) - frame, reduce_frame(warp(made, back), 4) - previous
        now, before = (float(missing[..., 6:-6, 6:-6].abs().mean()) for missing in of_both)
        return now, before

    first, last = left(0), left(6)
    assert last[1] < 0.5 * first[1]
    assert last[0] < 0.02 * float((frame - 0.5).abs().mean()) + first[0]


def test_sweeps_change_luma_alone_and_nothing_where_there_is_no_likeness() -> None:
    frame, before = random(1, 3, 8, 9), random(1, 3, 8, 9, seed=1)
    warped, flow = imresize(frame, 4), constant_flow(8, 9, 0.3, 0)

    def made(sweeps: int, tolerance: float) -> Tensor:
        return recall(
            frame,
            warped,
            before,
            flow,
            scale=4,
            tolerance=tolerance,
            damping=0.003,
            noise_floor=0.0,
            sweeps=sweeps,
        )[0]

    change = made(2, 10.0) - made(0, 10.0)
    assert change.abs().max() > 0.01
    assert torch.allclose(change, change[:, :1].expand_as(change), atol=1e-5)
    strange = recall(
        frame,
        1 - warped,
        before,
        flow,
        scale=4,
        tolerance=0.01,
        damping=0.003,
        noise_floor=0.0,
        sweeps=2,
    )
    assert strange[0].abs().max() < 1e-3 and strange[1].max() < 1e-3


def test_what_is_missing_counts_beside_detail_and_noise() -> None:
    """The same small error tells against an estimate in a soft place, not in a busy one."""
    soft = 0.5 + 0.001 * random(1, 3, 10, 12)
    busy = random(1, 3, 10, 12)

    def likeness(frame: Tensor, noise: float) -> float:
        warped = back_project(frame + 0.01, 4, 1e-6)
        return float(
            recall(
                frame,
                warped,
                frame,
                constant_flow(10, 12, 0, 0),
                scale=4,
                tolerance=1.0,
                damping=0.003,
                noise_floor=noise,
                sweeps=0,
            )[1].mean()
        )

    assert likeness(soft, 0.0) < 0.05
    assert likeness(busy, 0.0) > 0.9
    assert likeness(soft, 0.1) > 0.9
    with pytest.raises(ValueError, match="noise_floor of 0 or"):
        make(noise_floor=-0.1)


@pytest.mark.parametrize("passes", [0.0, 0.4, -1.3])
def test_the_way_back_undoes_a_flow(passes: float) -> None:
    x, y = torch.arange(24.0), torch.arange(20.0)[:, None]
    flow = torch.stack([passes + 0.3 * torch.sin(x / 5 + y * 0), 0.2 * torch.cos(y / 4 + x * 0)])
    back = invert_flow(flow[None])
    there_and_back = back + warp(flow[None], back)
    assert there_and_back[..., 3:-3, 3:-3].abs().max() < 0.01


# --- several looks ---------------------------------------------------------------------------


class HalfSeen(FlowNet):
    """Finds half of what a ramp has moved, by its values: a pixel to the right is 0.02 more."""

    def _look(self, previous_lr: Tensor, frame_lr: Tensor) -> Tensor:
        across = (frame_lr - previous_lr).mean(1) / 0.02 / 2
        return torch.stack([across, torch.zeros_like(across)], 1)


@pytest.mark.parametrize(("passes", "found"), [(1, 2.0), (2, 3.0), (3, 3.5)])
def test_every_look_finds_of_what_is_left(passes: int, found: float) -> None:
    """Each pixel shows what was four to its right."""
    ramp = 0.02 * torch.arange(40.0).expand(1, 3, 6, 40)
    flow = HalfSeen(24.0, passes)(ramp, ramp + 0.08)
    inside = flow[..., 5:-8]
    assert torch.allclose(inside[:, 0], torch.full_like(inside[:, 0], found), atol=1e-3)
    assert not inside[:, 1].any()


def test_looks_are_chained_as_they_land() -> None:
    """The first flow is read where the second points, as warping twice would."""
    network = make(passes=2)
    assert isinstance(network, Frvsr)
    first, second = 2 * random(1, 2, 9, 11) - 1, constant_flow(9, 11, 2, -1)
    answers = iter([first, second])
    network.fnet._look = lambda *_: next(answers)  # type: ignore[method-assign]
    frame = random(1, 3, 9, 11)
    flow = network.fnet(frame, frame)
    inner = (..., slice(2, -2), slice(2, -3))
    assert torch.allclose(flow[inner], (second + first.roll((1, -2), (-2, -1)))[inner], atol=1e-5)


def test_looking_again_needs_no_more_parameters_but_at_least_one_look() -> None:
    shapes = [[p.shape for p in make(passes=passes).parameters()] for passes in (1, 2)]
    assert shapes[0] == shapes[1]
    with pytest.raises(ValueError, match="passes=1 or more, not 0"):
        make(passes=0)


# --- refinement ------------------------------------------------------------------------------


@pytest.mark.parametrize(("x", "y"), [(0.3, 0.0), (-0.2, 0.25), (0.0, 0.0)])
def test_small_motion_is_found(x: float, y: float) -> None:
    frame, shown = smooth(40, 48, left=x, top=y, length=2), smooth(40, 48, length=2)
    flow = constant_flow(40, 48, 1, -2)
    refined = refine_flow(flow, shown, frame)
    inner = (refined - flow)[..., 4:-4, 4:-4]
    wanted = torch.tensor([x, y])[:, None, None]
    assert (inner - wanted).norm(dim=1).median() < 0.02


def test_nothing_is_refined_without_texture_or_beyond_half_a_pixel() -> None:
    flow = constant_flow(9, 11, 1, -2)
    flat = torch.full((1, 3, 9, 11), 0.5)
    assert torch.equal(refine_flow(flow, flat, flat + 0.01), flow)
    noise = 0.002 * random(1, 3, 9, 11)
    assert (refine_flow(flow, flat, flat + noise) - flow).abs().max() < 0.05
    wild = refine_flow(flow, random(1, 3, 9, 11), random(1, 3, 9, 11, seed=1)) - flow
    assert wild.abs().max() <= 0.5 + 1e-6
    assert torch.isfinite(wild).all()


def test_a_refined_flow_hands_the_gradient_through() -> None:
    flow = constant_flow(9, 11, 1, -2).requires_grad_()
    refine_flow(flow, smooth(9, 11), smooth(9, 11, left=0.2)).square().sum().backward()
    assert flow.grad is not None and flow.grad.abs().min() > 0


def test_refinement_lands_an_estimate_where_the_frame_shows_it() -> None:
    truth = smooth(96, 128)
    frame = reduce_frame(truth, 4)
    before = smooth(96, 128, left=-2)  # the picture moved by half an LR pixel
    wrong = constant_flow(24, 32, 0.1, 0)  # the true flow has 0.5

    def error(refinements: int) -> float:
        network = make(refinements=refinements, warping="bicubic")
        assert isinstance(network, Frvsr)
        cells = network.align(frame, wrong, VideoState(frame, before))[:, 3:]
        return float((depth_to_space(cells, 4) - truth)[..., 16:-16, 16:-16].abs().mean())

    assert error(1) < 0.3 * error(0)
    with pytest.raises(ValueError, match="refinements and sweeps: 0 or more, not -1"):
        make(refinements=-1)


@pytest.mark.parametrize("level", [0.02, 0.5])
def test_a_stream_begins_as_sisr_however_dark_it_is(level: float) -> None:
    network, single = trusting(0.8), make("sisr", lively=True)
    with torch.no_grad():
        for name, parameter in single.srnet.named_parameters():
            other = network.srnet.get_parameter(name)
            parameter.copy_(other[:, :3] if name == "head.weight" else other)
        frame = level * (0.5 + random(1, 3, 6, 7))
        first, _ = network.step(frame)
        assert torch.allclose(first, single.step(frame)[0], atol=1e-3)


@pytest.mark.parametrize("size", SIZES)
def test_all_departures_together_take_frames_of_any_size(size: tuple[int, int]) -> None:
    network = trusting(  # type: ignore[arg-type]
        0.8, passes=2, warping="bicubic", refinements=2, sweeps=2
    )
    state = None
    with torch.no_grad():
        for seed in range(3):
            made, state = network.step(random(2, 3, *size, seed=seed), state)
    assert made.shape == (2, 3, 4 * size[0], 4 * size[1])
    assert 0 <= made.min() <= made.max() <= 1
