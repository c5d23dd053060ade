"""``enhance video --deinterlace``."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from small_videos import (
    LOSSLESS,
    Run,
    close,
    enlarged,
    frames_of,
    interrupt,
    make_frames,
    make_video,
    times_of,
)

av = pytest.importorskip("av")


def fields(count: int = 12) -> list[np.ndarray]:
    """A pattern that moves, (24, 32, 3) at each moment at which a field is taken."""
    x = np.mgrid[:24, :32][1]
    waves = [127 + 90 * np.sin((x - 2 * time) / 3) for time in range(2 * count)]
    return [np.repeat(wave.astype(np.uint8)[..., None], 3, axis=2) for wave in waves]


def interlaced() -> list[np.ndarray]:
    """Frames whose odd lines are taken half a frame after their even ones."""
    frames = [frame.copy() for frame in fields()[::2]]
    for frame, later in zip(frames, fields()[1::2], strict=True):
        frame[1::2] = later[1::2]
    return frames


def difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(int) - other).mean())


@pytest.mark.usefixtures("short_segments")
def test_combs_are_told_and_removed(
    tmp_path: Path, enhance: Run, tiny_sisr: list, monkeypatch: pytest.MonkeyPatch
):
    source = make_video(tmp_path / "a.mkv", interlaced(), audio=True)
    options = ["video", source, *tiny_sisr, *LOSSLESS]
    ran = enhance(*options, "-o", tmp_path / "left.mkv")
    assert ran.code == 0, ran.err
    assert "interlaced, top field first: left as it is, add --deinterlace auto" in ran.err
    ran = enhance(*options, "--deinterlace", "no", "-o", tmp_path / "no.mkv")
    assert "interlaced" not in ran.err
    left = frames_of(tmp_path / "left.mkv")
    assert close(frames_of(tmp_path / "no.mkv"), left)
    assert close(left, enlarged(tiny_sisr[1], interlaced()))

    ran = enhance(*options, "--deinterlace", "auto", "-o", tmp_path / "auto.mkv", "--json")
    assert "interlaced, top field first: deinterlaced, a frame for each frame" in ran.err
    assert json.loads(ran.out)["results"][0]["frames"] == 12
    whole = enlarged(tiny_sisr[1], fields()[::2])
    assert difference(frames_of(tmp_path / "auto.mkv"), whole) < 0.1 * difference(left, whole)
    assert times_of(tmp_path / "auto.mkv") == times_of(source)
    with av.open(str(tmp_path / "auto.mkv")) as made, av.open(str(source)) as given:
        sounds = [[(p.pts, bytes(p)) for p in c.demux(audio=0) if p.size] for c in (made, given)]
    assert sounds[0] == sounds[1]

    interrupt(monkeypatch, 11)
    target = ["-o", tmp_path / "resumed.mkv", "--deinterlace"]
    assert enhance(*options, *target, "auto").code == 130
    ran = enhance(*options, *target, "no", "--resume")
    assert ran.code == 1 and "begun with another --deinterlace" in ran.err
    assert enhance(*options, *target, "auto", "--resume").code == 0
    assert (tmp_path / "resumed.mkv").read_bytes() == (tmp_path / "auto.mkv").read_bytes()


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_film_gets_its_rate_back(suffix: str, tmp_path: Path, enhance: Run, tiny_sisr: list):
    film, frames = fields(8), []
    for a, b, c, d in (film[place : place + 4] for place in range(0, 16, 4)):
        woven = [first.copy() for first in (b, c)]
        woven[0][1::2], woven[1][1::2] = c[1::2], d[1::2]
        frames += [a, b, *woven, d]
    source = make_video(tmp_path / f"a{suffix}", frames, "libx264", "yuv444p", rate=30, audio=True)
    ran = enhance("video", source, *tiny_sisr, "--deinterlace", "auto")
    assert ran.code == 0, ran.err
    assert "film in telecine: its 24 frames a second are restored from 30" in ran.err
    made = tmp_path / f"a_x4{suffix}"
    for place, time in enumerate(times_of(made)):
        assert abs(time - Fraction(place, 24)) < Fraction(1, 500)
    result, whole = frames_of(made), enlarged(tiny_sisr[1], film)
    assert len(result) == 16  # and each is that of its place
    assert difference(result, whole) < 0.3 * difference(result[1:], whole[:-1])
    with av.open(str(made)) as result, av.open(str(source)) as given:
        assert abs(result.streams.video[0].average_rate - 24) < Fraction(1, 10)
        assert abs(result.duration - given.duration) < 50_000  # microseconds


def test_what_is_progressive_stays_as_it_is(tmp_path: Path, enhance: Run, tiny_sisr: list):
    source = make_video(tmp_path / "a.mkv", 7)
    options = ["video", source, *tiny_sisr, *LOSSLESS, "--overwrite", "--no-metadata"]
    assert "deinterlace" not in enhance(*options).err
    plain = (tmp_path / "a_x4.mkv").read_bytes()
    assert "progressive: not deinterlaced" in enhance(*options, "--deinterlace", "auto").err
    assert (tmp_path / "a_x4.mkv").read_bytes() == plain


def test_folders_and_unknown_choices(tmp_path: Path, enhance: Run, tiny_sisr: list):
    folder = make_frames(tmp_path / "in", 2)
    ran = enhance("video", folder, *tiny_sisr, "--deinterlace", "auto")
    assert ran.code == 0 and "--deinterlace auto is for video files: not used" in ran.err
    ran = enhance("video", folder, *tiny_sisr, "--deinterlace", "bob")
    assert ran.code == 2 and "unknown deinterlace 'bob': choose from auto, no, yes" in ran.err
