"""Whole ways through: probe, decode, encode by segments, assemble; and what helps to test them."""

import hashlib
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from enhance_cli.errors import InputError, OutputError, UsageError
from enhance_cli.io.video import (
    EncodeOptions,
    Frame,
    OutputPlan,
    assemble,
    open_frames,
    output_suffix,
    plan_output,
    probe,
    segment_suffix,
    write_segment,
)

av = pytest.importorskip("av")

STEADY = tuple(range(0, 12 * 512, 512))
UNEVEN = (7000, 7512, 8024, 9500, 9600, 11000, 11512, 12024, 14000, 14001, 14600, 15000)
QUICK = EncodeOptions(preset="ultrafast", threads=1)


def scene(width: int, height: int, place: int) -> np.ndarray:
    """(H, W, 3) uint8: something smooth that moves."""
    y, x = np.mgrid[:height, :width]
    return np.stack(
        [(x * 2 + place * 5) % 256, y * 255 // height, np.full_like(x, 40 + 10 * place)], -1
    ).astype(np.uint8)


def make_video(
    path: Path,
    times: Sequence[int] = STEADY,
    *,
    size: tuple[int, int] = (64, 48),
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    unit: Fraction = Fraction(1, 15360),
    audio: str | None = None,
    colour: Sequence[int] = (),
    turn: int = 0,
    options: dict[str, str] | None = None,
    aspect: Fraction | None = None,
) -> Path:
    """A small video, with a tone where an audio encoder is named."""
    scale = {
        "video_track_timescale": str(unit.denominator),
        "movie_timescale": str(unit.denominator),
    }
    with av.open(
        str(path), "w", container_options=scale if path.suffix in (".mp4", ".mov") else {}
    ) as output:
        stream = output.add_stream(codec, rate=30, options=options or {})
        stream.width, stream.height = size
        stream.pix_fmt = pixel_format
        stream.codec_context.time_base = stream.time_base = unit
        stream.codec_context.thread_count = 1
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        if colour:
            context = stream.codec_context
            (
                context.color_range,
                context.colorspace,
                context.color_primaries,
                context.color_trc,
            ) = colour
        if turn:
            stream.set_display_rotation(turn)
        stream.metadata["language"] = "fin"
        sound = output.add_stream(audio, rate=48000) if audio else None
        if sound is not None:
            sound.metadata["language"] = "deu"
        output.metadata["title"] = "A title"
        for place, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(scene(*size, place)).reformat(format=pixel_format)
            frame.pts, frame.time_base = time, unit
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        if sound is not None:
            for packet in tone(sound):
                output.mux(packet)
    return path


def tone(stream: "av.AudioStream") -> "Iterable[av.Packet]":
    for place in range(20):
        wave = np.sin(np.arange(1024 * place, 1024 * (place + 1)) / 20, dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(np.stack([wave, wave]), "fltp", "stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48000, 1024 * place, Fraction(1, 48000)
        yield from stream.encode(frame)
    yield from stream.encode(None)


def convert(
    source: Path,
    target: Path,
    scale: int = 1,
    per: int = 5,
    options: EncodeOptions = QUICK,
    start: float | None = None,
    end: float | None = None,
    stop: int | None = None,
) -> tuple[OutputPlan, list[str]]:
    """What a task does, each pixel repeated instead of a network.

    Segments that are there are kept, as in a run that goes on; ``stop`` interrupts after as many.
    """
    parts = target.parent / f"{target.name}.parts"
    parts.mkdir(exist_ok=True)
    plan = plan_output(probe(source), target, scale, options)
    suffix = segment_suffix(plan)
    done = len(list(parts.glob(f"[0-9]*{suffix}")))
    segments = [parts / f"{number:03}{suffix}" for number in range(done)]
    with open_frames(source, start=start, end=end, skip=done * per, threads=1) as reader:
        batch: list[Frame] = []
        for frame in reader:
            batch.append(
                Frame(frame.pixels.repeat(scale, 0).repeat(scale, 1), frame.time, frame.duration)
            )
            if len(batch) == per:
                segments.append(write_batch(plan, parts / f"{len(segments):03}{suffix}", batch))
                batch = []
                if stop is not None and len(segments) == stop:
                    return plan, []
        if batch:
            segments.append(write_batch(plan, parts / f"{len(segments):03}{suffix}", batch))
    said: list[str] = []
    assemble(plan, segments, target, start=start, end=end, notice=said.append)
    return plan, [*plan.notices, *said]


def write_batch(plan: OutputPlan, path: Path, frames: Iterable[Frame]) -> Path:
    with write_segment(plan, path) as writer:
        for frame in frames:
            writer.write(frame)
    return path


def times(path: Path) -> list[Fraction]:
    """Seconds at which the frames are shown."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return [frame.pts * stream.time_base for frame in container.decode(stream)]


def pictures(path: Path) -> list[str]:
    """A digest of each decoded frame."""
    with av.open(str(path)) as container:
        return [
            hashlib.md5(frame.reformat(format="rgb24").to_ndarray().tobytes()).hexdigest()
            for frame in container.decode(video=0)
        ]


def packets(path: Path, kind: str) -> list[tuple[str, Fraction]]:
    """Digest and seconds of the packets of one kind."""
    with av.open(str(path)) as container:
        return [
            (hashlib.md5(bytes(packet)).hexdigest(), packet.pts * packet.time_base)
            for packet in container.demux()
            if packet.size and packet.stream.type == kind and packet.pts is not None
        ]


def ffmpeg(*arguments: object) -> str:
    """What another build of FFmpeg says."""
    program = pytest.importorskip("imageio_ffmpeg").get_ffmpeg_exe()
    ran = subprocess.run(
        [program, "-hide_banner", "-nostdin", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.stderr + ran.stdout


def frame_times(path: Path) -> list[float]:
    """As another build of FFmpeg decodes them."""
    said = ffmpeg(
        "-i",
        path,
        "-map",
        "0:v:0",
        "-vf",
        "showinfo",
        "-copyts",
        "-fps_mode",
        "passthrough",
        "-f",
        "null",
        "-",
    )
    return [float(time) for time in re.findall(r" pts_time:(\S+)", said)]


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


def with_extras(tmp_path: Path) -> Path:
    """A Matroska file with audio, subtitles, a font, a cover and chapters."""
    video = make_video(tmp_path / "plain.mp4", audio="aac")
    (tmp_path / "subtitles.srt").write_text(
        "1\n00:00:00,000 --> 00:00:00,200\nOne\n\n2\n00:00:00,250 --> 00:00:00,390\nTwo\n"
    )
    (tmp_path / "chapters.txt").write_text(
        ";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=200\ntitle=First\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=200\nEND=400\ntitle=Second\n"
    )
    (tmp_path / "font.ttf").write_bytes(b"no real font")
    (tmp_path / "cover.png").write_bytes(cover())
    source = tmp_path / "extras.mkv"
    said = ffmpeg(
        "-i",
        video,
        "-i",
        tmp_path / "subtitles.srt",
        "-i",
        tmp_path / "chapters.txt",
        "-map",
        "0",
        "-map",
        "1",
        "-map_chapters",
        "2",
        "-c",
        "copy",
        "-metadata:s:2",
        "language=nld",
        "-metadata:s:2",
        "title=Words",
        "-disposition:s:0",
        "forced",
        "-attach",
        tmp_path / "font.ttf",
        "-metadata:s:3",
        "mimetype=application/x-truetype-font",
        "-attach",
        tmp_path / "cover.png",
        "-metadata:s:4",
        "mimetype=image/png",
        "-metadata:s:4",
        "filename=cover.png",
        source,
    )
    assert source.exists(), said
    return source


def cover() -> bytes:
    context = av.CodecContext.create("png", "w")
    context.width, context.height, context.pix_fmt = 32, 32, "rgb24"
    context.time_base = Fraction(1)
    frame = av.VideoFrame.from_ndarray(scene(32, 32, 0))
    return b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])


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


def packets_of_cover(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        stream = next(s for s in container.streams.video if s.disposition & 1024)
        return [bytes(packet) for packet in container.demux(stream) if packet.size]


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
    with open_frames(source) as reader:
        first = next(iter(reader)).pixels
    assert np.array_equal(read_rgb8(tmp_path / "out" / "000000.png"), np.rot90(first))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_pixel_aspect_is_kept(tmp_path: Path, suffix: str) -> None:
    source = make_video(tmp_path / "in.mp4", aspect=Fraction(8, 9))
    convert(source, tmp_path / f"out{suffix}")
    assert probe(tmp_path / f"out{suffix}").sample_aspect_ratio == Fraction(8, 9)


def test_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", UNEVEN)
    convert(source, tmp_path / "whole.mp4")
    convert(source, tmp_path / "resumed.mp4", stop=1)
    assert not (tmp_path / "resumed.mp4").exists()
    convert(source, tmp_path / "resumed.mp4")
    assert pictures(tmp_path / "resumed.mp4") == pictures(tmp_path / "whole.mp4")
    assert times(tmp_path / "resumed.mp4") == times(tmp_path / "whole.mp4")


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("per", [1, 2, 12])
def test_segments_of_very_few_frames(tmp_path: Path, codec: str, per: int) -> None:
    # x265 leaves the decoding times of such streams to chance.
    source = make_video(tmp_path / "in.mp4", UNEVEN)
    options = EncodeOptions(codec, preset="ultrafast", threads=1)
    for turn in range(3):
        target = tmp_path / f"{turn}.mp4"
        convert(source, target, per=per, options=options)
        assert times(target) == times(source)


def test_segments_hold_what_one_stream_would(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4")
    lossless = EncodeOptions("ffv1", threads=1)
    convert(source, tmp_path / "whole.mkv", per=12, options=lossless)
    convert(source, tmp_path / "parts.mkv", per=5, options=lossless)
    assert pictures(tmp_path / "parts.mkv") == pictures(tmp_path / "whole.mkv")


def test_start_and_end(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", UNEVEN, audio="aac", options={"g": "4"})
    convert(source, tmp_path / "out.mp4", start=0.16, end=0.46)
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
    convert(source, tmp_path / "out.mp4", end=0.2)
    assert times(tmp_path / "out.mp4") == [Fraction(t, 15360) for t in UNEVEN[:5]]
    assert packets(tmp_path / "out.mp4", "audio")[0] == packets(source, "audio")[0]


def test_subtitles_and_chapters_are_clipped(tmp_path: Path) -> None:
    source = with_extras(tmp_path)
    target = tmp_path / "out.mkv"
    convert(source, target, start=0.1, end=0.3)
    with av.open(str(target)) as container:
        assert [
            (c["metadata"]["title"], c["start"] * c["time_base"], c["end"] * c["time_base"])
            for c in container.chapters()
        ] == [("First", 0, Fraction(1, 10)), ("Second", Fraction(1, 10), Fraction(1, 5))]
    with av.open(str(target)) as container:
        shown = [(p.pts, p.duration) for p in container.demux(subtitles=0) if p.size]
    assert shown == [(0, 100), (150, 50)]


def test_codec_by_depth_size_and_suffix(tmp_path: Path) -> None:
    info = probe(make_video(tmp_path / "in.mp4"))
    deep = probe(make_video(tmp_path / "deep.mkv", codec="ffv1", pixel_format="yuv422p10le"))

    def plan(source: object, name: str, scale: int = 1) -> tuple[str, str]:
        made = plan_output(source, tmp_path / name, scale, EncodeOptions())  # type: ignore
        return made.codec, made.pixel_format

    assert plan(info, "a.mp4") == ("h264", "yuv420p")
    assert plan(info, "a.mp4", 65) == ("hevc", "yuv420p")
    assert plan(info, "a.webm") == ("vp9", "yuv420p")
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
    info = probe(make_video(tmp_path / "in.mp4"))
    with pytest.raises((UsageError, OutputError), match=re.escape(problem)) as caught:
        plan_output(info, tmp_path / name, 2, options)
    assert "\n" not in str(caught.value)


def test_suffix_of_a_result(tmp_path: Path) -> None:
    names = ["a.mp4", "a.MOV", "a.mkv", "a.webm", "a.avi", "a.gif", "a.ts"]
    assert [output_suffix(Path(name)) for name in names] == [
        ".mp4",
        ".MOV",
        ".mkv",
        ".webm",
        ".mkv",
        ".mkv",
        ".mkv",
    ]
    assert output_suffix(tmp_path) == ""


def test_segments_appear_whole_or_not_at_all(tmp_path: Path) -> None:
    plan = plan_output(probe(make_video(tmp_path / "in.mp4")), tmp_path / "o.mp4", 1, QUICK)
    with pytest.raises(KeyboardInterrupt), write_segment(plan, tmp_path / "s.nut") as writer:
        writer.write(Frame(scene(64, 48, 0), 0, 512))
        raise KeyboardInterrupt
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4"]


FULL_DISK = """
import resource, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_video_files import *
source, target, what = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
lossless = EncodeOptions("ffv1", threads=1)
limit = 2000
if what == "assembly":
    convert(source, target.with_name("before.mkv"), options=lossless)
    parts = sorted((target.parent / "before.mkv.parts").iterdir())
    limit = max(part.stat().st_size for part in parts) + 500
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    if what == "assembly":
        assemble(plan_output(probe(source), target, 1, lossless), parts, target,
                 notice=lambda line: None)
    else:
        convert(source, target, options=lossless)
except OutputError as error:
    print(error)
"""


@pytest.mark.parametrize("what", ["segment", "assembly"])
def test_full_disk(tmp_path: Path, what: str) -> None:
    source = make_video(tmp_path / "in.mp4")
    ran = subprocess.run(
        [
            sys.executable,
            "-c",
            FULL_DISK.format(tests=str(Path(__file__).parent)),
            source,
            tmp_path / "out.mkv",
            what,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "cannot write" in ran.stdout, ran.stdout + ran.stderr
    assert ran.stdout.count("\n") == 1 and ran.stderr == ""
    assert not (tmp_path / "out.mkv").exists()
    assert not list(tmp_path.rglob(".*"))


def test_parts_made_otherwise_are_refused(tmp_path: Path) -> None:
    source, target = make_video(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    convert(source, target, stop=1)
    with pytest.raises(OutputError, match="its parts were made with different settings"):
        convert(source, target, options=EncodeOptions(preset="medium", threads=1))


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


def test_without_pyav(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make_video(tmp_path / "in.mp4")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(InputError, match="videos need PyAV, run: pip install av"):
        open_frames(source)


def test_audio_that_the_muxer_itself_refuses_is_known_before(tmp_path: Path) -> None:
    source = make_video(
        tmp_path / "in.mkv", audio="flac", unit=Fraction(1, 1000), times=range(0, 400, 40)
    )
    plan = plan_output(probe(source), tmp_path / "out.mov", 1, QUICK)
    assert plan.notices == (
        "stream 1 (audio, flac): mov cannot hold it, left out; use an .mkv output",
    )
    convert(source, tmp_path / "out.mov")
    assert len(times(tmp_path / "out.mov")) == 10


def test_time_code_is_kept(tmp_path: Path) -> None:
    source = tmp_path / "coded.mov"
    ffmpeg("-i", make_video(tmp_path / "in.mp4"), "-c", "copy", "-timecode", "01:00:00:00", source)
    _, said = convert(source, tmp_path / "out.mov")
    assert said == []
    assert "timecode        : 01:00:00:00" in ffmpeg("-i", tmp_path / "out.mov")
