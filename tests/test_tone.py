"""Tone curves and their shoulder: colours of highlights, smoothness, white, shadows."""

import pytest
import torch
from tensors import random
from torch import Tensor

from enhance_cli.colour import camera_matrices, linear_to_srgb, smoothstep
from enhance_cli.data.darkness import XYZ_TO_CAMERA
from enhance_cli.tone import Curve, Tone, add_contrast, develop, restore_saturated

ENCODED: tuple[Curve, ...] = ("camera", "flat")
SHOULDERS = [(0.5, 2.0), (0.5, 700.0), (0.8, 12.0), (0.98, 1.0), (0.98, 300.0)]
ORANGE = torch.tensor([1.0, 0.45, 0.08], dtype=torch.float64).view(3, 1, 1)
GAINS = torch.tensor([2.0, 1.0, 1.6])


def hue(shown: Tensor) -> Tensor:
    """Of (3, H, W) between red and yellow, in degrees."""
    red, green, blue = shown
    assert (red >= green).all() and (green >= blue).all()
    return 60 * (green - blue) / (red - blue)


@pytest.mark.parametrize("curve", ENCODED)
def test_an_orange_lamp_stays_orange(curve: Curve) -> None:
    """Cut channel by channel it becomes yellow from 2.2 times white on."""
    light = torch.logspace(-1.3, 2, 200, dtype=torch.float64).view(1, 1, -1)
    shown = Tone(curve, 0.5, 101.0).show(ORANGE * light)
    hues = hue(shown)
    assert hues.max() - hues.min() < 6
    assert (hues[0, light[0, 0] >= 0.5] - hues[0, -1]).abs().max() < 1e-6
    assert shown.max() < 1
    cut = hue(linear_to_srgb((ORANGE * 4).clamp(max=1)))
    assert cut.item() > hues.max() + 15


@pytest.mark.parametrize("curve", ENCODED)
@pytest.mark.parametrize(("knee", "end"), SHOULDERS)
def test_the_shoulder_rises_smoothly_and_ends_at_white(
    curve: Curve, knee: float, end: float
) -> None:
    tone = Tone(curve, knee, end)
    light = torch.cat([torch.linspace(0, 1.2 * knee, 4000), torch.logspace(0, 3, 4000) * knee])
    light = light.double().unique()
    light = light[light <= end]
    grey = tone.show(light.expand(3, 1, -1))
    assert torch.equal(grey[0], grey[1]) and torch.equal(grey[0], grey[2])
    shown = grey[0, 0]
    assert (shown.diff() > 0).all()
    assert shown.max() <= 1
    assert float(shown[light < 0.99 * end].max()) < 1
    assert torch.allclose(tone.show(torch.full((3, 1, 1), end)), torch.ones(3, 1, 1))
    # Below the knee it is the curve itself, and it leaves with the curve's slope.
    below = light <= knee
    plain = linear_to_srgb(light[below])
    assert torch.allclose(shown[below], add_contrast(plain) if curve == "camera" else plain)
    step = 1e-5
    around = tone.show(
        torch.tensor([knee - step, knee, knee + step], dtype=torch.float64).view(1, 1, 3)
    ).diff()
    assert float(around[0, 0, 1] / around[0, 0, 0]) == pytest.approx(1, abs=0.02)


def test_without_highlights_a_picture_is_shown_as_ever() -> None:
    linear = random(3, 20, 30)
    assert (Tone("flat").show(linear) - linear_to_srgb(linear)).abs().max() < 0.5 / 255
    assert torch.equal(Tone("linear").show(2 * linear - 0.2), (2 * linear - 0.2).clamp(0, 1))


def test_the_camera_curve_has_a_toe_that_is_not_crushed() -> None:
    values = torch.linspace(0, 1, 2001, dtype=torch.float64)
    shown = add_contrast(values)
    slope = shown.diff() * 2000
    assert (slope[:-1] > 0).all()
    assert slope.diff().abs().max() < 0.01
    assert torch.equal(shown[values >= 0.4], smoothstep(values[values >= 0.4]))
    dark = (values > 0) & (values < 0.4)
    assert (shown[dark] > smoothstep(values[dark])).all()
    assert (20 * (shown[dark] / values[dark]).log10()).min() > -4.5


# --- a saturated sensor ----------------------------------------------------------------------


def exposed(colour: Tensor, light: Tensor, ratio: float) -> Tensor:
    """A sensor's record (3, 1, N) of a balanced colour (3,), amplified and balanced."""
    gains = GAINS.view(3, 1, 1)
    return (colour.view(3, 1, 1) * light / gains).clamp(max=1) * gains * ratio


@pytest.mark.parametrize("index", range(len(XYZ_TO_CAMERA)))
def test_what_saturates_the_sensor_is_white_and_neutral_parts_stay_neutral(index: int) -> None:
    """Green saturates first, then blue, then red: no pink between."""
    _, matrix = camera_matrices(XYZ_TO_CAMERA[index])
    light = torch.linspace(0.01, 4, 500).view(1, 1, -1)
    ratio = 20.0
    tone = Tone("flat", 0.5, 2 * ratio)
    shown = develop(exposed(torch.ones(3), light, ratio), matrix, tone, saturation=GAINS * ratio)
    assert (shown.amax(0) - shown.amin(0)).max() < 2 / 255
    assert (shown.diff() > -1e-4).all()
    assert (shown[..., -1] > 1 - 1e-4).all()


def test_one_saturated_channel_leaves_the_colour() -> None:
    light = torch.linspace(0.1, 1.9, 300).view(1, 1, -1)
    red = exposed(torch.tensor([1.2, 0.2, 0.1]), light, 10.0)
    restored = restore_saturated(red, 10 * GAINS, 20.0)
    assert torch.allclose(restored, red)
    flower = Tone("camera", 0.5, 20.0).show(restored)
    assert (flower[0] > 2 * flower[1]).all()


def test_a_single_plane_needs_no_matrix() -> None:
    plane = 3 * random(1, 5, 6)
    tone = Tone("camera", 0.5, 4.0)
    saturation = torch.ones(3)
    grey = develop(plane, torch.eye(3), tone, saturation=saturation)
    assert torch.equal(grey, tone.show(plane))
    assert torch.allclose(develop(plane.expand(3, 5, 6), torch.eye(3), tone, grey=True), grey)
