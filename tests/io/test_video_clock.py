"""Times of containers that do not tell them, tell them wrongly, or start late or anew."""

import re
from fractions import Fraction
from pathlib import Path

import pytest
from media import convert, ffmpeg, frame_times, make_video, packets, times

from enhance_cli.errors import InputError
from enhance_cli.io.video import Span, open_source, probe

av = pytest.importorskip("av")


def made(path: Path, *options: object, seconds: float = 1) -> Path:
    """Moving pictures at 30 frames a second, encoded with FFmpeg's options."""
    picture = ("-f", "lavfi", "-i", f"testsrc2=s=64x48:r=30:d={seconds}")
    sound = ("-f", "lavfi", "-i", f"sine=d={seconds}") if "-c:a" in options else ()
    said = ffmpeg("-y", *picture, *sound, *options, path)
    assert path.exists() and path.stat().st_size, said
    return path


def frame_seconds(path: Path, span: Span | None = None) -> list[Fraction]:
    """The times at which our own reader shows the frames."""
    source = open_source(path)
    frames = source.frames(span) if span else source.frames()
    return [frame.time * source.info.time_base for frame in frames]


def packed(data: list[bytes]) -> list[bytes]:
    """Put each B-frame of MPEG-4 into the packet before it, and an empty frame into its place."""
    groups = [b"\x00\x00\x01\xb2DivX503b1393p" + data[0]]  # The "p" tells that it is done.
    for packet in data[1:]:
        # The two bits after the start code of a picture tell its kind; 2 is a B-frame.
        if packet[packet.index(b"\x00\x00\x01\xb6") + 4] >> 6 == 2:
            groups[-1] += packet
            groups.append(b"\x00\x00\x01\xb6\x51\x80\x00")
        else:
            groups.append(packet)
    return groups


@pytest.mark.parametrize("suffix", [".avi", ".mp4", ".mkv"])
def test_packed_b_frames(suffix: str, tmp_path: Path) -> None:
    """As DivX and Xvid wrote them into AVI, which has no place for frames in another order.

    Programs that only copy packets carry them on into other files.
    """
    plain = made(tmp_path / "plain.avi", "-c:v", "mpeg4", "-bf", "1", "-sc_threshold", "1000000000")
    source = tmp_path / f"packed{suffix}"
    with av.open(str(plain)) as reader, av.open(str(source), "w") as writer:
        stream = reader.streams.video[0]
        copy = writer.add_stream_from_template(stream)
        data = [bytes(packet) for packet in reader.demux(stream) if packet.size]
        for place, group in enumerate(packed(data)):
            packet = av.Packet(group)
            packet.pts = packet.dts = place
            packet.time_base, packet.stream = stream.time_base, copy
            writer.mux(packet)
    with av.open(str(source)) as container:
        told = [frame.pts for frame in container.decode(video=0)]
    assert told != sorted(told)
    found = frame_seconds(source)
    assert len(found) == 30
    steps = [float(b - a) for a, b in zip(found, found[1:], strict=False)]
    assert steps == pytest.approx([1 / 30] * 29, abs=0.0011)  # Matroska counts milliseconds.
    assert found[0] == (Fraction(1, 30) if suffix == ".avi" else 0)


def test_times_that_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in recordings whose packets lost their headers; the program knows what they were."""
    whole = made(tmp_path / "whole.ts", "-c:v", "libx264", "-bf", "2", "-g", "10")
    data = bytearray(whole.read_bytes())
    places = [found.end() for found in re.finditer(rb"\x00\x00\x01\xe0..", bytes(data), re.DOTALL)]
    for place in places[5:7] + places[12:15]:
        length = data[place + 2]
        data[place + 1] &= 0x3F  # the bits that announce the times
        data[place + 3 : place + 3 + length] = b"\xff" * length
    source = tmp_path / "in.ts"
    source.write_bytes(data)
    with av.open(str(source)) as container:
        assert None in [frame.pts for frame in container.decode(video=0)]
    assert frame_seconds(source) == frame_seconds(whole)
    monkeypatch.setattr("imageio_ffmpeg.get_ffmpeg_exe", missing)
    with pytest.raises(InputError, match="has no time, .* pip install imageio-ffmpeg"):
        frame_seconds(source)


def missing() -> str:
    """As the package says that there is no program in it."""
    raise RuntimeError("No ffmpeg exe could be found.")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("in.avi", ("-c:v", "libx264", "-bf", "2")),
        ("in.avi", ("-c:v", "mpeg4", "-bf", "2")),
        ("in.avi", ("-c:v", "mjpeg")),
        ("in.h264", ("-c:v", "libx264", "-bf", "2")),
        ("in.hevc", ("-c:v", "libx265", "-x265-params", "log-level=error")),
        ("in.m2v", ("-c:v", "mpeg2video", "-bf", "2")),
    ],
)
def test_times_that_are_not_told(tmp_path: Path, name: str, options: tuple[str, ...]) -> None:
    source = made(tmp_path / name, *options)
    convert(source, tmp_path / "out.mp4")
    found = times(tmp_path / "out.mp4")
    assert [float(time) for time in found] == pytest.approx(frame_times(source), abs=1e-5)
    assert len(found) == 30
    assert probe(source).rate == 30


def test_a_part_of_such_a_file(tmp_path: Path) -> None:
    source = made(tmp_path / "in.avi", "-c:v", "libx264", "-bf", "2", "-g", "6")
    whole = frame_seconds(source)
    assert frame_seconds(source, Span(0.5, 0.8)) == whole[15:24]


def test_a_late_start_is_moved_to_zero(tmp_path: Path) -> None:
    options = ("-c:v", "libx264", "-c:a", "aac")
    early = made(tmp_path / "early.ts", *options, "-muxdelay", "0")
    source = tmp_path / "late.ts"
    ffmpeg("-i", early, "-c", "copy", "-output_ts_offset", "50000", source)
    _, said = convert(source, tmp_path / "out.mp4")
    assert any("s: the result starts at 0" in line for line in said)
    found = times(tmp_path / "out.mp4")
    sound = [time for _, time in packets(tmp_path / "out.mp4", "audio")]
    assert min(found[0], sound[0]) == pytest.approx(0, abs=0.001)
    before = [time for _, time in packets(source, "audio")]
    assert found[0] - sound[0] == pytest.approx(times(source)[0] - before[0], abs=0.001)
    assert found[-1] < 1.1


def test_a_start_that_is_not_late_stays(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", range(15360 * 4, 15360 * 5, 512))
    _, said = convert(source, tmp_path / "out.mp4")
    assert said == []
    assert times(tmp_path / "out.mp4") == times(source)


@pytest.mark.parametrize(
    ("suffix", "video"), [(".ts", ("-c:v", "libx264")), (".mpg", ("-c:v", "mpeg2video"))]
)
def test_joined_recordings(tmp_path: Path, suffix: str, video: tuple[str, ...]) -> None:
    one = made(tmp_path / f"one{suffix}", *video, "-bf", "2", "-c:a", "mp2", "-ar", "48000")
    source = tmp_path / f"joined{suffix}"
    source.write_bytes(one.read_bytes() * 3)
    count = len(times(one))
    target = tmp_path / "out.mkv"
    _, said = convert(source, target)
    assert "its clock starts anew 2 times: the parts follow each other" in said
    found = times(target)
    assert len(found) == 3 * count
    steps = [float(b - a) for a, b in zip(found, found[1:], strict=False)]
    assert steps == pytest.approx([1 / 30] * len(steps), abs=0.035)
    sound = [float(time) for _, time in packets(target, "audio")]
    assert len(sound) == 3 * len(packets(one, "audio"))
    assert sound == sorted(sound)
    for place in range(3):  # Sound and picture of each part begin as they do in the first.
        begin = sound[place * len(sound) // 3] - float(found[place * count])
        assert begin == pytest.approx(sound[0] - float(found[0]), abs=0.06)


@pytest.mark.parametrize("target", ["out.mkv", "out", "out.gif"])
def test_one_join_is_told_whatever_is_written(tmp_path: Path, target: str) -> None:
    one = made(tmp_path / "one.ts", "-c:v", "libx264", "-preset", "ultrafast", seconds=0.2)
    source = tmp_path / "joined.ts"
    source.write_bytes(one.read_bytes() * 2)
    _, said = convert(source, tmp_path / target)
    assert "its clock starts anew once: the parts follow each other" in said


def test_a_part_of_joined_recordings(tmp_path: Path) -> None:
    one = made(tmp_path / "one.ts", "-c:v", "libx264", "-g", "10")
    source = tmp_path / "joined.ts"
    source.write_bytes(one.read_bytes() * 2)
    whole = frame_seconds(source)
    assert len(whole) == 60
    assert frame_seconds(source, Span(1.2, 1.5)) == [
        time for time in whole if 1.2 <= round(time - whole[0], 6) < 1.5
    ]
