"""What a video file holds beside its frames: sound, subtitles, covers, chapters, metadata."""

from fractions import Fraction
from pathlib import Path

import pytest
from media import (
    STEADY,
    UNEVEN,
    convert,
    ffmpeg,
    make_video,
    packets,
    packets_of_cover,
    times,
    with_extras,
)

from enhance_cli.errors import InputError
from enhance_cli.io.video import Span, probe

av = pytest.importorskip("av")


def test_audio_and_metadata_are_copied(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", audio="aac")
    convert(source, tmp_path / "out.mp4")
    assert packets(tmp_path / "out.mp4", "audio") == packets(source, "audio")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.metadata["title"] == "A title"
        assert [stream.language for stream in container.streams] == ["fin", "deu"]


def test_audio_that_begins_before_zero_stays_in_time(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", UNEVEN, audio="aac")
    convert(source, tmp_path / "out.mp4")
    assert packets(tmp_path / "out.mp4", "audio") == packets(source, "audio")
    assert packets(source, "audio")[0][1] < 0


def test_matroska_keeps_everything(tmp_path: Path) -> None:
    source = with_extras(tmp_path)
    target = tmp_path / "out.mkv"
    _, said = convert(source, target)
    assert said == []
    for kind in ("audio", "subtitle"):
        assert packets(target, kind) == packets(source, kind)
    with av.open(str(source)) as before, av.open(str(target)) as after:
        assert [c["metadata"] for c in after.chapters()] == [
            {"title": "First"},
            {"title": "Second"},
        ]
        assert [(c["start"], c["end"], c["time_base"]) for c in after.chapters()] == [
            (c["start"], c["end"], c["time_base"]) for c in before.chapters()
        ]
        words = after.streams.subtitles[0]
        assert words.metadata["title"] == "Words" and words.language == "nld"
        assert [s.disposition for s in after.streams] == [s.disposition for s in before.streams]
        assert after.streams.attachments[0].data == b"no real font"
        assert [s.type for s in after.streams] == [s.type for s in before.streams]
    assert packets_of_cover(target) == packets_of_cover(source)


def test_mp4_names_what_it_cannot_hold(tmp_path: Path) -> None:
    source = with_extras(tmp_path)
    target = tmp_path / "out.mp4"
    _, said = convert(source, target)
    assert said == [
        "stream 2 (subtitle, subrip): mp4 cannot hold it, left out; use an .mkv output",
        "stream 3 (attachment, application/x-truetype-font): mp4 cannot hold it, left out; use "
        "an .mkv output",
    ]
    assert packets_of_cover(target) == packets_of_cover(source)
    with av.open(str(target)) as container:
        assert [c["metadata"]["title"] for c in container.chapters()] == ["First", "Second"]


def test_cover_is_not_the_video(tmp_path: Path) -> None:
    source = with_extras(tmp_path)
    assert (probe(source).width, probe(source).height) == (64, 48)
    only = tmp_path / "only.mkv"
    ffmpeg(
        "-i",
        source,
        "-map",
        "0:a",
        "-c",
        "copy",
        "-attach",
        tmp_path / "cover.png",
        "-metadata:s:1",
        "mimetype=image/png",
        only,
    )
    with pytest.raises(InputError, match="no video stream, the file holds only a cover"):
        probe(only)


def test_start_and_end(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", UNEVEN, audio="aac", options={"g": "4"})
    convert(source, tmp_path / "out.mp4", span=Span(0.16, 0.46))
    begin = Fraction(UNEVEN[3], 15360)
    assert times(tmp_path / "out.mp4") == [Fraction(t, 15360) - begin for t in UNEVEN[3:10]]
    expected = [
        (digest, time)
        for digest, time in packets(source, "audio")
        if begin <= time < Fraction(UNEVEN[10], 15360)
    ]
    found = packets(tmp_path / "out.mp4", "audio")
    assert [digest for digest, _ in found] == [digest for digest, _ in expected]
    assert all(
        abs(a - (b - begin)) < Fraction(1, 40000)
        for (_, a), (_, b) in zip(found, expected, strict=True)
    )


def test_end_alone_keeps_the_clock(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", UNEVEN, audio="aac")
    convert(source, tmp_path / "out.mp4", span=Span(end=0.2))
    assert times(tmp_path / "out.mp4") == [Fraction(t, 15360) for t in UNEVEN[:5]]
    assert packets(tmp_path / "out.mp4", "audio")[0] == packets(source, "audio")[0]


def test_subtitles_and_chapters_are_clipped(tmp_path: Path) -> None:
    source = with_extras(tmp_path)
    target = tmp_path / "out.mkv"
    convert(source, target, span=Span(0.1, 0.3))
    with av.open(str(target)) as container:
        assert [
            (c["metadata"]["title"], c["start"] * c["time_base"], c["end"] * c["time_base"])
            for c in container.chapters()
        ] == [("First", 0, Fraction(1, 10)), ("Second", Fraction(1, 10), Fraction(1, 5))]
    with av.open(str(target)) as container:
        shown = [(p.pts, p.duration) for p in container.demux(subtitles=0) if p.size]
    assert shown == [(0, 100), (150, 50)]


def test_subtitles_of_mp4(tmp_path: Path) -> None:
    with_extras(tmp_path)
    source = tmp_path / "texted.mp4"
    ffmpeg(
        "-i",
        tmp_path / "extras.mkv",
        "-map",
        "0:v:0",
        "-map",
        "0:a",
        "-map",
        "0:s",
        "-c:v",
        "copy",
        "-c:a",
        "copy",
        "-c:s",
        "mov_text",
        source,
    )
    _, said = convert(source, tmp_path / "out.mp4")
    assert not said
    assert packets(tmp_path / "out.mp4", "subtitle") == packets(source, "subtitle")


def test_audio_before_zero_in_matroska(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", (0, 15360, 30720), audio="aac")
    convert(source, tmp_path / "out.mkv")
    assert times(tmp_path / "out.mkv") == times(source)
    drift = [
        abs(a - b)
        for (_, a), (_, b) in zip(
            packets(tmp_path / "out.mkv", "audio"), packets(source, "audio"), strict=True
        )
    ]
    assert max(drift) <= Fraction(1, 1000)


def test_the_default_of_several_video_streams(tmp_path: Path) -> None:
    one = make_video(tmp_path / "one.mp4")
    two = make_video(tmp_path / "two.mp4", STEADY[:7], size=(32, 32))
    source = tmp_path / "both.mp4"
    ffmpeg(
        "-i",
        one,
        "-i",
        two,
        "-map",
        "0",
        "-map",
        "1",
        "-c",
        "copy",
        "-disposition:v:0",
        "0",
        "-disposition:v:1",
        "default",
        source,
    )
    plan, said = convert(source, tmp_path / "out.mp4", scale=2)
    assert said == ["several video streams: stream 1 is enlarged, 0 only copied"]
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert [(s.width, s.frames) for s in container.streams.video] == [(64, 12), (64, 7)]


def test_time_code_is_kept(tmp_path: Path) -> None:
    source = tmp_path / "coded.mov"
    ffmpeg("-i", make_video(tmp_path / "in.mp4"), "-c", "copy", "-timecode", "01:00:00:00", source)
    _, said = convert(source, tmp_path / "out.mov")
    assert said == []
    assert "timecode        : 01:00:00:00" in ffmpeg("-i", tmp_path / "out.mov")
