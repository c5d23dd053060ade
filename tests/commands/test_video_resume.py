"""``enhance video`` interrupted and resumed, and what lies in the way of it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from small_videos import (
    LOSSLESS,
    Run,
    errors,
    frames_of,
    interrupt,
    make_frames,
    make_video,
    names,
    scene,
    scenes,
    times_of,
)

from enhance_cli.io.video.codecs import CODECS
from enhance_cli.io.video.files import FileSink

av = pytest.importorskip("av")


@pytest.mark.usefixtures("short_segments")
@pytest.mark.parametrize(
    ("name", "count", "after"),
    [("frvsr", 8, 5), ("frvsr", 9, 8), ("frvsr", 12, 11), ("vsr", 9, 8)],
)
def test_resumed_is_as_if_uninterrupted(
    name: str,
    count: int,
    after: int,
    tmp_path: Path,
    enhance: Run,
    video_networks: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
):
    source = make_video(
        tmp_path / "a.mp4", scenes(2, count - 2), "libx264", "yuv444p", rate=30, audio=True
    )
    options = ["--weights", video_networks[name], "--preset", "ultrafast", "--json"]
    whole = enhance("video", source, *options, "-o", tmp_path / "whole.mp4")
    assert whole.code == 0, whole.err
    interrupt(monkeypatch, after)
    ran = enhance("video", source, *options)
    assert ran.code == 130
    assert "finished segments are kept in" in ran.err and "--resume" in ran.err
    assert names(tmp_path) == ["a.mp4", "a_x4.mp4.part", "whole.mp4"]
    ran = enhance("video", source, *options, "--resume")
    assert ran.code == 0, ran.err
    assert f"going on after {after // 3 * 3} frames" in ran.err
    assert names(tmp_path) == ["a.mp4", "a_x4.mp4", "whole.mp4"]
    np.testing.assert_array_equal(
        frames_of(tmp_path / "a_x4.mp4"), frames_of(tmp_path / "whole.mp4")
    )
    assert times_of(tmp_path / "a_x4.mp4") == times_of(source)
    assert (tmp_path / "a_x4.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()
    rows = [json.loads(said.out)["results"][0] for said in (whole, ran)]
    assert rows[0]["cuts"] == rows[1]["cuts"] == [pytest.approx(2 / 30)]
    assert rows[0]["frames"] == rows[1]["frames"] == count


@pytest.mark.usefixtures("short_segments")
@pytest.mark.parametrize("codec", CODECS)
def test_resumed_to_the_byte_in_every_codec(
    codec: str, tmp_path: Path, enhance: Run, tiny_frvsr: list, monkeypatch: pytest.MonkeyPatch
):
    pictures = [scene(place, size=(40, 30)) for place in range(8)]
    source = make_video(tmp_path / "a.mkv", pictures)
    options = [*tiny_frvsr, "--codec", codec]
    assert enhance("video", source, *options, "-o", tmp_path / "whole.mkv").code == 0
    interrupt(monkeypatch, 7)
    assert enhance("video", source, *options).code == 130
    ran = enhance("video", source, *options, "--resume")
    # After 3 or 6, as far as the encoder had come.
    assert ran.code == 0 and "going on after" in ran.err
    assert (tmp_path / "a_x4.mkv").read_bytes() == (tmp_path / "whole.mkv").read_bytes()


@pytest.mark.usefixtures("short_segments")
def test_resume_of_frames(
    tmp_path: Path, enhance: Run, tiny_frvsr: list, monkeypatch: pytest.MonkeyPatch
):
    folder = make_frames(tmp_path / "in", 8)
    assert enhance("video", folder, *tiny_frvsr, "-o", tmp_path / "whole").code == 0
    interrupt(monkeypatch, 7)
    assert enhance("video", folder, *tiny_frvsr).code == 130
    assert enhance("video", folder, *tiny_frvsr, "--resume").code == 0
    assert names(tmp_path) == ["in", "in_x4", "whole"]
    assert names(tmp_path / "in_x4") == names(folder)
    np.testing.assert_array_equal(frames_of(tmp_path / "in_x4"), frames_of(tmp_path / "whole"))


@pytest.mark.usefixtures("short_segments")
@pytest.mark.parametrize("count", [2, 6, 7])
def test_resume_when_only_assembling_was_left(
    count: int, tmp_path: Path, enhance: Run, tiny_frvsr: list, monkeypatch: pytest.MonkeyPatch
):
    source = make_video(tmp_path / "a.mkv", count)
    options = [*tiny_frvsr, *LOSSLESS]
    assert enhance("video", source, *options, "-o", tmp_path / "whole.mkv").code == 0

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(FileSink, "assemble", stop)
        ran = enhance("video", source, *options)
    assert ran.code == 130
    assert ("--resume" in ran.err) == (count > 2) == ("a_x4.mkv.part" in names(tmp_path))
    ran = enhance("video", source, *options, "--resume")
    assert ran.code == 0, ran.err
    assert names(tmp_path) == ["a.mkv", "a_x4.mkv", "whole.mkv"]
    assert (tmp_path / "a_x4.mkv").read_bytes() == (tmp_path / "whole.mkv").read_bytes()


@pytest.mark.parametrize("after", [0, 2])
def test_interrupted_before_the_first_segment_it_leaves_nothing(
    after: int, tmp_path: Path, enhance: Run, tiny_frvsr: list, monkeypatch: pytest.MonkeyPatch
):
    source = make_video(tmp_path / "a.mkv")
    interrupt(monkeypatch, after)
    ran = enhance(
        "video", source, *tiny_frvsr, *LOSSLESS, "-o", tmp_path / "new" / "deep" / "o.mkv"
    )
    assert ran.code == 130
    assert len(ran.err.splitlines()) <= 1  # nothing is kept, nothing is announced
    assert "kept" not in ran.err
    assert names(tmp_path) == ["a.mkv"]


def test_resume_with_nothing_there_begins(tmp_path: Path, enhance: Run, tiny_frvsr: list):
    source = make_video(tmp_path / "a.mkv", 2)
    ran = enhance("video", source, *tiny_frvsr, *LOSSLESS, "--resume")
    assert ran.code == 0 and "going on" not in ran.err
    assert names(tmp_path) == ["a.mkv", "a_x4.mkv"]


RUNNER = """
import sys, time
from enhance_cli.engine.recurrent import FrameEnlarger
from enhance_cli.tasks.video_work import WorkFolder
WorkFolder.segment_frames = 3
step = FrameEnlarger.step
def slow(*arguments):
    time.sleep(0.1)
    return step(*arguments)
FrameEnlarger.step = slow
sys.argv = ["enhance", *sys.argv[1:]]
from enhance_cli.app import main
main()
"""


@pytest.mark.slow
@pytest.mark.usefixtures("short_segments")
def test_ctrl_c_in_earnest(tmp_path: Path, enhance: Run, tiny_frvsr: list):
    source = make_video(tmp_path / "a.mkv", 30)
    options = list(map(str, [source, *tiny_frvsr, *LOSSLESS]))
    with subprocess.Popen(
        [sys.executable, "-c", RUNNER, "video", *options],
        text=True,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as process:
        state = tmp_path / "a_x4.mkv.part" / "state-000002.safetensors"
        waited = time.monotonic()
        while not state.exists() and process.poll() is None and time.monotonic() - waited < 300:
            time.sleep(0.02)
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=300)[1]
    assert process.returncode == 130, said
    assert "finished segments are kept" in said
    assert names(tmp_path) == ["a.mkv", "a_x4.mkv.part"]
    ran = enhance("video", *options, "--resume")
    assert ran.code == 0, ran.err
    assert "going on after" in ran.err
    assert enhance("video", *options, "-o", tmp_path / "whole.mkv").code == 0
    assert (tmp_path / "a_x4.mkv").read_bytes() == (tmp_path / "whole.mkv").read_bytes()


def cut_short(enhance: Run, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    interrupt(monkeypatch, 5)
    assert enhance("video", *arguments).code == 130


@pytest.mark.usefixtures("short_segments")
def test_unfinished_work_is_neither_taken_up_nor_thrown_away_unasked(
    tmp_path: Path, enhance: Run, tiny_frvsr: list, monkeypatch: pytest.MonkeyPatch
):
    source = make_video(tmp_path / "a.mkv", 8)
    cut_short(enhance, monkeypatch, source, *tiny_frvsr, *LOSSLESS)
    part = names(tmp_path / "a_x4.mkv.part")
    assert part == ["segment-000000.nut", "settings.json", "state-000001.safetensors"]
    ran = enhance("video", source, *tiny_frvsr, *LOSSLESS)
    assert ran.code == 1
    assert len(ran.err.splitlines()) == 1
    assert (
        f"{tmp_path}/a_x4.mkv.part: unfinished work lies here, go on with --resume or "
        "start over with --overwrite"
    ) in ran.err
    assert names(tmp_path / "a_x4.mkv.part") == part
    ran = enhance("video", source, *tiny_frvsr, *LOSSLESS, "--overwrite")
    assert ran.code == 0 and "going on" not in ran.err
    assert names(tmp_path) == ["a.mkv", "a_x4.mkv"]


@pytest.mark.usefixtures("short_segments")
@pytest.mark.parametrize(
    ("change", "named"),
    [
        (("--crf", 30), "encoding"),
        (("--start", 0.1), "start"),
        (("--compare",), "--compare"),
        (("--no-cut-detection",), "--cut-threshold"),
        (("--cut-threshold", 0.3), "--cut-threshold"),
        (("--phase", "first"), "--phase"),
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
    tiny_frvsr: list,
    tiny_sisr: list,
    monkeypatch: pytest.MonkeyPatch,
):
    source = make_video(tmp_path / "a.mp4", 8, "libx264", "yuv444p")
    cut_short(enhance, monkeypatch, source, *tiny_frvsr)
    if change == "model":
        tiny_frvsr, change = tiny_sisr, ()
    elif change == "input":
        os.utime(source, (1, 1))
        change = ()
    ran = enhance("video", source, *tiny_frvsr, "--resume", *change)
    assert ran.code == 1
    assert f"{tmp_path}/a_x4.mp4.part: begun with another {named}: repeat its" in ran.err
    assert len(ran.err.splitlines()) == 1
    assert (tmp_path / "a_x4.mp4.part" / "segment-000000.nut").exists()


@pytest.mark.usefixtures("short_segments")
@pytest.mark.parametrize(
    ("name", "before", "after", "kept"),
    [
        ("frvsr", ("--end", "0.6"), (), 3),
        ("frvsr", ("--preview", "0.6"), ("--end", "0.9"), 3),
        ("frvsr", (), ("--end", "0.4"), 3),
        ("frvsr", (), ("--end", "0.3"), 3),
        ("frvsr", (), ("--end", "0.2"), None),
        ("vsr", ("--end", "0.6"), (), 3),
        ("vsr", (), ("--end", "0.3"), None),  # This network looks at the frame behind.
    ],
)
def test_another_end_goes_on(
    name: str,
    before: tuple,
    after: tuple,
    kept: int | None,
    tmp_path: Path,
    enhance: Run,
    video_networks: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
):
    source = make_video(tmp_path / "a.mkv", 10)
    options = ["--weights", video_networks[name], *LOSSLESS]
    interrupt(monkeypatch, 5)
    assert enhance("video", source, *options, *before).code == 130
    part = {path.name: path.read_bytes() for path in (tmp_path / "a_x4.mkv.part").iterdir()}
    ran = enhance("video", source, *options, *after, "--resume")
    if kept is None:
        assert ran.code == 1 and len(ran.err.splitlines()) == 1
        assert "a_x4.mkv.part: 3 frames are finished that another end would change" in ran.err
        kept_part = {
            path.name: path.read_bytes() for path in (tmp_path / "a_x4.mkv.part").iterdir()
        }
        assert kept_part == part
        return
    assert ran.code == 0, ran.err
    assert f"going on after {kept} frames" in ran.err
    assert enhance("video", source, *options, *after, "-o", tmp_path / "whole.mkv").code == 0
    assert (tmp_path / "a_x4.mkv").read_bytes() == (tmp_path / "whole.mkv").read_bytes()


@pytest.mark.usefixtures("short_segments")
def test_the_new_end_is_what_counts_from_then_on(
    tmp_path: Path, enhance: Run, tiny_frvsr: list, monkeypatch: pytest.MonkeyPatch
):
    source = make_video(tmp_path / "a.mkv", 24)
    options = ["video", source, *tiny_frvsr, *LOSSLESS]
    # The encoder is some frames behind; after 20 it has surely finished a segment.
    for after, end in [(20, "2.2"), (1, "2.3")]:
        interrupt(monkeypatch, after)
        assert enhance(*options, "--end", end, "--resume").code == 130
    settings = json.loads((tmp_path / "a_x4.mkv.part" / "settings.json").read_text())
    assert settings["end"] == 2.3
    ran = enhance(*options, "--resume")
    assert ran.code == 0 and "going on after" in ran.err
    assert len(frames_of(tmp_path / "a_x4.mkv")) == 24


@pytest.mark.usefixtures("short_segments")
def test_a_changed_picture_is_another_input(
    tmp_path: Path, enhance: Run, tiny_frvsr: list, monkeypatch: pytest.MonkeyPatch
):
    folder = make_frames(tmp_path / "shot", 8)
    cut_short(enhance, monkeypatch, folder, *tiny_frvsr)
    os.utime(folder / "004.png", (1, 1))
    ran = enhance("video", folder, *tiny_frvsr, "--resume")
    assert ran.code == 1 and "begun with another input" in ran.err


@pytest.mark.usefixtures("short_segments")
def test_resume_goes_on_where_tiles_and_talk_differ(
    tmp_path: Path, enhance: Run, tiny_frvsr: list, monkeypatch: pytest.MonkeyPatch
):
    source = make_video(tmp_path / "a.mkv", 8)
    cut_short(enhance, monkeypatch, source, *tiny_frvsr, *LOSSLESS)
    ran = enhance("video", source, *tiny_frvsr, *LOSSLESS, "--resume", "--tile", 32, "-v")
    assert ran.code == 0 and "going on after 3 frames" in ran.err


@pytest.mark.usefixtures("short_segments")
@pytest.mark.parametrize(
    "damage", ["settings", "settings list", "no settings", "state", "no state", "no segment"]
)
def test_damaged_work(
    damage: str, tmp_path: Path, enhance: Run, tiny_frvsr: list, monkeypatch: pytest.MonkeyPatch
):
    source = make_video(tmp_path / "a.mkv", 8)
    assert enhance("video", source, *tiny_frvsr, *LOSSLESS, "-o", tmp_path / "whole.mkv").code == 0
    cut_short(enhance, monkeypatch, source, *tiny_frvsr, *LOSSLESS)
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
    ran = enhance("video", source, *tiny_frvsr, *LOSSLESS, "--resume")
    if damage in ("no settings", "no state", "no segment"):  # from the beginning, then
        assert ran.code == 0 and "going on" not in ran.err
    else:
        assert ran.code == 1
        assert len(errors(ran.err)) == 1
        assert "damaged, start over with" in ran.err
        assert enhance("video", source, *tiny_frvsr, *LOSSLESS, "--overwrite").code == 0
    assert (tmp_path / "a_x4.mkv").read_bytes() == (tmp_path / "whole.mkv").read_bytes()
    assert not part.exists()


@pytest.mark.parametrize("options", [(), ("--overwrite",), ("--resume",)])
def test_what_is_not_ours_is_not_removed(
    options: tuple, tmp_path: Path, enhance: Run, tiny_sisr: list
):
    source = make_video(tmp_path / "a.mkv", 1)
    (tmp_path / "a_x4.mkv.part").mkdir()
    (tmp_path / "a_x4.mkv.part" / "diary.txt").write_text("mine")
    ran = enhance("video", source, *tiny_sisr, *options)
    assert ran.code == 1 and "is in the way and no unfinished work" in ran.err
    assert names(tmp_path / "a_x4.mkv.part") == ["diary.txt"]
    (tmp_path / "a_x4.mkv.part" / "diary.txt").unlink()
    assert enhance("video", source, *tiny_sisr, *options).code == 0
    (tmp_path / "a_x4.mkv.part").write_text("a download, say")
    ran = enhance("video", source, *tiny_sisr, "--overwrite")
    assert ran.code == 1 and "cannot write here" in ran.err
    assert (tmp_path / "a_x4.mkv.part").read_text() == "a download, say"


@pytest.mark.usefixtures("short_segments")
def test_an_existing_output_stays_until_the_new_one_is_whole(
    tmp_path: Path, enhance: Run, tiny_sisr: list, monkeypatch: pytest.MonkeyPatch
):
    source = make_video(tmp_path / "a.mkv", 8)
    (tmp_path / "a_x4.mkv").write_text("old")
    cut_short(enhance, monkeypatch, source, *tiny_sisr, "--overwrite", *LOSSLESS)
    assert (tmp_path / "a_x4.mkv").read_text() == "old"
    ran = enhance("video", source, *tiny_sisr, "--overwrite", "--resume", *LOSSLESS)
    assert ran.code == 0 and "going on after 3" in ran.err
    assert len(frames_of(tmp_path / "a_x4.mkv")) == 8


def test_a_run_that_was_killed_before_it_had_noted_anything(
    tmp_path: Path, enhance: Run, tiny_sisr: list
):
    source = make_video(tmp_path / "a.mkv", 2)
    part = tmp_path / "a_x4.mkv.part"
    part.mkdir()
    for name in (".enhance-0123abcd-settings.json", "segment-000000.nut"):
        (part / name).touch()
    ran = enhance("video", source, *tiny_sisr, "--resume")
    assert ran.code == 0, ran.err
    assert names(tmp_path) == ["a.mkv", "a_x4.mkv"]
