"""Warping: directions, units, borders and precision."""

import pytest
import torch
from video_networks import SIZES, constant_flow, random, smooth

from enhance_cli.architectures.warping import enlarge_flow, invert_flow, warp


@pytest.mark.parametrize("size", [*SIZES, (101, 257)])
def test_no_flow_changes_nothing(size: tuple[int, int]) -> None:
    image = random(2, 3, *size)
    assert torch.allclose(warp(image, torch.zeros(2, 2, *size)), image, rtol=0, atol=3e-5)


@pytest.mark.parametrize(("x", "y"), [(1, 0), (-3, 2), (100, -100)])
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


@pytest.mark.parametrize("speed", [0.4, -1.3])
def test_the_way_back_undoes_a_flow(speed: float) -> None:
    x, y = torch.arange(24.0), torch.arange(20.0)[:, None]
    flow = torch.stack([speed + 0.3 * torch.sin(x / 5 + y * 0), 0.2 * torch.cos(y / 4 + x * 0)])
    back = invert_flow(flow[None])
    there_and_back = back + warp(flow[None], back)
    assert there_and_back[..., 3:-3, 3:-3].abs().max() < 0.01
