"""Videos that cannot be read: one line that says why."""

import sys
from fractions import Fraction
from pathlib import Path

import pytest
from media import STEADY, convert, ffmpeg, make_video, tone

from enhance_cli.errors import InputError, UsageError
from enhance_cli.io.video import WHOLE, Span, open_source, probe
from enhance_cli.io.video import program as ffmpeg_program
from enhance_cli.io.video.program import can_copy_stream, copy_streams, read_frame_times

av = pytest.importorskip("av")

LONG = tuple(range(0, 60 * 512, 512))


def refuse(path: Path, problem: str, span: Span = WHOLE) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        for _ in open_source(path).frames(span):
            pass
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_absent_and_empty(tmp_path: Path) -> None:
    refuse(tmp_path / "none.mp4", "no such file")
    (tmp_path / "empty.mp4").write_bytes(b"")
    refuse(tmp_path / "empty.mp4", "empty file")
    (tmp_path / "text.mp4").write_text("no video at all")
    refuse(tmp_path / "text.mp4", "not a video that can be read")


def test_audio_only(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as output:
        stream = output.add_stream("aac", rate=48000)
        for packet in tone(stream):
            output.mux(packet)
    refuse(tmp_path / "a.mp4", "no video stream, the file holds only audio")


def test_no_frames(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mkv"), "w") as output:
        stream = output.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        output.start_encoding()
    refuse(tmp_path / "a.mkv", "has no frames|not a video that can be read")


def test_encrypted(tmp_path: Path) -> None:
    plain = make_video(tmp_path / "plain.mp4")
    ffmpeg(
        "-i",
        plain,
        "-c",
        "copy",
        "-encryption_scheme",
        "cenc-aes-ctr",
        "-encryption_key",
        "76a6c65c5ea762046bd749a2e632ccbb",
        "-encryption_kid",
        "a7e61c373e219033c21091fa607bf3b8",
        tmp_path / "locked.mp4",
    )
    refuse(tmp_path / "locked.mp4", "encrypted")


def test_size_that_changes(tmp_path: Path) -> None:
    unit = Fraction(1, 90000)
    one = make_video(tmp_path / "one.ts", range(90000, 120000, 3000), unit=unit)
    two = make_video(tmp_path / "two.ts", range(120000, 150000, 3000), unit=unit, size=(96, 64))
    both = tmp_path / "both.ts"
    both.write_bytes(one.read_bytes() + two.read_bytes())
    refuse(both, r"the size changes from 64x48 to 96x64 at frame 10 \(0\.333 s\)")
    assert len(list(open_source(both).frames(Span(end=0.3)))) == 9


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_damaged_in_the_middle(tmp_path: Path, suffix: str) -> None:
    source = make_video(tmp_path / f"in{suffix}", LONG, size=(128, 96), options={"g": "10"})
    data = bytearray(source.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 300] = bytes(300)
    (tmp_path / f"bad{suffix}").write_bytes(data)
    refuse(tmp_path / f"bad{suffix}", r"damaged at frame \d+, \d\.\d+ s")


def test_cut_off(tmp_path: Path) -> None:
    for suffix in (".mp4", ".mkv"):
        plain = make_video(tmp_path / f"in{suffix}", LONG)
        source = tmp_path / f"front{suffix}"
        convert(plain, source)  # which puts the index of an MP4 in front
        data = source.read_bytes()
        cut = tmp_path / f"cut{suffix}"
        cut.write_bytes(data[: len(data) * 6 // 10])
        refuse(cut, r"damaged at frame \d+, .*the file is cut off there|damaged at frame")


def test_range_outside(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4")
    refuse(source, "no frame between", Span(start=5.0))
    with pytest.raises(UsageError, match="--end 1: must be after --start 2"):
        Span(2, 1)
    with pytest.raises(UsageError, match="--start -1: must be"):
        Span(-1)


@pytest.mark.parametrize("skip", [0, 5, 12])
def test_skipping_is_exact(tmp_path: Path, skip: int) -> None:
    source = make_video(tmp_path / "in.mp4")
    found = open_source(source).frames(skip=skip)
    assert [frame.time for frame in found] == list(STEADY[skip:])


@pytest.mark.parametrize("start", [0.0, 0.5, 1.0, 1.01, 1.9])
def test_starting_is_exact(tmp_path: Path, start: float) -> None:
    source = make_video(tmp_path / "in.mp4", LONG, options={"g": "7"})
    opened = open_source(source)
    found = [(frame.time, frame.pixels.tobytes()) for frame in opened.frames(Span(start))]
    whole = [(frame.time, frame.pixels.tobytes()) for frame in opened.frames()]
    assert found == [(time, data) for time, data in whole if time >= start * 15360]


def test_odd_names(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4")
    odd = tmp_path / "pipe:0 100%d ä #.mp4"
    source.rename(odd)
    assert probe(odd).width == 64
    target = tmp_path / "concat:out %03d.mp4"
    convert(odd, target)
    assert probe(target).frames == 12


@pytest.mark.parametrize("suffix", [".jpg", ".avi"])
def test_a_picture_is_no_video_whatever_its_suffix(tmp_path: Path, suffix: str) -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[0x010F] = "a camera"  # side data that the library cannot name
    path = tmp_path / f"still{suffix}"
    Image.new("RGB", (32, 24), "red").save(path, "JPEG", exif=exif)
    refuse(path, "a picture, not a video")


def test_a_program_ffmpeg_that_crashes_is_of_no_help_and_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    program, source = tmp_path / "ffmpeg", make_video(tmp_path / "a.mkv")
    program.write_text("#!/bin/sh\nkill -SEGV $$\n")
    program.chmod(0o755)
    assert read_frame_times(source, 0, Fraction(1, 1000))
    assert can_copy_stream(source, 0, "matroska")
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(program))
    assert read_frame_times(source, 0, Fraction(1, 1000)) == []
    assert not can_copy_stream(source, 0, "matroska")
    before = source.read_bytes()
    assert not copy_streams(source, [0], source, "matroska", {}, Fraction(0))
    assert source.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == [source, program]


def test_a_program_that_stands_still_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """But not one that works for long."""
    script = tmp_path / "ffmpeg"
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(script))
    monkeypatch.setattr(ffmpeg_program, "_PATIENCE", 0.3)
    said = []
    for work in ("time.sleep(3600)", "while time.process_time() < 1.5: pass"):
        script.write_text(f"#!{sys.executable}\nimport time\n{work}\nprint('done')\n")
        script.chmod(0o755)
        said.append(ffmpeg_program.run_program([]))
    assert said == [None, "done\n"]
