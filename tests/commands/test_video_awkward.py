"""``enhance video`` on what users, scripts and cameras throw at it."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_videos import (
    LOSSLESS,
    Run,
    close,
    enlarged,
    errors,
    frames_of,
    make_frames,
    make_video,
    names,
    scene,
    scenes,
)

av = pytest.importorskip("av")


def test_several_inputs_and_one_is_bad(tmp_path: Path, enhance: Run, tiny_sisr: list):
    make_video(tmp_path / "a.mkv", 2)
    (tmp_path / "bad.mp4").write_bytes(b"no video at all" * 50)
    make_video(tmp_path / "c.mkv", 2)
    make_frames(tmp_path / "shot", 2)
    ran = enhance(
        "video", *sorted(tmp_path.iterdir()), tmp_path / "none.mp4", *tiny_sisr, *LOSSLESS, "--json"
    )
    assert ran.code == 1
    states = {Path(row["input"]).name: row["status"] for row in json.loads(ran.out)["results"]}
    assert states == {
        "a.mkv": "ok",
        "bad.mp4": "failed",
        "c.mkv": "ok",
        "shot": "ok",
        "none.mp4": "failed",
    }
    assert len(errors(ran.err)) == 2
    assert ran.err.splitlines()[-1] == "2 of 5 inputs failed"
    assert names(tmp_path) == [
        "a.mkv",
        "a_x4.mkv",
        "bad.mp4",
        "c.mkv",
        "c_x4.mkv",
        "shot",
        "shot_x4",
    ]


def test_a_folder_of_videos_and_a_second_run(tmp_path: Path, enhance: Run, tiny_sisr: list):
    (tmp_path / "in").mkdir()
    make_video(tmp_path / "in" / "a.mkv", 2)
    (tmp_path / "in" / "cover.png").write_bytes(b"not looked at")
    (tmp_path / "in" / "b.movie").write_bytes(b"told, for it may be a video")
    for arguments in ((), ("--skip-existing",), ("--overwrite",)):
        ran = enhance("video", tmp_path / "in", *tiny_sisr, *LOSSLESS, *arguments)
        assert ran.code == 0, ran.err
        assert "b.movie: skipped, a video of a rare kind" in ran.err
        assert names(tmp_path / "in") == ["a.mkv", "a_x4.mkv", "b.movie", "cover.png"]
    ran = enhance("video", tmp_path / "in", *tiny_sisr, *LOSSLESS)
    assert ran.code == 1
    assert "a_x4.mkv: exists already, add --overwrite or --skip-existing" in ran.err


def test_recursive_mirrors_and_leaves_unfinished_work_alone(
    tmp_path: Path, enhance: Run, tiny_sisr: list
):
    root = tmp_path / "in"
    for name in (
        "a.mkv",
        "deep/er/b.mkv",
        "deep/c_x4.mkv.part/segment-000000.nut",
        ".hidden/d.mkv",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        make_video(root / name, 1)
    ran = enhance("video", root, *tiny_sisr, *LOSSLESS, "-o", tmp_path / "out", "-r")
    assert ran.code == 0, ran.err
    made = sorted(
        str(path.relative_to(tmp_path / "out"))
        for path in (tmp_path / "out").rglob("*")
        if path.is_file()
    )
    assert made == ["a_x4.mkv", "deep/er/b_x4.mkv"]


def test_globs_of_videos_and_of_folders(tmp_path: Path, enhance: Run, tiny_sisr: list):
    for name in ("one", "two"):
        make_video(tmp_path / f"{name}.mkv", 1)
        make_frames(tmp_path / f"shot-{name}", 1)
    ran = enhance(
        "video",
        f"{tmp_path}/*.mkv",
        f"{tmp_path}/shot-*",
        *tiny_sisr,
        *LOSSLESS,
        "-o",
        tmp_path / "out",
    )
    assert ran.code == 0, ran.err
    assert names(tmp_path / "out") == ["one_x4.mkv", "shot-one_x4", "shot-two_x4", "two_x4.mkv"]
    ran = enhance("video", f"{tmp_path}/*.avi", *tiny_sisr)
    assert ran.code == 1 and "no file matches this pattern" in ran.err
    assert enhance("video", f"{tmp_path}/shot-*", *tiny_sisr).code == 0
    ran = enhance("video", f"{tmp_path}/shot-*", *tiny_sisr, "--skip-existing")
    assert ran.code == 0 and ran.err.count("looks like an earlier output") == 2


def test_folders_of_one_name_do_not_mix(tmp_path: Path, enhance: Run, tiny_sisr: list):
    make_frames(tmp_path / "a" / "shot", 1)
    make_frames(tmp_path / "b" / "shot", 2)
    ran = enhance(
        "video",
        tmp_path / "a" / "shot",
        tmp_path / "b" / "shot",
        *tiny_sisr,
        "-o",
        tmp_path / "out",
    )
    assert ran.code == 1
    assert "is written to" in ran.err and "run this one apart" in ran.err
    assert names(tmp_path / "out" / "shot_x4") == ["001.png"]


def test_the_same_folder_named_twice_is_done_once(
    tmp_path: Path, enhance: Run, tiny_sisr: list, monkeypatch: pytest.MonkeyPatch
):
    make_frames(tmp_path / "shot", 1)
    monkeypatch.chdir(tmp_path)
    ran = enhance("video", "shot", "./shot/", tmp_path / "shot", *tiny_sisr, "--json", "-o", "out")
    assert ran.code == 0, ran.err
    assert len(json.loads(ran.out)["results"]) == 1


def test_one_output_for_many_is_refused(tmp_path: Path, enhance: Run, tiny_sisr: list):
    make_video(tmp_path / "a.mkv", 1)
    make_frames(tmp_path / "shot", 1)
    for inputs in ((tmp_path / "a.mkv", tmp_path / "shot"), (tmp_path / "shot",) * 2):
        ran = enhance("video", *inputs, *tiny_sisr, "-o", tmp_path / "o.mkv")
        assert ran.code == 2
        assert errors(ran.err) == [
            f"error: -o {tmp_path}/o.mkv: one file for 2 inputs, give a folder"
        ]


@pytest.mark.parametrize("options", [(), ("--overwrite",), ("--skip-existing",)])
def test_inputs_are_never_replaced(
    options: tuple, tmp_path: Path, enhance: Run, tiny_sisr: list, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    source = make_video(tmp_path / "a.mkv", 1)
    make_frames(tmp_path / "shot", 1)
    (tmp_path / "link.mkv").symlink_to(source)
    before = source.read_bytes(), frames_of(tmp_path / "shot")
    for given, output in (
        ("a.mkv", "a.mkv"),
        ("link.mkv", "a.mkv"),
        ("a.mkv", "link.mkv"),
        ("shot", "shot"),
        ("shot", "./shot/"),
    ):
        ran = enhance("video", given, *tiny_sisr, "-o", output, *options)
        assert ran.code == 2, (given, output)
        assert "an input would be replaced" in ran.err or "the input would be" in ran.err
    monkeypatch.chdir(tmp_path / "shot")
    assert enhance("video", ".", *tiny_sisr, "-o", ".", *options).code == 2
    assert source.read_bytes() == before[0]
    np.testing.assert_array_equal(frames_of(tmp_path / "shot"), before[1])
    assert names(tmp_path) == ["a.mkv", "link.mkv", "shot"]


@pytest.mark.parametrize(("start", "output"), [("out", "."), ("out/deep", "..")])
def test_into_the_current_folder(
    start: str,
    output: str,
    tmp_path: Path,
    enhance: Run,
    tiny_sisr: list,
    monkeypatch: pytest.MonkeyPatch,
):
    folder = make_frames(tmp_path / "shot", 2)
    (tmp_path / start).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / start)
    ran = enhance("video", folder, *tiny_sisr, "-o", output, "--sidecar", "--overwrite")
    assert ran.code == 0, ran.err
    made = [name for name in names(tmp_path / "out") if name != "deep"]
    assert made == ["001.png", "002.png"]
    assert names(tmp_path) == ["out", "out.json", "shot"]


def test_into_a_folder_that_holds_other_things(tmp_path: Path, enhance: Run, tiny_sisr: list):
    folder = make_frames(tmp_path / "shot", 2)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    ran = enhance("video", folder, *tiny_sisr, "-o", tmp_path / "out")
    assert ran.code == 1 and "exists already, add --overwrite" in ran.err
    assert enhance("video", folder, *tiny_sisr, "-o", tmp_path / "out", "--overwrite").code == 0
    assert names(tmp_path / "out") == ["001.png", "002.png", "notes.txt"]


def test_a_file_where_a_folder_should_be_and_the_reverse(
    tmp_path: Path, enhance: Run, tiny_sisr: list
):
    source = make_video(tmp_path / "a.mkv", 1)
    (tmp_path / "out").write_text("mine")
    ran = enhance("video", source, *tiny_sisr, "--frames", "-o", tmp_path / "out", "--overwrite")
    assert ran.code == 1 and "exists already and is no folder" in ran.err
    (tmp_path / "a_x4.mkv").mkdir()
    ran = enhance("video", source, *tiny_sisr, "--overwrite")
    assert ran.code == 1 and "exists already and is a folder" in ran.err
    assert names(tmp_path) == ["a.mkv", "a_x4.mkv", "out"]


@pytest.mark.parametrize(
    "name",
    [
        "ü ß 映画.mkv",
        "a [1] {b} *?.mkv",
        "-x.mkv",
        "a:b.mkv",
        "100% \n.mkv",
        "[red]x.mkv",
        "file:a.mkv",
    ],
)
def test_odd_names(name: str, tmp_path: Path, enhance: Run, tiny_sisr: list):
    source = make_video(tmp_path / "plain.mkv", 1).rename(tmp_path / name)
    ran = enhance("video", *tiny_sisr, *LOSSLESS, "--", source)
    assert ran.code == 0, ran.err
    assert len(ran.err.splitlines()) == 1
    assert names(tmp_path) == sorted([name, f"{source.stem}_x4.mkv"])


def test_a_linked_input_keeps_its_name(tmp_path: Path, enhance: Run, tiny_sisr: list):
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "b.mkv").symlink_to(make_video(tmp_path / "a.mkv", 1))
    assert enhance("video", tmp_path / "links" / "b.mkv", *tiny_sisr, *LOSSLESS).code == 0
    assert names(tmp_path / "links") == ["b.mkv", "b_x4.mkv"]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "no such file, check the name"),
        (lambda path: path.mkdir(), "neither videos nor numbered pictures in this folder"),
        (lambda path: path.write_bytes(b""), "empty file"),
        (lambda path: path.write_text("hello"), "not a video that can be read"),
        (lambda path: os.mkfifo(path), "not a regular file"),
        (lambda path: path.symlink_to(path), "no such file"),
        (
            lambda path: (make_frames(path, 3) / "002.png").unlink(),
            "frame 2 is missing between 001.png and 003.png",
        ),
        (lambda path: (make_frames(path, 2) / "002.png").rename(path / "two.png"), "has no number"),
        (lambda path: (make_frames(path, 2) / "002.png").write_bytes(b"torn"), "002.png"),
    ],
)
def test_inputs_that_are_no_videos(
    make: Callable[[Path], object], said: str, tmp_path: Path, enhance: Run, tiny_sisr: list
):
    make(tmp_path / "in")
    before = names(tmp_path)
    ran = enhance("video", tmp_path / "in", *tiny_sisr)
    assert ran.code == 1
    assert len(ran.err.splitlines()) == 1 and said in ran.err, ran.err
    assert names(tmp_path) == before


def test_frames_that_change_their_size(tmp_path: Path, enhance: Run, tiny_sisr: list):
    folder = make_frames(tmp_path / "in", 3)
    Image.fromarray(scene(1, size=(40, 24))).save(folder / "003.png")
    ran = enhance("video", folder, *tiny_sisr)
    assert ran.code == 1
    assert errors(ran.err)[0].startswith(f"error: {folder}/003.png: 40x24 pixels, the frames")
    assert names(tmp_path) == ["in"]


def test_nothing_between_start_and_end(tmp_path: Path, enhance: Run, tiny_sisr: list):
    for given in (make_video(tmp_path / "a.mkv", 2), make_frames(tmp_path / "shot", 2)):
        ran = enhance("video", given, *tiny_sisr, "--start", 100)
        assert ran.code == 1 and "between" in ran.err and len(ran.err.splitlines()) == 1
    assert names(tmp_path) == ["a.mkv", "shot"]


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("o.avi", "cannot write .avi videos, use .m4v, .mkv"),
        ("o.xyz", "cannot write .xyz videos"),
        ("/proc/nowhere/o.mkv", "cannot write here"),
        ("a.mkv/o.mkv", "cannot"),
        (f"{'x' * 251}.mkv", "name too long"),
        (f"{'x' * 300}.mkv", "name too long"),
    ],
)
def test_outputs_that_cannot_be(
    output: str,
    said: str,
    tmp_path: Path,
    enhance: Run,
    tiny_sisr: list,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(tmp_path)
    make_video(tmp_path / "a.mkv", 1)
    ran = enhance("video", "a.mkv", *tiny_sisr, "-o", output)
    assert ran.code == 1
    assert len(ran.err.splitlines()) == 1 and said in ran.err, ran.err
    assert "fault of enhance" not in ran.err
    assert names(tmp_path) == ["a.mkv"]


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere"
)
def test_a_folder_that_may_not_be_written(tmp_path: Path, enhance: Run, tiny_sisr: list):
    source = make_video(tmp_path / "a.mkv", 1)
    (tmp_path / "out").mkdir(mode=0o555)
    ran = enhance("video", source, *tiny_sisr, "-o", tmp_path / "out")
    assert ran.code == 1 and "cannot write here" in ran.err and len(ran.err.splitlines()) == 1


def test_what_a_container_cannot_hold_is_named(tmp_path: Path, enhance: Run, tiny_sisr: list):
    source = make_video(tmp_path / "a.mkv", 2, audio=True)
    ran = enhance("video", source, *tiny_sisr, "-o", tmp_path / "o.webm")
    assert ran.code == 0, ran.err
    assert "stream 1 (audio, aac): webm cannot hold it, converted to opus" in ran.err
    ran = enhance("video", source, *tiny_sisr, "--frames")
    assert "PNGs hold only pictures: audio left out" in ran.err


def test_an_option_that_does_not_fit_the_second_input_fails_alone(
    tmp_path: Path, enhance: Run, tiny_sisr: list
):
    make_video(tmp_path / "a.mp4", 1, "libx264", "yuv444p")
    make_video(tmp_path / "b.webm", 1, "libvpx-vp9", "yuv420p")
    make_video(tmp_path / "c.mp4", 1, "libx264", "yuv444p")
    ran = enhance("video", tmp_path, *tiny_sisr, "--codec", "h264", "--json")
    assert ran.code == 1
    rows = [row["status"] for row in json.loads(ran.out)["results"]]
    assert sorted(rows) == ["failed", "ok", "ok"]
    assert "codec h264: .webm cannot hold it" in errors(ran.err)[0]


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (7, 5), (300, 2)])
def test_sizes(
    size: tuple[int, int], tmp_path: Path, enhance: Run, video_networks: dict[str, Path]
):
    pictures = [scene(place, size=size) for place in range(3)]
    source = make_video(tmp_path / "a.mkv", pictures)
    ran = enhance(
        "video", source, "--weights", video_networks["frvsr"], *LOSSLESS, "--no-cut-detection"
    )
    assert ran.code == 0, ran.err
    assert close(frames_of(tmp_path / "a_x4.mkv"), enlarged(video_networks["frvsr"], pictures))


def test_one_frame(tmp_path: Path, enhance: Run, video_networks: dict[str, Path]):
    source = make_video(tmp_path / "a.mp4", 1, "libx264", "yuv444p")
    ran = enhance("video", source, "--weights", video_networks["vsr"])
    assert ran.code == 0, ran.err
    assert len(frames_of(tmp_path / "a_x4.mp4")) == 1


def test_the_same_input_gives_the_same_bytes(tmp_path: Path, enhance: Run, tiny_sisr: list):
    source = make_video(tmp_path / "a.mp4", scenes(3), "libx264", "yuv444p", audio=True)
    for suffix in ("mp4", "mkv", "webm"):
        made = []
        for number in range(2):
            target = tmp_path / f"{number}.{suffix}"
            assert enhance("video", source, *tiny_sisr, "-o", target).code == 0
            made.append(target.read_bytes())
        assert made[0] == made[1], suffix


CASES = (
    "av1_video.mkv",
    "corrupted.mp4",
    "h264_10bits.mp4",
    "nasa_13013_rotated.mp4",
    "realshort.mp4",
    "sample_android_slow_motion.mp4",
    "sample_portrait.mp4",
    "sample_shorter_audio.mp4",
    "sample_with_chapters.mkv",
    "sample_with_srt.mkv",
    "sample_with_increasing_timestamps_320w_240h.mp4",
    "test_non_zero_start.mp4",
    "testsrc2_hdr.mp4",
    "testsrc2_odd_height_and_width_444.mp4",
    "testsrc2_vp9.webm",
    "video_90.mov",
)
BAD = {  # in their first part
    "invalid-bitstream.webm": "none of its 51 frames decodes",
    "sample_audio_only.mp4": "no video stream, the file holds only audio",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", [*CASES, *BAD])
def test_videos_as_they_are_found(
    name: str, tmp_path: Path, enhance: Run, shared_data: Path, video_networks: dict[str, Path]
):
    source = shared_data / "video" / "cases" / name
    if not source.exists():
        pytest.skip("the videos (../shared/data/video/cases) are not on this machine")
    quick = ("--preset", "8" if source.suffix == ".webm" else "ultrafast")
    ran = enhance(
        "video",
        source,
        "--weights",
        video_networks["sisr"],
        "--preview",
        0.1,
        "-o",
        tmp_path / "out",
        "--json",
        *quick,
    )
    row = json.loads(ran.out)["results"][0]
    if name in BAD:
        assert ran.code == 1 and BAD[name] in row["error"]
        assert len(errors(ran.err)) == 1
        assert names(tmp_path) == []
        return
    assert ran.code == 0, ran.err
    frames = frames_of(Path(row["output"]))
    assert len(frames) == row["frames"] > 0
    assert frames.shape[1:3] == (row["height"], row["width"])
    assert names(tmp_path / "out") == [Path(row["output"]).name]
