"""The step of Lucas and Kanade, alone and as part of the networks with flow."""

import pytest
import torch
from video_networks import constant_flow, make_network, random, smooth

from enhance_cli.architectures.back_projection import degrade
from enhance_cli.architectures.cells import depth_to_space
from enhance_cli.architectures.frvsr import Frvsr, VideoState, Vsr
from enhance_cli.architectures.lucas_kanade import lucas_kanade_step


@pytest.mark.parametrize(("x", "y"), [(0.3, 0.0), (-0.2, 0.25), (0.0, 0.0)])
def test_small_motion_is_found(x: float, y: float) -> None:
    frame, shown = smooth(40, 48, left=x, top=y, length=2), smooth(40, 48, length=2)
    flow = constant_flow(40, 48, 1, -2)
    refined = lucas_kanade_step(flow, shown, frame)
    inner = (refined - flow)[..., 4:-4, 4:-4]
    wanted = torch.tensor([x, y])[:, None, None]
    assert (inner - wanted).norm(dim=1).median() < 0.02


def test_nothing_is_refined_without_texture_or_beyond_half_a_pixel() -> None:
    flow = constant_flow(9, 11, 1, -2)
    flat = torch.full((1, 3, 9, 11), 0.5)
    assert torch.equal(lucas_kanade_step(flow, flat, flat + 0.01), flow)
    noise = 0.002 * random(1, 3, 9, 11)
    assert (lucas_kanade_step(flow, flat, flat + noise) - flow).abs().max() < 0.05
    wild = lucas_kanade_step(flow, random(1, 3, 9, 11), random(1, 3, 9, 11, seed=1)) - flow
    assert wild.abs().max() <= 0.5 + 1e-6
    assert torch.isfinite(wild).all()


def test_a_refined_flow_hands_the_gradient_through() -> None:
    flow = constant_flow(9, 11, 1, -2).requires_grad_()
    lucas_kanade_step(flow, smooth(9, 11), smooth(9, 11, left=0.2)).square().sum().backward()
    assert flow.grad is not None and flow.grad.abs().min() > 0


def test_refinement_lands_an_estimate_where_the_frame_shows_it() -> None:
    truth = smooth(96, 128)
    frame = degrade(truth, 4)
    before = smooth(96, 128, left=-2)  # the picture moved by half an LR pixel
    wrong = constant_flow(24, 32, 0.1, 0)  # the true flow has 0.5

    def error(lucas_kanade_steps: int) -> float:
        network = make_network(lucas_kanade_steps=lucas_kanade_steps, warping="bicubic")
        assert isinstance(network, Frvsr)
        cells = network.align(frame, wrong, VideoState(frame, before))[:, 3:]
        return float((depth_to_space(cells, 4) - truth)[..., 16:-16, 16:-16].abs().mean())

    assert error(1) < 0.3 * error(0)


def test_vsr_refines_its_flow_too() -> None:
    """Ch. 3.4.1: the baselines use the same optical flow."""
    now, before, after = (smooth(40, 48, left=at, length=2) for at in (0, -1.2, 0.9))
    flows = constant_flow(40, 48, 1, 0), constant_flow(40, 48, -1, 0)  # 0.2 and 0.1 pixels wrong

    def error(steps: int) -> float:
        network = make_network("vsr", lucas_kanade_steps=steps, warping="bicubic")
        assert isinstance(network, Vsr)
        aligned = network.align(now, flows[0], before, flows[1], after)
        return float((aligned[:, 3:] - now.repeat(1, 2, 1, 1))[..., 4:-4, 4:-4].abs().mean())

    assert error(1) < 0.3 * error(0)
