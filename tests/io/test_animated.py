"""Animated pictures as browsers show them."""

import re
import struct
import zlib
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from animations import PALETTE, Part, draw, make_animation, make_gif

from enhance_cli.errors import InputError
from enhance_cli.io.colour_tags import profile_of_code_points
from enhance_cli.io.image import Picture, write_image
from enhance_cli.io.video import Frame, Kind, Span, open_source
from enhance_cli.io.video.animated import is_animated


def rgba(frame: Frame) -> np.ndarray:
    """The frame with its alpha, and black where nothing can be seen."""
    full = np.full(frame.pixels.shape[:2], 255, np.uint8)
    alpha = full if frame.alpha is None else frame.alpha
    return np.dstack([frame.pixels, alpha]) * (alpha > 0)[..., None]


def test_gifs_are_composed_as_in_browsers(tmp_path: Path) -> None:
    """Outside of the first frame, and where one was cleared, there is nothing, not red."""
    parts = [
        Part("green", 0, 0, 4, 4, disposal=1, delay=7),
        Part("blue", 2, 1, 4, 2, disposal=2, delay=0, hole=True),
        Part("red", 1, 0, 2, 2, disposal=3, delay=1),
        Part("blue", 5, 3, 9, 9, delay=30),  # reaches beyond the canvas
    ]
    source = open_source(make_gif(tmp_path / "a.gif", (6, 4), parts, repeats=2))
    frames = list(source.frames())
    green = ("green", 0, 0, 4, 4)
    expected = [
        draw((6, 4), green),
        draw((6, 4), green, ("blue", 3, 1, 6, 3)),
        draw((6, 4), green, ("red", 1, 0, 3, 2)),
        draw((6, 4), green, ("blue", 5, 3, 6, 4)),
    ]
    expected[2][1:3, 2:6] = 0
    expected[2][0:2, 1:3] = (*PALETTE["red"], 255)
    expected[3][1:3, 2:4] = 0
    for frame, picture in zip(frames, expected, strict=True):
        assert np.array_equal(rgba(frame), picture)
    info = source.info
    assert [(frame.time, frame.duration) for frame in frames] == [
        (0, 70),
        (70, 100),
        (170, 100),
        (270, 300),
    ]
    assert (info.time_base, info.seconds, info.frames) == (Fraction(1, 1000), 0.57, 4)
    assert (info.kind, info.alpha, info.plays) == (Kind.ANIMATION, True, 3)
    assert info.notices == (
        "2 frames have no time or at most 10 ms: shown for 100 ms, as browsers do",
    )


@pytest.mark.parametrize(("suffix", "plays"), [(".webp", 3), (".apng", 2), (".avif", 0)])
def test_other_formats_and_a_part_of_them(suffix: str, plays: int, tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (3, 16, 24, 4), np.uint8)
    pictures[0, ..., 3] = 255
    path = make_animation(tmp_path / f"a{suffix}", pictures, (40, 100, 60), plays)
    if suffix == ".avif":  # Pillow writes one duration for all
        path = make_animation(path, pictures, [50] * 3)
    source = open_source(path)
    assert source.info.plays == plays and source.info.alpha
    frames = list(source.frames())
    assert frames[0].alpha is None
    if suffix != ".avif":
        assert source.info.durations == (40, 100, 60)
        for frame, picture in zip(frames, pictures, strict=True):
            assert np.array_equal(rgba(frame), picture * (picture[..., 3:] > 0))
    part = list(source.frames(Span(0.01), skip=1))
    assert [frame.time for frame in part] == [source.info.starts[2]]
    with pytest.raises(InputError, match="choose them within its 0"):
        list(source.frames(Span(5)))


def test_times_of_apng_are_exact(tmp_path: Path) -> None:
    pictures = np.arange(3, dtype=np.uint8)[:, None, None, None] * np.ones((8, 8, 3), np.uint8)
    path = make_animation(tmp_path / "a.apng", pictures, [33] * 3)

    def third(found: re.Match[bytes]) -> bytes:
        chunk = found[1] + struct.pack(">HH", 1, 30) + found[2]
        return chunk + struct.pack(">I", zlib.crc32(chunk))

    data, count = re.subn(
        rb"(fcTL.{20})\0\x21\x03\xe8(..).{4}", third, path.read_bytes(), flags=re.S
    )
    assert count == 3
    path.write_bytes(data)
    info = open_source(path).info
    assert [start * info.time_base for start in info.starts] == [
        0,
        Fraction(1, 30),
        Fraction(1, 15),
    ]
    assert info.rate == 30


def test_colours_become_srgb(tmp_path: Path) -> None:
    pictures = [np.full((8, 8, 3), colour, np.uint8) for colour in ((200, 90, 40), (9, 99, 9))]
    profile = profile_of_code_points(12, 13, 3)  # Display P3
    path = make_animation(tmp_path / "a.webp", pictures, [50, 50], icc_profile=profile)
    source = open_source(path)
    assert source.info.notices == ("its colours are converted to sRGB",)
    shown = next(source.frames()).pixels[0, 0]
    # As the matrix between the two spaces has it: (215.7, 81.0, 12.6).
    assert np.abs(shown.astype(int) - (216, 81, 13)).max() <= 1, shown


def test_pictures_of_one_frame_and_damaged_ones(tmp_path: Path) -> None:
    still = make_gif(tmp_path / "one.gif", (4, 4), [Part("red", 0, 0, 4, 4)])
    write_image(tmp_path / "one.webp", Picture(np.zeros((4, 4, 3), np.uint8)))
    for path in (still, tmp_path / "one.webp"):
        assert not is_animated(path)
        with pytest.raises(InputError, match="a picture, not a video: use enhance superres"):
            open_source(path)
    parts = [Part(colour, 0, 0, 40, 40) for colour in ("red", "blue")]
    path = make_gif(tmp_path / "cut.gif", (40, 40), parts)
    path.write_bytes(path.read_bytes()[:-900])
    with pytest.raises(InputError, match="cut.gif: damaged or cut off"):
        open_source(path)
