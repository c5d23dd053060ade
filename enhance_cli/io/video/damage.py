"""What is noted of the damage in a video file, and how it is told."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from enhance_cli.io.video.types import WHOLE, Span

_NAMED = 5  # damaged frames whose times are told; the others are counted


@dataclass
class Damage:
    """The damage that was found while a video was read.

    Attributes:
        frames: by their seconds from the first frame the damaged frames, and whether the decoder
            could show them all the same, with parts of other frames where it had to.
        end: the seconds from the first frame after which the file ends too early, None if it
            does not.
    """

    frames: dict[Fraction, bool] = field(default_factory=dict)
    end: Fraction | None = None

    def within(self, span: Span) -> dict[Fraction, bool]:
        """The damaged frames of a part of the video, in the order of their times."""
        return {time: shown for time, shown in sorted(self.frames.items()) if span.holds(time)}

    def row(self, span: Span = WHOLE) -> dict[str, Any]:
        """The entries of the JSON document: when frames are damaged, and when the file ends."""
        end = None if self.end is None else round(float(self.end), 3)
        return {"damaged": [round(float(time), 3) for time in self.within(span)], "cut_off": end}

    def tell(self, span: Span = WHOLE) -> Iterator[str]:
        """What the user should know of the damage in a part of the video, a line each."""
        found = self.within(span)
        if found:
            shown = sum(found.values())
            one, times = len(found) == 1, _listed([f"{float(time):.3f} s" for time in found])
            what = {
                f"replaced by the frame beside {'it' if one else 'them'}": len(found) - shown,
                "shown as far as decoded": shown,
            }
            fate = [text if n == len(found) else f"{n} {text}" for text, n in what.items() if n]
            frames = "1 damaged frame" if one else f"{len(found)} damaged frames"
            yield f"{frames}, at {times}: {' and '.join(fate)}"
        if self.end is not None:
            yield f"the file is cut off after {float(self.end):.3f} s: the result ends there"


def _listed(times: list[str]) -> str:
    more = len(times) - _NAMED
    return ", ".join(times[:_NAMED]) + (f" and {more} more" if more > 0 else "")
