"""``enhance video``: times as people write them, the time of a file, progress in a log file."""

import os
from pathlib import Path

import pytest
import typer
from small_videos import Run, make_video

from enhance_cli.commands.video import parse_seconds
from enhance_cli.tasks import attempt


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("12", 12),
        ("0.5", 0.5),
        (".5", 0.5),
        ("1:02", 62),
        ("01:02:03.25", 3723.25),
        ("90:00:00", 324000),
    ],
)
def test_times(text: str, seconds: float):
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "-1", "nan", "1:60", "1:60:00", "1:2:3:4", "1:", "a"])
def test_what_is_no_time(text: str):
    with pytest.raises(typer.BadParameter, match="must be seconds from 0 on, MM:SS or HH:MM:SS"):
        parse_seconds(text)


def test_the_time_of_the_input_is_kept(tmp_path: Path, enhance: Run, tiny_sisr: list):
    source = make_video(tmp_path / "a.mkv", 2)
    os.utime(source, (1_000_000_000, 1_000_000_000))
    for name, options in (("plain.mkv", ()), ("kept.mkv", ("--keep-time",))):
        ran = enhance("video", source, *tiny_sisr, *options, "-o", tmp_path / name)
        assert ran.code == 0, ran.err
    assert (tmp_path / "kept.mkv").stat().st_mtime == 1_000_000_000
    assert (tmp_path / "plain.mkv").stat().st_mtime > 1_000_000_000


def test_progress_lines_without_a_terminal(
    tmp_path: Path, enhance: Run, tiny_sisr: list, monkeypatch: pytest.MonkeyPatch
):
    source = make_video(tmp_path / "a.mkv", 4)
    ran = enhance("video", source, *tiny_sisr, "-o", tmp_path / "soon.mkv")
    assert "frames" not in ran.err
    monkeypatch.setattr(attempt, "LINE_EVERY", 0)
    ran = enhance("video", source, *tiny_sisr, "-o", tmp_path / "told.mkv")
    assert "a.mkv: 2 of 4 frames" in ran.err and "frames/s" in ran.err and "left" in ran.err
    again = (*tiny_sisr, "--overwrite", "-o", tmp_path / "told.mkv")
    for option in ("--quiet", "--no-progress"):
        ran = enhance("video", source, option, *again)
        assert "frames" not in ran.err
