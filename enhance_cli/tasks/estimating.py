"""What a dry run tells: sizes of results, and roughly how long they take and how much memory.

Time rests on a short probe: each network runs on a small piece of noise, and time grows with the
number of pixels. Decoding and encoding are not in it. Memory is what the program takes with its
networks, and what pictures take beside that.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import torch

from enhance_cli.architectures.frvsr import VideoNetwork
from enhance_cli.engine.catalogue import Model
from enhance_cli.engine.recurrent import FrameEnlarger
from enhance_cli.engine.tiled import TilePlan, run_tiled
from enhance_cli.io.memory import taken_memory

PROBE_SIDE = 96  # pixels
RESTS_ON = f"by a probe of {PROBE_SIDE}x{PROBE_SIDE} pixels, without reading and writing files"
_SMALL = 32
# A result is held as levels, as pixels in rows, and as the bytes of the file.
_COPIES = 3


@dataclass(frozen=True)
class Estimate:
    """What one input takes, roughly.

    Attributes:
        width, height: of the result in pixels.
        seconds: how long the network computes.
        memory: bytes that the program takes.
        frames: of a video, if their number is known.
        pages: of a file with several pictures, of which ``width`` and ``height`` are the first's.
        outputs: the files of these, if there is more than one.
    """

    width: int
    height: int
    seconds: float
    memory: int
    frames: int | None = None
    pages: int | None = None
    outputs: Sequence[str] = ()

    @property
    def row(self) -> dict[str, Any]:
        """Its entries in the JSON document."""
        more: dict[str, Any] = {} if self.frames is None else {"frames": self.frames}
        if self.pages is not None:
            more |= {"pages": self.pages}
        if self.outputs:
            more |= {"output": self.outputs[0], "outputs": list(self.outputs)}
        return {
            "width": self.width,
            "height": self.height,
            **more,
            "estimated_seconds": float(f"{self.seconds:.2g}"),
            "estimated_memory": float(f"{self.memory:.2g}"),
        }

    def __str__(self) -> str:
        more = "" if self.frames is None else f", {self.frames} frames"
        more += "" if self.pages is None else f" and {self.pages - 1} more"
        return f"{self.width}x{self.height}{more}, about {told_seconds(self.seconds)}"


def add_up(pages: Sequence[Estimate], outputs: Sequence[str]) -> Estimate:
    """What the pages of a file take together.

    Args:
        pages: what each of them takes, at least one.
        outputs: all files that are made of them.
    """
    return replace(
        pages[0],
        seconds=sum(page.seconds for page in pages),
        memory=max(page.memory for page in pages),
        pages=len(pages) if len(pages) > 1 else None,
        outputs=outputs if len(outputs) > 1 else (),
    )


def sum_up(estimates: Sequence[Estimate]) -> str:
    """What all inputs take together, in one line."""
    seconds = sum(estimate.seconds for estimate in estimates)
    memory = max(estimate.memory for estimate in estimates)
    return (
        f"about {told_seconds(seconds)} and {memory / 1e9:.1f} GB of memory, estimated {RESTS_ON}"
    )


def told_seconds(seconds: float) -> str:
    """A time with as many digits as an estimate is worth."""
    return f"{seconds:.2g} s" if seconds < 60 else str(timedelta(seconds=round(seconds)))


class Prober:
    """Measures how long networks take for a pixel, each network once.

    Args:
        plan: how pictures are cut into tiles.
    """

    def __init__(self, plan: TilePlan) -> None:
        self._plan = plan
        self._rates: dict[int, float] = {}

    def estimate(
        self,
        model: Model,
        area: int,
        size: tuple[int, int],
        *,
        depth: int = 1,
        count: int = 1,
        frames: int | None = None,
    ) -> Estimate:
        """Estimate one input.

        Args:
            model: the network that it goes through.
            area: how many input pixels it has.
            size: width and height of the result.
            depth: bytes of a level of the result.
            count: how many times the network runs on it.
            frames: of a video.
        """
        if id(model) not in self._rates:
            self._rates[id(model)] = self._probe(model)
        width, height = size
        channels = model.contract.channels_in
        before = area * channels * (2 * depth + 4)  # the file's pixels, and numbers of 4 bytes
        after = width * height * 3 * depth * _COPIES
        seconds = self._rates[id(model)] * area * count
        return Estimate(width, height, seconds, taken_memory() + before + after, frames)

    def _probe(self, model: Model) -> float:
        """Seconds for an input pixel."""
        run = self._run_frames if isinstance(model.network, VideoNetwork) else self._run_tile
        side = model.contract.patch_size
        run(model, side or _SMALL)  # What is made at the first run does not count.
        start = time.perf_counter()
        count = run(model, side or PROBE_SIDE)
        return (time.perf_counter() - start) / (count * (side or PROBE_SIDE) ** 2)

    def _run_tile(self, model: Model, side: int) -> int:
        run_tiled(model, torch.rand(model.contract.channels_in, side, side), self._plan)
        return 1

    def _run_frames(self, model: Model, side: int) -> int:
        enlarger, state = FrameEnlarger(model, self._plan), None
        frame = torch.rand(3, side, side)
        for _ in range(2):
            _, state = enlarger.step(frame, state, frame if model.contract.lookahead else None)
        return 2
