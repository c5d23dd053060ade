"""``enhance video`` with animated pictures."""

import json
from fractions import Fraction
from pathlib import Path

from animations import PALETTE, Part, draw, make_animation, make_gif, on_white
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
    times_of,
)

PARTS = [
    Part("green", 0, 0, 24, 16, disposal=1, delay=7, hole=True),
    Part("blue", 6, 4, 12, 8, disposal=2, delay=0, hole=True),
    Part("red", 2, 2, 4, 4, disposal=3, delay=20),
    Part("blue", 12, 8, 6, 6, delay=30),
]
_GREEN = ("green", 1, 0, 24, 16)
SHOWN = [
    draw((24, 16), _GREEN),
    draw((24, 16), _GREEN, ("blue", 7, 4, 18, 12)),
    draw((24, 16), _GREEN),
    draw((24, 16), _GREEN),
]
for _shown in SHOWN[2:]:
    _shown[4:12, 6:18] = 0  # cleared after the second frame
SHOWN[2][2:6, 2:6] = (*PALETTE["red"], 255)
SHOWN[3][8:14, 12:18] = (*PALETTE["blue"], 255)


def test_a_gif_becomes_a_video(
    tmp_path: Path, enhance: Run, video_networks: dict[str, Path], tiny_frvsr: list
):
    source = make_gif(tmp_path / "a.gif", (24, 16), PARTS)
    ran = enhance(
        "video", source, *tiny_frvsr, *LOSSLESS, "--no-cut-detection", "-o", tmp_path / "b.mkv"
    )
    assert ran.code == 0, ran.err
    assert "its transparency is placed on white" in ran.err
    times = [Fraction(time, 1000) for time in (0, 70, 170, 370)]
    assert times_of(tmp_path / "b.mkv") == times
    result = frames_of(tmp_path / "b.mkv")
    assert close(result, enlarged(video_networks["frvsr"], [on_white(shown) for shown in SHOWN]))


def test_which_pictures_are_videos(tmp_path: Path, enhance: Run, tiny_sisr: list):
    pictures = [scene(place) for place in range(2)]
    folder = tmp_path / "in"
    make_frames(folder / "shot", 2)
    make_video(folder / "a.mkv", 2)
    for name in ("b.webp", "c.png"):
        made = make_animation(tmp_path / name.replace("png", "apng"), pictures, [50, 50])
        made.rename(folder / name)
    make_gif(folder / "still.gif", (24, 16), PARTS[:1])
    Image.fromarray(pictures[0]).save(folder / "cover.png")
    ran = enhance("video", folder, *tiny_sisr, *LOSSLESS, "-o", tmp_path / "out", "--json")
    assert ran.code == 0, ran.err
    done = [Path(row["input"]).name for row in json.loads(ran.out)["results"]]
    assert done == ["a.mkv", "b.webp", "c.png"]
    # The first picture tells what a folder without videos holds.
    (folder / "a.mkv").unlink()
    ran = enhance("video", folder, *tiny_sisr, *LOSSLESS, "-o", tmp_path / "more", "--json")
    assert ran.code == 0, ran.err
    assert len(json.loads(ran.out)["results"]) == 2


def test_superres_and_video_point_to_each_other(
    tmp_path: Path, enhance: Run, tiny_sisr: list, tiny_weights: dict[int, Path]
):
    still = make_gif(tmp_path / "still.gif", (24, 16), PARTS[:1])
    ran = enhance("video", still, *tiny_sisr)
    assert ran.code == 1
    assert "a picture, not a video: use enhance superres" in errors(ran.err)[0]
    moving = make_animation(tmp_path / "a.webp", [scene(0), scene(1)], [50, 50])
    ran = enhance("superres", moving, "--weights", tiny_weights[4])
    assert ran.code == 1
    assert "animated WEBP of several frames: use enhance video" in errors(ran.err)[0]
    assert names(tmp_path) == ["a.webp", "still.gif"]
