"""What videos and folders of frames are, decided when their jobs are planned."""

from pathlib import Path

import numpy as np
import pytest

from enhance_cli.errors import UsageError
from enhance_cli.io.image import Picture, write_image
from enhance_cli.io.jobs import FileOptions, Job, Kind
from enhance_cli.io.video import plan_video_jobs
from enhance_cli.io.video.jobs import video_suffix


@pytest.fixture
def inputs(tmp_path: Path) -> tuple[Path, Path]:
    """A video file, and a folder of frames that is named like one."""
    (tmp_path / "a.avi").write_bytes(b"not looked at")
    write_image(tmp_path / "shot.mp4" / "000.png", Picture(np.zeros((4, 4, 3), np.uint8)))
    return tmp_path / "a.avi", tmp_path / "shot.mp4"


def plan(*paths: Path, output: Path | None = None, frames: bool = False) -> list[Job]:
    options = FileOptions([str(path) for path in paths], output)
    return plan_video_jobs(options, "_x4", frames=frames).jobs


def test_a_video_gives_a_video_and_frames_give_frames(inputs: tuple[Path, Path]) -> None:
    file, folder = inputs
    assert plan(*inputs) == [
        Job(file, file.with_name("a_x4.mkv"), Kind.VIDEO, Kind.VIDEO),
        Job(folder, folder.with_name("shot.mp4_x4"), Kind.FRAMES, Kind.FRAMES),
    ]


def test_the_output_says_what_frames_become(inputs: tuple[Path, Path], tmp_path: Path) -> None:
    folder = inputs[1]
    kinds = {
        name: plan(folder, output=tmp_path / name)[0].target_kind for name in ("o.mp4", "o", "a.d")
    }
    assert kinds == {"o.mp4": Kind.VIDEO, "o": Kind.FRAMES, "a.d": Kind.VIDEO}
    (tmp_path / "a.d").mkdir()
    assert plan(folder, output=tmp_path / "a.d")[0].target_kind is Kind.FRAMES


def test_frames_on_demand(inputs: tuple[Path, Path], tmp_path: Path) -> None:
    jobs = plan(*inputs, output=tmp_path / "out", frames=True)
    assert [job.target_kind for job in jobs] == [Kind.FRAMES, Kind.FRAMES]
    assert [job.target.name for job in jobs] == ["a_x4", "shot.mp4_x4"]
    with pytest.raises(UsageError, match="--frames writes a folder of pictures"):
        plan(inputs[0], output=tmp_path / "o.mp4", frames=True)


def test_suffix_of_a_result() -> None:
    kept = ["a.mp4", "a.MOV", "a.mkv", "a.webm"]
    assert [video_suffix(Path(name)) for name in kept] == [".mp4", ".MOV", ".mkv", ".webm"]
    assert {video_suffix(Path(name)) for name in ("a.avi", "a.ts")} == {".mkv"}
    animated = ("a.gif", "a.webp", "a.PNG", "a.apng", "a.avif")
    suffixes = [".gif", ".webp", ".apng", ".apng", ".webp"]
    assert [video_suffix(Path(name)) for name in animated] == suffixes
