"""``enhance video`` on what users, scripts and disks throw at it."""

import errno
import gc
import json
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from test_video import (
    LOSSLESS,
    close,
    enlarged,
    frames_of,
    interrupt,
    make_frames,
    make_video,
    names,
    save_tiny,
    scene,
    scenes,
)

from enhance_cli.engine.recurrent import FrameEnlarger
from enhance_cli.errors import InputError
from enhance_cli.io.video import Frame, open_frames
from enhance_cli.io.video import writing as video_writing
from enhance_cli.tasks import video as task

pytest.importorskip("av")

Run = Callable[..., object]


@pytest.fixture(scope="session")
def networks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Checkpoints by architecture."""
    folder = tmp_path_factory.mktemp("awkward-weights")
    return {name: save_tiny(folder, name) for name in ("frvsr", "vsr", "sisr")}


@pytest.fixture
def tiny(networks: dict[str, Path]) -> list[object]:
    """The quickest, without a memory."""
    return ["--weights", networks["sisr"]]


@pytest.fixture
def frvsr(networks: dict[str, Path]) -> list[object]:
    return ["--weights", networks["frvsr"]]


@pytest.fixture
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task, "SEGMENT_FRAMES", 3)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(0.5)
        assert not thread.is_alive()


def errors(err: str) -> list[str]:
    return [line for line in err.splitlines() if line.startswith("error:")]


# Which inputs, and which outputs


def test_several_inputs_and_one_is_bad(tmp_path: Path, enhance: Run, tiny: list):
    make_video(tmp_path / "a.mkv", 2)
    (tmp_path / "bad.mp4").write_bytes(b"no video at all" * 50)
    make_video(tmp_path / "c.mkv", 2)
    make_frames(tmp_path / "shot", 2)
    ran = enhance(
        "video", *sorted(tmp_path.iterdir()), tmp_path / "none.mp4", *tiny, *LOSSLESS, "--json"
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


def test_a_folder_of_videos_and_a_second_run(tmp_path: Path, enhance: Run, tiny: list):
    (tmp_path / "in").mkdir()
    make_video(tmp_path / "in" / "a.mkv", 2)
    (tmp_path / "in" / "cover.png").write_bytes(b"not looked at")
    for arguments in ((), ("--skip-existing",), ("--overwrite",)):
        ran = enhance("video", tmp_path / "in", *tiny, *LOSSLESS, *arguments)
        assert ran.code == 0, ran.err
        assert names(tmp_path / "in") == ["a.mkv", "a_x4.mkv", "cover.png"]
    ran = enhance("video", tmp_path / "in", *tiny, *LOSSLESS)
    assert ran.code == 1
    assert "a_x4.mkv: exists already, add --overwrite or --skip-existing" in ran.err


def test_recursive_mirrors_and_leaves_unfinished_work_alone(
    tmp_path: Path, enhance: Run, tiny: list
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
    ran = enhance("video", root, *tiny, *LOSSLESS, "-o", tmp_path / "out", "-r")
    assert ran.code == 0, ran.err
    made = sorted(
        str(path.relative_to(tmp_path / "out"))
        for path in (tmp_path / "out").rglob("*")
        if path.is_file()
    )
    assert made == ["a_x4.mkv", "deep/er/b_x4.mkv"]


def test_globs_of_videos_and_of_folders(tmp_path: Path, enhance: Run, tiny: list):
    for name in ("one", "two"):
        make_video(tmp_path / f"{name}.mkv", 1)
        make_frames(tmp_path / f"shot-{name}", 1)
    ran = enhance(
        "video", f"{tmp_path}/*.mkv", f"{tmp_path}/shot-*", *tiny, *LOSSLESS, "-o", tmp_path / "out"
    )
    assert ran.code == 0, ran.err
    assert names(tmp_path / "out") == ["one_x4.mkv", "shot-one_x4", "shot-two_x4", "two_x4.mkv"]
    ran = enhance("video", f"{tmp_path}/*.avi", *tiny)
    assert ran.code == 1 and "no file matches this pattern" in ran.err
    assert enhance("video", f"{tmp_path}/shot-*", *tiny).code == 0
    ran = enhance("video", f"{tmp_path}/shot-*", *tiny, "--skip-existing")
    assert ran.code == 0 and ran.err.count("looks like an earlier output") == 2


def test_folders_of_one_name_do_not_mix(tmp_path: Path, enhance: Run, tiny: list):
    make_frames(tmp_path / "a" / "shot", 1)
    make_frames(tmp_path / "b" / "shot", 2)
    ran = enhance(
        "video", tmp_path / "a" / "shot", tmp_path / "b" / "shot", *tiny, "-o", tmp_path / "out"
    )
    assert ran.code == 1
    assert "is written to" in ran.err and "run this one apart" in ran.err
    assert names(tmp_path / "out" / "shot_x4") == ["001.png"]


def test_the_same_folder_named_twice_is_done_once(
    tmp_path: Path, enhance: Run, tiny: list, monkeypatch: pytest.MonkeyPatch
):
    make_frames(tmp_path / "shot", 1)
    monkeypatch.chdir(tmp_path)
    ran = enhance("video", "shot", "./shot/", tmp_path / "shot", *tiny, "--json", "-o", "out")
    assert ran.code == 0, ran.err
    assert len(json.loads(ran.out)["results"]) == 1


def test_one_output_for_many_is_refused(tmp_path: Path, enhance: Run, tiny: list):
    make_video(tmp_path / "a.mkv", 1)
    make_frames(tmp_path / "shot", 1)
    for inputs in ((tmp_path / "a.mkv", tmp_path / "shot"), (tmp_path / "shot",) * 2):
        ran = enhance("video", *inputs, *tiny, "-o", tmp_path / "o.mkv")
        assert ran.code == 2
        assert errors(ran.err) == [
            f"error: -o {tmp_path}/o.mkv: one file for 2 inputs, give a folder"
        ]


@pytest.mark.parametrize("options", [(), ("--overwrite",), ("--skip-existing",)])
def test_inputs_are_never_replaced(
    options: tuple, tmp_path: Path, enhance: Run, tiny: list, monkeypatch: pytest.MonkeyPatch
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
        ran = enhance("video", given, *tiny, "-o", output, *options)
        assert ran.code == 2, (given, output)
        assert "an input would be replaced" in ran.err or "the input would be" in ran.err
    monkeypatch.chdir(tmp_path / "shot")
    assert enhance("video", ".", *tiny, "-o", ".", *options).code == 2
    assert source.read_bytes() == before[0]
    np.testing.assert_array_equal(frames_of(tmp_path / "shot"), before[1])
    assert names(tmp_path) == ["a.mkv", "link.mkv", "shot"]


def test_into_the_current_folder(
    tmp_path: Path, enhance: Run, tiny: list, monkeypatch: pytest.MonkeyPatch
):
    folder = make_frames(tmp_path / "shot", 2)
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path / "out")
    ran = enhance("video", folder, *tiny, "-o", ".")
    assert ran.code == 0, ran.err
    assert names(tmp_path / "out") == ["001.png", "002.png"]
    assert names(tmp_path) == ["out", "shot"]


def test_into_a_folder_that_holds_other_things(tmp_path: Path, enhance: Run, tiny: list):
    folder = make_frames(tmp_path / "shot", 2)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    ran = enhance("video", folder, *tiny, "-o", tmp_path / "out")
    assert ran.code == 1 and "exists already, add --overwrite" in ran.err
    assert enhance("video", folder, *tiny, "-o", tmp_path / "out", "--overwrite").code == 0
    assert names(tmp_path / "out") == ["001.png", "002.png", "notes.txt"]


def test_a_file_where_a_folder_should_be_and_the_reverse(tmp_path: Path, enhance: Run, tiny: list):
    source = make_video(tmp_path / "a.mkv", 1)
    (tmp_path / "out").write_text("mine")
    ran = enhance("video", source, *tiny, "--frames", "-o", tmp_path / "out", "--overwrite")
    assert ran.code == 1 and "exists already and is no folder" in ran.err
    (tmp_path / "a_x4.mkv").mkdir()
    ran = enhance("video", source, *tiny, "--overwrite")
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
def test_odd_names(name: str, tmp_path: Path, enhance: Run, tiny: list):
    source = make_video(tmp_path / "plain.mkv", 1).rename(tmp_path / name)
    ran = enhance("video", *tiny, *LOSSLESS, "--", source)
    assert ran.code == 0, ran.err
    assert len(ran.err.splitlines()) == 1
    assert names(tmp_path) == sorted([name, f"{source.stem}_x4.mkv"])


def test_a_linked_input_keeps_its_name(tmp_path: Path, enhance: Run, tiny: list):
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "b.mkv").symlink_to(make_video(tmp_path / "a.mkv", 1))
    assert enhance("video", tmp_path / "links" / "b.mkv", *tiny, *LOSSLESS).code == 0
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
    make: Callable[[Path], object], said: str, tmp_path: Path, enhance: Run, tiny: list
):
    make(tmp_path / "in")
    before = names(tmp_path)
    ran = enhance("video", tmp_path / "in", *tiny)
    assert ran.code == 1
    assert len(ran.err.splitlines()) == 1 and said in ran.err, ran.err
    assert names(tmp_path) == before


def test_frames_that_change_their_size(tmp_path: Path, enhance: Run, tiny: list):
    from PIL import Image

    folder = make_frames(tmp_path / "in", 3)
    Image.fromarray(scene(1, size=(40, 24))).save(folder / "003.png")
    ran = enhance("video", folder, *tiny)
    assert ran.code == 1
    assert errors(ran.err)[0].startswith(f"error: {folder}/003.png: 40x24 pixels, the frames")
    assert names(tmp_path) == ["in"]


def test_nothing_between_start_and_end(tmp_path: Path, enhance: Run, tiny: list):
    for given in (make_video(tmp_path / "a.mkv", 2), make_frames(tmp_path / "shot", 2)):
        ran = enhance("video", given, *tiny, "--start", 100)
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
    tiny: list,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(tmp_path)
    make_video(tmp_path / "a.mkv", 1)
    ran = enhance("video", "a.mkv", *tiny, "-o", output)
    assert ran.code == 1
    assert len(ran.err.splitlines()) == 1 and said in ran.err, ran.err
    assert "fault of enhance" not in ran.err
    assert names(tmp_path) == ["a.mkv"]


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere"
)
def test_a_folder_that_may_not_be_written(tmp_path: Path, enhance: Run, tiny: list):
    source = make_video(tmp_path / "a.mkv", 1)
    (tmp_path / "out").mkdir(mode=0o555)
    ran = enhance("video", source, *tiny, "-o", tmp_path / "out")
    assert ran.code == 1 and "cannot write here" in ran.err and len(ran.err.splitlines()) == 1


def test_what_a_container_cannot_hold_is_named(tmp_path: Path, enhance: Run, tiny: list):
    source = make_video(tmp_path / "a.mkv", 2, audio=True)
    ran = enhance("video", source, *tiny, "-o", tmp_path / "o.webm")
    assert ran.code == 0, ran.err
    assert "stream 1 (audio, aac): webm cannot hold it, left out" in ran.err
    ran = enhance("video", source, *tiny, "--frames")
    assert "PNGs hold only pictures: audio left out" in ran.err


def test_an_option_that_does_not_fit_the_second_input_fails_alone(
    tmp_path: Path, enhance: Run, tiny: list
):
    make_video(tmp_path / "a.mp4", 1, "libx264", "yuv444p")
    make_video(tmp_path / "b.webm", 1, "libvpx-vp9", "yuv420p")
    make_video(tmp_path / "c.mp4", 1, "libx264", "yuv444p")
    ran = enhance("video", tmp_path, *tiny, "--codec", "h264", "--json")
    assert ran.code == 1
    rows = [row["status"] for row in json.loads(ran.out)["results"]]
    assert sorted(rows) == ["failed", "ok", "ok"]
    assert "codec h264: .webm cannot hold it" in errors(ran.err)[0]


# What lies in the way of resuming


def cut_short(enhance: Run, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    interrupt(monkeypatch, 5)
    assert enhance("video", *arguments).code == 130


@pytest.mark.usefixtures("short_segments")
def test_unfinished_work_is_neither_taken_up_nor_thrown_away_unasked(
    tmp_path: Path, enhance: Run, frvsr: list, monkeypatch: pytest.MonkeyPatch
):
    source = make_video(tmp_path / "a.mkv", 8)
    cut_short(enhance, monkeypatch, source, *frvsr, *LOSSLESS)
    part = names(tmp_path / "a_x4.mkv.part")
    assert part == ["segment-000000.nut", "settings.json", "state-000001.safetensors"]
    ran = enhance("video", source, *frvsr, *LOSSLESS)
    assert ran.code == 1
    assert len(ran.err.splitlines()) == 1
    assert (
        f"{tmp_path}/a_x4.mkv.part: unfinished work lies here, go on with --resume or "
        "start over with --overwrite"
    ) in ran.err
    assert names(tmp_path / "a_x4.mkv.part") == part
    ran = enhance("video", source, *frvsr, *LOSSLESS, "--overwrite")
    assert ran.code == 0 and "going on" not in ran.err
    assert names(tmp_path) == ["a.mkv", "a_x4.mkv"]


@pytest.mark.usefixtures("short_segments")
@pytest.mark.parametrize(
    ("change", "named"),
    [
        (("--crf", 30), "encoding"),
        (("--end", 0.7), "start and end"),
        (("--compare",), "--compare"),
        (("--no-cut-detection",), "--cut-threshold"),
        (("--cut-threshold", 0.3), "--cut-threshold"),
        (("--precision", "bf16"), "precision"),
        ("model", "model"),
        ("input", "input"),
    ],
)
def test_other_options_are_refused(
    change: object,
    named: str,
    tmp_path: Path,
    enhance: Run,
    frvsr: list,
    tiny: list,
    monkeypatch: pytest.MonkeyPatch,
):
    source = make_video(tmp_path / "a.mp4", 8, "libx264", "yuv444p")
    cut_short(enhance, monkeypatch, source, *frvsr)
    if change == "model":
        frvsr, change = tiny, ()
    elif change == "input":
        os.utime(source, (1, 1))
        change = ()
    ran = enhance("video", source, *frvsr, "--resume", *change)
    assert ran.code == 1
    assert f"{tmp_path}/a_x4.mp4.part: begun with another {named}: repeat its" in ran.err
    assert len(ran.err.splitlines()) == 1
    assert (tmp_path / "a_x4.mp4.part" / "segment-000000.nut").exists()


@pytest.mark.usefixtures("short_segments")
def test_a_changed_picture_is_another_input(
    tmp_path: Path, enhance: Run, frvsr: list, monkeypatch: pytest.MonkeyPatch
):
    folder = make_frames(tmp_path / "shot", 8)
    cut_short(enhance, monkeypatch, folder, *frvsr)
    os.utime(folder / "004.png", (1, 1))
    ran = enhance("video", folder, *frvsr, "--resume")
    assert ran.code == 1 and "begun with another input" in ran.err


@pytest.mark.usefixtures("short_segments")
def test_resume_goes_on_where_tiles_and_talk_differ(
    tmp_path: Path, enhance: Run, frvsr: list, monkeypatch: pytest.MonkeyPatch
):
    source = make_video(tmp_path / "a.mkv", 8)
    cut_short(enhance, monkeypatch, source, *frvsr, *LOSSLESS)
    ran = enhance("video", source, *frvsr, *LOSSLESS, "--resume", "--tile", 32, "-v")
    assert ran.code == 0 and "going on after 3 frames" in ran.err


@pytest.mark.usefixtures("short_segments")
@pytest.mark.parametrize(
    "damage", ["settings", "settings list", "no settings", "state", "no state", "no segment"]
)
def test_damaged_work(
    damage: str, tmp_path: Path, enhance: Run, frvsr: list, monkeypatch: pytest.MonkeyPatch
):
    source = make_video(tmp_path / "a.mkv", 8)
    assert enhance("video", source, *frvsr, *LOSSLESS, "-o", tmp_path / "whole.mkv").code == 0
    cut_short(enhance, monkeypatch, source, *frvsr, *LOSSLESS)
    part = tmp_path / "a_x4.mkv.part"
    settings, state = part / "settings.json", part / "state-000001.safetensors"
    if damage == "settings":
        settings.write_text("{")
    elif damage == "settings list":
        settings.write_text("[1]")
    elif damage == "no settings":
        settings.unlink()
    elif damage == "state":
        state.write_bytes(state.read_bytes()[:-9])
    elif damage == "no state":
        state.unlink()
    elif damage == "no segment":
        (part / "segment-000000.nut").unlink()
    ran = enhance("video", source, *frvsr, *LOSSLESS, "--resume")
    if damage in ("no state", "no segment"):  # from the beginning, then
        assert ran.code == 0 and "going on" not in ran.err
    else:
        assert ran.code == 1
        assert len(errors(ran.err)) == 1
        assert "damaged, start over with" in ran.err or "move it away" in ran.err
        if damage == "no settings":
            (part / "segment-000000.nut").rename(tmp_path / "segment.nut")
            state.unlink()
        assert enhance("video", source, *frvsr, *LOSSLESS, "--overwrite").code == 0
    assert (tmp_path / "a_x4.mkv").read_bytes() == (tmp_path / "whole.mkv").read_bytes()
    assert not part.exists()


@pytest.mark.parametrize("options", [(), ("--overwrite",), ("--resume",)])
def test_what_is_not_ours_is_not_removed(options: tuple, tmp_path: Path, enhance: Run, tiny: list):
    source = make_video(tmp_path / "a.mkv", 1)
    (tmp_path / "a_x4.mkv.part").mkdir()
    (tmp_path / "a_x4.mkv.part" / "diary.txt").write_text("mine")
    ran = enhance("video", source, *tiny, *options)
    assert ran.code == 1 and "is in the way and no unfinished work" in ran.err
    assert names(tmp_path / "a_x4.mkv.part") == ["diary.txt"]
    (tmp_path / "a_x4.mkv.part" / "diary.txt").unlink()
    assert enhance("video", source, *tiny, *options).code == 0
    (tmp_path / "a_x4.mkv.part").write_text("a download, say")
    ran = enhance("video", source, *tiny, "--overwrite")
    assert ran.code == 1 and "cannot write here" in ran.err
    assert (tmp_path / "a_x4.mkv.part").read_text() == "a download, say"


@pytest.mark.usefixtures("short_segments")
def test_an_existing_output_stays_until_the_new_one_is_whole(
    tmp_path: Path, enhance: Run, tiny: list, monkeypatch: pytest.MonkeyPatch
):
    source = make_video(tmp_path / "a.mkv", 8)
    (tmp_path / "a_x4.mkv").write_text("old")
    cut_short(enhance, monkeypatch, source, *tiny, "--overwrite", *LOSSLESS)
    assert (tmp_path / "a_x4.mkv").read_text() == "old"
    ran = enhance("video", source, *tiny, "--overwrite", "--resume", *LOSSLESS)
    assert ran.code == 0 and "going on after 3" in ran.err
    assert len(frames_of(tmp_path / "a_x4.mkv")) == 8


# Threads, memory, disks


class Reader:
    """Frames made up on the way; counts those that are alive."""

    def __init__(self, path: Path, count: int, fail: BaseException | None = None) -> None:
        with open_frames(path) as reader:
            self.info = reader.info
        self.count, self.fail = count, fail
        self.alive = self.most = 0

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        return

    def __iter__(self) -> Iterator[Frame]:
        for place in range(self.count):
            pixels = scene(place % 7)
            self.watch(pixels)
            yield Frame(pixels, place * 100, 100)
        if self.fail is not None:
            raise self.fail

    def watch(self, thing: object) -> None:
        self.alive += 1
        self.most = max(self.most, self.alive)
        weakref.finalize(thing, self._gone)

    def _gone(self) -> None:
        self.alive -= 1


def replace_reader(monkeypatch: pytest.MonkeyPatch, reader: Reader) -> None:
    monkeypatch.setattr(task, "open_frames", lambda *_, **__: reader)


@pytest.mark.parametrize("count", [20, 300])
def test_few_frames_are_alive_however_long_the_video(
    count: int,
    tmp_path: Path,
    enhance: Run,
    networks: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
):
    reader = Reader(make_video(tmp_path / "a.mkv", 1), count)
    replace_reader(monkeypatch, reader)
    original, large = FrameEnlarger.step, Reader(tmp_path / "a.mkv", 0)

    def step(*arguments: object) -> tuple[torch.Tensor, object]:
        frame_hr, state = original(*arguments)
        large.watch(frame_hr)
        return frame_hr, state

    monkeypatch.setattr(FrameEnlarger, "step", step)
    ran = enhance("video", tmp_path / "a.mkv", "--weights", networks["vsr"], *LOSSLESS, "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["results"][0]["frames"] == count
    assert reader.most <= 3 + 2 + 8
    assert large.most <= 2 + 4
    gc.collect()
    assert reader.alive == large.alive == 0


@pytest.mark.usefixtures("short_segments")
@pytest.mark.parametrize(("count", "kept"), [(2, False), (8, True)])
def test_what_the_decoder_raises_reaches_the_user(
    count: int,
    kept: bool,
    tmp_path: Path,
    enhance: Run,
    tiny: list,
    monkeypatch: pytest.MonkeyPatch,
):
    source = make_video(tmp_path / "a.mkv", 1)
    replace_reader(monkeypatch, Reader(source, count, InputError("in: damaged at 2")))
    ran = enhance("video", source, *tiny, *LOSSLESS)
    assert ran.code == 1
    assert ran.err.splitlines()[-1] == f"error: {source}: in: damaged at 2"
    assert ("are kept in" in ran.err) == kept
    assert names(tmp_path) == ["a.mkv", "a_x4.mkv.part"][: 1 + kept]
    if kept:
        assert "segment-000002.nut" not in names(tmp_path / "a_x4.mkv.part")


def test_a_fault_of_ours_in_a_thread_is_told(
    tmp_path: Path, enhance: Run, tiny: list, monkeypatch: pytest.MonkeyPatch
):
    source = make_video(tmp_path / "a.mkv", 1)
    replace_reader(monkeypatch, Reader(source, 2, ZeroDivisionError("oops")))
    ran = enhance("video", source, *tiny, *LOSSLESS)
    assert ran.code == 1 and "ZeroDivisionError: oops. This is a fault of enhance" in ran.err
    assert names(tmp_path) == ["a.mkv"]


@pytest.mark.usefixtures("short_segments")
@pytest.mark.parametrize("frame", [0, 2, 3, 7])
def test_a_disk_that_fills_up_while_encoding(
    frame: int, tmp_path: Path, enhance: Run, tiny: list, monkeypatch: pytest.MonkeyPatch
):
    source = make_video(tmp_path / "a.mkv", 8)
    original, count = video_writing.FileSegmentWriter.write, 0

    def write(*arguments: object) -> None:
        nonlocal count
        if count == frame:
            raise OSError(errno.ENOSPC, "No space left on device")
        count += 1
        original(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(video_writing.FileSegmentWriter, "write", write)
        ran = enhance("video", source, *tiny, *LOSSLESS)
    assert ran.code == 1
    assert "No space left on device" in errors(ran.err)[0] and len(errors(ran.err)) == 1
    assert names(tmp_path) == ["a.mkv", "a_x4.mkv.part"][: 1 + (frame >= 3)]
    assert enhance("video", source, *tiny, *LOSSLESS, "--resume").code == 0
    assert len(frames_of(tmp_path / "a_x4.mkv")) == 8


@pytest.mark.usefixtures("short_segments")
def test_a_disk_that_fills_up_while_assembling_keeps_what_can_be_resumed(
    tmp_path: Path, enhance: Run, tiny: list, monkeypatch: pytest.MonkeyPatch
):
    from enhance_cli.errors import OutputError

    source = make_video(tmp_path / "a.mkv", 8)

    def fail(*_: object, **__: object) -> None:
        raise OutputError("o: cannot write (No space left on device)")

    with monkeypatch.context() as patched:
        patched.setattr(task, "assemble", fail)
        ran = enhance("video", source, *tiny, *LOSSLESS)
    assert ran.code == 1 and "finished segments are kept in" in ran.err
    ran = enhance("video", source, *tiny, *LOSSLESS, "--resume")
    assert ran.code == 0 and "going on after 6 frames" in ran.err
    assert names(tmp_path) == ["a.mkv", "a_x4.mkv"]


def test_out_of_memory_fails_this_input_alone(
    tmp_path: Path, enhance: Run, tiny: list, monkeypatch: pytest.MonkeyPatch
):
    for name in "ab":
        make_video(tmp_path / f"{name}.mkv", 2)
    interrupt(monkeypatch, 1, MemoryError)
    ran = enhance("video", tmp_path, *tiny, *LOSSLESS)
    assert ran.code == 1 and "too large for the memory" in ran.err
    assert names(tmp_path) == ["a.mkv", "b.mkv", "b_x4.mkv"]


def test_ctrl_c_stops_all_inputs(
    tmp_path: Path, enhance: Run, tiny: list, monkeypatch: pytest.MonkeyPatch
):
    for name in "abc":
        make_video(tmp_path / f"{name}.mkv", 2)
    interrupt(monkeypatch, 3)  # in the second
    assert enhance("video", tmp_path, *tiny, *LOSSLESS).code == 130
    assert names(tmp_path) == ["a.mkv", "a_x4.mkv", "b.mkv", "c.mkv"]


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (7, 5), (300, 2)])
def test_sizes(size: tuple[int, int], tmp_path: Path, enhance: Run, networks: dict[str, Path]):
    pictures = [scene(place, size=size) for place in range(3)]
    source = make_video(tmp_path / "a.mkv", pictures)
    ran = enhance("video", source, "--weights", networks["frvsr"], *LOSSLESS, "--no-cut-detection")
    assert ran.code == 0, ran.err
    assert close(frames_of(tmp_path / "a_x4.mkv"), enlarged(networks["frvsr"], pictures))


def test_one_frame(tmp_path: Path, enhance: Run, networks: dict[str, Path]):
    source = make_video(tmp_path / "a.mp4", 1, "libx264", "yuv444p")
    ran = enhance("video", source, "--weights", networks["vsr"])
    assert ran.code == 0, ran.err
    assert len(frames_of(tmp_path / "a_x4.mp4")) == 1


def test_the_same_input_gives_the_same_bytes(tmp_path: Path, enhance: Run, tiny: list):
    source = make_video(tmp_path / "a.mp4", scenes(3), "libx264", "yuv444p", audio=True)
    for suffix in ("mp4", "mkv", "webm"):
        made = []
        for number in range(2):
            target = tmp_path / f"{number}.{suffix}"
            assert enhance("video", source, *tiny, "-o", target).code == 0
            made.append(target.read_bytes())
        assert made[0] == made[1], suffix


# Videos as they are found

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
    "invalid-bitstream.webm": "damaged",
    "sample_audio_only.mp4": "no video stream, the file holds only audio",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", [*CASES, *BAD])
def test_videos_as_they_are_found(
    name: str, tmp_path: Path, enhance: Run, shared_data: Path, networks: dict[str, Path]
):
    source = shared_data / "video" / "cases" / name
    if not source.exists():
        pytest.skip("the videos (../shared/data/video/cases) are not on this machine")
    quick = ("--preset", "8" if source.suffix == ".webm" else "ultrafast")
    ran = enhance(
        "video",
        source,
        "--weights",
        networks["frvsr"],
        "--preview",
        0.2,
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
