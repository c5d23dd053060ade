"""Networks with the data-consistency step: what is kept, what is dropped, and without a memory."""

from typing import Any

import pytest
import torch
from torch import Tensor
from video_networks import SIZES, make_network, random

from enhance_cli.architectures.back_projection import degrade
from enhance_cli.architectures.data_consistent import DataConsistentFrvsr, DataConsistentSisr
from enhance_cli.architectures.frvsr import VideoState
from enhance_cli.resize import imresize


def consistent(
    weight: float = 0.8, *, silent: bool = False, iterations: int = 0, **settings: Any
) -> DataConsistentFrvsr:
    """A lively network; ``silent`` leaves only its fixed part."""
    network = make_network(
        "frvsr-dc", lively=True, weight=weight, iterations=iterations, **settings
    )
    assert isinstance(network, DataConsistentFrvsr)
    if silent:
        with torch.no_grad():
            network.srnet.out.weight.zero_()
            network.srnet.out.bias.zero_()  # type: ignore[union-attr]
    return network


def features_of(network: DataConsistentFrvsr, frame_lr: Tensor, frame_hr: Tensor) -> Tensor:
    """What SRNet sees of an estimate where nothing moved."""
    nothing = torch.zeros(1, 2, *frame_lr.shape[-2:])
    return network.align(frame_lr, nothing, VideoState(frame_lr, frame_hr))


@pytest.mark.parametrize("scale", [2, 4])
def test_an_estimate_that_explains_the_frame_stays(scale: int) -> None:
    """All but the share that goes to the enlarged frame."""
    network = consistent(0.75, silent=True, scale=scale)
    warped = random(1, 3, 5 * scale, 7 * scale)
    frame = degrade(warped, scale)
    made = network.srnet(features_of(network, frame, warped))
    assert torch.allclose(made, 0.75 * warped + 0.25 * imresize(frame, scale), atol=1e-5)


def test_an_estimate_that_does_not_is_dropped() -> None:
    network = consistent(0.75)
    frame = 0.5 + 0.5 * random(1, 3, 6, 7)
    plain = make_network(lively=True)
    black = torch.zeros(1, 3, 24, 28)
    cells = torch.cat([frame, torch.zeros(1, 48, 6, 7)], 1)
    assert torch.allclose(
        network.srnet(features_of(network, frame, black)), plain.srnet(cells), atol=1e-4
    )


def test_what_is_kept_is_corrected_towards_the_frame() -> None:
    """Small errors of brightness vanish: the result's small version is the frame's."""
    network = consistent(0.99, silent=True, tolerance=1.0, noise_floor=1.0)
    warped = imresize(random(1, 3, 6, 7), 4).clamp(0, 1)
    frame = degrade(warped, 4) + 0.02
    made = network.srnet(features_of(network, frame, warped))
    before = (degrade(warped, 4) - frame).abs().mean()
    after = (degrade(made, 4) - frame).abs().mean()
    assert after < 0.1 * before


def test_data_consistency_adds_no_parameters_and_begins_as_bicubic() -> None:
    plain, other = make_network(), make_network("frvsr-dc")
    assert [p.shape for p in plain.parameters()] == [p.shape for p in other.parameters()]
    with torch.no_grad():
        other.srnet.out.weight.zero_()
        frame = random(1, 3, 6, 7)
        first, _ = other.step(frame)
    assert (first - imresize(frame, 4).clamp(0, 1)).abs().max() < 1e-5


def test_a_sharp_still_scene_grows_sharper_with_every_frame() -> None:
    """Without a trained part: by correction alone, and without bounds being left."""
    network = consistent(0.9, silent=True)
    with torch.no_grad():
        network.fnet.out.weight.zero_()
        network.fnet.out.bias.zero_()  # type: ignore[union-attr]
        truth = 0.2 + 0.6 * random(1, 3, 48, 64).gt(0.5).float()
        truth = imresize(imresize(truth, 0.5), 2).clamp(0, 1)
        frame, state, errors = degrade(truth, 4), None, []
        for _ in range(12):
            made, state = network.step(frame, state)
            errors.append(float((made - truth).square().mean()))
    assert errors[5] < 0.97 * errors[0]
    assert errors[-1] <= 1.001 * errors[5]  # and it stays so


def test_fused_estimates_are_the_same_in_tiles() -> None:
    network = consistent(0.8)
    features = features_of(network, random(1, 3, 30, 34), random(1, 3, 120, 136))
    assert features.shape[1] == network.srnet.contract.channels_in
    whole = network.srnet(features)
    halo = network.srnet.contract.halo
    part = network.srnet(features[..., 10 - halo : 20 + halo, 12 - halo : 22 + halo])
    inner = part[..., 4 * halo : -4 * halo, 4 * halo : -4 * halo]
    assert torch.allclose(inner, whole[..., 40:80, 48:88], atol=1e-5)


def test_reduced_precision_leaves_the_fixed_part_alone() -> None:
    network = consistent(0.8, iterations=2, lucas_kanade_steps=1)
    warped = random(1, 3, 24, 28)
    frame = degrade(warped, 4)
    features = features_of(network, frame, warped)
    exact = network.srnet(features)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(features_of(network, frame, warped), features)
        near = network.srnet(features)
    assert near.dtype == torch.float32
    assert (near - exact).abs().mean() < 0.02


@pytest.mark.parametrize("level", [0.02, 0.5])
def test_a_stream_begins_as_sisr_however_dark_it_is(level: float) -> None:
    network, single = consistent(0.8), make_network("sisr", lively=True)
    with torch.no_grad():
        for name, parameter in single.srnet.named_parameters():
            other = network.srnet.get_parameter(name)
            parameter.copy_(other[:, :3] if name == "head.weight" else other)
        frame = level * (0.5 + random(1, 3, 6, 7))
        first, _ = network.step(frame)
        assert torch.allclose(first, single.step(frame)[0], atol=1e-3)


@pytest.mark.parametrize("size", SIZES)
def test_all_departures_together_take_frames_of_any_size(size: tuple[int, int]) -> None:
    network = consistent(0.8, passes=2, warping="bicubic", lucas_kanade_steps=2, iterations=2)
    state = None
    with torch.no_grad():
        for seed in range(3):
            made, state = network.step(random(2, 3, *size, seed=seed), state)
    assert made.shape == (2, 3, 4 * size[0], 4 * size[1])
    assert 0 <= made.min() <= made.max() <= 1


# --- without memory --------------------------------------------------------------------------


def test_sisr_is_made_consistent_with_its_frame_and_remembers_nothing() -> None:
    frames = [0.3 + 0.4 * random(1, 3, 12, 14, seed=seed) for seed in range(2)]
    plain = make_network("sisr")
    network = make_network("sisr-dc", tolerance=10.0, noise_floor=1.0)
    assert isinstance(network, DataConsistentSisr)
    network.load_state_dict(plain.state_dict())
    with torch.no_grad():
        made, state = network.step(frames[0])
        given = plain.step(frames[0])[0]
        assert torch.equal(network.step(frames[1], state)[0], network.step(frames[1])[0])

    def left(estimate: Tensor) -> float:
        return float((degrade(estimate, 4) - frames[0])[..., 2:-2, 2:-2].abs().mean())

    assert left(made) < 0.2 * left(given)


def test_a_correction_is_the_same_in_tiles() -> None:
    network = make_network("sisr-dc", lively=True).srnet
    halo = network.contract.halo
    frame = 0.5 + 0.2 * random(1, 3, 2 * halo + 10, 2 * halo + 14)
    with torch.no_grad():
        whole = network(frame)
        part = network(frame[..., 3 : 2 * halo + 7, 5 : 2 * halo + 9])
    inner = part[..., 4 * halo : -4 * halo, 4 * halo : -4 * halo]
    top, left = 4 * (3 + halo), 4 * (5 + halo)
    assert inner.numel()
    assert torch.allclose(inner, whole[..., top : top + 16, left : left + 16], atol=1e-5)
