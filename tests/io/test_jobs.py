"""From what a user types to inputs and outputs."""

import errno
import os
from pathlib import Path

import pytest

from enhance_cli.errors import UsageError
from enhance_cli.io.finding import find_images
from enhance_cli.io.jobs import FileOptions, Job, JobList, Naming, parse_output, plan_jobs

NAMING = Naming("_x4", lambda path: path.suffix)


def find(folder: Path, recursive: bool) -> list[Path]:
    return sorted(folder.rglob("*.png") if recursive else folder.glob("*.png"))


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def plan(*inputs: object, output: Path | None = None, **options: bool) -> JobList:
    return plan_jobs(FileOptions([str(name) for name in inputs], output, **options), NAMING, find)


def test_default_name_lies_beside_the_input(tmp_path: Path):
    source = tmp_path / "höhe 1.jpg"
    touch(source)
    assert plan(source).jobs == [Job(source, tmp_path / "höhe 1_x4.jpg")]


def test_output_file_and_folder(tmp_path: Path):
    source = tmp_path / "a.png"
    touch(source)
    assert plan(source, output=tmp_path / "b.png").jobs[0].target == tmp_path / "b.png"
    assert plan(source, output=tmp_path / "new").jobs[0].target == tmp_path / "new" / "a_x4.png"
    (tmp_path / "dotted.d").mkdir()
    assert plan(source, output=tmp_path / "dotted.d").jobs[0].target.parent.name == "dotted.d"


def test_globs_and_a_file_with_brackets(tmp_path: Path):
    touch(tmp_path / "a1.png", tmp_path / "a2.png", tmp_path / "b[1].png", tmp_path / "b1.png")
    assert [job.source.name for job in plan(tmp_path / "a*.png").jobs] == ["a1.png", "a2.png"]
    assert [job.source.name for job in plan(tmp_path / "b[1].png").jobs] == ["b[1].png"]


def test_a_file_named_twice_is_done_once(tmp_path: Path):
    touch(tmp_path / "a.png")
    assert len(plan(tmp_path / "a.png", tmp_path / "*.png").jobs) == 1


def test_folders_and_their_mirrored_tree(tmp_path: Path):
    top = tmp_path / "in"
    touch(top / "a.png", top / "sub" / "deep" / "b.png")
    out = tmp_path / "out"
    assert [job.target for job in plan(top, output=out).jobs] == [out / "a_x4.png"]
    assert [job.target for job in plan(top, output=out, recursive=True).jobs] == [
        out / "a_x4.png",
        out / "sub" / "deep" / "b_x4.png",
    ]


def test_earlier_outputs_in_a_folder_are_not_enlarged_again(tmp_path: Path):
    touch(tmp_path / "a.png", tmp_path / "a_x4.png", tmp_path / "map_x4.png")
    found = plan(tmp_path, overwrite=True)
    assert [job.source.name for job in found.jobs] == ["a.png", "map_x4.png"]
    assert [path.name for path, _ in found.skipped] == ["a_x4.png"]


def test_the_output_folder_is_no_input_of_the_folder_around_it(tmp_path: Path):
    touch(tmp_path / "a.png", tmp_path / "out" / "a_x4.png")
    found = plan(tmp_path, output=tmp_path / "out", recursive=True, overwrite=True)
    assert [job.source.name for job in found.jobs] == ["a.png"]


def test_existing_outputs(tmp_path: Path):
    source = tmp_path / "a.png"
    touch(source, tmp_path / "a_x4.png")
    refused = plan(source)
    assert not refused.jobs
    assert "add --overwrite or --skip-existing" in str(refused.failures[0][1])
    assert plan(source, overwrite=True).jobs
    assert plan(source, skip_existing=True).skipped


def test_missing_patterns_and_empty_folders_fail_alone(tmp_path: Path):
    touch(tmp_path / "a.png", tmp_path / "empty" / "note.txt")
    found = plan(tmp_path / "*.gif", tmp_path / "a.png", tmp_path / "empty")
    assert [job.source.name for job in found.jobs] == ["a.png"]
    assert [
        "no file matches" in str(found.failures[0][1]),
        "no pictures in this folder" in str(found.failures[1][1]),
    ] == [True, True]


def test_a_shell_glob_run_again_takes_the_originals(tmp_path: Path):
    touch(tmp_path / "a.png", tmp_path / "a_x4.png", tmp_path / "b.png")
    found = plan(*sorted(tmp_path.iterdir()), skip_existing=True)
    assert [job.source.name for job in found.jobs] == ["b.png"]
    assert len(found.skipped) == 2


@pytest.mark.parametrize("output", [".", "album", "new"])
def test_an_output_folder_around_the_inputs_hides_none(
    output: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    touch(Path("album") / "a.png", Path("album") / "b.png")
    found = plan("album", output=Path(output))
    assert [job.target for job in found.jobs] == [
        Path(output) / "a_x4.png",
        Path(output) / "b_x4.png",
    ]


def test_a_file_named_in_two_ways_is_done_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    touch(Path("album") / "a.png")
    found = plan("album/a.png", tmp_path / "album" / "a.png", "album")
    assert len(found.jobs) == 1
    assert not found.failures


def test_names_that_no_file_can_have_fail_alone(tmp_path: Path):
    touch(tmp_path / "a.png", tmp_path / f"{'n' * 250}.png")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    found = plan(
        tmp_path / "a.png",
        tmp_path / f"{'n' * 250}.png",
        tmp_path / "loop.png",
        "m" * 300,
        tmp_path / "gone.png",
    )
    assert [job.source.name for job in found.jobs] == ["a.png"]
    assert len(found.failures) == 4


def test_one_output_file_for_many_inputs_is_refused(tmp_path: Path):
    touch(tmp_path / "a.png", tmp_path / "b.png")
    with pytest.raises(UsageError, match="one file for 2 inputs"):
        plan(tmp_path / "a.png", tmp_path / "b.png", output=tmp_path / "c.png")


def test_of_two_inputs_with_one_output_the_second_fails(tmp_path: Path):
    touch(tmp_path / "1" / "a.png", tmp_path / "2" / "a.png")
    found = plan(tmp_path / "1" / "a.png", tmp_path / "2" / "a.png", output=tmp_path / "out")
    assert [job.source.parent.name for job in found.jobs] == ["1"]
    assert "is written to" in str(found.failures[0][1])


def test_of_two_inputs_of_one_stem_the_second_gets_a_longer_name(tmp_path: Path):
    touch(tmp_path / "a.bmp", tmp_path / "a.jpg", tmp_path / "b.jpg")
    naming = Naming("_x4", lambda _: ".png")
    found = plan_jobs(FileOptions([str(tmp_path)]), naming, find_images)
    targets = [job.target.name for job in found.jobs]
    assert targets == ["a_x4.png", "a_jpg_x4.png", "b_x4.png"] and found.failures == []
    touch(*(tmp_path / name for name in targets))  # which are no inputs the next time
    found = plan_jobs(FileOptions([str(tmp_path)], skip_existing=True), naming, find_images)
    assert found.jobs == found.failures == [] and len(found.skipped) == 6


def test_an_input_is_never_an_output(tmp_path: Path):
    touch(tmp_path / "a.png", tmp_path / "a_x4.png")
    with pytest.raises(UsageError, match="an input would be replaced"):
        plan(tmp_path / "a.png", output=tmp_path / "a.png", overwrite=True)
    (tmp_path / "link.png").symlink_to(tmp_path / "a.png")
    with pytest.raises(UsageError, match="an input would be replaced"):
        plan(tmp_path / "a.png", output=tmp_path / "link.png", overwrite=True)


def test_a_folder_tells_what_it_holds_and_cannot_be_read(tmp_path: Path):
    touch(*(tmp_path / name for name in ("a.png", "b.PSD", "c.jxl", "d.mp4", "e.cr2", "notes.txt")))
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere")
    found = plan_jobs(FileOptions([str(tmp_path)]), NAMING, find_images)
    assert [job.source.name for job in found.jobs] == ["a.png"]
    assert [Path(name).name for name, _ in found.failures] == ["b.PSD", "c.jxl", "gone.jpg"]
    assert [path.name for path, _ in found.skipped] == ["d.mp4", "e.cr2"]


def test_links_to_folders_are_followed_once(tmp_path: Path):
    touch(tmp_path / "in" / "a.png", tmp_path / "other" / "b.png")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "other")
    (tmp_path / "other" / "loop").symlink_to(tmp_path / "in")
    found = find_images(tmp_path / "in", recursive=True)
    assert found == [tmp_path / "in" / "a.png", tmp_path / "in" / "link" / "b.png"]


def test_a_folder_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    touch(tmp_path / "a.png", tmp_path / "secret" / "b.png")
    scan = os.scandir

    def refuse(path: str) -> object:
        if "secret" in str(path):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = plan_jobs(FileOptions([str(tmp_path)], recursive=True), NAMING, find_images)
    assert len(found.jobs) == 1
    assert "secret: cannot be read (Permission denied)" in str(found.failures[0][1])


def test_names_that_mean_nothing(tmp_path: Path):
    touch(tmp_path / "a.png")
    with pytest.raises(UsageError, match="without a name"):
        plan("")
    for name in ("one.png", "one.DNG"):
        with pytest.raises(UsageError, match="one file for a folder"):
            plan(tmp_path, output=tmp_path / name)
    for text in ("", "-"):
        with pytest.raises(UsageError, match="results go to files"):
            parse_output(text)


def test_a_slash_at_the_end_makes_a_folder(tmp_path: Path):
    touch(tmp_path / "a.png")
    output = parse_output(f"{tmp_path}/Pics v1.2/")
    assert plan(tmp_path / "a.png", output=output).jobs[0].target == output / "a_x4.png"


def test_names_that_differ_only_in_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    touch(tmp_path / "1" / "a.png", tmp_path / "2" / "A.png")
    sources = (tmp_path / "1" / "a.png", tmp_path / "2" / "A.png")
    assert len(plan(*sources, output=tmp_path / "out").jobs) == 2
    monkeypatch.setattr("enhance_cli.io.job_list._ignores_case", lambda _: True)
    found = plan(*sources, output=tmp_path / "out")
    assert len(found.jobs) == 1 and "is written to" in str(found.failures[0][1])
