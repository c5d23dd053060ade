"""Folders of numbered pictures as videos, in and out."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from math import ceil
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from enhance_cli.errors import InputError, OutputError, UsageError
from enhance_cli.io.image import Picture, check_writable, find_images, read_image, write_image
from enhance_cli.io.video.types import Colour, Frame, OutputPlan, Pixels, VideoInfo

NUMBER = re.compile(r"(\d+)(?=\D*$)")
SRGB = Colour("tv", "bt709", "bt709", "bt709")  # what videos made of pictures are tagged with
DIGITS = 6


def probe_folder(folder: Path, rate: Fraction) -> VideoInfo:
    """See :func:`enhance_cli.io.video.probe`; the first picture stands for all.

    Raises:
        InputError: if there are no pictures, one has no number, or a number is missing.
    """
    if rate <= 0:
        raise UsageError(f"rate {rate}: must be more than 0 frames a second")
    paths = numbered(folder)
    first = read_image(paths[0])
    notices = ("its transparency is left out",) if first.alpha is not None else ()
    depth = first.pixels.dtype.itemsize * 8
    return VideoInfo(
        path=folder,
        width=first.width,
        height=first.height,
        depth=depth,
        pixel_format="rgb24" if depth == 8 else "rgb48le",
        colour=SRGB,
        hdr=None,
        sample_aspect_ratio=Fraction(1),
        rotation=0,
        time_base=1 / rate,
        rate=rate,
        frames=len(paths),
        seconds=float(len(paths) / rate),
        names=tuple(path.name for path in paths),
        notices=notices,
        codec="png",
    )


def numbered(folder: Path) -> list[Path]:
    """The pictures of a folder, in the order of the last number in their names.

    Raises:
        InputError: if there are none, one has no number, or the numbers have a gap.
    """
    paths = find_images(folder)
    if not paths:
        raise InputError(f"{folder}: no pictures in this folder, name one with numbered pictures")
    by_number: dict[int, Path] = {}
    for path in paths:
        match = NUMBER.search(path.stem)
        if match is None:
            raise InputError(
                f"{path}: has no number, the frames of a video are numbered: rename "
                "it or move it away"
            )
        number = int(match[1])
        if number in by_number:
            raise InputError(
                f"{path}: has the number {number} as {by_number[number].name} does, "
                "move one of them away"
            )
        by_number[number] = path
    ordered = sorted(by_number)
    for before, after in zip(ordered, ordered[1:], strict=False):
        if after != before + 1:
            raise InputError(
                f"{folder}: frame {before + 1} is missing between "
                f"{by_number[before].name} and {by_number[after].name}, number them "
                "without gaps"
            )
    return [by_number[number] for number in ordered]


class FolderReader:
    """See :func:`enhance_cli.io.video.open_frames`; a frame's time is its place."""

    def __init__(
        self, folder: Path, rate: Fraction, *, start: float | None, end: float | None, skip: int
    ) -> None:
        self.info = probe_folder(folder, rate)
        count = len(self.info.names)
        begin = ceil(Fraction(str(start)) * rate) if start else 0
        stop = count if end is None else min(count, ceil(Fraction(str(end)) * rate))
        if begin < 0 or begin >= stop:
            raise InputError(
                f"{folder}: no picture between start {start or 0} and end {end}, it "
                f"has {count} at {rate} a second"
            )
        self._places = range(begin + skip, stop)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return

    def __iter__(self) -> Iterator[Frame]:
        for place in self._places:
            yield Frame(self._read(self.info.path / self.info.names[place]), place, 1)

    def _read(self, path: Path) -> Pixels:
        picture = read_image(path)
        info = self.info
        if (picture.width, picture.height) != (info.width, info.height):
            raise InputError(
                f"{path}: {picture.width}x{picture.height} pixels, the frames before "
                f"it have {info.width}x{info.height}: make them all alike"
            )
        depth = picture.pixels.dtype.itemsize * 8
        if depth != info.depth:
            raise InputError(
                f"{path}: {depth}-bit, the frames before it have {info.depth} bits: "
                "make them all alike"
            )
        return np.repeat(picture.pixels, 3 // picture.pixels.shape[2], axis=2)


def wants_folder(target: Path) -> bool:
    """Whether an output is a folder of PNGs: it has no suffix, or is one already."""
    return target.is_dir() or not target.suffix


def plan_folder(info: VideoInfo, target: Path, scale: int) -> OutputPlan:
    """See :func:`enhance_cli.io.video.plan_output`.

    Raises:
        OutputError: if the folder cannot be written.
    """
    width, height = info.width * scale, info.height * scale
    turned = _quarter_turns(info)
    if turned % 2:
        width, height = height, width
    depth = 8 if info.depth == 8 else 16
    check_writable(target / "0.png", height, width, depth=depth, alpha=False)
    notices = list(info.notices)
    if info.path.is_file():
        left = sorted({s.kind for s in info.streams if s.index != info.stream})
        if left:
            notices.append(f"PNGs hold only pictures: {', '.join(left)} left out")
        if info.hdr:
            notices.append(f"PNGs do not say that their values are HDR ({info.hdr})")
        if info.sample_aspect_ratio != 1:
            notices.append(
                "PNGs have square pixels: the pixel aspect ratio "
                f"{info.sample_aspect_ratio} is lost"
            )
    return OutputPlan(
        source=info,
        target=target,
        container="",
        width=info.width * scale,
        height=info.height * scale,
        scale=scale,
        codec="png",
        encoder="",
        encoder_options=(),
        pixel_format="rgb24" if depth == 8 else "rgb48le",
        depth=depth,
        colour=info.colour,
        time_base=info.time_base,
        rate=info.rate,
        notices=tuple(notices),
    )


def _quarter_turns(info: VideoInfo) -> int:
    """Counter-clockwise, which players would have made."""
    return round(info.rotation / 90) % 4


class FolderSegmentWriter:
    """Writes frames as PNGs."""

    def __init__(self, plan: OutputPlan, folder: Path) -> None:
        self._plan = plan
        self._folder = folder
        self._count = 0

    def write(self, frame: Frame) -> None:
        """Write one frame.

        Raises:
            OutputError: if it cannot be written.
        """
        names = self._plan.source.names
        name = Path(names[frame.time]).stem if names else f"{self._count:0{DIGITS}}"
        pixels = np.rot90(frame.pixels, _quarter_turns(self._plan.source))
        write_image(self._folder / f"{name}.png", Picture(np.ascontiguousarray(pixels)))
        self._count += 1


@contextmanager
def write_folder_segment(plan: OutputPlan, path: Path) -> Iterator[FolderSegmentWriter]:
    """See :func:`enhance_cli.io.video.write_segment`."""
    with _replacing_folder(path) as temporary:
        yield FolderSegmentWriter(plan, temporary)


def assemble_folder(plan: OutputPlan, segments: Sequence[Path], target: Path) -> None:
    """See :func:`enhance_cli.io.video.assemble`.

    Pictures keep the names of those they were made from; frames of a video count from 0. Of a
    folder that exists, pictures of the same names are replaced.
    """
    sources = [path for segment in segments for path in sorted(segment.iterdir())]
    if plan.source.names:
        order = {Path(name).stem: place for place, name in enumerate(plan.source.names)}
        sources.sort(key=lambda path: order[path.stem])
        names = [path.name for path in sources]
    else:
        names = [f"{number:0{DIGITS}}.png" for number in range(len(sources))]
    with _replacing_folder(target) as temporary:
        for source, name in zip(sources, names, strict=True):
            _link_or_copy(source, temporary / name)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another disk, or one without links
        shutil.copyfile(source, target)


@contextmanager
def _replacing_folder(path: Path) -> Iterator[Path]:
    """A temporary folder that becomes ``path``, or whose files go there if it exists."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name[:40]}-", dir=path.parent))
    except OSError as error:
        raise OutputError(
            f"{path}: cannot write here ({error.strerror}), choose another output with -o"
        ) from error
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o777 & ~umask)  # mkdtemp makes private folders
        if path.is_dir():
            for file in temporary.iterdir():
                file.replace(path / file.name)
        else:
            temporary.rename(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot write ({error.strerror or error})") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
