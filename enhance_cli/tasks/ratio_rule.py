"""How many times brighter a dark file becomes: by a number, a reference or an estimate."""

import re
from dataclasses import dataclass
from pathlib import Path

from enhance_cli.engine.amplification import choose_ratio
from enhance_cli.errors import InputError, UsageError
from enhance_cli.io.raw import Exposure, read_exposure
from enhance_cli.tasks.dark_files import DarkFile

LARGEST_RATIO = 10_000
LARGEST_STOPS = 10
_STOPS = re.compile(r"auto([+-]\d+(?:\.\d*)?|[+-]\.\d+)")


@dataclass(frozen=True)
class RatioRule:
    """How the amplification ratio of a file is found.

    Attributes:
        number: the ratio of every file, if the user gave one.
        reference: the exposure that results should have, if the user named such a file. Without
            either the ratio is estimated from each picture.
        stops: how much brighter the result shall be than by the estimate; each stop doubles.
    """

    number: float | None = None
    reference: Exposure | None = None
    stops: float = 0.0

    @classmethod
    def parse(cls, text: str, like: Path | None) -> "RatioRule":
        """The rule of the options ``--ratio`` and ``--like``.

        Raises:
            UsageError: if ``--ratio`` is neither ``auto``, with stops or without, nor a positive
                number, or both are given.
            InputError: if the file of ``--like`` does not tell its exposure time.
        """
        if text == "auto":
            return cls(reference=None if like is None else _read_reference(like))
        if like is not None:
            raise UsageError("give either --ratio or --like, not both")
        if match := _STOPS.fullmatch(text):
            stops = float(match[1])
            if abs(stops) > LARGEST_STOPS:
                raise UsageError(f"--ratio {text}: at most {LARGEST_STOPS} stops more or less")
            return cls(stops=stops)
        try:
            ratio = float(text)
        except ValueError:
            ratio = 0.0
        if not 0 < ratio <= LARGEST_RATIO:
            raise UsageError(
                f"--ratio {text}: must be auto, auto+1 or auto-0.5 (in stops), or a number from "
                f"above 0 to {LARGEST_RATIO}"
            )
        return cls(ratio)

    def find(self, dark: DarkFile, path: Path) -> float:
        """The ratio of one file.

        Raises:
            InputError: if its exposure cannot be compared with the reference's.
        """
        if self.number is not None:
            return self.number
        if self.reference is None:
            ratio = choose_ratio(dark.image.balanced()) * 2**self.stops
            return min(max(ratio, 1 / LARGEST_RATIO), LARGEST_RATIO)
        own = dark.exposure
        if not own.seconds:
            raise InputError(
                f"{path}: its metadata has no exposure time to compare with that of "
                "--like, give --ratio"
            )
        ratio = _compare_exposures(own, self.reference)
        if not 1 / LARGEST_RATIO <= ratio <= LARGEST_RATIO:
            raise InputError(
                f"{path}: the exposure of --like is {ratio:.3g} times its own by the "
                f"metadata, the limit is {LARGEST_RATIO}: give --ratio"
            )
        return ratio


def _compare_exposures(dark: Exposure, bright: Exposure) -> float:
    """How many times more light ``bright`` got than ``dark``.

    This is the ratio of the exposure times (thesis 000, ch. 2), multiplied by the ratios of
    sensitivity and aperture area where both files tell them. In the thesis's pairs of pictures
    these two are the same.
    """
    assert dark.seconds and bright.seconds
    ratio = bright.seconds / dark.seconds
    if dark.iso and bright.iso:
        ratio *= bright.iso / dark.iso
    if dark.f_number and bright.f_number:
        step = dark.f_number / bright.f_number
        ratio *= step * step  # damaged metadata give infinity, where a power would raise
    return ratio


def _read_reference(path: Path) -> Exposure:
    exposure = read_exposure(path)
    if not exposure.seconds:
        raise InputError(
            f"{path}: its metadata has no exposure time, give --ratio instead of --like"
        )
    return exposure
