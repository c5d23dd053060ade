"""``enhance video`` and files that are damaged or cut off."""

import json
from pathlib import Path

import pytest
from damaged_videos import cut, spoil
from small_videos import LOSSLESS, Run, frames_of, interrupt, make_video, names, times_of

av = pytest.importorskip("av")


def motion_jpeg(path: Path, count: int = 10) -> Path:
    """A video in which every frame stands alone, with sound."""
    return make_video(path, count, "mjpeg", "yuvj420p", audio=True)


@pytest.mark.usefixtures("short_segments")
@pytest.mark.parametrize(("place", "same"), [(0, 1), (5, 4), (9, 8)])
def test_a_damaged_frame_is_replaced_and_told(
    place: int,
    same: int,
    tmp_path: Path,
    enhance: Run,
    tiny_sisr: list,
    monkeypatch: pytest.MonkeyPatch,
):
    """Number, times and sound stay; and a resumed run gives the same bytes."""
    source = motion_jpeg(tmp_path / "a.mkv")
    damaged = spoil(source, place, 0.1)
    options = [*tiny_sisr, *LOSSLESS, "--json"]
    ran = enhance("video", damaged, *options, "-o", tmp_path / "o.mkv")
    assert ran.code == 0, ran.err
    seconds = f"{place / 10:.3f} s"
    told = f"damaged-a.mkv: 1 damaged frame, at {seconds}: replaced by the frame beside it"
    assert told in ran.err.splitlines()
    (row,) = json.loads(ran.out)["results"]
    assert (row["damaged"], row["cut_off"], row["frames"]) == ([place / 10], None, 10)
    frames = frames_of(tmp_path / "o.mkv")
    assert (frames[place] == frames[same]).all()
    assert times_of(tmp_path / "o.mkv") == times_of(source)
    with av.open(str(tmp_path / "o.mkv")) as made, av.open(str(source)) as given:
        sounds = [[(p.pts, bytes(p)) for p in c.demux(audio=0) if p.size] for c in (made, given)]
    assert sounds[0] == sounds[1]

    interrupt(monkeypatch, 8)
    assert enhance("video", damaged, *options, "-o", tmp_path / "r.mkv").code == 130
    ran = enhance("video", damaged, *options, "-o", tmp_path / "r.mkv", "--resume")
    assert ran.code == 0 and "going on after" in ran.err
    assert told in ran.err.splitlines()
    assert json.loads(ran.out)["results"][0]["damaged"] == [place / 10]
    assert (tmp_path / "r.mkv").read_bytes() == (tmp_path / "o.mkv").read_bytes()


def test_many_damaged_frames_are_counted(tmp_path: Path, enhance: Run, tiny_sisr: list):
    source = motion_jpeg(tmp_path / "a.mkv", 24)
    for place in range(2, 24, 3):
        spoil(source, place, 0.1).replace(source)
    ran = enhance("video", source, *tiny_sisr, *LOSSLESS)
    assert ran.code == 0
    assert (
        "8 damaged frames, at 0.200 s, 0.500 s, 0.800 s, 1.100 s, 1.400 s and 3 more: replaced "
        "by the frame beside them"
    ) in ran.err
    # Only those of the part that is enlarged are told.
    ran = enhance("video", source, *tiny_sisr, *LOSSLESS, "--overwrite", "--end", 0.8, "--json")
    assert json.loads(ran.out)["results"][0]["damaged"] == [0.2, 0.5]
    ran = enhance("video", source, *tiny_sisr, *LOSSLESS, "--overwrite", "--end", 0.2)
    assert ran.code == 0 and "damaged frame" not in ran.err


def test_strict_refuses_before_any_work(tmp_path: Path, enhance: Run, tiny_sisr: list):
    source = motion_jpeg(tmp_path / "a.mkv")
    damaged = spoil(source, 5, 0.1)
    ran = enhance("video", damaged, *tiny_sisr, *LOSSLESS, "--strict")
    assert ran.code == 1
    (line,) = ran.err.splitlines()
    assert line.startswith(f"error: {damaged}: damaged at frame 5, 0.500 s (")
    short = cut(source, 7)
    ran = enhance("video", short, *tiny_sisr, *LOSSLESS, "--strict")
    assert ran.code == 1 and len(ran.err.splitlines()) == 1
    assert f"error: {short}: damaged at frame 7" in ran.err
    assert names(tmp_path) == ["a.mkv", "cut-a.mkv", "damaged-a.mkv"]
    ran = enhance("video", source, *tiny_sisr, *LOSSLESS, "--strict", "--json")
    assert ran.code == 0 and json.loads(ran.out)["results"][0]["damaged"] == []
    # What lies outside the part does not matter.
    for part in (("--end", 0.5), ("--start", 0.6)):
        ran = enhance("video", damaged, *tiny_sisr, *LOSSLESS, "--strict", "--overwrite", *part)
        assert ran.code == 0, ran.err


@pytest.mark.parametrize("suffix", [".mkv", ".avi"])
def test_a_file_that_is_cut_off_ends_there(
    suffix: str, tmp_path: Path, enhance: Run, tiny_sisr: list
):
    source = make_video(tmp_path / f"a{suffix}", 10, "mjpeg", "yuvj420p")
    short = cut(source, 7)
    ran = enhance("video", short, *tiny_sisr, *LOSSLESS, "--json")
    assert ran.code == 0, ran.err
    made = times_of(tmp_path / "cut-a_x4.mkv")
    assert made[:7] == times_of(source)[:7] and len(made) in (7, 8)
    (row,) = json.loads(ran.out)["results"]
    assert row["cut_off"] == float(made[-1]) and row["frames"] == len(made)
    assert f"the file is cut off after {float(made[-1]):.3f} s: the result ends there" in ran.err
