"""Levels and values, pixels and planes."""

import numpy as np
import pytest
import torch

from enhance_cli.levels import quantise, to_levels, to_pixels, to_planes, to_values

TYPES = {np.uint8: torch.uint8, np.uint16: torch.uint16}


@pytest.mark.parametrize("dtype", TYPES)
def test_every_level_comes_back(dtype: type):
    levels = np.arange(np.iinfo(dtype).max + 1, dtype=dtype).reshape(16, -1, 1)
    values = to_values(to_planes(levels))
    assert values.min() == 0
    assert values.max() == 1
    assert torch.equal(values, to_values(to_planes(levels), torch.float64).float())
    back = to_pixels(values, TYPES[dtype])
    assert back.dtype == dtype
    np.testing.assert_array_equal(back, levels)


def test_values_are_clamped_and_rounded_halves_to_even():
    values = torch.tensor([-0.5, 0.0, 0.1 / 255, 0.6 / 255, 1.0, 1.7])
    assert to_levels(values).tolist() == [0, 0, 0, 1, 255, 255]
    assert to_levels(values, torch.uint16).tolist() == [0, 0, 26, 154, 65535, 65535]
    assert to_levels(torch.tensor([0.5, 1.5, 2.5], dtype=torch.float64) / 255).tolist() == [0, 2, 2]
    assert torch.equal(quantise(values), to_values(to_levels(values)))
    assert values[0] == -0.5, "the argument is left alone"
    assert to_values(values) is values


def test_pixels_and_planes_are_each_other_s_transpose():
    pixels = np.random.default_rng(0).integers(0, 65536, (150, 7, 3)).astype(np.uint16)
    planes = to_planes(pixels)
    assert planes.shape == (3, 150, 7)
    assert planes[2, 100, 4] == pixels[100, 4, 2]
    back = to_pixels(planes, torch.uint16)
    assert back.flags.c_contiguous
    np.testing.assert_array_equal(back, pixels)
    pixels.flags.writeable = False
    assert torch.equal(to_planes(pixels), planes)
