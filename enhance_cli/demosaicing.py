"""Linear demosaicing: full colour from a Bayer mosaic by fixed filters.

Gradient-corrected: Malvar, He, Cutler, High-quality linear interpolation for demosaicing of
Bayer-patterned color images, ICASSP 2004. A missing colour is the bilinear mean of its neighbours,
corrected by the Laplacian of the colour that was measured at the pixel, since edges lie at the same
place in all colours. Figure 2 of the paper gives the coefficients. They add up to 1 and are
symmetric, so that constant and linearly rising colours come out exactly.

Directional: green by the filter of Hamilton and Adams (US patent 5,629,734), along rows or along
columns only, then red and blue as differences to it. Along an edge one of the two is much sharper
than any filter that looks both ways; adaptive methods (Hirakawa, Parks: Adaptive
homogeneity-directed demosaicing algorithm, IEEE Transactions on Image Processing 2005) choose
between them at each pixel.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

# Colour of the pixels (0,0), (0,1), (1,0), (1,1) of each 2x2 cell.
PATTERNS = ("RGGB", "BGGR", "GRBG", "GBRG")

_MEASURED = ((0, 0, 0, 0, 0), (0, 0, 0, 0, 0), (0, 0, 8, 0, 0), (0, 0, 0, 0, 0), (0, 0, 0, 0, 0))
_GREEN_AT_RED_OR_BLUE = (
    (0, 0, -1, 0, 0),
    (0, 0, 2, 0, 0),
    (-1, 2, 4, 2, -1),
    (0, 0, 2, 0, 0),
    (0, 0, -1, 0, 0),
)
# Red or blue at a green pixel whose left and right neighbours have that colour.
_ALONG_ROW = (
    (0, 0, 0.5, 0, 0),
    (0, -1, 0, -1, 0),
    (-1, 4, 5, 4, -1),
    (0, -1, 0, -1, 0),
    (0, 0, 0.5, 0, 0),
)
_ALONG_COLUMN = tuple(zip(*_ALONG_ROW, strict=True))
_RED_AT_BLUE = (  # and blue at red
    (0, 0, -1.5, 0, 0),
    (0, 2, 0, 2, 0),
    (-1.5, 0, 6, 0, -1.5),
    (0, 2, 0, 2, 0),
    (0, 0, -1.5, 0, 0),
)


def _filters(pattern: str, row: int, column: int) -> Tensor:
    """The filters (3, 1, 5, 5) that give R, G and B at one pixel of the 2x2 cell."""
    at = [pattern[:2], pattern[2:]]
    here, beside = at[row][column], at[row][1 - column]
    chosen: list[Sequence[Sequence[float]]] = []
    for colour in "RGB":
        if colour == here:
            chosen.append(_MEASURED)
        elif colour == "G":
            chosen.append(_GREEN_AT_RED_OR_BLUE)
        elif here != "G":
            chosen.append(_RED_AT_BLUE)
        else:
            chosen.append(_ALONG_ROW if colour == beside else _ALONG_COLUMN)
    return torch.tensor(chosen)[:, None] / 8


def demosaic_gradient_corrected(mosaic: Tensor, pattern: str = "RGGB") -> Tensor:
    """Full colour from a Bayer mosaic.

    Args:
        mosaic: (N, 1, 2h, 2w) linear samples, at least 4x4 of them.
        pattern: one of ``PATTERNS``.

    Returns:
        (N, 12, h, w) in the order that ``pixel_shuffle(..., 2)`` turns into (N, 3, 2h, 2w) R, G, B:
        by colour, then the pixels (0,0), (0,1), (1,0), (1,1) of each 2x2 cell. At sharp edges
        values can lie outside of the range of the samples.
    """
    height, width = mosaic.shape[-2:]
    # A mirror at the border pixel keeps the colours of the pattern in their places.
    padded = functional.pad(mosaic, (2, 2, 2, 2), mode="reflect")
    cells = [
        functional.conv2d(
            padded[..., row : height + row + 3, column : width + column + 3],
            _filters(pattern, row, column).to(mosaic),
            stride=2,
        )
        for row in (0, 1)
        for column in (0, 1)
    ]
    return torch.stack(cells, 2).flatten(1, 2)


def demosaic_directional(mosaic: Tensor, pattern: str = "RGGB") -> tuple[Tensor, Tensor]:
    """Full colour from a Bayer mosaic twice: green interpolated along rows, and along columns.

    Args:
        mosaic: (N, 1, 2h, 2w) linear samples, at least 4x4 of them.
        pattern: one of ``PATTERNS``.

    Returns:
        Two pictures in the shape and order of ``demosaic_gradient_corrected``.
    """
    padded = functional.pad(mosaic, (3, 3, 3, 3), mode="reflect")
    line = mosaic.new_tensor([[0, 0, 0, 0, 0], [0] * 5, [-1, 2, 2, 2, -1], [0] * 5, [0] * 5]) / 4
    greens = functional.conv2d(padded, torch.stack([line, line.T])[:, None])
    inner = padded[..., 2:-2, 2:-2]  # one pixel more than the picture on each side
    at = {colour: _sites(pattern, colour, inner) for colour in "RGB"}
    greens = torch.where(at["G"], inner, greens)
    square = mosaic.new_tensor([[1, 2, 1], [2, 4, 2], [1, 2, 1]])[None, None] / 4
    pictures = []
    for green in greens.tensor_split(2, 1):
        difference = inner - green
        red, blue = (functional.conv2d(difference * at[colour], square) for colour in "RB")
        green = green[..., 1:-1, 1:-1]
        pictures.append(torch.cat([green + red, green, green + blue], 1))
    rows, columns = (functional.pixel_unshuffle(picture, 2) for picture in pictures)
    return rows, columns


def _sites(pattern: str, colour: str, inner: Tensor) -> Tensor:
    """Where a colour was measured, (H, W) bool, in a mosaic that begins with the last pixel of a
    cell."""
    height, width = inner.shape[-2:]
    cell = torch.tensor([site == colour for site in reversed(pattern)], device=inner.device)
    return cell.view(2, 2).repeat(height // 2, width // 2)
