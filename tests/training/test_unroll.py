"""Clips through video networks: as streams, and what is learned from them (ch. 3.3.2, 3.3.5)."""

import pytest
import torch
from tensors import random
from tiny_video import KINDS, batch_of, lively, network_of
from torch import Tensor, nn
from torch.nn import functional

from enhance_cli.architectures.frvsr import FlowAligned, Frvsr, VideoState, Vsr
from enhance_cli.architectures.warping import warp
from enhance_cli.engine.recurrent import enhance_clip, with_following
from enhance_cli.training.unroll import run_clip


@pytest.mark.parametrize(("scale", "length"), [(4, 1), (2, 2), (4, 5)])
@pytest.mark.parametrize("kind", KINDS)
def test_a_clip_at_once_is_the_stream_step_by_step(kind: str, length: int, scale: int) -> None:
    network = lively(kind, scale=scale).eval()
    clips = random(2, length, 3, 9, 7)
    with torch.no_grad():
        made, _ = run_clip(network, batch_of(clips, scale), functional.mse_loss)
        assert made.shape == (2, length, 3, 9 * scale, 7 * scale)
        for clip, estimates in zip(clips, made, strict=True):
            stream = enhance_clip(network, clip)
            assert torch.allclose(estimates.clamp(0, 1), stream, rtol=0, atol=1e-3)
    assert made.min() < 0  # the loss sees what lies outside, the memory does not
    assert made.max() > 1


@pytest.mark.parametrize(
    ("kind", "length", "shown"),
    [
        ("frvsr", 3, "0- 1- 2-"),
        ("sisr", 2, "0- 1-"),
        ("vsr", 3, "01 12 2-"),
        ("vsr", 1, "0-"),
        ("vsr", 0, ""),
        ("frvsr", 0, ""),
    ],
)
def test_networks_are_shown_the_frames_after_that_they_look_at(
    kind: str, length: int, shown: str
) -> None:
    frames = [torch.tensor(index) for index in range(length)]
    pairs = with_following(iter(frames), network_of(kind).contract.lookahead)
    assert (
        " ".join(f"{int(frame)}{'-' if after is None else int(after)}" for frame, after in pairs)
        == shown
    )


def test_a_clip_may_begin_from_an_estimate() -> None:
    """Fig. 3.7: in place of black."""
    network = lively("frvsr").eval()
    clip = random(3, 3, 8, 8)
    black = enhance_clip(network, clip, torch.zeros(3, 32, 32))
    assert torch.equal(black, enhance_clip(network, clip))
    other = enhance_clip(network, clip, random(3, 32, 32))
    assert (other - black).abs().amax((1, 2, 3)).min() > 1e-4  # it is still felt at the end
    assert not other.requires_grad


def test_flow_loss_of_a_still_clip_without_flow_is_nothing() -> None:
    for kind in ("frvsr", "vsr"):
        network = network_of(kind)
        with torch.no_grad():
            nn.init.zeros_(network.fnet.out.weight)  # type: ignore[union-attr, arg-type]
        still = random(2, 1, 3, 8, 8).expand(2, 4, 3, 8, 8)
        _, flow_loss = run_clip(network, batch_of(still), functional.mse_loss)
        assert flow_loss.item() < 1e-10
        _, flow_loss = run_clip(network, batch_of(random(2, 4, 3, 8, 8)), functional.mse_loss)
        assert flow_loss.item() > 0.05


def test_flow_loss_is_equation_3_8() -> None:
    """As a mean over pixels, colours, pairs and clips."""
    clips = random(2, 4, 3, 8, 8)
    for distance in (functional.mse_loss, functional.l1_loss):
        network = lively("frvsr")
        assert isinstance(network, Frvsr)
        pairs = [(clips[:, t - 1], clips[:, t]) for t in range(1, 4)]
        with torch.no_grad():
            expected = (
                sum(
                    distance(warp(before, network.fnet(before, now)), now).item()
                    for before, now in pairs
                )
                / 3
            )
            assert run_clip(network, batch_of(clips), distance)[1].item() == pytest.approx(
                expected, rel=1e-4
            )
        window = lively("vsr")
        assert isinstance(window, Vsr)
        # Of both neighbours; at the ends the frame is its own.
        pairs = [(clips[:, max(t - 1, 0)], clips[:, t]) for t in range(4)]
        pairs += [(clips[:, min(t + 1, 3)], clips[:, t]) for t in range(4)]
        with torch.no_grad():
            expected = (
                sum(
                    distance(warp(other, window.fnet(other, now)), now).item()
                    for other, now in pairs
                )
                / 8
            )
            assert run_clip(window, batch_of(clips), distance)[1].item() == pytest.approx(
                expected, rel=1e-4
            )


def test_networks_without_pairs_have_no_flow_loss() -> None:
    for kind, length in (("sisr", 3), ("frvsr", 1)):
        batch = batch_of(random(1, length, 3, 8, 8))
        assert run_clip(network_of(kind), batch, functional.mse_loss)[1] == 0


def test_flow_loss_is_least_for_the_true_flow_of_a_sliding_scene() -> None:
    """The sign and the unit of eq. 3.8: a pixel was one to the right and half one down."""
    x, y = torch.arange(24.0), torch.arange(24.0)[:, None]
    wave = [
        0.5 + 0.25 * torch.sin((x + t) / 2) + 0.25 * torch.cos((y + 0.5 * t) / 2.5)
        for t in range(3)
    ]
    clip = torch.stack(wave)[None, :, None].expand(1, 3, 3, 24, 24)
    network = network_of("frvsr", limit=3.0)
    assert isinstance(network, Frvsr)
    bias = network.fnet.out.bias
    assert bias is not None
    losses = {}
    with torch.no_grad():
        nn.init.zeros_(network.fnet.out.weight)  # one flow for all pixels
        for way in ((-1.0, -0.5), (0.0, 0.0), (-0.5, -0.25), (1.0, 0.5), (0.5, 1.0), (-2.0, -1.0)):
            bias.copy_(3 * torch.tensor(way).div(3).atanh())
            losses[way] = run_clip(network, batch_of(clip), functional.mse_loss)[1].item()
    # Frame t shows at x what frame t - 1 showed at x + 1.
    assert min(losses, key=losses.__getitem__) == (1.0, 0.5)
    assert losses[(1.0, 0.5)] < 0.6 * losses[(0.0, 0.0)]  # the rest is the border


def sliding(length: int = 3, side: int = 16) -> tuple[Tensor, Tensor]:
    """A wave that goes an LR pixel to the left with every frame: (1, T, 3, s, s), LR and HR."""
    clips = []
    for scale in (1, 4):
        x = (torch.arange(side * scale) + 0.5) / scale
        wave = torch.stack([0.5 + 0.3 * torch.sin((x + t) / 2.0) for t in range(length)])
        clips.append(wave[None, :, None, None, :].expand(1, length, 3, side * scale, side * scale))
    return clips[0], clips[1]


@pytest.mark.parametrize("kind", ["frvsr", "vsr"])
def test_flow_may_be_judged_on_the_large_frames(kind: str) -> None:
    frames_lr, frames_hr = sliding()
    network = network_of(kind, limit=3.0)
    assert isinstance(network, FlowAligned)
    bias = network.fnet.out.bias
    assert bias is not None
    losses = {}
    with torch.no_grad():
        nn.init.zeros_(network.fnet.out.weight)
        for across in (0.0, 0.5, 1.0):
            bias.copy_(3 * torch.tensor([across, 0.0]).div(3).atanh())
            losses[across] = [
                run_clip(
                    network,
                    batch_of(frames_lr, frames_hr=large),
                    functional.l1_loss,
                    flow_frames="hr",
                )[1].item()
                for large in (frames_hr, frames_hr * 0)
            ]
    assert all(of_black == 0 for _, of_black in losses.values())  # the small ones do not matter
    if kind == "frvsr":
        assert losses[1.0][0] < 0.5 * losses[0.5][0] < 0.4 * losses[0.0][0]
        expected = functional.l1_loss(frames_hr[:, :-1], frames_hr[:, 1:]).item()
        assert losses[0.0][0] == pytest.approx(expected, rel=1e-4)


def test_known_flow_is_given_to_those_clips_that_have_it() -> None:
    network = lively("frvsr").eval()
    assert isinstance(network, Frvsr)
    clips = random(2, 3, 3, 8, 8)
    batch = batch_of(clips, flow=2 * random(2, 3, 2, 8, 8), known=torch.tensor([True, False]))
    with torch.no_grad():
        plain, flow_loss = run_clip(network, batch, functional.mse_loss)
        given, same_loss = run_clip(network, batch, functional.mse_loss, given_flow=True)
        state = VideoState(clips[:1, 0], plain[:1, 0].clamp(0, 1))
        second = network.srnet(network.align(clips[:1, 1], batch.flow[:1, 1], state))
    assert torch.equal(given[:, 0], plain[:, 0])
    assert torch.allclose(given[:1, 1], second, atol=1e-4)
    assert (given[0, 1] - plain[0, 1]).abs().mean() > 1e-3
    assert torch.equal(given[1], plain[1])
    assert flow_loss == same_loss  # FNet goes on learning


@pytest.mark.parametrize("burn_in", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_burnt_in_frames_are_remembered_but_not_learnt_from(kind: str, burn_in: int) -> None:
    network = lively(kind)
    batch = batch_of(random(2, 4, 3, 8, 8))
    batch.frames_lr.requires_grad_()
    whole, _ = run_clip(network, batch, functional.mse_loss)
    made, flow_loss = run_clip(network, batch, functional.mse_loss, burn_in=burn_in)
    assert made.shape == (2, 4 - burn_in, 3, 32, 32)
    if kind == "vsr":  # whose first frame has lost its neighbour
        assert torch.allclose(made[:, 1:], whole[:, burn_in + 1 :], atol=1e-4)
    else:
        assert torch.allclose(made, whole[:, burn_in:], atol=1e-4)
    made.square().mean().backward()
    assert batch.frames_lr.grad is not None
    reached = batch.frames_lr.grad.abs().amax((0, 2, 3, 4)) > 0
    # The first that is learnt from is compared with the one before it.
    first = burn_in - (kind == "frvsr")
    assert reached.tolist() == [index >= first for index in range(4)]
    if kind == "frvsr":
        frames = batch.frames_lr.detach()
        with torch.no_grad():
            rest = batch_of(frames[:, burn_in - 1 :])
            assert flow_loss.item() == pytest.approx(
                run_clip(network, rest, functional.mse_loss)[1].item(), rel=1e-4
            )


def test_burning_in_leaves_gradients_in_reduced_precision() -> None:
    """Autocast keeps the kernels that it has rounded: they must not be those without gradients."""
    network = lively("frvsr")
    with torch.autocast("cpu", torch.bfloat16):
        made, flow_loss = run_clip(
            network, batch_of(random(1, 3, 3, 8, 8)), functional.mse_loss, burn_in=2
        )
        (made.float().square().mean() + flow_loss).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
