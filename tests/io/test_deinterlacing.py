"""Interlaced videos: found, told, and made whole."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from interlaced_videos import film, interlaced, moment, progressive, save, telecine

from enhance_cli.errors import UnknownNameError
from enhance_cli.io.video import Deinterlace, Frame, Span, find_deinterlace, open_source

MADE = {  # frames, their mark, and what is found
    "top": (interlaced(24), "tff", "interlaced, top field first"),
    "bottom": (interlaced(24, top_first=False), "bff", "interlaced, bottom field first"),
    "unmarked": (interlaced(24, top_first=False), None, "interlaced, bottom field first"),
    "telecine": (telecine(32), "tff", "film in telecine"),
    "unmarked telecine": (telecine(32), None, "film in telecine"),
    "still": ([moment(0)] * 24, "tff", "marked as interlaced"),
    "progressive": (progressive(24), None, None),
    "marked though progressive": (progressive(24), "tff", None),
}


def read(path: Path, deinterlace: Deinterlace = "no", *span: float, skip: int = 0) -> list[Frame]:
    source = open_source(path, threads=1, deinterlace=deinterlace)
    return list(source.frames(Span(*span), skip))


def error(frames: Sequence[Frame], truth: Sequence[np.ndarray]) -> float:
    """The mean squared difference, the first and the last two frames apart."""
    assert len(frames) == len(truth)
    pairs = list(zip(frames, truth, strict=True))[2:-2]
    return float(np.mean([(frame.pixels.astype(float) - true) ** 2 for frame, true in pairs]))


@pytest.mark.parametrize("name", MADE)
def test_what_is_found(name: str, tmp_path: Path) -> None:
    pictures, mark, found = MADE[name]
    path = save(tmp_path / "a.mkv", pictures, mark)
    assert open_source(path).info.notices == ()
    (said,) = open_source(path, deinterlace="auto").info.notices
    left = open_source(path, deinterlace="tell").info.notices
    if found is None:
        assert said.startswith("progressive") and said.endswith("not deinterlaced")
        assert ("though marked" in said) == (mark is not None)
        assert left == ()
    else:
        assert said.startswith(found)
        assert left[0].startswith(f"{found}: left as it is, add --deinterlace auto")


@pytest.mark.parametrize("deinterlace", ["auto", "yes"])
@pytest.mark.parametrize("name", ["top", "bottom", "unmarked"])
def test_combs_disappear_and_times_stay(
    name: str, deinterlace: Deinterlace, tmp_path: Path
) -> None:
    pictures, mark, _ = MADE[name]
    path = save(tmp_path / "a.mkv", pictures, mark)
    before, after = read(path), read(path, deinterlace)
    assert error(before, progressive(24)) > 300
    assert error(after, progressive(24)) < 2
    assert [(frame.time, frame.duration) for frame in after] == [
        (frame.time, frame.duration) for frame in before
    ]


@pytest.mark.parametrize("name", ["telecine", "unmarked telecine"])
@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".avi"])
def test_film_is_restored_with_its_rate(name: str, suffix: str, tmp_path: Path) -> None:
    pictures, mark, _ = MADE[name]
    path = save(tmp_path / f"a{suffix}", pictures, mark or "force-cfr")
    source = open_source(path, threads=1, deinterlace="auto")
    frames, info = list(source.frames()), source.info
    assert error(frames, film(32)) < 2
    assert abs(info.rate - Fraction(24000, 1001)) < Fraction(1, 100)
    times = [(frame.time - info.first) * info.time_base for frame in frames]
    for place, time in enumerate(times):  # Matroska rounds to milliseconds.
        assert abs(time - place / info.rate) < Fraction(2, 1000)


def test_what_is_progressive_is_left_untouched(tmp_path: Path) -> None:
    for mark in (None, "tff"):
        path = save(tmp_path / f"{mark}.mkv", progressive(24), mark)
        whole, auto = open_source(path).info, open_source(path, deinterlace="auto").info
        assert (whole.rate, whole.time_base) == (auto.rate, auto.time_base)
        for one, other in zip(read(path), read(path, "auto"), strict=True):
            assert one.time == other.time
            np.testing.assert_array_equal(one.pixels, other.pixels)


def test_a_progressive_part_is_left_untouched(tmp_path: Path) -> None:
    """Recordings change; and the first frame does not stand for all."""
    path = tmp_path / "a.ts"
    parts = [
        save(tmp_path / "1.ts", progressive(12), "force-cfr"),
        save(tmp_path / "2.ts", interlaced(12), "tff"),
    ]
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    assert "top field first" in open_source(path, deinterlace="tell").info.notices[0]
    before, after = read(path), read(path, "auto")
    assert len(before) == len(after) == 24
    for one, other in zip(before[:12], after[:12], strict=True):
        np.testing.assert_array_equal(one.pixels, other.pixels)
    assert error(before[12:], progressive(12)) > 300
    assert error(after[12:], progressive(12)) < 2


@pytest.mark.parametrize("name", ["top", "telecine"])
def test_a_part_and_what_is_resumed_are_as_in_the_whole(name: str, tmp_path: Path) -> None:
    pictures, mark, _ = MADE[name]
    path = save(tmp_path / "a.mkv", pictures * 4, mark)
    info = open_source(path, deinterlace="auto").info
    whole = read(path, "auto")
    for start, end in ((0.3, 0.6), (2.5, 2.9)):
        part = read(path, "auto", start, end)
        expected = [f for f in whole if start <= (f.time - info.first) * info.time_base < end]
        if name == "top":
            assert [frame.time for frame in part] == [frame.time for frame in expected]
            for one, other in zip(part, expected, strict=True):
                np.testing.assert_array_equal(one.pixels, other.pixels)
        else:  # Which frame of telecine begins a cycle depends on where decoding begins.
            assert abs(len(part) - len(expected)) <= 1
        rest = read(path, "auto", start, end, skip=3)
        assert [frame.time for frame in rest] == [frame.time for frame in part[3:]]
        for one, other in zip(rest, part[3:], strict=True):
            np.testing.assert_array_equal(one.pixels, other.pixels)


def test_the_case(shared_data: Path) -> None:
    """Its frames are marked as interlaced from the twelfth on, and hardly anything moves."""
    path = shared_data / "cases" / "video" / "interlaced_after_progressive_start.ts"
    (said,) = open_source(path, deinterlace="tell").info.notices
    assert said.startswith("marked as interlaced: left as it is, add --deinterlace auto")
    assert len(read(path, "auto")) == len(read(path)) == 36


def test_one_frame(tmp_path: Path) -> None:
    path = save(tmp_path / "a.mkv", interlaced(1), "tff")
    for deinterlace in ("auto", "yes"):
        assert len(read(path, deinterlace)) == 1


def test_choices() -> None:
    assert find_deinterlace(None) == "tell"
    assert find_deinterlace("yes") == "yes"
    with pytest.raises(UnknownNameError, match="unknown deinterlace 'maybe': choose from auto"):
        find_deinterlace("maybe")
