"""Demosaicing: published coefficients, and what the fixed operations leave exact."""

import pytest
import torch
from torch import Tensor

from enhance_cli.demosaicing import (
    demosaic_adaptive,
    demosaic_directional,
    demosaic_gradient_corrected,
)

PATTERNS = ("RGGB", "BGGR", "GRBG", "GBRG")

# Malvar, He, Cutler (ICASSP 2004), figure 2, in eighths: the quarter of each symmetric filter from
# its centre to the right and down, [row][column].
GREEN_AT_RED = ((4, 2, -1), (2, 0, 0), (-1, 0, 0))
RED_AT_GREEN_IN_RED_ROW = ((5, 4, -1), (0, -1, 0), (0.5, 0, 0))
RED_AT_GREEN_IN_BLUE_ROW = ((5, 0, 0.5), (4, -1, 0), (-1, 0, 0))
RED_AT_BLUE = ((6, 0, -1.5), (0, 2, 0), (-1.5, 0, 0))


def whole(quarter: tuple[tuple[float, ...], ...]) -> Tensor:
    corner = torch.tensor(quarter) / 8
    half = torch.cat([corner.flip(1)[:, :2], corner], 1)
    return torch.cat([half.flip(0)[:2], half])


def as_pictures(mosaic: Tensor, pattern: str) -> list[Tensor]:
    """Every demosaicing of a mosaic (H, W) as (3, H, W)."""
    given = mosaic[None, None]
    made = [
        demosaic_gradient_corrected(given, pattern),
        *demosaic_directional(given, pattern),
        demosaic_adaptive(given, pattern),
    ]
    return [picture[0] for picture in made]


def sample(picture: Tensor, pattern: str) -> Tensor:
    """What a sensor with a colour filter array measures of (3, H, W)."""
    mosaic = torch.empty(picture.shape[1:])
    for site, colour in enumerate(pattern):
        rows, columns = slice(site // 2, None, 2), slice(site % 2, None, 2)
        mosaic[rows, columns] = picture["RGB".index(colour), rows, columns]
    return mosaic


@pytest.mark.parametrize(
    ("colour", "row", "column", "quarter"),
    [
        ("G", 6, 6, GREEN_AT_RED),
        ("G", 7, 7, GREEN_AT_RED),
        ("R", 6, 7, RED_AT_GREEN_IN_RED_ROW),
        ("R", 7, 6, RED_AT_GREEN_IN_BLUE_ROW),
        ("B", 7, 6, RED_AT_GREEN_IN_RED_ROW),
        ("B", 6, 7, RED_AT_GREEN_IN_BLUE_ROW),
        ("R", 7, 7, RED_AT_BLUE),
        ("B", 6, 6, RED_AT_BLUE),
    ],
)
def test_coefficients_are_those_published(
    colour: str, row: int, column: int, quarter: tuple[tuple[float, ...], ...]
) -> None:
    found = torch.zeros(5, 5)
    for down in range(5):
        for right in range(5):
            mosaic = torch.zeros(14, 14)
            mosaic[row + down - 2, column + right - 2] = 1
            picture = as_pictures(mosaic, "RGGB")[0]
            found[down, right] = picture["RGB".index(colour), row, column]
    assert torch.equal(found, whole(quarter))


@pytest.mark.parametrize("pattern", PATTERNS)
def test_constant_and_linear_colours_are_exact(pattern: str) -> None:
    down, right = torch.meshgrid(torch.arange(12.0), torch.arange(16.0), indexing="ij")
    slopes = torch.tensor([[0.1, 0.2, 1.0], [0.3, -0.1, -2.0], [-0.2, 0.0, 3.0]])
    picture = torch.stack([a * down + b * right + c for a, b, c in slopes])
    for made in as_pictures(sample(picture, pattern), pattern):
        inner = (slice(None), slice(3, -3), slice(3, -3))
        assert torch.allclose(made[inner], picture[inner], rtol=0, atol=1e-5)
    flat = slopes[:, 2].view(3, 1, 1).expand(3, 12, 16)
    for made in as_pictures(sample(flat, pattern), pattern):  # to the very border
        assert torch.allclose(made, flat, rtol=0, atol=1e-5)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_what_was_measured_is_kept(pattern: str) -> None:
    picture = torch.rand(3, 8, 10, generator=torch.Generator().manual_seed(1))
    mosaic = sample(picture, pattern)
    for made in as_pictures(mosaic, pattern):
        assert torch.allclose(sample(made, pattern), mosaic, rtol=0, atol=1e-6)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_grey_edge_is_exact_along_its_direction(pattern: str) -> None:
    """And only there, so that the adaptive picture must have chosen rightly."""
    stripes = torch.rand(1, 1, 16, generator=torch.Generator().manual_seed(2)).expand(3, 12, 16)
    inner = (slice(None), slice(3, -3), slice(3, -3))
    for picture in (stripes, stripes[:, :, :12].transpose(1, 2)):
        _, rows, columns, adaptive = as_pictures(sample(picture, pattern), pattern)
        good, bad = (columns, rows) if picture is stripes else (rows, columns)
        assert torch.allclose(good[inner], picture[inner], rtol=0, atol=1e-6)
        assert (bad[inner] - picture[inner]).abs().max() > 0.05
        assert torch.allclose(adaptive[inner], picture[inner], rtol=0, atol=1e-3)
