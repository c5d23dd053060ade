"""``enhance video`` at sizes that no network makes by itself."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from small_videos import (
    LOSSLESS,
    Run,
    close,
    enlarged,
    frames_of,
    interrupt,
    make_frames,
    make_video,
    scenes,
    times_of,
)

from enhance_cli.io.video import probe
from enhance_cli.resize import resample

av = pytest.importorskip("av")


def resampled(frames: np.ndarray, height: int, width: int) -> np.ndarray:
    """(T, H, W, 3) uint8 at another size."""
    planes = torch.from_numpy(frames).permute(0, 3, 1, 2) / 255
    made = torch.stack([resample(frame, height, width) for frame in planes])
    return made.clamp(0, 1).mul(255).round().byte().permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize(
    ("option", "name", "width", "height"),
    [
        (("-x2",), "a_x2.mkv", 64, 48),
        (("-x3",), "a_x3.mkv", 96, 72),
        (("-x", "1.28"), "a_x1.28.mkv", 41, 31),  # odd, which ffv1 holds
        (("--size", "72p"), "a_72p.mkv", 96, 72),
        (("--size", "80x80"), "a_80x80.mkv", 80, 60),
        (("--size", "120p"), "a_120p.mkv", 160, 120),
    ],
)
def test_the_frames_of_the_network_are_resampled(
    option: tuple,
    name: str,
    width: int,
    height: int,
    tmp_path: Path,
    enhance: Run,
    tiny_frvsr: list,
):
    source = make_video(tmp_path / "a.mkv")
    ran = enhance("video", source, *tiny_frvsr, *LOSSLESS, *option, "--json")
    assert ran.code == 0, ran.err
    row = json.loads(ran.out)["results"][0]
    assert (row["output"], row["width"], row["height"]) == (str(tmp_path / name), width, height)
    assert ("the rest, to 5 times" in ran.err) == (height == 120)
    expected = resampled(enlarged(tiny_frvsr[1], scenes(7)), height, width)
    assert close(frames_of(tmp_path / name), expected)
    assert times_of(tmp_path / name) == times_of(source)


def test_frames_and_compare(tmp_path: Path, enhance: Run, tiny_sisr: list):
    folder = make_frames(tmp_path / "shot", 2)
    ran = enhance("video", folder, *tiny_sisr, "-x", "1.28")
    assert ran.code == 0, ran.err
    expected = resampled(enlarged(tiny_sisr[1], scenes(2)), 31, 41)
    assert close(frames_of(tmp_path / "shot_x1.28"), expected)
    ran = enhance("video", folder, *tiny_sisr, "-x", "1.28", "--compare", "-o", tmp_path / "both")
    assert ran.code == 0, ran.err
    both = frames_of(tmp_path / "both")
    assert both.shape == (2, 31, 82, 3)
    assert close(both[:, :, 41:], expected)
    bicubic = resampled(np.stack(scenes(2)), 31, 41)
    assert np.abs(both[:, :, :41].astype(int) - bicubic).mean() < 1.5


def test_sides_are_even_where_the_codec_needs_them(tmp_path: Path, enhance: Run, tiny_sisr: list):
    source = make_video(tmp_path / "a.mkv", 1)
    for options, made in (
        (("-o", tmp_path / "a.mp4"), (40, 30, "yuv420p")),
        (("-o", tmp_path / "b.mp4", "--pixel-format", "yuv444p"), (41, 31, "yuv444p")),
        (("-o", tmp_path / "c.webm"), (41, 31, "yuv420p")),
    ):
        ran = enhance("video", source, *tiny_sisr, "-x", "1.28", *options)
        assert ran.code == 0, ran.err
        info = probe(options[1])
        assert (info.width, info.height, info.pixel_format) == made


@pytest.mark.parametrize("turn", [0, 90])
def test_a_size_counts_square_pixels_as_they_are_shown(
    turn: int, tmp_path: Path, enhance: Run, tiny_sisr: list
):
    """32x24 pixels, each 3/2 as wide as high, are shown with 48x24 pixels, or turned with 24x48."""
    aspect = Fraction(3, 2)
    options = {"turn": turn, "aspect": aspect}
    source = make_video(tmp_path / "a.mp4", 2, "libx264", "yuv420p", **options)
    assert probe(source).sample_aspect_ratio == aspect
    ran = enhance("video", source, *tiny_sisr, "--size", "96p")
    assert ran.code == 0, ran.err
    info = probe(tmp_path / "a_96p.mp4")
    assert (info.width, info.height) == ((96, 48) if turn else (192, 96))
    assert (info.sample_aspect_ratio, info.rotation) == (1, turn)
    ran = enhance("video", source, *tiny_sisr, "--size", "96x96", "--frames")
    assert ran.code == 0, ran.err
    assert frames_of(tmp_path / "a_96x96").shape[1:3] == ((96, 48) if turn else (48, 96))
    ran = enhance("video", source, *tiny_sisr, "-x2")  # and times keep the pixels as they are
    assert ran.code == 0, ran.err
    info = probe(tmp_path / "a_x2.mp4")
    assert (info.width, info.height, info.sample_aspect_ratio) == (64, 48, aspect)
    ran = enhance("video", source, *tiny_sisr, "--size", "24p")
    shown = "24x48" if turn else "48x24"
    assert ran.code == 1
    assert f"shown with {shown} pixels, --size 24p would not enlarge it" in ran.err


@pytest.mark.usefixtures("short_segments")
def test_a_size_is_resumed_and_another_one_is_not(
    tmp_path: Path, enhance: Run, tiny_sisr: list, monkeypatch: pytest.MonkeyPatch
):
    source = make_video(tmp_path / "a.mkv", 8)
    options = ["video", source, *tiny_sisr, *LOSSLESS]
    assert enhance(*options, "--size", "72p", "-o", tmp_path / "whole.mkv").code == 0
    interrupt(monkeypatch, 7)
    target = tmp_path / "a_72p.mkv"
    assert enhance(*options, "--size", "72p").code == 130
    ran = enhance(*options, "-x2", "--resume", "-o", target)
    assert ran.code == 1 and "begun with another -x or --size" in ran.err
    assert enhance(*options, "--size", "72p", "--resume").code == 0
    assert target.read_bytes() == (tmp_path / "whole.mkv").read_bytes()
