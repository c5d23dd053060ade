"""Demosaicing: full colour from a Bayer mosaic, by fixed operations.

Gradient-corrected: Malvar, He, Cutler, High-quality linear interpolation for demosaicing of
Bayer-patterned color images, ICASSP 2004. A missing colour is the bilinear mean of its neighbours,
corrected by the Laplacian of the colour that was measured at the pixel, since edges lie at the same
place in all colours. Figure 2 of the paper gives the coefficients. They add up to 1 and are
symmetric, so that constant and linearly rising colours come out exactly.

Adaptive: Menon, Andriani, Calvagno, Demosaicing with directional filtering and a posteriori
decision, IEEE Transactions on Image Processing 2007. Green is interpolated along rows and, apart
from that, along columns (by the filter of Hamilton and Adams, US patent 5,629,734); red and blue
follow as differences to it. Of the two pictures the one whose colours vary less in the
neighbourhood is right. Here the decision is a soft one, so that noise does not make it flicker.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

# The decision between the directions looks at squares of 5x5 pixels; where colours vary less than
# this share of white, as in flat parts, both directions count alike.
_REACH = 2
_EVEN = 1e-8

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
        pattern: the colours of the pixels (0,0), (0,1), (1,0) and (1,1) of each 2x2 cell, like
            ``"RGGB"``.

    Returns:
        (N, 3, 2h, 2w) R, G, B. At sharp edges values can lie outside of the range of the samples.
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
    return functional.pixel_shuffle(torch.stack(cells, 2).flatten(1, 2), 2)


def demosaic_adaptive(mosaic: Tensor, pattern: str = "RGGB") -> Tensor:
    """Full colour from a Bayer mosaic, interpolated along the edges.

    Args:
        mosaic: (N, 1, 2h, 2w) samples, at least 4x4 of them; linear, or of any curve in which
            noise is even.
        pattern: the colours of the pixels (0,0), (0,1), (1,0) and (1,1) of each 2x2 cell, like
            ``"RGGB"``.

    Returns:
        (N, 3, 2h, 2w) R, G, B.
    """
    along_rows, along_columns = demosaic_directional(mosaic, pattern)
    doubt_rows = _variation(along_rows).square()
    doubt_columns = _variation(along_columns.mT).mT.square()
    share = (doubt_columns + _EVEN) / (doubt_rows + doubt_columns + 2 * _EVEN)
    return torch.lerp(along_columns, along_rows, share)


def _variation(picture: Tensor) -> Tensor:
    """How much the colours of (N, 3, H, W) vary along rows around each pixel, (N, 1, H, W)."""
    colours = picture[:, [0, 2]] - picture[:, 1:2]
    steps = (colours[..., 2:] - colours[..., :-2]).abs().sum(1, keepdim=True)
    beyond = (_REACH + 1, _REACH + 1, _REACH, _REACH)
    steps = functional.pad(steps, beyond, mode="replicate")
    return functional.avg_pool2d(steps, 2 * _REACH + 1, stride=1)


def demosaic_directional(mosaic: Tensor, pattern: str = "RGGB") -> tuple[Tensor, Tensor]:
    """Full colour from a Bayer mosaic twice: green interpolated along rows, and along columns.

    Args:
        mosaic: (N, 1, 2h, 2w) samples, at least 4x4 of them.
        pattern: the colours of the pixels (0,0), (0,1), (1,0) and (1,1) of each 2x2 cell, like
            ``"RGGB"``.

    Returns:
        Two pictures (N, 3, 2h, 2w).
    """
    padded = functional.pad(mosaic, (3, 3, 3, 3), mode="reflect")
    inner = padded[..., 2:-2, 2:-2]  # one pixel more than the picture on each side
    measured = {colour: _sites(pattern, colour, inner) for colour in "RGB"}
    pictures = []
    for green in (_between(padded[..., 2:-2, :]), _between(padded[..., 2:-2].mT).mT):
        green = torch.where(measured["G"], inner, green)
        difference = inner - green
        red, blue = (_spread(difference * measured[colour]) for colour in "RB")
        green = green[..., 1:-1, 1:-1]
        pictures.append(torch.cat([green + red, green, green + blue], 1))
    return pictures[0], pictures[1]


def _between(mosaic: Tensor) -> Tensor:
    """Green between two greens of a row, by the filter (-1, 2, 2, 2, -1) / 4 along (..., W)."""
    near = mosaic[..., 1:-3] + mosaic[..., 2:-2] + mosaic[..., 3:-1]
    return near / 2 - (mosaic[..., :-4] + mosaic[..., 4:]) / 4


def _spread(known: Tensor) -> Tensor:
    """Bilinear means of every second pixel of every second row, where the others are zero."""
    known = known[..., 1:-1] + (known[..., :-2] + known[..., 2:]) / 2
    return known[..., 1:-1, :] + (known[..., :-2, :] + known[..., 2:, :]) / 2


def _sites(pattern: str, colour: str, inner: Tensor) -> Tensor:
    """Where a colour was measured in a mosaic that begins within a cell, (H, W) bool.

    Its first pixel is the last one, at (1,1), of a cell of the pattern.
    """
    height, width = inner.shape[-2:]
    cell = torch.tensor([site == colour for site in reversed(pattern)], device=inner.device)
    return cell.view(2, 2).repeat(height // 2, width // 2)
