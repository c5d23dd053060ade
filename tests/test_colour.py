"""Curves, matrices and the estimate of noise, against their formulas and scikit-image."""

import math

import numpy as np
import pytest
import torch
from skimage import color
from tensors import random
from torch import Tensor

from enhance_cli.colour import (
    LUMINANCE,
    SRGB_TO_XYZ,
    TONE_CURVES,
    apply_matrix,
    camera_matrices,
    compress_range,
    estimate_noise,
    expand_range,
    inverse_smoothstep,
    linear_to_srgb,
    luminance,
    noise_of_plane,
    noise_planes,
    render,
    smoothstep,
    srgb_to_linear,
)
from enhance_cli.data.darkness import XYZ_TO_CAMERA

VALUES = torch.linspace(-1.5, 1.5, 3001, dtype=torch.float64)
UNIT = torch.linspace(0, 1, 1001, dtype=torch.float64)


def gaussian(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# --- curves ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("linear", "shown"),
    [(0, 0), (0.0031308, 0.04045), (0.18, 0.461356), (0.214041, 0.5), (0.5, 0.735357), (1, 1)],
)
def test_srgb_curve_worked_by_hand(linear: float, shown: float) -> None:
    """IEC 61966-2-1: 12.92 x below 0.0031308, 1.055 x^(1/2.4) - 0.055 above."""
    assert float(linear_to_srgb(torch.tensor(linear))) == pytest.approx(shown, abs=2e-6)
    assert float(srgb_to_linear(torch.tensor(shown))) == pytest.approx(linear, abs=2e-6)


def test_srgb_curve_is_scikit_image_s() -> None:
    """By way of XYZ and back, grey pictures meet the curve alone."""
    grey = UNIT.numpy()[None, :, None].repeat(3, 2)
    xyz = color.rgb2xyz(grey)
    assert np.allclose(xyz[..., 1], srgb_to_linear(UNIT).numpy(), atol=1e-6)
    assert np.allclose(color.xyz2rgb(xyz)[0, :, 0], UNIT.numpy(), atol=2e-5)
    assert np.allclose(
        linear_to_srgb(torch.from_numpy(xyz[0, :, 1])).numpy(), UNIT.numpy(), atol=2e-5
    )


def test_srgb_to_xyz_is_scikit_image_s() -> None:
    linear = srgb_to_linear(random(3, 9, 7).double())
    ours = apply_matrix(linear, SRGB_TO_XYZ.double()).permute(1, 2, 0)
    theirs = color.rgb2xyz(linear_to_srgb(linear).permute(1, 2, 0).numpy())
    assert np.allclose(ours.numpy(), theirs, rtol=1e-4, atol=1e-6)  # its matrix has 6 digits
    # Y is BT.709's luminance.
    assert torch.allclose(SRGB_TO_XYZ[1], LUMINANCE, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_inverse_undoes_its_function(dtype: torch.dtype) -> None:
    tolerance = 2e-6 if dtype == torch.float32 else 1e-9
    values, unit = VALUES.to(dtype), UNIT.to(dtype)
    for x, there, back in (
        (values, linear_to_srgb, srgb_to_linear),
        (values, srgb_to_linear, linear_to_srgb),
        (values, compress_range, expand_range),
        (values, expand_range, compress_range),
    ):
        assert torch.allclose(back(there(x)), x, rtol=0, atol=tolerance)
    # At its flat ends the smoothstep keeps half of the digits.
    for there, back in ((smoothstep, inverse_smoothstep), TONE_CURVES["camera"]):
        for first, second in ((there, back), (back, there)):
            rough = 1e-3 if dtype == torch.float32 else 1e-7
            assert torch.allclose(second(first(unit)), unit, rtol=0, atol=rough)


@pytest.mark.parametrize("function", [linear_to_srgb, srgb_to_linear, compress_range, expand_range])
def test_functions_are_odd_and_rise(function) -> None:  # type: ignore[no-untyped-def]
    made = function(VALUES)
    assert torch.equal(made, -function(-VALUES))
    assert (made.diff() > 0).all()
    assert float(function(torch.zeros(()))) == 0


@pytest.mark.parametrize("curve", TONE_CURVES)
def test_output_curves_rise_from_black_to_white(curve: str) -> None:
    there, back = TONE_CURVES[curve]
    for function in (there, back):
        made = function(UNIT)
        assert (made.diff() > 0).all()
        assert float(made[0]) == pytest.approx(0, abs=1e-9)
        assert float(made[-1]) == pytest.approx(1, abs=1e-6)
    assert float(smoothstep(torch.tensor(0.5))) == 0.5


def test_the_camera_curve_has_more_contrast() -> None:
    shown = linear_to_srgb(UNIT)
    camera = TONE_CURVES["camera"][0](UNIT)
    assert torch.allclose(camera, 3 * shown**2 - 2 * shown**3)
    assert (camera < shown)[(shown > 0.01) & (shown < 0.49)].all()
    assert (camera > shown)[(shown > 0.51) & (shown < 0.99)].all()


@pytest.mark.parametrize(
    "function", [linear_to_srgb, srgb_to_linear, compress_range, expand_range, smoothstep]
)
def test_gradients_are_finite_and_true(function) -> None:  # type: ignore[no-untyped-def]
    """At zero, below it, and at both sides of a curve's joint."""
    x = torch.tensor(
        [
            -1.0,
            -0.3,
            -0.0031308,
            -1e-7,
            0.0,
            1e-30,
            1e-7,
            0.0031,
            0.0032,
            0.04044,
            0.0405,
            0.5,
            1.0,
            1.4,
        ],
        dtype=torch.float64,
        requires_grad=True,
    )
    (slope,) = torch.autograd.grad(function(x).sum(), x)
    assert slope.isfinite().all()
    with torch.no_grad():
        step = 1e-9
        measured = (function(x + step) - function(x - step)) / (2 * step)
    smooth = x.detach().abs() != 0.0031308  # the joint has two slopes
    assert torch.allclose(slope[smooth], measured[smooth], rtol=2e-3, atol=1e-6)


def test_compression_is_near_the_root_and_not_steep_at_zero() -> None:
    x = torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64, requires_grad=True)
    made = compress_range(x)
    assert made[1:].tolist() == pytest.approx(x[1:].sqrt().tolist(), rel=0.02)
    (slope,) = torch.autograd.grad(made.sum(), x)
    assert float(slope[0]) == pytest.approx(10)
    assert (slope <= 10 + 1e-9).all()


@pytest.mark.parametrize("curve", TONE_CURVES)
def test_rendering_has_finite_gradients(curve: str) -> None:
    linear = torch.tensor([-1.0, -0.01, 0.0, 1e-9, 0.01, 0.5, 0.999, 1.0, 1.5])
    image = linear.expand(3, 1, 9).clone().requires_grad_()
    render(image, torch.eye(3), curve).sum().backward()
    assert image.grad is not None
    assert image.grad.isfinite().all()
    assert (image.grad[:, 0, 4:7] > 0).all()


# --- matrices --------------------------------------------------------------------------------


def test_apply_matrix_worked_by_hand() -> None:
    matrix = torch.tensor([[1.0, 2, 3], [0, 1, 0], [0, 0, -1]])
    image = torch.tensor([1.0, 10, 100]).view(3, 1, 1).expand(3, 2, 2)
    expected = torch.tensor([321.0, 10, -100]).view(3, 1, 1).expand(3, 2, 2)
    assert torch.equal(apply_matrix(image, matrix), expected)
    batch = apply_matrix(torch.stack([image, image]), torch.stack([matrix, torch.eye(3)]))
    assert torch.equal(batch, torch.stack([expected, image]))
    assert torch.equal(
        apply_matrix(torch.stack([image, image]), matrix), torch.stack([expected, expected])
    )


@pytest.mark.parametrize("index", range(len(XYZ_TO_CAMERA)))
def test_neutral_stays_neutral_through_a_camera(index: int) -> None:
    forward, backward = camera_matrices(XYZ_TO_CAMERA[index])
    for matrix in (forward, backward):
        assert torch.allclose(matrix.sum(-1), torch.ones(3), atol=1e-5)
    grey = torch.linspace(0, 1, 5).expand(3, 1, 5)
    assert torch.allclose(apply_matrix(grey, forward), grey, atol=1e-5)
    assert torch.allclose(apply_matrix(grey, backward), grey, atol=1e-5)
    colours = random(3, 4, 5)
    there = apply_matrix(colours, forward)
    assert not torch.allclose(there, colours, atol=0.05)
    assert torch.allclose(apply_matrix(there, backward), colours, atol=1e-5)


def test_camera_matrices_of_a_batch_are_each_picture_s_own() -> None:
    forward, backward = camera_matrices(XYZ_TO_CAMERA)
    assert forward.shape == backward.shape == (4, 3, 3)
    for index, matrix in enumerate(XYZ_TO_CAMERA):
        alone = camera_matrices(matrix)
        assert torch.allclose(forward[index], alone[0], atol=1e-6)
        assert torch.allclose(backward[index], alone[1], atol=1e-4)


def test_the_scale_of_a_matrix_and_of_its_rows_means_nothing() -> None:
    """It is the white balance's business."""
    rows = torch.tensor([[2.0], [0.5], [3.0]])
    for one, other in zip(
        camera_matrices(XYZ_TO_CAMERA[0]), camera_matrices(rows * XYZ_TO_CAMERA[0]), strict=True
    ):
        assert torch.allclose(one, other, atol=1e-5)


# --- rendering -------------------------------------------------------------------------------


@pytest.mark.parametrize("curve", TONE_CURVES)
@pytest.mark.parametrize("planes", [1, 3])
@pytest.mark.parametrize("lead", [(), (2,)])
def test_what_is_shown_lies_between_black_and_white(
    curve: str, planes: int, lead: tuple[int, ...]
) -> None:
    _, matrix = camera_matrices(XYZ_TO_CAMERA[1])
    image = 6 * random(*lead, planes, 5, 4) - 3
    image[..., 0, :2] = torch.tensor([1e9, -1e9])
    shown = render(image, matrix, curve)
    assert shown.shape == image.shape
    assert shown.min() >= 0
    assert shown.max() <= 1
    assert shown.std() > 0.1
    grey = render(image, matrix, curve, grey=True)
    assert grey.shape == (*lead, 1, 5, 4)
    assert grey.min() >= 0
    assert grey.max() <= 1


@pytest.mark.parametrize("curve", TONE_CURVES)
def test_a_neutral_picture_looks_alike_in_colour_and_grey(curve: str) -> None:
    _, matrix = camera_matrices(XYZ_TO_CAMERA)
    plane = random(4, 1, 5, 4)
    colour = render(plane.expand(4, 3, 5, 4), matrix, curve)
    expected = TONE_CURVES[curve][0](plane)
    assert torch.allclose(colour, expected.expand_as(colour), atol=1e-4)
    assert torch.allclose(render(plane, matrix, curve), expected)
    assert torch.allclose(
        render(plane.expand(4, 3, 5, 4), matrix, curve, grey=True), expected, atol=1e-4
    )


def test_grey_is_the_luminance_of_the_screen_s_colours() -> None:
    """Not of the camera's, and before the curve."""
    _, matrix = camera_matrices(XYZ_TO_CAMERA[2])
    image = 0.4 + 0.2 * random(3, 5, 4)
    linear = apply_matrix(image, matrix)
    assert 0 < linear.min() < linear.max() < 1
    expected = linear_to_srgb((linear * LUMINANCE.view(3, 1, 1)).sum(0, keepdim=True))
    assert torch.allclose(render(image, matrix, "srgb", grey=True), expected, atol=1e-6)
    assert torch.allclose(srgb_to_linear(expected), luminance(linear), atol=1e-6)


def test_white_is_white_for_every_camera() -> None:
    _, matrix = camera_matrices(XYZ_TO_CAMERA)
    for level in (1.0, 1.7):
        shown = render(torch.full((4, 3, 2, 2), level), matrix, "camera")
        assert (shown * 255).round().eq(255).all()


def test_what_is_brighter_than_white_has_no_colour() -> None:
    """Planes that end at different lights would tint what is burnt out."""
    _, matrix = camera_matrices(XYZ_TO_CAMERA)
    image = torch.tensor([2.1, 1.0, 1.6]).view(1, 3, 1, 1).expand(4, 3, 2, 2)
    assert (render(image, matrix, "camera") * 255).round().eq(255).all()


def test_luminance_weights_add_up() -> None:
    assert float(LUMINANCE.sum()) == pytest.approx(1)
    assert torch.allclose(luminance(torch.full((2, 3, 4, 5), 0.7)), torch.full((2, 1, 4, 5), 0.7))


# --- noise -----------------------------------------------------------------------------------


def texture(side: int) -> Tensor:
    """What photographs are made of: shading, edges, and stripes of many pixels."""
    y, x = torch.meshgrid(*2 * [torch.arange(side) / side], indexing="ij")
    planes = [
        0.3 + 0.4 * x * y,
        (x + 0.7 * y > 0.8).float(),
        0.5 + 0.4 * torch.sin(20 * x),
        (((x - 0.5) ** 2 + (y - 0.4) ** 2) < 0.1).float() * 0.6,
    ]
    return torch.stack(planes)[None]


@pytest.mark.parametrize("deviation", [0.003, 0.05, 2.0])
@pytest.mark.parametrize("kind", ["flat", "textured"])
def test_gaussian_noise_is_measured(deviation: float, kind: str) -> None:
    clean = torch.full((1, 4, 128, 128), 0.4) if kind == "flat" else texture(128)
    found = float(estimate_noise(clean + deviation * gaussian(*clean.shape))[0])
    assert found == pytest.approx(deviation, rel=0.03 if kind == "flat" else 0.1)


def test_a_clean_picture_has_next_to_no_noise() -> None:
    assert float(estimate_noise(texture(128))[0]) < 1e-3
    assert float(estimate_noise(torch.full((1, 3, 7, 9), 0.3))[0]) < 1e-6


def test_noise_of_each_picture_apart() -> None:
    deviations = torch.tensor([0.01, 0.1, 0.0, 1.0])
    noisy = 0.5 + deviations.view(4, 1, 1, 1) * gaussian(4, 3, 90, 80)
    assert torch.allclose(estimate_noise(noisy), deviations, rtol=0.05, atol=1e-6)
    for index in range(4):
        alone = estimate_noise(noisy[index : index + 1])
        assert torch.equal(alone, estimate_noise(noisy)[index : index + 1])


def test_a_few_outliers_do_not_count() -> None:
    noisy = 0.1 * gaussian(1, 4, 64, 64)
    before = float(estimate_noise(noisy)[0])
    noisy[:, :, ::16, ::16] = 100
    assert float(estimate_noise(noisy)[0]) == pytest.approx(before, rel=0.05)


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (2, 2), (3, 5), (17, 2)])
def test_noise_of_tiny_pictures(size: tuple[int, int]) -> None:
    found = estimate_noise(gaussian(2, 3, *size))
    assert found.shape == (2,)
    assert found.isfinite().all()
    assert (found > 0).all() if min(size) > 1 else (found == 0).all()


def test_odd_sides_leave_out_the_last_row_and_column() -> None:
    noisy = gaussian(1, 3, 33, 21)
    assert torch.equal(estimate_noise(noisy), estimate_noise(noisy[..., :32, :20]))


@pytest.mark.parametrize("deviation", [0.003, 0.05, 0.5])
def test_the_noise_planes_tell_the_deviation(deviation: float) -> None:
    """Of compressed values."""
    light = compress_range(torch.tensor(0.2))
    noisy = expand_range(light + deviation * gaussian(1, 4, 512, 514))
    told = noise_planes(noisy, 2)
    assert told.shape == (1, 2, 512, 514)
    assert torch.equal(told, told[..., :1, :1].expand_as(told))
    for plane in told[0, :, 0, 0].tolist():
        assert plane * 2 == pytest.approx(math.log1p(200 * deviation), rel=0.03)
    assert torch.allclose(noise_of_plane(told), torch.tensor(deviation), rtol=0.05)


def test_the_second_noise_plane_takes_no_texture_for_noise() -> None:
    noisy = 0.4 + 0.01 * gaussian(1, 3, 128, 128)
    noisy[..., 32:] += 0.1 * gaussian(1, 3, 128, 96, seed=1)
    lower, smooth = noise_of_plane(noise_planes(noisy, 2))[0, :, 0, 0].tolist()
    in_compressed = float(noise_of_plane(noise_planes(noisy[..., :32], 1))[0, 0, 0, 0])
    assert smooth == pytest.approx(in_compressed, rel=0.1)
    assert lower > 4 * in_compressed


def test_the_noise_plane_of_few_levels_is_not_clean() -> None:
    """Where most details are zero, their median says that there is no noise."""
    few = (torch.rand(1, 4, 64, 64, generator=torch.Generator().manual_seed(0)) < 0.1).float()
    assert float(estimate_noise(few)[0]) == 0
    assert float(noise_planes(few, 1)[0, 0, 0, 0]) > 1
    assert float(noise_planes(torch.full((1, 4, 9, 1), 0.3), 2).max()) == 0
    assert noise_planes(few, 0).shape == (1, 0, 64, 64)
