"""Small pictures: what an autoencoder is given, and grids."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from small_pictures import SIDE, noise

from enhance_cli.architectures.spec import Contract
from enhance_cli.io.image import Picture, read_image, write_image
from enhance_cli.resize import imresize
from enhance_cli.tasks.sample_pictures import (
    PictureGrid,
    compose_grid,
    pair_rows,
    read_square,
    square_columns,
)

Run = Callable[..., object]


def test_columns_of_a_square():
    for count in range(1, 101):
        columns = square_columns(count)
        assert columns == int(np.ceil(np.sqrt(count)))
        assert 0 <= columns - int(np.ceil(count / columns)) <= 1


def test_grid_shape_is_that_of_the_grid():
    for count in (1, 4, 7):
        for columns in (1, 3, 8):
            picture = np.zeros((5, 5, 1), np.uint8)
            grid = compose_grid([picture] * count, columns)
            shape = PictureGrid(count, columns, 5)
            assert grid.shape == (shape.height, shape.width, 1)
            assert (grid == 0).sum() == count * 25


def test_pairs_are_filled_up():
    above, below = ([np.full((1, 1, 1), base + i, np.uint8) for i in range(3)] for base in (0, 10))
    places = pair_rows(above, below, 2)
    assert [None if p is None else int(p[0, 0, 0]) for p in places] == [
        0,
        1,
        10,
        11,
        2,
        None,
        12,
        None,
    ]


def contract(side: int, channels: int) -> Contract:
    return Contract(scale=1, channels_in=channels, channels_out=channels, patch_size=side)


def test_a_picture_of_the_right_size_is_not_changed(tmp_path: Path):
    path = noise(tmp_path / "a.png")
    values, notices = read_square(path, contract(SIDE, 3))
    assert notices == []
    assert torch.equal(values, torch.from_numpy(read_image(path).pixels).permute(2, 0, 1) / 255)


@pytest.mark.parametrize(("height", "width"), [(49, 49), (31, 77), (200, 15), (7, 9), (1, 1)])
def test_other_sizes_are_cut_to_the_middle_and_resized(height: int, width: int, tmp_path: Path):
    path = noise(tmp_path / "a.png", height, width)
    values, _ = read_square(path, contract(SIDE, 3))
    shorter = min(height, width)
    top, left = (height - shorter) // 2, (width - shorter) // 2
    pixels = read_image(path).pixels[top : top + shorter, left : left + shorter]
    expected = imresize(torch.from_numpy(pixels).permute(2, 0, 1).double() / 255, SIDE / shorter)
    assert values.shape == (3, SIDE, SIDE)
    assert torch.allclose(values.double(), expected.clamp(0, 1)[:, :SIDE, :SIDE], atol=1e-5)


def test_every_side_is_met(tmp_path: Path):
    # side / length * length is not always side in floating point.
    for length in [*range(1, 60), 98, 113, 196, 395]:
        write_image(tmp_path / "a.bmp", Picture(np.zeros((length, length, 1), np.uint8)))
        assert read_square(tmp_path / "a.bmp", contract(28, 1))[0].shape == (1, 28, 28)


def test_sixteen_bits_keep_their_precision(tmp_path: Path):
    path = noise(tmp_path / "a.png", dtype=np.uint16)
    values, _ = read_square(path, contract(SIDE, 3))
    assert np.allclose(values.permute(1, 2, 0), read_image(path).pixels / 65535, atol=1e-6)


def test_colours_become_luma_and_grey_is_repeated(tmp_path: Path):
    colour, grey = noise(tmp_path / "colour.png"), noise(tmp_path / "grey.png", channels=1)
    values, notices = read_square(colour, contract(SIDE, 1))
    luma = read_image(colour).pixels @ np.array([0.299, 0.587, 0.114]) / 255
    assert np.allclose(values[0], luma, atol=1e-4)
    assert notices == ["colours turned to grey"]
    values, notices = read_square(grey, contract(SIDE, 3))
    assert torch.equal(values[0], values[2])
    assert np.allclose(values[1], read_image(grey).pixels[..., 0] / 255)
    assert notices == ["grey taken as colour"]


def test_what_is_transparent_lies_on_white(tmp_path: Path):
    alpha = np.full((SIDE, SIDE), 255, np.uint8)
    alpha[:, :8], alpha[:, 8] = 0, 51
    path = noise(tmp_path / "a.png", alpha=alpha)
    values, notices = read_square(path, contract(SIDE, 3))
    pixels = torch.from_numpy(read_image(path).pixels).permute(2, 0, 1) / 255
    assert notices == ["transparency placed on white"]
    assert (values[:, :, :8] == 1).all()
    assert torch.allclose(values[:, :, 8], 0.2 * pixels[:, :, 8] + 0.8)
    assert torch.equal(values[:, :, 9:], pixels[:, :, 9:])
    assert (
        read_square(noise(tmp_path / "b.png", alpha=np.full_like(alpha, 255)), contract(SIDE, 3))[1]
        == []
    )
