"""What a video holds beside streams: mirrored frames, transparency, covers with a place."""

from pathlib import Path

import numpy as np
import pytest
from media import convert, cover, ffmpeg, make_video, packets_of_cover
from PIL import Image

from enhance_cli.io.video import open_source, probe

av = pytest.importorskip("av")


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (("-display_hflip",), lambda frame: frame[:, ::-1]),
        (("-display_vflip",), lambda frame: frame[::-1]),
        (("-display_rotation", "90"), lambda frame: np.rot90(frame)),
        (("-display_rotation", "90", "-display_hflip"), None),
    ],
)
def test_frames_are_mirrored_as_players_do(tmp_path: Path, options: tuple[str, ...], shown):
    plain = make_video(tmp_path / "plain.mp4")
    source = tmp_path / "in.mp4"
    said = ffmpeg(*options, "-i", plain, "-c", "copy", source)
    assert source.exists(), said
    convert(source, tmp_path / "out")
    first = np.asarray(Image.open(tmp_path / "out" / "000000.png"))
    if shown is None:  # FFmpeg's own way to show it; it converts colours a little otherwise.
        ffmpeg("-i", source, "-frames:v", "1", tmp_path / "shown.png")
        expected = np.asarray(Image.open(tmp_path / "shown.png").convert("RGB"))
        assert np.abs(first.astype(int) - expected).mean() < 4
    else:
        assert np.array_equal(first, shown(next(open_source(plain).frames()).pixels))


def test_transparency_is_named(tmp_path: Path) -> None:
    clear = ("-f", "lavfi", "-i", "color=red@0.3:s=32x32:d=0.2,format=yuva420p")
    ffmpeg(*clear, "-c:v", "libvpx-vp9", tmp_path / "clear.webm")
    assert probe(tmp_path / "clear.webm").notices == ("its transparency is left out",)
    frames = [Image.new("RGBA", (16, 16), (255, 0, 0, alpha)) for alpha in (0, 255)]
    frames[0].save(tmp_path / "clear.gif", save_all=True, append_images=frames[1:], duration=100)
    assert probe(tmp_path / "clear.gif").notices == ("its transparency is left out",)
    solid = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    solid[0].save(tmp_path / "solid.gif", save_all=True, append_images=solid[1:], duration=100)
    assert probe(tmp_path / "solid.gif").notices == ()


def with_cover(tmp_path: Path, *metadata: str) -> Path:
    (tmp_path / "cover.png").write_bytes(cover())
    source = tmp_path / "in.mp4"
    video = make_video(tmp_path / "plain.mp4")
    inputs = ("-i", video, "-i", tmp_path / "cover.png", "-map", "0", "-map", "1", "-c", "copy")
    said = ffmpeg(*inputs, "-disposition:v:1", "attached_pic", *metadata, source)
    assert packets_of_cover(source), said
    return source


def test_a_cover_is_kept_beside_a_place(tmp_path: Path) -> None:
    source = with_cover(tmp_path, "-metadata", "location=+48.8584+002.2945/")
    _, said = convert(source, tmp_path / "out.mp4")
    assert said == []
    assert packets_of_cover(tmp_path / "out.mp4") == packets_of_cover(source)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.metadata["location"].startswith("+48.8584+002.2945")
