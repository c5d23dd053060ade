"""Makes endless moving scenes from one picture, whose true motion is known.

With them one can see whether a video network stays good over a long run.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from enhance_cli.errors import DatasetError

# A pan by whole HR pixels comes back to its beginning after at most this many frames, so that the
# beginning and the end of a long run show the same content.
PERIOD = 480
# Both sides divide the period, and are multiples of 8 LR pixels at x2 and x4.
_SIDES = (PERIOD, PERIOD // 3)


def make_scene_picture(frame: Tensor) -> Tensor:
    """Make a picture whose opposite borders fit together.

    It consists of the middle of a frame and the mirror images of that.

    Args:
        frame: (C, H, W), values of any kind.

    Returns:
        (C, side, side) with a side of 480 pixels, or of 160 pixels for small frames.

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
    """Yield the frames of a picture that leaves at one border and comes in at the opposite one.

    Args:
        picture: (C, H, W), as ``make_scene_picture`` makes it.
        length: the number of frames.
        velocity: the motion in whole pixels per frame, downwards and to the right. Of HR frames
            these are exact fractions of an LR pixel.
    """
    for index in range(length):
        yield picture.roll((velocity[0] * index, velocity[1] * index), (-2, -1))
