"""Animated pictures that are written, read back with Pillow and with FFmpeg."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from media import ffmpeg, frame_times, make_video, sink_of
from PIL import Image

from enhance_cli.errors import OutputError
from enhance_cli.io.video import WHOLE, Frame, Kind, open_source, plan_sink
from enhance_cli.io.video.animating import AnimatedSink
from enhance_cli.io.video.types import SRGB, VideoInfo
from enhance_cli.sizes import FrameSize


def animate(
    target: Path,
    frames: Sequence[np.ndarray],
    durations: Sequence[int],
    unit: Fraction = Fraction(1, 1000),
    plays: int = 0,
) -> list[str]:
    """Write frames (H, W, 3 or 4) in two segments, and return what was told."""
    height, width, channels = frames[0].shape
    info = VideoInfo(
        path=target,
        width=width,
        height=height,
        depth=8,
        pixel_format="rgb24",
        colour=SRGB,
        hdr=None,
        sample_aspect_ratio=Fraction(1),
        rotation=0,
        time_base=unit,
        rate=Fraction(10),
        frames=len(frames),
        seconds=None,
        kind=Kind.ANIMATION,
        alpha=channels == 4,
        durations=tuple(durations),
        plays=plays,
    )
    sink = AnimatedSink(info, target, FrameSize(width, height, Fraction(1)))
    parts = [target.with_suffix(f".{number}") for number in range(2)]
    for part, places in zip(parts, (range(1), range(1, len(frames))), strict=True):
        with sink.segment(part) as writer:
            for place in places:
                pixels, alpha = frames[place][..., :3], frames[place][..., 3:]
                writer.write(
                    Frame(
                        pixels,
                        info.starts[place],
                        durations[place],
                        alpha[..., 0] if channels == 4 else None,
                    )
                )
    said: list[str] = []
    sink.assemble(parts, WHOLE, said.append)
    return [*sink.plan.notices, *said]


def read(path: Path) -> tuple[np.ndarray, list[float]]:
    """Frames (T, H, W, 4) and milliseconds, as Pillow has them."""
    frames, times = [], []
    with Image.open(path) as image:
        for place in range(image.n_frames):
            image.seek(place)
            frames.append(np.asarray(image.convert("RGBA")))
            times.append(image.info["duration"])
    return np.stack(frames), times


def few_colours(count: int, channels: int) -> list[np.ndarray]:
    """Frames of which only a part changes; with four channels each pixel is seen or not."""
    frames = []
    for place in range(count):
        frame = np.zeros((20, 30, channels), np.uint8)
        frame[..., 0] = np.arange(30)[None, :] // 10 * 90
        frame[4:9, 5 + 3 * place : 11 + 3 * place, 1] = 200
        if channels == 4:
            frame[..., 3] = 255
            frame[12:, : 4 * place + 3, 3] = 0
        frames.append(frame)
    return frames


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".apng"])
@pytest.mark.parametrize("channels", [3, 4])
def test_there_and_back(suffix: str, channels: int, tmp_path: Path) -> None:
    path, frames = tmp_path / f"a{suffix}", few_colours(4, channels)
    said = animate(path, frames, [50, 120, 30, 400], plays=3)
    assert [line for line in said if "GIF holds" not in line] == []
    shown, times = read(path)
    assert times == [50, 120, 30, 400]
    for picture, frame in zip(shown, frames, strict=True):
        full = np.full((*frame.shape[:2], 1), 255, np.uint8)
        expected = frame if channels == 4 else np.concatenate([frame, full], 2)
        assert np.array_equal(picture[..., 3], expected[..., 3])
        seen = expected[..., 3] > 0
        error = np.abs(picture.astype(int) - expected)[seen]
        if suffix == ".webp":  # It holds colours at half the size.
            assert error.mean() < 4
        else:
            assert not error.any()
    source = open_source(path)
    assert source.info.plays == 3 and source.info.alpha == (channels == 4)
    again = list(source.frames())
    assert len(again) == 4
    if suffix != ".webp":  # which FFmpeg does not read
        assert np.allclose(frame_times(path), [0, 0.05, 0.17, 0.2])
        ffmpeg("-i", path, "-fps_mode", "passthrough", "-pix_fmt", "rgba", tmp_path / "f%d.png")
        other = [np.asarray(Image.open(tmp_path / f"f{place}.png")) for place in range(1, 5)]
        for picture, frame in zip(other, shown, strict=True):
            assert np.array_equal(picture[frame[..., 3] > 0], frame[frame[..., 3] > 0])


def test_many_colours_and_half_transparency_in_a_gif(tmp_path: Path) -> None:
    y, x = np.mgrid[:64, :64]
    frames = [
        np.stack([x * 4, y * 4, 0 * x + place, x * 4], 2).astype(np.uint8) for place in (0, 9)
    ]
    said = animate(tmp_path / "a.gif", frames, [100, 100])
    assert said[0].startswith(
        "GIF holds 255 colours a frame, and every pixel is either seen or not"
    )
    shown, _ = read(tmp_path / "a.gif")
    assert np.array_equal(shown[..., 3] == 255, np.stack(frames)[..., 3] >= 128)
    seen = shown[..., 3] == 255
    assert np.abs(shown.astype(int) - np.stack(frames))[seen][:, :3].mean() < 8


def test_times_that_a_format_does_not_hold(tmp_path: Path) -> None:
    frames, third = few_colours(6, 3), Fraction(1, 30)
    assert "GIF counts in 10 ms: times are rounded to them" in animate(
        tmp_path / "a.gif", frames, [1] * 6, third
    )
    assert read(tmp_path / "a.gif")[1] == [30, 40, 30, 30, 40, 30]
    assert animate(tmp_path / "a.apng", frames, [1] * 6, third) == []
    info = open_source(tmp_path / "a.apng").info
    assert [start * info.time_base for start in info.starts] == [n * third for n in range(6)]
    fast = animate(tmp_path / "b.gif", frames, [1] * 6, Fraction(1, 100))
    assert "3 of 6 frames are left out: browsers show none in GIF for less than 20 ms" in fast
    assert read(tmp_path / "b.gif")[1] == [20, 20, 20]


def test_what_a_video_loses(tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.mp4", audio="aac")
    plan = sink_of(source, tmp_path / "a.webp").plan
    assert "WebP files hold only pictures: audio left out" in plan.notices
    info = open_source(source).info
    with pytest.raises(
        OutputError, match=r"20000x20 pixels are too many, WebP holds at most 16383"
    ):
        plan_sink(info, tmp_path / "a.webp", Kind.VIDEO, FrameSize(20000, 20, Fraction(1)), None)
