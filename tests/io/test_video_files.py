"""Whole ways through a video file: times, codecs, rotation and pixel shape."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from media import QUICK, STEADY, UNEVEN, convert, frame_times, make_video, times

from enhance_cli.io.video import EncodeOptions, open_source, probe

av = pytest.importorskip("av")


@pytest.mark.parametrize("pattern", [STEADY, UNEVEN], ids=["steady", "uneven, not from zero"])
@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_times_are_copied_exactly(tmp_path: Path, pattern: Sequence[int], suffix: str) -> None:
    source = make_video(tmp_path / "in.mp4", pattern)
    target = tmp_path / f"out{suffix}"
    _, said = convert(source, target)
    assert times(target) == [time * Fraction(1, 15360) for time in pattern]
    assert frame_times(target) == pytest.approx([time / 15360 for time in pattern], abs=1e-5)
    assert said == []


def test_matroska_rounds_times_and_says_so(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", UNEVEN)
    _, said = convert(source, tmp_path / "out.mkv")
    rounded = times(tmp_path / "out.mkv")
    assert max(abs(a - b) for a, b in zip(rounded, times(source), strict=True)) < 0.001
    assert len(said) == 1 and "milliseconds" in said[0]


def test_matroska_to_matroska_loses_no_time(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mkv", (33, 67, 100, 140, 200), unit=Fraction(1, 1000))
    _, said = convert(source, tmp_path / "out.mkv")
    assert times(tmp_path / "out.mkv") == times(source)
    assert said == []


def test_unit_with_a_numerator(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.avi", range(6), codec="mpeg4", unit=Fraction(1001, 30000))
    convert(source, tmp_path / "out.mp4")
    assert times(tmp_path / "out.mp4") == times(source)
    assert times(source)[1] - times(source)[0] == Fraction(1001, 30000)


def test_last_frame_keeps_its_duration(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4")
    convert(source, tmp_path / "out.mp4")
    info = probe(tmp_path / "out.mp4")
    assert info.seconds == probe(source).seconds == pytest.approx(12 / 30)


@pytest.mark.parametrize(
    "codec, options, suffix",
    [
        ("h264", QUICK, ".mp4"),
        ("hevc", QUICK, ".mkv"),
        ("vp9", EncodeOptions(preset="8", threads=1), ".webm"),
        ("av1", EncodeOptions(preset="12", threads=1), ".webm"),
        ("ffv1", EncodeOptions(threads=1), ".mkv"),
    ],
)
def test_every_codec(tmp_path: Path, codec: str, options: EncodeOptions, suffix: str) -> None:
    source = make_video(tmp_path / "in.mp4")
    chosen = EncodeOptions(codec, None, options.preset, threads=1)
    convert(source, tmp_path / f"out{suffix}", scale=2, options=chosen)
    info = probe(tmp_path / f"out{suffix}")
    assert (info.width, info.height) == (128, 96)
    assert info.streams[0].codec == codec
    assert len(times(tmp_path / f"out{suffix}")) == 12
    assert info.colour.matrix == "smpte170m"


@pytest.mark.parametrize("turn", [90, 180, 270])
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_rotation_is_kept(tmp_path: Path, turn: int, suffix: str) -> None:
    source = make_video(tmp_path / "in.mp4", turn=turn)
    convert(source, tmp_path / f"out{suffix}", scale=2)
    before, after = probe(source), probe(tmp_path / f"out{suffix}")
    assert before.rotation % 360 == after.rotation % 360 == turn
    assert (after.width, after.height) == (2 * before.width, 2 * before.height)


def test_rotation_is_applied_to_pngs(tmp_path: Path) -> None:
    from enhance_cli.io.image import read_rgb8

    source = make_video(tmp_path / "in.mp4", turn=90)
    convert(source, tmp_path / "out")
    first = next(open_source(source).frames()).pixels
    assert np.array_equal(read_rgb8(tmp_path / "out" / "000000.png"), np.rot90(first))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_pixel_aspect_is_kept(tmp_path: Path, suffix: str) -> None:
    source = make_video(tmp_path / "in.mp4", aspect=Fraction(8, 9))
    convert(source, tmp_path / f"out{suffix}")
    assert probe(tmp_path / f"out{suffix}").sample_aspect_ratio == Fraction(8, 9)
