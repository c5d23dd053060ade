"""Sound of old containers: copied where the output holds it, else converted, which is told."""

from pathlib import Path

import numpy as np
import pytest
from media import convert, ffmpeg, make_video, packets

from enhance_cli.errors import UnknownNameError
from enhance_cli.io.video import EncodeOptions, Span, probe

av = pytest.importorskip("av")

WAVE = ("-f", "lavfi", "-i", "sine=440:d=0.5")
NARROW = ("-ar", "8000", "-ac", "1")
WIDE = ("-ar", "48000", "-ac", "2")


def with_sound(path: Path, video: str, *audio: str) -> Path:
    """Half a second of video, and of a tone in the codec that FFmpeg's options name."""
    picture = ("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=0.5")
    said = ffmpeg("-y", *picture, *WAVE, "-c:v", video, "-c:a", *audio, path)
    assert path.exists() and path.stat().st_size, said
    return path


def sound(path: Path) -> tuple[str, float, float]:
    """Codec, frequency in hertz of what is heard, and seconds at which it begins."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        decoded = list(container.decode(stream))
        begin = float(decoded[0].pts * decoded[0].time_base)
        mono = av.AudioResampler("flt", "mono", stream.rate)
        wave = np.concatenate([f.to_ndarray()[0] for d in decoded for f in mono.resample(d)])
        loudest = int(np.abs(np.fft.rfft(wave)).argmax())
        name = stream.codec_context.codec.canonical_name
        return name, loudest * stream.rate / len(wave), begin


@pytest.mark.parametrize(
    ("name", "video", "audio"),
    [
        ("in.wmv", "wmv2", ("wmav2",)),
        ("in.avi", "mpeg4", ("pcm_mulaw", *NARROW)),
        ("in.avi", "mpeg4", ("adpcm_ms",)),
        ("in.avi", "mpeg4", ("g726", *NARROW)),
        ("in.3gp", "mpeg4", ("libopencore_amrnb", *NARROW)),
    ],
)
def test_matroska_copies_what_pyav_refuses(
    tmp_path: Path, name: str, video: str, audio: tuple[str, ...]
) -> None:
    source = with_sound(tmp_path / name, video, *audio)
    target = tmp_path / "out.mkv"
    _, said = convert(source, target)
    assert said == []
    copied, original = packets(target, "audio"), packets(source, "audio")
    assert [digest for digest, _ in copied] == [digest for digest, _ in original]
    assert [float(time) for _, time in copied] == pytest.approx(
        [float(time) for _, time in original], abs=0.01
    )
    assert sound(target)[1] == pytest.approx(440, abs=9)
    assert "Error" not in ffmpeg("-v", "error", "-i", target, "-f", "null", "-")


@pytest.mark.parametrize(
    ("name", "audio", "target", "options", "codec"),
    [
        ("in.vob", ("pcm_dvd", *WIDE), "out.mkv", EncodeOptions(), "flac"),
        ("in.m2ts", ("pcm_bluray", *WIDE), "out.mkv", EncodeOptions(audio="aac"), "aac"),
        ("in.vob", ("pcm_dvd", *WIDE), "out.mov", EncodeOptions(), "alac"),
        ("in.avi", ("adpcm_ms",), "out.mp4", EncodeOptions(), "flac"),
        ("in.avi", ("adpcm_ms",), "out.mov", EncodeOptions(), "alac"),
        ("in.wmv", ("wmav2",), "out.webm", EncodeOptions(preset="8"), "opus"),
    ],
)
def test_what_no_container_holds_is_converted(
    tmp_path: Path,
    name: str,
    audio: tuple[str, ...],
    target: str,
    options: EncodeOptions,
    codec: str,
) -> None:
    video = "wmv2" if name.endswith(".wmv") else "mpeg2video"
    source = with_sound(tmp_path / name, video, *audio)
    _, said = convert(source, tmp_path / target, options=options)
    assert any(f"cannot hold it, converted to {codec}" in line for line in said)
    found, original = sound(tmp_path / target), sound(source)
    assert found[0] == codec
    assert found[1] == pytest.approx(440, abs=9)
    assert found[2] == pytest.approx(original[2], abs=0.03)


def test_lossless_conversion_keeps_every_sample(tmp_path: Path) -> None:
    source = with_sound(tmp_path / "in.vob", "mpeg2video", "pcm_dvd", *WIDE)
    convert(source, tmp_path / "out.mkv")

    def samples(path: Path) -> np.ndarray:
        with av.open(str(path)) as container:
            resampler = av.AudioResampler("s16", "stereo", 48000)
            frames = [f for d in container.decode(audio=0) for f in resampler.resample(d)]
            return np.concatenate([frame.to_ndarray() for frame in frames], 1)

    assert np.array_equal(samples(tmp_path / "out.mkv"), samples(source))


def test_converted_sound_is_cut_with_the_video(tmp_path: Path) -> None:
    source = with_sound(tmp_path / "in.vob", "mpeg2video", "pcm_dvd", *WIDE)
    convert(source, tmp_path / "out.mkv", span=Span(0.2, 0.4))
    with av.open(str(tmp_path / "out.mkv")) as container:
        frames = list(container.decode(audio=0))
    assert frames[0].pts * frames[0].time_base == pytest.approx(0, abs=0.05)
    assert sum(frame.samples for frame in frames) == pytest.approx(0.2 * 48000, abs=0.05 * 48000)


def test_chapters_go_before_a_copy(tmp_path: Path) -> None:
    """The way around PyAV's refusal would lose the chapters, so the sound is converted."""
    plain = with_sound(tmp_path / "in.mov", "mpeg4", "pcm_alaw", *NARROW)
    listed = tmp_path / "chapters.txt"
    listed.write_text(";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=500\ntitle=First\n")
    source = tmp_path / "chapters.mov"
    ffmpeg("-i", plain, "-i", listed, "-map", "0", "-map_chapters", "1", "-c", "copy", source)
    _, said = convert(source, tmp_path / "out.mkv")
    assert said[0].endswith(
        "(audio, pcm_alaw): cannot be copied beside chapters, converted to flac"
    )
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert [chapter["metadata"]["title"] for chapter in container.chapters()] == ["First"]


def test_names_with_special_characters(tmp_path: Path) -> None:
    source = with_sound(tmp_path / "in.avi", "mpeg4", "adpcm_ms")
    target = tmp_path / "it's [1] a|b: c\\d.mkv"
    convert(source, target)
    assert sound(target)[0] == "adpcm_ms"


def test_an_unknown_choice(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4")
    with pytest.raises(UnknownNameError, match="mp3"):
        convert(source, tmp_path / "out.mkv", options=EncodeOptions(audio="mp3"))


@pytest.mark.parametrize("late", [0, 3600])
def test_sound_without_a_decoder_is_copied_by_the_program(
    late: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MPEG-H stands for what phones record and FFmpeg cannot decode; PyAV copies none of it."""
    made = with_sound(tmp_path / "made.mp4", "libx264", "aac")
    if late:
        ffmpeg("-i", made, "-c", "copy", "-output_ts_offset", late, tmp_path / "late.mp4")
        made = tmp_path / "late.mp4"
    source = tmp_path / "in.mp4"
    source.write_bytes(made.read_bytes().replace(b"mp4a", b"mhm1", 1).replace(b"esds", b"free", 1))
    with av.open(str(source)) as container:
        assert container.streams.audio[0].codec_context is None
    _, said = convert(source, tmp_path / "out.mp4")
    assert not any("stream 1" in line for line in said)
    before, after = packets(source, "audio"), packets(tmp_path / "out.mp4", "audio")
    assert [digest for digest, _ in after] == [digest for digest, _ in before]
    assert [float(time) for _, time in after] == pytest.approx(
        [float(time - probe(source).late) for _, time in before], abs=0.001
    )
    convert(made, tmp_path / "known.mp4")  # with sound that PyAV knows
    assert packets(tmp_path / "out.mp4", "video") == packets(tmp_path / "known.mp4", "video")
    _, said = convert(source, tmp_path / "part.mp4", span=Span(end=0.3))
    assert "stream 1: can only be copied with the whole video, left out" in said
    monkeypatch.setattr("enhance_cli.io.video.program.find_program", lambda: None)
    monkeypatch.setattr("enhance_cli.io.video.copying.find_program", lambda: None)
    _, said = convert(source, tmp_path / "without.mp4")
    advice = "cannot be copied, left out; run: pip install imageio-ffmpeg, which may copy it"
    assert f"stream 1 (audio, unknown): {advice}" in said
