"""``enhance video`` with animated pictures."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from animations import PALETTE, Part, draw, make_animation, make_gif, on_white
from PIL import Image
from scipy import ndimage
from small_videos import (
    LOSSLESS,
    Run,
    close,
    enlarged,
    errors,
    frames_of,
    interrupt,
    make_frames,
    make_video,
    names,
    scene,
    times_of,
)

from enhance_cli.io.video import open_source

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


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".apng"])
def test_an_animated_picture_stays_one(
    suffix: str, tmp_path: Path, enhance: Run, tiny_frvsr: list, video_networks: dict[str, Path]
):
    pictures = [np.dstack([scene(place), np.full((24, 32), 255, np.uint8)]) for place in range(4)]
    for place, picture in enumerate(pictures):
        picture[:, : 4 * place, 3] = 0
    source = tmp_path / "a.gif"
    if suffix == ".gif":
        make_gif(source, (24, 16), PARTS, repeats=1)
    else:
        source = make_animation(tmp_path / f"a{suffix}", pictures, [40, 90, 60, 300], plays=2)
    ran = enhance("video", source, *tiny_frvsr, "--crf", 20)
    assert ran.code == 0, ran.err
    assert "--crf: not used, for the output is an animated picture" in ran.err
    assert "transparency is placed" not in ran.err
    before, after = open_source(source), open_source(tmp_path / f"a_x4{suffix}")
    for name in ("durations", "plays", "alpha"):
        assert getattr(after.info, name) == getattr(before.info, name)
    for small, large in zip(before.frames(), after.frames(), strict=True):
        assert (large.alpha is None) == (small.alpha is None)
        if small.alpha is not None and large.alpha is not None:
            # Within the values around each pixel, as in pictures: borders have no rings.
            for extreme, within in (
                (ndimage.minimum_filter, np.less_equal),
                (ndimage.maximum_filter, np.greater_equal),
            ):
                around = extreme(small.alpha, size=3, mode="nearest")
                assert within(around.repeat(4, 0).repeat(4, 1), large.alpha).all()


@pytest.mark.usefixtures("short_segments")
def test_an_interrupted_one_goes_on_to_the_same_bytes(
    tmp_path: Path, enhance: Run, tiny_frvsr: list, monkeypatch: pytest.MonkeyPatch
):
    pictures = [
        np.dstack([scene(place), np.full((24, 32), 20 * place + 90, np.uint8)])
        for place in range(7)
    ]
    source = make_animation(tmp_path / "a.webp", pictures, [50] * 7)
    whole = enhance("video", source, *tiny_frvsr, "-o", tmp_path / "whole.apng")
    assert whole.code == 0, whole.err
    interrupt(monkeypatch, after=9)  # twice a frame: colours and transparency
    assert enhance("video", source, *tiny_frvsr, "-o", tmp_path / "b.apng").code == 130
    assert names(tmp_path) == ["a.webp", "b.apng.part", "whole.apng"]
    ran = enhance("video", source, *tiny_frvsr, "-o", tmp_path / "b.apng", "--resume")
    assert ran.code == 0 and "going on after 3 frames" in ran.err
    assert (tmp_path / "b.apng").read_bytes() == (tmp_path / "whole.apng").read_bytes()
    assert names(tmp_path) == ["a.webp", "b.apng", "whole.apng"]


def test_frames_and_videos_become_animated_pictures(tmp_path: Path, enhance: Run, tiny_sisr: list):
    frames = make_frames(tmp_path / "shot", 3)
    ran = enhance("video", frames, *tiny_sisr, "--rate", 20, "-o", tmp_path / "a.webp")
    assert ran.code == 0, ran.err
    assert open_source(tmp_path / "a.webp").info.durations == (50, 50, 50)
    video = make_video(tmp_path / "b.mkv", 3, audio=True, turn=90)
    ran = enhance("video", video, *tiny_sisr, "--compare", "-o", tmp_path / "b.gif")
    assert ran.code == 0, ran.err
    assert "GIF files hold only pictures: audio left out" in ran.err
    info = open_source(tmp_path / "b.gif").info
    assert (info.width, info.height) == (2 * 4 * 24, 4 * 32)  # as players turn it, side by side
    assert info.durations == (100, 100, 100) and info.plays == 0


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
