"""Losses that compare pictures pixel by pixel."""

from torch import Tensor
from torch.nn import functional

from enhance_cli.colour import luma
from enhance_cli.resize import imresize

# Pixels along the side of a cell, in which a network that enlarges 4 or 2 times can draw the same
# everywhere, and cells along the side of the windows in which that is looked for.
CELL, _WINDOW = 4, 8


def grid_error(made: Tensor, true: Tensor) -> Tensor:
    """The squared error of what is alike in all cells of 4x4 pixels, the mean over the batch.

    Features of a network hardly tell a fine grid from a texture, so that LPIPS as a loss makes
    another network draw one. Here the error of pixels is averaged over the cells of windows of
    32x32 pixels, in which the errors of textures cancel each other, and those of a grid do not.

    Args:
        made, true: Pictures (N, C, H, W) in [0, 1], whose sides are multiples of 4.

    Returns:
        A scalar from 0 to 1, the mean over channels and windows too. It is of no paper.

    Raises:
        RuntimeError: If a side is no multiple of 4.
    """
    cells = functional.pixel_unshuffle(made.float() - true.float(), CELL)
    window = [min(_WINDOW, side) for side in cells.shape[-2:]]
    pattern = functional.avg_pool2d(cells, window)
    count, _, rows, columns = pattern.shape
    pattern = pattern.view(count, -1, CELL**2, rows, columns)
    return (pattern - pattern.mean(2, keepdim=True)).square().mean()


def psnr_loss(made: Tensor, true: Tensor, floor: float, colour: float = 1.0) -> Tensor:
    """The negative PSNR of each picture in dB, the mean over the batch.

    It is the loss of Chen et al. (HINet, CVPR workshops 2021). As the benchmarks average
    decibels over pictures, so does this over patches, while the mean of squared errors is ruled by
    the few patches in which much is lost whatever a network does.

    Args:
        made, true: Pictures (N, 3, H, W) in [0, 1].
        floor: What is added to the squared error of each picture, above 0. A gradient is divided by
            this sum, so without it flat patches, which can be met almost exactly, would be all that
            counts.
        colour: By how much errors are multiplied but for their luma, from 0 to 1. With 1 red, green
            and blue count alike.

    Returns:
        A scalar of at least ``10 * log10(floor)``.
    """
    errors = made.float() - true.float()
    if colour != 1:
        grey = luma(errors)
        errors = grey + colour * (errors - grey)
    errors = errors.square().mean((1, 2, 3))
    return 10 * (errors + floor).log10().mean()


def reduced_error(made: Tensor, true: Tensor, scale: int) -> Tensor:
    """The squared error of pictures that are reduced by MATLAB's bicubic filter, their mean.

    What a network makes of a small picture should be that picture when it is made small again, as
    in the data consistency of Bahat and Michaeli (CVPR 2020).

    Args:
        made, true: Pictures (N, C, H, W) in [0, 1].
        scale: How many times smaller they are made.

    Returns:
        A scalar from 0 to about 1, the mean over channels and pixels too.
    """
    return imresize(made.float() - true.float(), 1 / scale).square().mean()
