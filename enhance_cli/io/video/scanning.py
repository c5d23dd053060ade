"""How the frames of a video are scanned, and what becomes of interlaced ones.

Television draws a picture as two *fields*, its even and its odd lines. Where the camera took them
at different times, a frame that holds both shows combs wherever something moves. Film on television
(*telecine*) is different: its 24 frames a second are spread over 60 fields, so that two of five
frames hold fields of different film frames, and nothing is lost.
"""

from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from typing import Literal, get_args

from enhance_cli.errors import UnknownNameError

# What becomes of interlaced frames: ``auto`` makes whole frames where some are found, ``yes`` in
# any case; ``no`` does not even look, and ``tell`` looks and only tells.
Deinterlace = Literal["auto", "yes", "no", "tell"]
TELL: Deinterlace = "tell"
OFFERED: tuple[Deinterlace, ...] = get_args(Deinterlace)[:3]


def find_deinterlace(name: str | None) -> Deinterlace:
    """What ``--deinterlace`` asks for; without it interlaced frames are told of and left alone.

    Raises:
        UnknownNameError: if there is no such choice.
    """
    if name is None:
        return TELL
    for known in OFFERED:
        if known == name:
            return known
    raise UnknownNameError("deinterlace", name, OFFERED)


class Scan(Enum):
    """How frames are scanned, in words for people."""

    PROGRESSIVE = "progressive"
    TOP_FIRST = "interlaced, top field first"
    BOTTOM_FIRST = "interlaced, bottom field first"
    MARKED = "marked as interlaced"  # and shows too little motion to tell more
    TELECINE = "film in telecine"


@dataclass(frozen=True)
class Scanning:
    """What was found out about a video.

    Attributes:
        scan: how its frames are scanned.
        bottom_first: whether the bottom field is the earlier one in telecine.
        marked: whether marks tell which frames are interlaced.
    """

    scan: Scan = Scan.PROGRESSIVE
    bottom_first: bool = False
    marked: bool = False

    def is_changed(self, deinterlace: Deinterlace) -> bool:
        """Whether frames are changed at all."""
        return deinterlace == "yes" or (deinterlace == "auto" and self.scan is not Scan.PROGRESSIVE)

    def restores(self, deinterlace: Deinterlace) -> bool:
        """Whether film frames are restored from telecine."""
        return self.scan is Scan.TELECINE and deinterlace in ("auto", "yes")

    def tell(self, deinterlace: Deinterlace, rate: Fraction) -> str | None:
        """What the user should know of it, None for nothing.

        Args:
            deinterlace: what was asked for.
            rate: frames a second of the video.
        """
        found, film = self.scan.value, f"{float(rate * 4 / 5):.5g}"
        if deinterlace == "no":
            return None
        if deinterlace == TELL:
            if self.scan is Scan.PROGRESSIVE:
                return None
            what = f"restore its {film} frames a second"
            if self.scan is not Scan.TELECINE:
                what = "make whole frames of it"
            return f"{found}: left as it is, add --deinterlace auto to {what}"
        if self.restores(deinterlace):
            return f"{found}: its {film} frames a second are restored from {float(rate):.5g}"
        if self.scan is not Scan.PROGRESSIVE:
            return f"{found}: deinterlaced, a frame for each frame"
        if deinterlace == "yes":
            return f"{found} as far as was looked: deinterlaced all the same"
        return f"{found}{', though marked as interlaced' * self.marked}: not deinterlaced"
