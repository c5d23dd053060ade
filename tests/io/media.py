"""Small videos to test with, and what helps to look into them."""

import hashlib
import re
import subprocess
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from enhance_cli.io.video import (
    WHOLE,
    EncodeOptions,
    Frame,
    FrameSink,
    Kind,
    OutputPlan,
    Span,
    VideoInfo,
    open_source,
    plan_sink,
)
from enhance_cli.sizes import FrameSize, enlarged_by

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


def sink_of(
    source: Path, target: Path, scale: float = 1, options: EncodeOptions = QUICK
) -> FrameSink:
    """The sink of a file, or of a folder where the target has no suffix."""
    kind = Kind.VIDEO if target.suffix else Kind.FRAMES
    info = open_source(source).info
    return plan_sink(info, target, kind, enlarged(info, scale), options)


def enlarged(info: VideoInfo, scale: float) -> FrameSize:
    """The size of frames that are ``scale`` times as wide and high as those of a video."""
    return enlarged_by(Fraction(scale)).of(
        info.path, info.width, info.height, info.sample_aspect_ratio
    )


def convert(
    source: Path,
    target: Path,
    scale: int = 1,
    per: int = 5,
    options: EncodeOptions = QUICK,
    span: Span = WHOLE,
    stop: int | None = None,
) -> tuple[OutputPlan, list[str]]:
    """What a task does, each pixel repeated instead of a network.

    Segments that are there are kept, as in a run that goes on; ``stop`` interrupts after as many.
    """
    parts = target.parent / f"{target.name}.parts"
    parts.mkdir(exist_ok=True)
    sink = sink_of(source, target, scale, options)
    suffix = sink.segment_suffix
    done = len(list(parts.glob(f"[0-9]*{suffix}")))
    segments = [parts / f"{number:03}{suffix}" for number in range(done)]
    batch: list[Frame] = []
    for frame in open_source(source, threads=1).frames(span, done * per):
        batch.append(
            Frame(frame.pixels.repeat(scale, 0).repeat(scale, 1), frame.time, frame.duration)
        )
        if len(batch) == per:
            segments.append(write_batch(sink, parts / f"{len(segments):03}{suffix}", batch))
            batch = []
            if stop is not None and len(segments) == stop:
                return sink.plan, []
    if batch:
        segments.append(write_batch(sink, parts / f"{len(segments):03}{suffix}", batch))
    said: list[str] = []
    sink.assemble(segments, span, said.append)
    return sink.plan, [*sink.plan.notices, *said]


def write_batch(sink: FrameSink, path: Path, frames: Iterable[Frame]) -> Path:
    with sink.segment(path) as writer:
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


def packets_of_cover(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        stream = next(s for s in container.streams.video if s.disposition & 1024)
        return [bytes(packet) for packet in container.demux(stream) if packet.size]
