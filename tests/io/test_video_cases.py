"""Videos as they are found: each gives a right output or one line that says why not."""

from fractions import Fraction
from pathlib import Path

import pytest
from media import QUICK, convert, ffmpeg, frame_times, packets, times

from enhance_cli.errors import InputError
from enhance_cli.io.video import Span, probe
from enhance_cli.io.video.jobs import video_suffix

av = pytest.importorskip("av")

GOOD = {  # frames
    "h264_10bits.mp4": 30,
    "nasa_13013_rotated.mp4": 17,
    "realshort.mp4": 36,
    "sample_android_slow_motion.mp4": 7,
    "sample_shorter_audio.mp4": 72,
    "sample_with_chapters.mkv": 150,
    "test_non_zero_start.mp4": 12,
    "testsrc2_odd_height_and_width_444.mp4": 25,
    "video_90.mov": 3,
}
SLOW = {
    "av1_video.mkv": 125,
    "sample_portrait.mp4": 30,
    "sample_with_srt.mkv": 30,
    "testsrc2_hdr.mp4": 60,
    "testsrc2_vp9.webm": 30,
    "sample_with_increasing_timestamps_320w_240h.mp4": 932,
}
BAD = {
    "corrupted.mp4": r"damaged at frame 30, 3\.000 s",
    "invalid-bitstream.webm": "none of its 51 frames decodes",
    "sample_audio_only.mp4": "no video stream, the file holds only audio",
}


@pytest.fixture
def cases(shared_data: Path) -> Path:
    folder = shared_data / "video" / "cases"
    if not folder.is_dir():
        pytest.skip("the videos (../shared/data/video/cases) are not on this machine")
    return folder


def test_all_are_known(cases: Path) -> None:
    assert {path.name for path in cases.iterdir()} == {*GOOD, *SLOW, *BAD}


@pytest.mark.parametrize(
    "name", [*GOOD, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]
)
def test_good(cases: Path, tmp_path: Path, name: str) -> None:
    source = cases / name
    target = tmp_path / f"out{video_suffix(source)}"
    options = QUICK if target.suffix != ".webm" else type(QUICK)(preset="8", threads=1)
    plan, said = convert(source, target, per=40, options=options)
    assert said == []
    assert times(target) == times(source)
    expected = [float(time) for time in times(source)]
    assert len(expected) == {**GOOD, **SLOW}[name]
    assert frame_times(target) == pytest.approx(expected, abs=1e-5)
    for kind in ("audio", "subtitle"):
        assert [digest for digest, _ in packets(target, kind)] == [
            digest for digest, _ in packets(source, kind)
        ]
        drift = [
            abs(a - b)
            for (_, a), (_, b) in zip(packets(target, kind), packets(source, kind), strict=True)
        ]
        assert max(drift, default=0) <= Fraction(1, 44100)
    before, after = probe(source), probe(target)
    assert after.colour == before.colour or before.colour.assumed
    assert (after.colour.range, after.colour.matrix) == (before.colour.range, before.colour.matrix)
    assert (after.rotation, after.depth, after.hdr) == (before.rotation, before.depth, before.hdr)
    assert after.sample_aspect_ratio == before.sample_aspect_ratio
    assert after.seconds == pytest.approx(before.seconds, abs=0.04)
    assert (after.width, after.height) == (before.width, before.height)
    assert "Error" not in ffmpeg("-v", "error", "-i", target, "-f", "null", "-")


@pytest.mark.parametrize("name", BAD)
def test_bad(cases: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=BAD[name]) as caught:
        convert(cases / name, tmp_path / "out.mkv")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out.mkv").exists()


def test_before_the_damage(cases: Path, tmp_path: Path) -> None:
    convert(cases / "corrupted.mp4", tmp_path / "out.mp4", span=Span(end=2.5), options=QUICK)
    assert len(times(tmp_path / "out.mp4")) == 25
