"""Makes clips with known motion from photographs.

A virtual camera pans, zooms and turns smoothly over a photograph. A cut-out of another photograph
may move in front of it in its own way, so that things are hidden and appear again, and the shutter
may stay open long enough to blur what moves fast. Networks that estimate motion can learn from the
exact optical flow of such clips, and photographs hold far more texture than the few videos that
are at hand.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from enhance_cli.levels import to_values


@dataclass(frozen=True)
class Motion:
    """The ranges from which the motion of each clip is drawn.

    Attributes:
        speed: the lowest and the highest speed in pixels per frame. The logarithm of the speed
            is drawn evenly between them.
        still: the share of clips without any motion. Many films stand still, and a network that
            seldom saw that takes its own last result for something new.
        turn: the largest rotation per frame, in radians.
        zoom: the largest relative change of size per frame.
        shake: the largest deviation of a trembling hand, in pixels.
        layered: the share of clips with something in front.
        blurred: the share of clips with motion blur.
        exposures: the number of positions whose mean makes the motion blur.
    """

    speed: tuple[float, float] = (0.25, 24.0)
    still: float = 0.2
    turn: float = 0.01
    zoom: float = 0.01
    shake: float = 1.0
    layered: float = 0.5
    blurred: float = 0.2
    exposures: int = 5


class MotionSampler:
    """Draws clips with motion from photographs.

    Args:
        photos: uint8 tensors (3, H, W). Both sides of each must be at least as long as the side
            of the clips that are asked for.
        motion: the ranges from which the motion is drawn; None takes the defaults.
    """

    def __init__(self, photos: Sequence[Tensor], motion: Motion | None = None) -> None:
        self._photos = photos
        self._motion = motion or Motion()

    def clip(self, length: int, side: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw one clip.

        Args:
            length: the number of frames.
            side: the side of the frames in pixels.
            generator: the source of chance, on the CPU.

        Returns:
            The frames, float32 (length, 3, side, side) in [0, 1], and their optical flow
            (length, 2, side, side), both on the CPU. The flow is the displacement (x, y) in
            pixels from each pixel to the place where it was in the frame before; it is 0 for the
            first frame.
        """
        motion = self._motion
        blurred = float(torch.rand((), generator=generator)) < motion.blurred
        exposures = motion.exposures if blurred else 1
        open_for = 0.2 + 0.6 * float(torch.rand((), generator=generator))
        times = torch.arange(length)[:, None] + torch.linspace(0, open_for, exposures)
        clip, flow = self._layer(times, side, generator)
        if float(torch.rand((), generator=generator)) < motion.layered:
            front, front_flow = self._layer(times, side, generator, cut_out=True)
            clip = clip + front[:, 3:] * (front[:, :3] - clip)
            opacity = front[:, 3:].view(length, exposures, 1, side, side).mean(1)
            flow = torch.where(opacity > 0.5, front_flow, flow)
        return clip.view(length, exposures, 3, side, side).mean(1).clamp_(0, 1), flow

    def _layer(
        self, times: Tensor, side: int, generator: torch.Generator, cut_out: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Show a photograph to the moving camera.

        Args:
            times: (T, exposures), the moments at which it is seen, in frames.
            side: the side of the pictures in pixels.
            generator: the source of chance, on the CPU.
            cut_out: whether only a part of the photograph is visible.

        Returns:
            The pictures (T * exposures, 3, side, side), with their opacity as a fourth channel
            if the photograph is cut out; and the flow (T, 2, side, side) between the middle
            exposures.
        """
        length, exposures = times.shape
        times = times.flatten()
        index = int(torch.randint(len(self._photos), (), generator=generator))
        photo = self._photos[index]
        path = self._path(times, generator)  # (T, 2, 3), frame to photograph, in pixels
        corners = torch.tensor([[x, y, 1.0] for x in (-1, 1) for y in (-1, 1)])
        corners[:, :2] *= side / 2
        seen = path @ corners.T  # (T, 2, 4)
        low, high = seen.amin((0, 2)), seen.amax((0, 2))
        room = torch.tensor([photo.shape[2], photo.shape[1]]) - (high - low)
        place = torch.rand(2, generator=generator) * room.clamp(min=0) - low
        # Only the part of the photograph that is looked at is turned into float.
        left, top = (int(v) for v in (low + place - 4).floor().clamp(min=0))
        right = min(photo.shape[2], int(high[0] + place[0]) + 5)
        bottom = min(photo.shape[1], int(high[1] + place[1]) + 5)
        part = to_values(photo[:, top:bottom, left:right])
        if cut_out:
            part = torch.cat([part, self._shape(part.shape[1:], side, generator)])
        place = place - torch.tensor([left, top])
        grid = torch.arange(side) - (side - 1) / 2
        x, y = grid.expand(side, side), grid[:, None].expand(side, side)
        points = torch.stack([x, y, torch.ones_like(x)]).view(3, -1)
        where = path @ points + place[:, None]  # (T, 2, side * side)
        size = torch.tensor([part.shape[2], part.shape[1]])[:, None]
        flow = _flow(path.view(length, exposures, 2, 3)[:, exposures // 2], points)
        where = (2 * where + 1) / size - 1
        layer = functional.grid_sample(
            part.expand(len(times), -1, -1, -1),
            where.transpose(1, 2).view(-1, side, side, 2),
            mode="bicubic",
            padding_mode="reflection",
            align_corners=False,
        )
        return layer, flow.view(length, 2, side, side)

    def _path(self, times: Tensor, generator: torch.Generator) -> Tensor:
        """Draw affine maps (T, 2, 3) from frame to photograph that change smoothly in time."""
        motion = self._motion
        draw = torch.rand(12, generator=generator).tolist()
        low, high = (math.log(v) for v in motion.speed)
        speed = 0.0 if draw[0] < motion.still else math.exp(low + (high - low) * draw[1])
        moving = float(speed > 0)
        direction = 2 * math.pi * draw[2]
        bend = 0.15 * (2 * draw[3] - 1)  # the camera's path is an arc
        angle = direction + bend * times
        velocity = speed * torch.stack([angle.cos(), angle.sin()], 1)
        # The camera's place is the integral of its velocity over time.
        steps = torch.diff(times, prepend=times[:1])[:, None]
        shift = (velocity * steps).cumsum(0)
        tremble = (
            moving
            * motion.shake
            * draw[4]
            * torch.stack(
                [
                    torch.sin(
                        2 * math.pi * (0.05 + 0.3 * draw[5 + axis]) * times + 6 * draw[7 + axis]
                    )
                    for axis in (0, 1)
                ],
                1,
            )
        )
        shift = shift + tremble - tremble[:1]
        turn = moving * motion.turn * (2 * draw[9] - 1) * times + 0.2 * (2 * draw[10] - 1)
        zoom = 1 + moving * motion.zoom * (2 * draw[11] - 1) * (times - times.mean())
        cos, sin = turn.cos() * zoom, turn.sin() * zoom
        return torch.stack(
            [torch.stack([cos, -sin, shift[:, 0]], 1), torch.stack([sin, cos, shift[:, 1]], 1)], 1
        )

    def _shape(self, size: Sequence[int], side: int, generator: torch.Generator) -> Tensor:
        """Draw an opacity map (1, H, W) of smooth blobs whose edges are about a pixel wide."""
        cell = max(side // 3, 8)
        coarse = torch.randn(1, 1, *(length // cell + 3 for length in size), generator=generator)
        smooth = functional.interpolate(
            coarse, size=tuple(size), mode="bicubic", align_corners=False
        )[0]
        return (smooth * cell / 2).sigmoid()


def _flow(path: Tensor, points: Tensor) -> Tensor:
    """Compute how far each point is from the place where it was a frame before.

    Args:
        path: (T, 2, 3), the affine maps from frame to photograph.
        points: (3, P), homogeneous coordinates in the frame: x, y and 1.

    Returns:
        The displacements (T, 2, P) in pixels.
    """
    before = torch.cat([path[:1], path[:-1]])
    there = path @ points - before[:, :, 2:]
    displacement: Tensor = torch.linalg.solve(before[:, :, :2], there) - points[:2]
    return displacement
