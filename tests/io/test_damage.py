"""Damaged frames: found, replaced, noted, and all others as if there were no damage."""

import re
from collections.abc import Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from damaged_videos import cut, spoil
from media import convert, ffmpeg, make_video, packets, sink_of, times, write_batch

from enhance_cli.errors import InputError
from enhance_cli.io.video import Damage, Deinterlace, Frame, Span, open_source

av = pytest.importorskip("av")

COUNT = 30
TIMES = tuple(range(0, COUNT * 512, 512))
SIZE = (128, 96)
H264 = {"g": "10", "bf": "2", "b_strategy": "0", "sc_threshold": "0"}


def read(
    path: Path, span: Span | None = None, deinterlace: Deinterlace = "no"
) -> tuple[list[Frame], Damage]:
    damage = Damage()
    source = open_source(path, damage=damage, deinterlace=deinterlace)
    return list(source.frames(span or Span())), damage


def places(damage: Damage) -> list[int]:
    """The places of the damaged frames at 30 frames a second."""
    return [round(time * 30) for time in damage.within(Span())]


def check(
    path: Path, damaged: Path, replaced: Sequence[int], shown: Sequence[int] = ()
) -> list[Frame]:
    """Compare a damaged copy of a video with the video; returns its frames."""
    whole, none = read(path)
    frames, damage = read(damaged)
    assert none == Damage()
    assert [frame.time for frame in frames] == [frame.time for frame in whole]
    assert len(frames) == COUNT
    assert places(damage) == sorted([*replaced, *shown])
    assert [round(time * 30) for time in damage.frames if damage.frames[time]] == list(shown)
    good = [place for place in range(COUNT) if place not in replaced]
    for place in replaced:
        beside = max((other for other in good if other < place), default=min(good))
        np.testing.assert_array_equal(frames[place].pixels, frames[beside].pixels)
    first = min([*replaced, *shown])
    for before in range(first):
        np.testing.assert_array_equal(frames[before].pixels, whole[before].pixels)
    if max(replaced, default=0) < COUNT - 1:
        np.testing.assert_array_equal(frames[-1].pixels, whole[-1].pixels)
    with pytest.raises(InputError, match=rf"damaged at frame {first}, {first / 30:.3f} s \(") as e:
        list(open_source(damaged).frames())
    assert "\n" not in str(e.value)
    return frames


@pytest.mark.parametrize(
    ("packet", "begin", "replaced"),
    [(14, 0.5, [14]), (0, 0.5, [0]), (1, 0, [1]), (29, 0.1, [29])],
)
@pytest.mark.parametrize("suffix", [".mkv", ".avi"])
def test_motion_jpeg(
    tmp_path: Path, suffix: str, packet: int, begin: float, replaced: list[int]
) -> None:
    """Its decoder shows the beginning of a picture that breaks off, which is not enough."""
    source = make_video(
        tmp_path / f"a{suffix}", TIMES, size=SIZE, codec="mjpeg", pixel_format="yuvj420p"
    )
    check(source, spoil(source, packet, begin), replaced)


def test_ffv1(tmp_path: Path) -> None:
    """Its checksums tell, and the decoder shows the frame before in the place of damaged parts."""
    options = {"level": "3", "slicecrc": "1"}
    source = make_video(tmp_path / "a.mkv", TIMES, size=SIZE, codec="ffv1", options=options)
    check(source, spoil(source, 14), [], [14])


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_h264(tmp_path: Path, suffix: str) -> None:
    source = make_video(tmp_path / f"a{suffix}", TIMES, size=SIZE, options=H264)
    check(source, spoil(source, 13), [], [12])  # The packet before holds a later frame.
    if suffix != ".avi":
        check(source, spoil(source, 13, 0), [12])
    check(source, spoil(source, 0, 0), list(range(10)))  # All build on the first.


def test_frames_that_come_out_in_another_order_after_damage(tmp_path: Path) -> None:
    """The frames before a lost keyframe, and those after it, stay where they were."""
    source = make_video(tmp_path / "a.mp4", TIMES, size=SIZE, options=H264)
    damaged = spoil(source, 10, 0)
    with av.open(str(damaged)) as container:
        times = []
        for packet in container.demux(video=0):
            with suppress(av.InvalidDataError):
                times += [frame.pts for frame in packet.decode()]
    assert times != sorted(times)
    check(source, damaged, list(range(10, 18)))


def test_raw_streams_keep_the_number_of_their_frames(tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.h264", TIMES, size=SIZE, options={"g": "10", "bf": "0"})
    whole, _ = read(source)
    frames, damage = read(spoil(source, 14, 0))
    assert [frame.time for frame in frames] == [frame.time for frame in whole]
    assert damage.frames == {Fraction(14, 25): False}  # They tell no rate; 25 is assumed.
    np.testing.assert_array_equal(frames[14].pixels, whole[13].pixels)
    np.testing.assert_array_equal(frames[20].pixels, whole[20].pixels)


def test_a_jump_gives_what_reading_from_the_first_gives(tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.mp4", TIMES, size=SIZE, options=H264)
    for packet in (10, 13):
        damaged = spoil(source, packet, 0)
        whole, damage = read(damaged)
        for start in (5, 10, 14, 16, 25):
            span = Span((start - 0.5) / 30)
            part, found = read(damaged, span)
            assert [frame.time for frame in part] == list(TIMES[start:])
            for one, other in zip(part, whole[start:], strict=True):
                np.testing.assert_array_equal(one.pixels, other.pixels)
            assert found.within(span) == damage.within(span)


def test_damage_before_filters(tmp_path: Path) -> None:
    """What is deinterlaced has as many frames, at the same times."""
    source = make_video(
        tmp_path / "a.mkv", TIMES, size=SIZE, codec="mjpeg", pixel_format="yuvj420p"
    )
    whole, _ = read(source, deinterlace="yes")
    for packet in (0, 14):
        frames, damage = read(spoil(source, packet), deinterlace="yes")
        assert [frame.time for frame in frames] == [frame.time for frame in whole]
        assert places(damage) == [packet]


def test_pictures_that_a_camera_ends_too_early_are_no_damage(tmp_path: Path) -> None:
    source = make_video(
        tmp_path / "a.avi", TIMES, size=SIZE, codec="mjpeg", pixel_format="yuvj420p"
    )
    for packet in range(COUNT):
        spoil(source, packet, 0.9).replace(source)
    frames, damage = read(source)
    assert len(frames) == COUNT and damage == Damage()


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".ts"])
def test_cut_off(tmp_path: Path, suffix: str) -> None:
    plain = make_video(
        tmp_path / f"in{suffix}", TIMES, size=SIZE, options=H264, unit=Fraction(1, 15360)
    )
    source = tmp_path / f"front{suffix}"
    convert(plain, source) if suffix == ".mp4" else plain.rename(source)  # the index in front
    short = cut(source, 20)
    whole, none = read(source)
    frames, damage = read(short)
    assert none.end is None
    assert 5 < len(frames) < COUNT
    assert {frame.time for frame in frames} <= {frame.time for frame in whole}
    last = open_source(source).info
    assert damage.end == (frames[-1].time - last.first) * last.time_base
    with pytest.raises(InputError, match=r"damaged at .* s \(") as caught:
        list(open_source(short).frames())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("codec", ["libx265", "libsvtav1"])
def test_what_the_decoder_passes_over_in_silence(tmp_path: Path, codec: str) -> None:
    """Each packet of these codecs gives a frame, so what is missing is damaged."""
    options = {"g": "10", "x265-params": "log-level=none:keyint=10", "preset": "ultrafast"}
    if codec == "libsvtav1":
        options = {"g": "10", "preset": "12"}
    source = make_video(tmp_path / "a.mp4", TIMES, size=SIZE, codec=codec, options=options)
    lost = 0
    for packet in range(9, 20):
        frames, damage = read(spoil(source, packet, 0))
        assert [frame.time for frame in frames] == list(TIMES)
        lost += len(damage.frames)
    assert lost > 5


def test_a_file_that_cannot_be_read_on_ends_there(tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.y4m", TIMES, size=SIZE, codec="wrapped_avframe")
    data = bytearray(source.read_bytes())
    place = len(data) * 11 // 20
    data[place : place + 20_000] = bytes(20_000)
    source.write_bytes(data)
    frames, damage = read(source)
    assert len(frames) == 17 and not damage.frames
    assert damage.end == (frames[-1].time - frames[0].time) * open_source(source).info.time_base
    with pytest.raises(InputError, match=r"damaged at frame 17, "):
        list(open_source(source).frames())


def test_sound_ends_where_the_file_cannot_be_read_on(tmp_path: Path) -> None:
    source = tmp_path / "a.rm"
    made = ("-f", "lavfi", "-i", "testsrc2=s=64x48:r=30:d=1", "-f", "lavfi", "-i", "sine=d=1")
    ffmpeg(*made, "-c:v", "rv10", source)
    data = bytearray(source.read_bytes())
    place = len(data) * 3 // 5
    data[place : place + 500] = bytes(500)
    source.write_bytes(data)
    frames, damage = read(source)
    assert damage.end is not None and 5 < len(frames) < 25
    sink = sink_of(source, tmp_path / "o.mkv")
    said: list[str] = []
    sink.assemble([write_batch(sink, tmp_path / "0.nut", frames)], Span(), said.append)
    (line,) = [line for line in said if "sound" in line]
    assert re.match(r"sound and subtitles end at 0\.\d+ s too \(", line)
    assert len(times(tmp_path / "o.mkv")) == len(frames)
    assert packets(tmp_path / "o.mkv", "audio")
