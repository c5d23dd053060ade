"""``--dry-run``: sizes and estimates, and nothing is written."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from small_videos import make_video

from enhance_cli.io.image import Picture, write_image
from enhance_cli.tasks import estimating


def picture(path: Path, height: int, width: int) -> Path:
    write_image(path, Picture(np.zeros((height, width, 3), np.uint8)))
    return path


def rows(ran: object) -> list[dict]:
    return json.loads(ran.out)["results"]


@pytest.fixture(autouse=True)
def quick_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimating, "PROBE_SIDE", 32)


def test_pictures(tmp_path: Path, enhance: Callable, tiny_weights: dict[int, Path]):
    for side in (20, 40):
        picture(tmp_path / f"{side}.png", side, 2 * side)
    (tmp_path / "bad.png").write_bytes(b"no picture")
    before = sorted(tmp_path.iterdir())
    ran = enhance("superres", tmp_path, "--weights", tiny_weights[4], "--dry-run", "--json")
    assert ran.code == 1
    small, large, bad = rows(ran)
    assert (small["width"], small["height"], small["status"]) == (160, 80, "planned")
    assert 0 < small["estimated_seconds"] < large["estimated_seconds"]
    assert small["estimated_memory"] > 1e7
    assert bad["status"] == "failed"
    assert "estimated by a probe" in ran.err
    assert sorted(tmp_path.iterdir()) == before


def test_the_orientation_counts(tmp_path: Path, enhance: Callable, tiny_weights: dict[int, Path]):
    from PIL import Image

    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (8, 6)).save(tmp_path / "a.jpg", exif=exif)
    ran = enhance(
        "superres", tmp_path / "a.jpg", "--weights", tiny_weights[4], "--dry-run", "--json"
    )
    assert [(row["width"], row["height"]) for row in rows(ran)] == [(24, 32)]


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_sizes_of_turned_tiffs(
    tmp_path: Path, enhance: Callable, tiny_weights: dict[int, Path], kind: type
):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(np.zeros((6, 8, 3), kind), photometric="rgb", extratags=[(274, 3, 1, 6)])
    command = ("superres", tmp_path / "a.tif", "--weights", tiny_weights[4], "--json")
    (planned,), (made,) = (rows(enhance(*command, *more)) for more in (["--dry-run"], []))
    assert (planned["width"], planned["height"]) == (made["width"], made["height"]) == (24, 32)


def test_pages(tmp_path: Path, enhance: Callable, tiny_weights: dict[int, Path]):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for width in (8, 12):
            file.write(np.zeros((6, width, 3), np.uint8), photometric="rgb")
    command = ("superres", tmp_path / "a.tif", "--weights", tiny_weights[4], "--json")
    apart = (*command, "--pages", "all", "-o", tmp_path / "b.png")
    (planned,), (made,) = (rows(enhance(*apart, *more)) for more in (["--dry-run"], []))
    assert planned["outputs"] == made["outputs"]
    assert (planned["width"], planned["pages"], made["pages"]) == (32, 2, 2)
    assert (made["width"], made["height"]) == ([32, 48], 24)
    ran = enhance(*apart, "--dry-run")
    assert (ran.code, "b-1.png: exists already" in ran.err) == (1, True)
    (planned,) = rows(enhance(*command, "--pages", 2, "-o", tmp_path / "c.png", "--dry-run"))
    assert planned["width"] == 48
    ran = enhance(*command, "--pages", 3, "-o", tmp_path / "c.png", "--dry-run")
    assert (ran.code, "has no page 3" in ran.err) == (1, True)


def test_videos(tmp_path: Path, enhance: Callable, tiny_frvsr: list):
    source = make_video(tmp_path / "a.mkv", 10)
    ran = enhance("video", source, *tiny_frvsr, "--end", "0.5", "--dry-run", "--json")
    assert ran.code == 0, ran.err
    (row,) = rows(ran)
    assert (row["width"], row["height"], row["frames"]) == (128, 96, 5)
    assert list(tmp_path.iterdir()) == [source]
