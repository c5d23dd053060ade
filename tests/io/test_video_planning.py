"""The codec, container and samples of an output, decided before any work."""

import re
import sys
from fractions import Fraction
from pathlib import Path
from typing import get_args

import pytest
from media import QUICK, convert, make_video, sink_of, times

from enhance_cli.commands import video as command
from enhance_cli.errors import InputError, OutputError, UsageError
from enhance_cli.io.video import EncodeOptions, open_source
from enhance_cli.io.video.codecs import CODECS
from enhance_cli.io.video.planning import CONTAINERS

av = pytest.importorskip("av")


def test_codec_by_depth_size_and_suffix(tmp_path: Path) -> None:
    plain = make_video(tmp_path / "in.mp4")
    deep = make_video(tmp_path / "deep.mkv", codec="ffv1", pixel_format="yuv422p10le")

    def plan(source: Path, name: str, scale: int = 1) -> tuple[str, str]:
        made = sink_of(source, tmp_path / name, scale, EncodeOptions()).plan
        return made.codec, made.pixel_format

    assert plan(plain, "a.mp4") == ("h264", "yuv420p")
    assert plan(plain, "a.mp4", 65) == ("hevc", "yuv420p")
    assert plan(plain, "a.webm") == ("vp9", "yuv420p")
    assert plan(deep, "a.mkv") == ("hevc", "yuv422p10le")
    assert plan(deep, "a.webm") == ("av1", "yuv420p10le")


@pytest.mark.parametrize(
    "name, options, problem",
    [
        ("a.webm", EncodeOptions("h264"), "codec h264: .webm cannot hold it"),
        ("a.mp4", EncodeOptions("ffv1"), "codec ffv1: .mp4 cannot hold it"),
        ("a.mp4", EncodeOptions("h263"), "unknown codec 'h263'"),
        ("a.avi", EncodeOptions(), "cannot write .avi videos"),
        ("a.mp4", EncodeOptions(crf=52), "crf 52: must be from 0 to 51"),
        ("a.mkv", EncodeOptions("ffv1", crf=1), "crf 1: must be left out"),
        ("a.mp4", EncodeOptions(preset="quick"), "unknown preset of h264 'quick'"),
        ("a.mp4", EncodeOptions(pixel_format="yuv999"), "unknown pixel format of h264 'yuv999'"),
    ],
)
def test_outputs_that_cannot_be(
    tmp_path: Path, name: str, options: EncodeOptions, problem: str
) -> None:
    source = make_video(tmp_path / "in.mp4")
    with pytest.raises((UsageError, OutputError), match=re.escape(problem)) as caught:
        sink_of(source, tmp_path / name, 2, options)
    assert "\n" not in str(caught.value)


def test_without_pyav(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make_video(tmp_path / "in.mp4")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(InputError, match="videos need PyAV, run: pip install av"):
        open_source(source)


def test_audio_that_the_muxer_itself_refuses_is_known_before(tmp_path: Path) -> None:
    source = make_video(
        tmp_path / "in.mkv", audio="flac", unit=Fraction(1, 1000), times=range(0, 400, 40)
    )
    plan = sink_of(source, tmp_path / "out.mov").plan
    assert plan.notices == (
        "stream 1 (audio, flac): mov cannot hold it, converted to alac; use an .mkv output",
    )
    convert(source, tmp_path / "out.mov")
    assert len(times(tmp_path / "out.mov")) == 10


def test_the_help_names_every_codec() -> None:
    option = get_args(command.Codec)[1]
    assert option.metavar == "|".join(CODECS)
    assert {name for codec in CODECS.values() for name in codec.containers} == {
        *CONTAINERS.values()
    }


def test_chroma_of_cameras_is_what_players_show(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.avi", codec="mjpeg", pixel_format="yuvj422p")
    lossy, lossless = (
        sink_of(source, tmp_path / name, options=options).plan
        for name, options in (("out.mp4", QUICK), ("out.mkv", EncodeOptions("ffv1")))
    )
    assert lossy.pixel_format == "yuv420p"
    assert any("4:2:2 colour becomes 4:2:0" in line for line in lossy.notices)
    assert lossless.pixel_format == "yuv422p"
    assert not any("4:2:0" in line for line in lossless.notices)
    source = make_video(tmp_path / "in.mkv", codec="ffv1", pixel_format="yuv422p")
    kept = sink_of(source, tmp_path / "out.mp4").plan
    assert kept.pixel_format == "yuv422p"
    assert any("keeps the 4:2:2 colour" in line for line in kept.notices)


def test_another_name_of_hevc(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4")
    assert sink_of(source, tmp_path / "o.mp4", options=EncodeOptions("h265")).plan.codec == "hevc"


def test_a_ratio_of_pixels_that_cannot_be_kept_is_named(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", aspect=Fraction(4, 3))
    for codec, suffix, lost in (
        ("ffv1", ".mkv", True),
        ("vp9", ".webm", True),
        ("h264", ".mkv", False),
    ):
        plan = sink_of(source, tmp_path / f"o{suffix}", options=EncodeOptions(codec)).plan
        assert any("square pixels, not 4:3" in line for line in plan.notices) == lost
