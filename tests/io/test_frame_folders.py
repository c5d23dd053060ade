"""Folders of numbered pictures, in and out."""

import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from enhance_cli.errors import InputError
from enhance_cli.io.image import Picture, read_image, write_image
from enhance_cli.io.video import (
    WHOLE,
    EncodeOptions,
    Frame,
    FrameSink,
    FrameSource,
    Kind,
    Span,
    open_source,
    plan_sink,
)
from enhance_cli.sizes import enlarged_by


def make_folder(folder: Path, names: list[str], dtype: type = np.uint8, channels: int = 3) -> Path:
    for place, name in enumerate(names):
        largest = np.iinfo(dtype).max
        pixels = np.random.default_rng(place).integers(0, largest + 1, (24, 32, channels), dtype)
        write_image(folder / name, Picture(pixels))
    return folder


def names(first: int, count: int, digits: int = 3) -> list[str]:
    return [f"{number:0{digits}}.png" for number in range(first, first + count)]


def open_folder(folder: Path) -> FrameSource:
    return open_source(folder, Kind.FRAMES)


def folder_sink(source: FrameSource, target: Path, scale: int = 1) -> FrameSink:
    size = enlarged_by(scale).of(target, source.info.width, source.info.height)
    return plan_sink(source.info, target, Kind.FRAMES, size, EncodeOptions())


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_there_and_back_is_exact(tmp_path: Path, dtype: type, channels: int) -> None:
    folder = make_folder(tmp_path / "in", names(7, 5), dtype, channels)
    target = tmp_path / "out"
    source = open_folder(folder)
    sink = folder_sink(source, target)
    parts = [tmp_path / "0", tmp_path / "1"]
    for skip, part in zip((0, 3), parts, strict=True):
        with sink.segment(part) as writer:
            for frame in list(source.frames(skip=skip))[:3]:
                writer.write(frame)
    sink.assemble(parts, WHOLE, print)
    assert [path.name for path in sorted(target.iterdir())] == names(7, 5)
    for name in names(7, 5):
        before, after = read_image(folder / name).pixels, read_image(target / name).pixels
        assert after.dtype == dtype
        assert np.array_equal(np.repeat(before, 3 // channels, axis=2), after)


def test_names_are_kept_and_sorted_by_number(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "in", [f"take2_{number}.png" for number in (9, 10, 11)])
    source = open_folder(folder)
    info = source.info
    assert info.names == ("take2_9.png", "take2_10.png", "take2_11.png")
    assert (info.rate, info.time_base, info.frames) == (25, Fraction(1, 25), 3)
    target = tmp_path / "out"
    sink = folder_sink(source, target)
    with sink.segment(tmp_path / "p") as writer:
        for frame in source.frames(Span(0.04)):
            writer.write(frame)
    sink.assemble([tmp_path / "p"], Span(0.04), print)
    assert sorted(path.name for path in target.iterdir()) == ["take2_10.png", "take2_11.png"]


@pytest.mark.parametrize(
    "files, problem",
    [
        ([], "no pictures in this folder"),
        (["000.png", "001.png", "003.png"], "frame 2 is missing between 001.png and 003.png"),
        (["000.png", "cover.png"], "cover.png: has no number"),
        (["1.png", "01.png"], "has the number 1 as"),
    ],
)
def test_folders_that_are_no_video(tmp_path: Path, files: list[str], problem: str) -> None:
    (tmp_path / "in").mkdir()
    source = make_folder(tmp_path / "in", files)
    with pytest.raises(InputError, match=re.escape(problem)):
        open_folder(source)


def test_mixed_sizes_and_depths(tmp_path: Path) -> None:
    source = make_folder(tmp_path / "in", names(0, 3))
    write_image(source / "001.png", Picture(np.zeros((24, 30, 3), np.uint8)))
    with pytest.raises(InputError, match=r"001.png: 30x24 pixels, the frames before it have 32x24"):
        list(open_folder(source).frames())
    write_image(source / "001.png", Picture(np.zeros((24, 32, 3), np.uint16)))
    with pytest.raises(InputError, match=r"001.png: 16-bit, the frames before it have 8 bits"):
        list(open_folder(source).frames())


def test_transparency_is_kept_in_pngs_and_said_where_it_is_not(tmp_path: Path) -> None:
    pixels, alpha = np.zeros((24, 32, 3), np.uint8), np.full((24, 32), 9, np.uint8)
    write_image(tmp_path / "in" / "0.png", Picture(pixels, alpha))
    source = open_folder(tmp_path / "in")
    sink = folder_sink(source, tmp_path / "out")
    with sink.segment(tmp_path / "part") as writer:
        writer.write(next(iter(source.frames())))
    sink.assemble([tmp_path / "part"], WHOLE, print)
    assert (read_image(tmp_path / "out" / "0.png").alpha == 9).all()
    size = enlarged_by(1).of(tmp_path, 32, 24)
    video = plan_sink(source.info, tmp_path / "a.mp4", Kind.VIDEO, size, EncodeOptions())
    assert (
        "its transparency is placed on white: .webp, .apng and .gif keep it" in video.plan.notices
    )


def test_an_interrupted_segment_leaves_nothing(tmp_path: Path) -> None:
    source = make_folder(tmp_path / "in", names(0, 2))
    sink = folder_sink(open_folder(source), tmp_path / "out", 2)
    with pytest.raises(KeyboardInterrupt), sink.segment(tmp_path / "part") as writer:
        writer.write(Frame(np.zeros((48, 64, 3), np.uint8), 0, 1))
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("rate", [None, Fraction(24000, 1001)])
def test_a_video_of_a_folder(tmp_path: Path, rate: Fraction | None) -> None:
    av = pytest.importorskip("av")
    source = make_folder(tmp_path / "in", names(3, 6))
    target = tmp_path / "out.mp4"
    options = EncodeOptions(preset="ultrafast", threads=1)
    opened = open_source(source, Kind.FRAMES, rate=rate)
    size = enlarged_by(1).of(source, opened.info.width, opened.info.height)
    sink = plan_sink(opened.info, target, Kind.VIDEO, size, options)
    with sink.segment(tmp_path / "part.nut") as writer:
        for frame in opened.frames():
            writer.write(frame)
    sink.assemble([tmp_path / "part.nut"], WHOLE, print)
    assert (sink.plan.codec, sink.plan.pixel_format) == ("h264", "yuv420p")
    with av.open(str(target)) as container:
        stream = container.streams.video[0]
        found = [frame.pts * stream.time_base for frame in container.decode(stream)]
        assert stream.duration * stream.time_base == 6 / (rate or Fraction(25))
    assert found == [place / (rate or Fraction(25)) for place in range(6)]


def test_a_folder_of_a_video(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "in.mkv"), "w") as output:
        stream = output.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "bgr0"
        pictures = np.random.default_rng(0).integers(0, 256, (3, 24, 32, 3), np.uint8)
        for picture in pictures:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture).reformat(format="bgr0")))
        output.mux(stream.encode(None))
    source = open_source(tmp_path / "in.mkv")
    sink = folder_sink(source, tmp_path / "out")
    for place, frame in enumerate(source.frames()):
        with sink.segment(tmp_path / str(place)) as writer:
            writer.write(frame)
    sink.assemble([tmp_path / str(place) for place in range(3)], WHOLE, print)
    for place in range(3):
        found = read_image(tmp_path / "out" / f"{place:06}.png").pixels
        assert np.array_equal(found, pictures[place])


def test_a_number_that_all_names_end_with_is_no_place(tmp_path: Path) -> None:
    made = [f"frame_{number:04}_x2.png" for number in (9, 10, 11)]
    folder = make_folder(tmp_path / "in", made)
    assert open_folder(folder).info.names == tuple(made)
