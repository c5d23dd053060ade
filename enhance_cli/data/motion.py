"""Clips of moving pictures made from photographs, with the truth known.

A camera pans, zooms and turns smoothly over a photograph; in front of it a cut-out of another one
may move in its own way, so that things are hidden and appear; and the shutter may be open long
enough to blur what moves fast. The same photographs hold far more texture than the few videos
that there are.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Motion:
    """What is drawn for each clip.

    Attributes:
        speed: pixels per frame, from .. to, drawn evenly in its logarithm.
        still: share of clips without motion. As many films are: a network that seldom met them
            takes its own last result for news.
        turn: largest rotation per frame, in radians.
        zoom: largest change of size per frame.
        shake: largest deviation of a hand's tremble, in pixels.
        layered: share of clips with something in front.
        blurred: share of clips with an open shutter.
        exposures: positions that are averaged for an open shutter.
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
    """Draws clips.

    Args:
        photos: uint8 (3, H, W), each at least ``side`` on both sides.
        motion: how they move.
    """

    def __init__(self, photos: Sequence[Tensor], motion: Motion | None = None) -> None:
        self._photos = photos
        self._motion = motion or Motion()

    def clip(self, length: int, side: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """One clip, and its flow.

        Returns:
            The frames (length, 3, side, side) float32 in [0, 1], on the CPU, and the flow
            (length, 2, side, side): the displacement (x, y) in pixels from each pixel to where
            it was in the frame before; 0 for the first.
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
        """A photograph seen at ``times`` (T, exposures) in frames.

        Returns:
            (T * exposures, 3, side, side), with opacity as a fourth channel if it is cut out,
            and the flow (T, 2, side, side) of its middle exposures.
        """
        length, exposures = times.shape
        times = times.flatten()
        index = int(torch.randint(len(self._photos), (), generator=generator))
        photo = self._photos[index]
        path = self._path(times, generator)  # (T, 2, 3), from frame to photograph, in pixels
        corners = torch.tensor([[x, y, 1.0] for x in (-1, 1) for y in (-1, 1)])
        corners[:, :2] *= side / 2
        seen = path @ corners.T  # (T, 2, 4)
        low, high = seen.amin((0, 2)), seen.amax((0, 2))
        room = torch.tensor([photo.shape[2], photo.shape[1]]) - (high - low)
        place = torch.rand(2, generator=generator) * room.clamp(min=0) - low
        # Only what is looked at becomes float.
        left, top = (int(v) for v in (low + place - 4).floor().clamp(min=0))
        right = min(photo.shape[2], int(high[0] + place[0]) + 5)
        bottom = min(photo.shape[1], int(high[1] + place[1]) + 5)
        part = photo[:, top:bottom, left:right].float() / 255
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
        """Affine maps (T, 2, 3) from frame to photograph, smooth in time."""
        motion = self._motion
        draw = torch.rand(12, generator=generator).tolist()
        low, high = (math.log(v) for v in motion.speed)
        speed = 0.0 if draw[0] < motion.still else math.exp(low + (high - low) * draw[1])
        moving = float(speed > 0)
        direction = 2 * math.pi * draw[2]
        bend = 0.15 * (2 * draw[3] - 1)  # the direction turns as it goes
        angle = direction + bend * times
        velocity = speed * torch.stack([angle.cos(), angle.sin()], 1)
        # Times rise, so a running sum over the steps between them is the way.
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
        """Opacity (1, H, W) of smooth blobs with edges about a pixel wide."""
        cell = max(side // 3, 8)
        coarse = torch.randn(1, 1, *(length // cell + 3 for length in size), generator=generator)
        smooth = functional.interpolate(
            coarse, size=tuple(size), mode="bicubic", align_corners=False
        )[0]
        return (smooth * cell / 2).sigmoid()


def _flow(path: Tensor, points: Tensor) -> Tensor:
    """Displacements (T, 2, P) of points (3, P) to where they were a step before.

    Args:
        path: (T, 2, 3) affine maps from frame to photograph.
        points: homogeneous.
    """
    before = torch.cat([path[:1], path[:-1]])
    there = path @ points - before[:, :, 2:]
    displacement: Tensor = torch.linalg.solve(before[:, :, :2], there) - points[:2]
    return displacement
