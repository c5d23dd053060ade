"""Endless scenes made of one picture, with the truth known, for tests of long runs."""

from collections.abc import Iterator

import torch
from torch import Tensor

from enhance_cli.errors import DatasetError

# A pan of whole HR pixels comes back to where it was after this many frames at most, so that
# the beginning and the end of a long run show the same content.
PERIOD = 480
_SIDES = (480, 160)  # divide the period; multiples of 8 LR pixels for either scale


def make_scene_picture(frame: Tensor) -> Tensor:
    """A picture that goes on at every border, from the middle of a frame and its mirror images.

    Args:
        frame: (C, H, W).

    Returns:
        (C, side, side), a side of 480 pixels, or 160 for small frames.

    Raises:
        DatasetError: if the frame is smaller than 80x80.
    """
    for side in _SIDES:
        half = side // 2
        if min(frame.shape[-2:]) >= half:
            top, left = ((length - half) // 2 for length in frame.shape[-2:])
            part = frame[..., top : top + half, left : left + half]
            rows = torch.cat([part, part.flip(-2)], -2)
            return torch.cat([rows, rows.flip(-1)], -1)
    raise DatasetError(
        f"a frame of {frame.shape[-1]}x{frame.shape[-2]} pixels: at least "
        f"{_SIDES[-1] // 2}x{_SIDES[-1] // 2} are needed to make scenes of"
    )


def roll_scene(picture: Tensor, length: int, velocity: tuple[int, int]) -> Iterator[Tensor]:
    """Frames of a picture that moves over its borders and comes in on the other side.

    Args:
        picture: (C, H, W), as ``make_scene_picture`` makes.
        length: frames.
        velocity: whole pixels per frame, down and to the right; of HR frames these are fractions
            of LR pixels, and exact.
    """
    for index in range(length):
        yield picture.roll((velocity[0] * index, velocity[1] * index), (-2, -1))
