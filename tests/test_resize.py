"""``imresize`` against MATLAB's own output, and the laws of a linear interpolation."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from enhance_cli import resize
from enhance_cli.io.image import read_rgb8
from enhance_cli.resize import imresize

SCALES = [0.25, 1 / 3, 0.7, 1.0, 1.5, 4.0]


def read(path: Path) -> Tensor:
    return torch.tensor(read_rgb8(path)).permute(2, 0, 1)


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator, dtype=torch.float64).to(dtype)


def noise8(*shape: int) -> Tensor:
    return (noise(*shape) * 256).to(torch.uint8)


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize(("dataset", "count"), [("Set5", 5), ("Set14", 14)])
def test_benchmark_lr_files_come_out_bit_for_bit(
    shared_data: Path, dataset: str, count: int, scale: int
) -> None:
    pairs = sorted((shared_data / "benchmarks" / dataset / f"x{scale}").glob("img_*_HR.png"))
    assert len(pairs) == count
    for path in pairs:
        frame_lr = read(path.with_name(path.name.replace("_HR", "_LR")))
        made = imresize(read(path), 1 / scale)
        assert made.dtype == torch.uint8
        assert torch.equal(made, frame_lr), path


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("dataset", ["Set5", "Set14"])
def test_float_result_is_within_a_grey_level_of_matlab(
    shared_data: Path, dataset: str, scale: int
) -> None:
    """MATLAB saturates between the axes, so pixels by a clipped one are left out (ppt3's text)."""
    for path in sorted((shared_data / "benchmarks" / dataset / f"x{scale}").glob("img_*_HR.png")):
        frame_lr = read(path.with_name(path.name.replace("_HR", "_LR"))).float()
        image = read(path).float() / 255
        made = imresize(image, 1 / scale).mul(255).round().clamp(0, 255)
        between = resize._resize_axis(image, 1, 1 / scale)
        clipped = ((between < 0) | (between > 1)).any(2, keepdim=True)
        error = (made - frame_lr).abs()[(~clipped).expand_as(made)]
        if len(error):
            assert (error <= 1).double().mean() >= 0.999, path
            assert error.max() <= 2, path


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("size", [(1, 1), (13, 8)])
def test_constant_stays_constant(size: tuple[int, int], scale: float) -> None:
    image = torch.full((3, *size), 0.37, dtype=torch.float64)
    assert torch.allclose(imresize(image, scale), torch.tensor(0.37).double(), rtol=0, atol=1e-7)
    for value in (0, 1, 127, 255):
        made = imresize(torch.full((3, *size), value, dtype=torch.uint8), scale)
        assert made.unique().tolist() == [value]


@pytest.mark.parametrize("scale", [0.25, 3.0])
def test_linear_ramp_goes_through_the_half_pixel_map(scale: float) -> None:
    """Cubic convolution reproduces a straight line, away from the repeated border."""
    rows, columns = torch.arange(24.0).double(), torch.arange(32.0).double()
    made = imresize(2 * rows[:, None] - 3 * columns[None, :], scale)
    row, column = (
        (torch.arange(int(length * scale)).double() + 0.5) / scale - 0.5 for length in (24, 32)
    )
    expected = 2 * row[:, None] - 3 * column[None, :]
    margin = math.ceil(2 * max(scale, 1))
    inner = slice(margin, -margin)
    assert made[inner, inner].numel() >= 8
    assert torch.allclose(made[inner, inner], expected[inner, inner], rtol=0, atol=1e-10)


def test_weights_worked_by_hand() -> None:
    """An impulse enlarged twice: taps at distances 1/4, 3/4, 5/4 and 7/4 of Keys' kernel."""
    impulse = torch.zeros(1, 9, 9, dtype=torch.float64)
    impulse[0, :, 4] = 1
    near = [1.5 * t**3 - 2.5 * t**2 + 1 for t in (0.25, 0.75)]
    far = [-0.5 * t**3 + 2.5 * t**2 - 4 * t + 2 for t in (1.25, 1.75)]
    expected = torch.tensor([*far[::-1], *near[::-1], *near, *far], dtype=torch.float64)
    made = imresize(impulse, 2)
    assert torch.allclose(made[0, 5, 5:13], expected, rtol=0, atol=1e-12)
    assert made[0, 5, :5].abs().max() == 0
    assert made[0, 5, 13:].abs().max() == 0


def test_halving_stretches_the_kernel() -> None:
    """Antialiasing: taps at +-1/2, 3/2, 5/2, 7/2 input pixels weigh like 1/4, 3/4, 5/4, 7/4."""
    near = [1.5 * t**3 - 2.5 * t**2 + 1 for t in (0.25, 0.75)]
    far = [-0.5 * t**3 + 2.5 * t**2 - 4 * t + 2 for t in (1.25, 1.75)]
    kernel = torch.tensor([*far[::-1], *near[::-1], *near, *far], dtype=torch.float64) / 2
    line = noise(1, 1, 16)
    expected = (line[0, 0, 3:11] * kernel).sum()  # output 3 is centred between inputs 6 and 7
    assert imresize(line, 0.5)[0, 0, 3] == pytest.approx(float(expected), abs=1e-12)


def test_border_is_repeated_not_mirrored() -> None:
    image = noise(1, 6, 6)
    padded = torch.nn.functional.pad(image[None], (4, 4, 4, 4), mode="replicate")[0]
    assert torch.allclose(imresize(image, 2), imresize(padded, 2)[:, 8:-8, 8:-8], atol=1e-12)
    padded = torch.nn.functional.pad(image[None], (8, 8, 8, 8), mode="replicate")[0]
    assert torch.allclose(imresize(image, 0.5), imresize(padded, 0.5)[:, 4:-4, 4:-4], atol=1e-12)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("size", [(1, 17), (11, 4)])
def test_output_size_is_rounded_up(size: tuple[int, int], scale: float) -> None:
    expected = (3, math.ceil(size[0] * scale), math.ceil(size[1] * scale))
    assert imresize(noise(3, *size), scale).shape == expected
    assert imresize(noise8(3, *size), scale).shape == expected


def test_single_pixel_fills_the_output() -> None:
    pixel = torch.tensor([0.1, 0.5, 0.9]).view(3, 1, 1)
    made = imresize(pixel, 4)
    assert torch.allclose(made, pixel.expand(3, 4, 4), rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_float_dtype_is_kept(dtype: torch.dtype) -> None:
    image = noise(3, 9, 7)
    made = imresize(image.to(dtype), 2)
    assert made.dtype == dtype
    worst = 8 * torch.finfo(dtype).eps
    assert (made.double() - imresize(image, 2)).abs().max() < worst


def test_float_is_not_clamped_and_uint8_saturates() -> None:
    edge = torch.zeros(1, 8, 8)
    edge[..., 4:] = 1
    made = imresize(edge, 2)
    assert made.max() > 1.01
    assert made.min() < -0.01
    made8 = imresize((edge * 255).to(torch.uint8), 2)
    assert torch.equal(made8.float(), made.mul(255).round().clamp(0, 255))


def test_uint8_is_rounded_half_up_after_each_axis() -> None:
    """2x2 to 1x1 averages: (0 + 1) / 2 becomes 1 in the rows already, and stays 1."""
    image = torch.tensor([[[0, 0], [1, 1]]], dtype=torch.uint8)
    assert imresize(image, 0.5).item() == 1
    image = torch.tensor([[[0, 0], [1, 0]]], dtype=torch.uint8)  # 0.25 without rounding between
    assert imresize(image, 0.5).item() == 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.uint8])
def test_scale_one_is_the_identity(dtype: torch.dtype) -> None:
    image = noise8(3, 11, 6) if dtype == torch.uint8 else noise(3, 11, 6, dtype=dtype)
    before = image.clone()
    made = imresize(image, 1)
    assert torch.equal(made, image)
    made.zero_()
    assert torch.equal(image, before), "the result shares memory with its input"


@pytest.mark.parametrize("scale", [0.25, 2.0])
def test_flipped_and_transposed_input_gives_flipped_and_transposed_output(scale: float) -> None:
    """For sizes that divide evenly; a rounded-up size is anchored at the top left."""
    image = noise(3, 20, 12)
    made = imresize(image, scale)
    for axis in (1, 2):
        assert torch.allclose(imresize(image.flip(axis), scale), made.flip(axis), atol=1e-12)
    assert torch.allclose(imresize(image.mT, scale), made.mT, atol=1e-12)


def test_linear_in_its_input() -> None:
    first, second = noise(3, 9, 10, seed=1), noise(3, 9, 10, seed=2)
    mixed = imresize(2 * first - 0.3 * second, 3)
    assert torch.allclose(mixed, 2 * imresize(first, 3) - 0.3 * imresize(second, 3), atol=1e-12)


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_leading_axes_are_a_batch(scale: float) -> None:
    images = noise(2, 4, 3, 8, 6)
    made = imresize(images, scale)
    assert made.shape[:3] == (2, 4, 3)
    for i in range(2):
        for j in range(4):
            assert torch.equal(made[i, j], imresize(images[i, j], scale))
    assert torch.equal(imresize(images[0, 0, 0], scale), made[0, 0, 0])


def test_strided_input_and_no_write_to_it() -> None:
    image = noise(2, 3, 8, 10).to(memory_format=torch.channels_last)
    before = image.clone()
    assert torch.equal(imresize(image, 2), imresize(image.contiguous(), 2))
    assert torch.equal(imresize(image[..., ::2], 2), imresize(image[..., ::2].contiguous(), 2))
    assert torch.equal(image, before)


def test_gradient_is_the_transpose() -> None:
    image = noise(1, 4, 5).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: imresize(x, 2), image)
    assert torch.autograd.gradcheck(lambda x: imresize(x, 0.5), image)


def test_use_in_inference_mode_leaves_later_training_alone() -> None:
    """The cache of taps must not keep tensors that autograd refuses."""
    resize.contributions.cache_clear()
    with torch.inference_mode():
        imresize(torch.rand(1, 6, 6), 2)
    image = torch.rand(1, 6, 6, requires_grad=True)
    imresize(image, 2).sum().backward()
    assert image.grad is not None
    assert torch.allclose(image.grad.sum(), torch.tensor(144.0), rtol=1e-4)


@pytest.mark.parametrize("scale", [0, -1, -0.5])
def test_scale_must_be_positive(scale: float) -> None:
    with pytest.raises(ValueError, match="scale"):
        imresize(torch.rand(3, 4, 4), scale)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int16, torch.bool])
def test_other_types_are_refused(dtype: torch.dtype) -> None:
    with pytest.raises(ValueError, match=str(dtype)):
        imresize(torch.ones(3, 4, 4, dtype=dtype), 2)


@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize("shape", [(3, 17, 12), (2, 3, 1, 5)])
def test_whole_cells_give_the_same_bits(
    scale: int, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
):
    image = torch.rand(shape)
    by_cells = imresize(image, scale)
    monkeypatch.setattr(resize, "_CELLS", ())
    assert imresize(image, scale).equal(by_cells)
