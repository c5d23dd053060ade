"""What a run does about bad cases, interruptions, and what it tells in which form."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from enhance_cli.evaluation import pictures
from enhance_cli.metrics.protocols import score

NAMES = ["a", "b", "c", "d"]


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Options for four pairs of pictures."""
    monkeypatch.setenv("ENHANCE_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    for folder in ("pred", "gt"):
        (tmp_path / folder).mkdir()
        for name in NAMES:
            pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / folder / f"{name}.png")
    return ["evaluate", "--pred", tmp_path / "pred", "--gt", tmp_path / "gt"]


def damage(path: Path) -> bytes:
    """Cut a file to a half, and give what it was."""
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return whole


def test_a_bad_case_is_named_and_passed_over(folders: list, tmp_path: Path, enhance: Callable):
    whole = json.loads(enhance(*folders, "--json").out)["results"][0]["images"]
    damage(tmp_path / "pred" / "b.png")
    Image.new("RGB", (8, 8)).save(tmp_path / "pred" / "d.png")
    ran = enhance(*folders, "--json", "--csv", tmp_path / "a.csv")
    assert ran.code == 1
    document = json.loads(ran.out)
    (result,) = document["results"]
    assert result["images"] == [whole[0], whole[2]]
    assert result["mean"]["psnr"] == pytest.approx((whole[0]["psnr"] + whole[2]["psnr"]) / 2)
    assert [failed["name"] for failed in document["failed"]] == ["b", "d"]
    first, second, last = ran.err.splitlines()
    assert first.startswith("error: b: ") and "b.png" in first
    assert second.startswith("error: d: sizes differ: 8x8 against 32x32")
    assert last == "2 of 4 cases failed"
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 1 + 2 + 1


def test_cases_that_fail_alike_are_told_on_one_line(
    folders: list, tmp_path: Path, enhance: Callable
):
    for name in NAMES:
        Image.new("RGB", (8, 8)).save(tmp_path / "pred" / f"{name}.png")
    ran = enhance(*folders, "--report", tmp_path / "a.html")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "error: a: sizes differ: 8x8 against 32x32 (and so b, c, d)\n"
    assert not (tmp_path / "a.html").exists()


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows with every picture that is measured; at the third of a run there is an interruption."""
    counts: list[int] = []

    def measure(*arguments: object) -> dict[str, float]:
        counts.append(len(counts) + 1)
        if len(counts) == 3:
            raise KeyboardInterrupt
        return score(*arguments)

    monkeypatch.setattr(pictures, "measure", measure)
    return counts


def test_an_interrupted_run_goes_on(
    folders: list, measured: list[int], tmp_path: Path, enhance: Callable
):
    assert enhance(*folders).code == 130
    ran = enhance(*folders, "--json", "--resume", "--csv", tmp_path / "resumed.csv")
    assert ran.code == 0
    assert "going on after 2 of 4 cases" in ran.err
    assert len(measured) == 3 + 2
    assert list((tmp_path / "cache" / "evaluations").iterdir()) == []  # it is finished
    again = enhance(*folders, "--json", "--resume")
    assert len(measured) == 3 + 2 + 4
    assert (again.out, again.err) == (ran.out, "")


@pytest.mark.parametrize("change", ["option", "picture", "anew"])
def test_scores_of_something_else_are_not_taken(
    change: str, folders: list, measured: list[int], tmp_path: Path, enhance: Callable
):
    assert enhance(*folders).code == 130
    if change == "picture":
        Image.new("RGB", (32, 32)).save(tmp_path / "gt" / "a.png")
    options = ["--border", 2] if change == "option" else []
    assert enhance(*folders, *options, *([] if change == "anew" else ["--resume"])).code == 0
    assert len(measured) - 3 == {"option": 4, "picture": 3, "anew": 4}[change]


def test_only_what_failed_is_scored_again(
    folders: list, measured: list[int], tmp_path: Path, enhance: Callable
):
    measured += [0] * 3  # no interruption
    path = tmp_path / "gt" / "b.png"
    whole = damage(path)
    assert enhance(*folders).code == 1
    path.write_bytes(whole)
    ran = enhance(*folders, "--resume", "--json")
    assert (ran.code, len(measured)) == (0, 3 + 3 + 1)
    assert [image["name"] for image in json.loads(ran.out)["results"][0]["images"]] == NAMES


def test_a_cache_that_cannot_be_written_stops_nothing(
    folders: list, tmp_path: Path, enhance: Callable
):
    (tmp_path / "cache").write_text("a file")
    ran = enhance(*folders)
    assert ran.code == 0
    assert "this run cannot be resumed" in ran.err
    assert len(ran.err.splitlines()) == 1


def test_page_in_markdown(tmp_path: Path, enhance: Callable, clip_data: Path):
    page = tmp_path / "pages" / "blur.md"
    options = ["--dataset", "video-val", "--model", "bicubic", "--study", "blur"]
    ran = enhance(
        "evaluate", *options, "--study-frames", 6, "--data-root", clip_data, "--report", page
    )
    assert ran.code == 0, ran.err
    lines = page.read_text().splitlines()
    assert lines[0] == "# video-val: blur sizes (fig. 3.5)"
    header, rule, row = lines[2:5]
    assert header.count("|") == rule.count("|") == row.count("|") == 11
    assert row.startswith("| bicubic | ")
    assert any("trains a network for each blur" in line for line in lines)
    name = re.fullmatch(r"!\[Video PSNR .*\]\(<(.*)>\)", lines[-1])
    assert name is not None
    assert b"<svg" in (page.parent / name[1]).read_bytes()


def test_cells_of_markdown_cannot_break_the_table(folders: list, tmp_path: Path, enhance: Callable):
    for folder in ("pred", "gt"):
        (tmp_path / folder / "a.png").rename(tmp_path / folder / "a|b.png")
    assert enhance(*folders, "--report", tmp_path / "a.md").code == 0
    rows = [line for line in (tmp_path / "a.md").read_text().splitlines() if line[:1] == "|"]
    assert {row.count("|") for row in rows} == {4}
