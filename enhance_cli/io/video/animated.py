"""Animated pictures (GIF, WebP, APNG, AVIF) as sources of frames."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from io import BytesIO
from itertools import accumulate
from math import lcm
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageFile

from enhance_cli.errors import InputError
from enhance_cli.io.files import open_input
from enhance_cli.io.jobs import Kind
from enhance_cli.io.metadata import find_exif, find_orientation, srgb_converter, turn_upright
from enhance_cli.io.pillow_reading import decoding, identify, patient_pillow
from enhance_cli.io.png import StoredPng, open_png
from enhance_cli.io.reading import find_tagged_profile
from enhance_cli.io.video.gif import compose_gif, parse_gif
from enhance_cli.io.video.types import (
    FRAME_LIMIT,
    SRGB,
    WHOLE,
    Frame,
    Span,
    VideoInfo,
    exact_seconds,
)

# Browsers show a frame that wants to be gone within 10 ms for 100 ms, since old programs wrote
# such times without meaning them.
SHORTEST, INSTEAD = Fraction(1, 100), Fraction(1, 10)  # seconds
MOST_TICKS, ROUNDED_TICKS = 1_000_000, 90_000  # of a second; what needs more is rounded
LARGEST_DELAY = 65_535  # of both numbers of the fraction by which an APNG gives its delays

# Frames (H, W, 4) RGBA of 8 bits, each with the seconds that it stays.
Composed = Iterator[tuple[NDArray[np.uint8], Fraction]]


class AnimatedSource:
    """An animated picture; see :class:`~enhance_cli.io.video.types.FrameSource`.

    All frames are decoded once when it is opened: only then their times are known, and whether
    anything is transparent.

    Args:
        path: the file.

    Raises:
        InputError: if it is damaged, holds one frame only, or its colours have a high dynamic
            range.
    """

    def __init__(self, path: Path) -> None:
        self._picture = _Stored(path)
        self.info: VideoInfo = self._describe()

    def frames(self, span: Span = WHOLE, skip: int = 0) -> Iterator[Frame]:
        """The frames of a part of the picture, as browsers compose them, one by one.

        Args:
            span: the part that is read.
            skip: how many frames of that part are left out at its beginning.

        Raises:
            InputError: while iterating, if the file was changed or the span holds no frame.
        """
        info, selected = self.info, 0
        start, end = (
            None if seconds is None else exact_seconds(seconds) / info.time_base
            for seconds in (span.start, span.end)
        )
        timed = zip(self._picture.frames(), info.starts, info.durations, strict=False)
        for (rgba, _), time, duration in timed:
            if end is not None and time >= end:
                break
            if start is not None and time < start:
                continue
            selected += 1
            if selected > skip:
                alpha = rgba[..., 3].copy() if rgba[..., 3].min() < 255 else None
                yield Frame(np.ascontiguousarray(rgba[..., :3]), time, duration, alpha)
        if not selected:
            raise InputError(
                f"{info.path}: no frame between the start and end that were given, choose them "
                f"within its {info.seconds:.2f} s"
            )

    def _describe(self) -> VideoInfo:
        picture, seconds, hurried = self._picture, list[Fraction](), 0
        height = width = 0
        see_through = False
        for rgba, stays in picture.frames():
            height, width = rgba.shape[:2]
            see_through = see_through or bool(rgba[..., 3].min() < 255)
            hurried += stays <= SHORTEST
            seconds.append(INSTEAD if stays <= SHORTEST else stays)
        if hurried:
            picture.notices.append(
                f"{hurried} frames have no time or at most 10 ms: shown for 100 ms, as browsers do"
            )
        ticks = lcm(1000, *(stays.denominator for stays in seconds))
        ticks = ticks if ticks <= MOST_TICKS else ROUNDED_TICKS
        ends = [0, *(round(end * ticks) for end in accumulate(seconds))]
        total = sum(seconds, Fraction(0))
        return VideoInfo(
            path=picture.path,
            width=width,
            height=height,
            depth=8,
            pixel_format="rgb24",
            colour=SRGB,
            hdr=None,
            sample_aspect_ratio=Fraction(1),
            rotation=0,
            time_base=Fraction(1, ticks),
            rate=(len(seconds) / total).limit_denominator(1001),
            frames=len(seconds),
            seconds=float(total),
            kind=Kind.ANIMATION,
            notices=tuple(picture.notices),
            codec=picture.format.lower(),
            alpha=see_through,
            durations=tuple(after - before for before, after in zip(ends, ends[1:], strict=False)),
            plays=picture.plays,
        )


class _Stored:
    """An animated picture in its file.

    Attributes:
        path: the file.
        format: Pillow's name of its format.
        plays: how many times it is shown; 0 is for ever.
        notices: what the user should know about it, a line each.

    Raises:
        InputError: if it is no animated picture that can be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notices: list[str] = []
        self._to_srgb: Callable[[Pillow.Image], Pillow.Image] | None = None
        with open_input(path, "a video") as file, patient_pillow():
            png = open_png(file)
            image = identify(path, png.file if png else file)
            assert image is not None and image.format is not None
            with image, decoding(path):
                if not getattr(image, "is_animated", False):
                    raise InputError(
                        f"{path}: a picture, not a video: use enhance superres, or name a "
                        "folder of numbered pictures"
                    )
                if image.width * image.height > FRAME_LIMIT:
                    raise InputError(
                        f"{path}: {image.width}x{image.height} pixels are more than "
                        f"{FRAME_LIMIT:,}, make it smaller"
                    )
                self.format = image.format
                # The loops of AVIF are not told; those that others make go on for ever.
                self.plays = int(image.info.get("loop", 0))
                # An APNG may begin with a picture for programs that do not know animations.
                self._first = int(bool(image.info.get("default_image")))
                self._orientation = find_orientation(find_exif(image))
                self._find_colours(image, png, file)
                self._tell_left_out(image, png)
        if self.format == "GIF":
            with decoding(path):
                self.plays = parse_gif(self._read()).plays

    def _find_colours(self, image: ImageFile.ImageFile, png: StoredPng | None, file: Any) -> None:
        profile = image.info.get("icc_profile")
        if profile is None or (png and png.cicp):
            profile = find_tagged_profile(self.path, image, png, file, 3) or profile
        self._to_srgb = srgb_converter(profile)
        if self._to_srgb is not None:
            self.notices.append("its colours are converted to sRGB")

    def _tell_left_out(self, image: ImageFile.ImageFile, png: StoredPng | None) -> None:
        known = {"exif": "EXIF", "xmp": "XMP", "comment": "comment"}
        left = [name for key, name in known.items() if image.info.get(key)]
        left += sorted(png.texts) if png else []
        if left:
            self.notices.append(f"what is written in it is left out: {', '.join(left)}")

    def _read(self) -> bytes:
        with open_input(self.path, "a video") as file:
            png = open_png(file)
            return png.file.read() if png else file.read()

    def frames(self) -> Composed:
        """All frames, upright and in sRGB.

        Raises:
            InputError: while iterating, if one is damaged.
        """
        frames = self._gif_frames() if self.format == "GIF" else self._other_frames()
        while True:
            # Pillow's settings hold for the whole process: they are changed for one frame only.
            with patient_pillow(), decoding(self.path):
                found = next(frames, None)
            if found is None:
                return
            rgba, seconds = found
            if self._to_srgb is not None:
                colours = Pillow.fromarray(np.ascontiguousarray(rgba[..., :3]))
                rgba[..., :3] = np.asarray(self._to_srgb(colours))
            yield turn_upright(rgba, self._orientation), seconds

    def _gif_frames(self) -> Composed:
        gif = parse_gif(self._read())
        for canvas, frame in zip(compose_gif(gif), gif.frames, strict=True):
            yield canvas, frame.seconds

    def _other_frames(self) -> Composed:
        plugin: Any  # Its type knows no options of Pillow.
        with imageio.imopen(BytesIO(self._read()), "r", plugin="pillow") as plugin:
            count = plugin.properties(index=...).n_images
            for place in range(self._first, count):
                rgba = plugin.read(index=place, mode="RGBA")
                milliseconds = plugin.metadata(index=place).get("duration", 0)
                seconds = Fraction(milliseconds) / 1000
                yield rgba, seconds.limit_denominator(LARGEST_DELAY)


def may_be_animated(path: Path) -> bool:
    """Whether a file is in one of the formats that hold animated pictures, by its first bytes."""
    try:
        if not path.is_file():  # Opening a pipe would wait for ever.
            return False
        with path.open("rb") as file:
            head = file.read(64)
    except (OSError, ValueError):  # Opening it as a video tells what is wrong.
        return False
    return (
        head.startswith((b"GIF87a", b"GIF89a", b"\x89PNG\r\n\x1a\n"))
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
        or (head[4:8] == b"ftyp" and (b"avif" in head[8:] or b"avis" in head[8:]))
    )


def is_animated(path: Path) -> bool:
    """Whether a file is a picture of several frames that are shown one after another."""
    if not may_be_animated(path):
        return False
    try:
        with open_input(path, "a video") as file, patient_pillow():
            image = identify(path, file)
            return bool(getattr(image, "is_animated", False))
    except Exception:  # whatever damaged files lead to; who names them is told
        return False
