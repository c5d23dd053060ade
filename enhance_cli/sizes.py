"""How large a result shall be, as users ask for it: times, lines, or a box to fit into.

A size counts square pixels of the picture as it is shown: upright, and with wide pixels drawn wide.
A result keeps the shape of its picture, whatever is asked for. Networks enlarge by whole numbers;
what they make is resampled to the size that is wanted (:func:`enhance_cli.resize.resample`).
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from pathlib import Path

from enhance_cli.errors import InputError, UsageError


@dataclass(frozen=True)
class FrameSize:
    """The size of a picture or frame before it is rounded to whole pixels.

    Attributes:
        width, height: in pixels as they are stored.
        aspect: the width of a pixel divided by its height.
        factor: by how much the picture is enlarged as it is shown.
        resampled: whether it is resampled to this size, which may then be made even.
    """

    width: Fraction
    height: Fraction
    aspect: Fraction = Fraction(1)
    factor: Fraction = Fraction(1)
    resampled: bool = False

    def rounded(self, step: int = 1) -> tuple[int, int]:
        """Width and height as the nearest multiples of ``step``; half a step is rounded down."""
        width, height = (
            max(1, ceil(side / step - Fraction(1, 2))) * step for side in (self.width, self.height)
        )
        return width, height


@dataclass(frozen=True)
class WantedSize:
    """The size that a user asks for; one of ``times``, ``lines`` and ``box`` is given.

    Attributes:
        text: the option as it was typed, for messages.
        tag: what is put behind the names of results.
        times: how many times wider and higher the result is.
        lines: how many rows the result has as it is shown.
        box: the width and the height that the result fits into as it is shown.
    """

    text: str
    tag: str
    times: Fraction | None = None
    lines: int | None = None
    box: tuple[int, int] | None = None

    def of(
        self,
        path: Path,
        width: int,
        height: int,
        aspect: Fraction = Fraction(1),
        *,
        turned: bool = False,
    ) -> FrameSize:
        """The size of the result of one input.

        Where the size is asked for and not how many times larger, the result has square pixels.

        Args:
            path: the input, for messages.
            width, height: its size in pixels, as they are stored.
            aspect: the width of its pixels divided by their height.
            turned: whether it is shown on its side.

        Raises:
            InputError: if the result would not be larger than the input.
        """
        if self.times is not None:
            return FrameSize(width * self.times, height * self.times, aspect, self.times)
        across, down = width * aspect, Fraction(height)
        shown = (down, across) if turned else (across, down)
        factor = self._factor(*shown)
        if factor <= 1:
            raise InputError(
                f"{path}: shown with {round(shown[0])}x{round(shown[1])} pixels, {self.text} would "
                "not enlarge it: choose a larger size"
            )
        return FrameSize(across * factor, down * factor, Fraction(1), factor)

    def _factor(self, width: Fraction, height: Fraction) -> Fraction:
        if self.lines is not None:
            return self.lines / height
        assert self.box is not None
        return min(self.box[0] / width, self.box[1] / height)


def enlarged_by(times: int | Fraction) -> WantedSize:
    """The size of results that are so many times as wide and high as their inputs."""
    number = f"{float(times):g}"
    return WantedSize(f"-x{number}", f"_x{number}", times=Fraction(times))


def parse_size(scale: str | None, size: str | None) -> WantedSize | None:
    """Read the values of ``--scale`` and ``--size``.

    Args:
        scale: a number above 1, like ``2`` or ``1.5``, or None if the option was not used.
        size: ``1080p`` for lines, ``1920x1080`` for a box, or None if the option was not used.

    Returns:
        The size, or None if neither was used.

    Raises:
        UsageError: if both were used, or one of them cannot be read.
    """
    if scale is not None and size is not None:
        raise UsageError(f"-x {scale} and --size {size}: each tells the size, give one of them")
    if scale is not None:
        if not re.fullmatch(r"\d{1,4}(\.\d{0,6})?|\.\d{1,6}", scale) or Fraction(scale) <= 1:
            raise UsageError(f"-x {scale}: must be a number above 1, like 2, 3 or 1.5")
        return enlarged_by(Fraction(scale))
    if size is None:
        return None
    text = f"--size {size}"
    if match := re.fullmatch(r"([1-9]\d{0,5})p", size, re.IGNORECASE):
        return WantedSize(text, f"_{match[1]}p", lines=int(match[1]))
    if match := re.fullmatch(r"([1-9]\d{0,5})[x×]([1-9]\d{0,5})", size, re.IGNORECASE):
        return WantedSize(text, f"_{match[1]}x{match[2]}", box=(int(match[1]), int(match[2])))
    raise UsageError(f"{text}: must be WxH, like 1920x1080, or lines, like 1080p")


def beyond(size: FrameSize, scale: int) -> str | None:
    """What the user should know if a network of a scale does not reach a size; None if it does."""
    if size.factor <= scale:
        return None
    return (
        f"enlarged {scale} times by the network, and the rest, to {float(size.factor):.3g} times, "
        "by bicubic resampling"
    )
