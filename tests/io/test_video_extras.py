"""What a video holds beside streams: mirrored frames, transparency, covers with a place."""

from pathlib import Path

import numpy as np
import pytest
from media import convert, cover, ffmpeg, make_video, packets, packets_of_cover
from PIL import Image

from enhance_cli.io.video import Span, open_source, probe

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
    assert probe(tmp_path / "clear.gif").alpha
    solid = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    solid[0].save(tmp_path / "solid.gif", save_all=True, append_images=solid[1:], duration=100)
    assert not probe(tmp_path / "solid.gif").alpha


def with_cover(tmp_path: Path, *metadata: str) -> Path:
    (tmp_path / "cover.png").write_bytes(cover())
    source = tmp_path / "in.mp4"
    video = make_video(tmp_path / "plain.mp4")
    inputs = ("-i", video, "-i", tmp_path / "cover.png")
    copied = ("-map", "0", "-map", "1", "-c", "copy", "-disposition:v:1", "attached_pic")
    said = ffmpeg(*inputs, *metadata, *copied, source)
    assert packets_of_cover(source), said
    return source


def test_a_cover_is_kept_beside_a_place(tmp_path: Path) -> None:
    source = with_cover(tmp_path, "-metadata", "location=+48.8584+002.2945/")
    _, said = convert(source, tmp_path / "out.mp4")
    assert said == []
    assert packets_of_cover(tmp_path / "out.mp4") == packets_of_cover(source)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.metadata["location"].startswith("+48.8584+002.2945")


def with_measurements(tmp_path: Path) -> Path:
    """An MP4 whose subtitles are renamed to measurements, as GoPro cameras store them."""
    (tmp_path / "a.srt").write_text("1\n00:00:00,100 --> 00:00:00,300\n12.5 m/s\n")
    source, plain = tmp_path / "measured.mp4", make_video(tmp_path / "plain.mp4")
    ffmpeg("-i", plain, "-i", tmp_path / "a.srt", "-c:v", "copy", "-c:s", "mov_text", source)
    data = source.read_bytes()
    assert b"tx3g" in data and b"sbtl" in data
    source.write_bytes(data.replace(b"tx3g", b"gpmd").replace(b"sbtl", b"meta"))
    return source


def test_measurements_are_copied_where_they_can_be(tmp_path: Path) -> None:
    source = with_measurements(tmp_path)
    for suffix in (".mp4", ".mov"):
        _, said = convert(source, tmp_path / f"out{suffix}")
        assert said == []
        assert packets(tmp_path / f"out{suffix}", "data") == packets(source, "data") != []
        assert "gpmd" in ffmpeg("-i", tmp_path / f"out{suffix}")
    _, said = convert(source, tmp_path / "out.mkv")
    assert "stream 1 (data, bin_data): cannot be copied, left out" in said
    convert(source, tmp_path / "part.mp4", span=Span(start=0.2))
    assert len(packets(tmp_path / "part.mp4", "data")) < len(packets(source, "data"))


def test_a_cover_chapters_and_a_place_are_kept_in_mp4(tmp_path: Path) -> None:
    listed = tmp_path / "chapters.txt"
    listed.write_text(
        ";FFMETADATA1\nlocation=+48.8584+002.2945/\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=200\n"
        "title=First\n"
    )
    source = with_cover(tmp_path, "-i", listed, "-map_metadata", "2", "-map_chapters", "2")
    _, said = convert(source, tmp_path / "out.mp4")
    assert said == []
    assert packets_of_cover(tmp_path / "out.mp4") == packets_of_cover(source)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.metadata["location"].startswith("+48.8584+002.2945")
        assert [chapter["metadata"]["title"] for chapter in container.chapters()] == ["First"]


def test_captions_are_named(tmp_path: Path) -> None:
    raw = tmp_path / "a.h264"
    ffmpeg("-i", make_video(tmp_path / "plain.mp4"), "-c", "copy", raw)
    # A message (SEI) of one pair of bytes of CEA-608, as ATSC A/53 puts it before a frame.
    caption = bytes.fromhex("00000106040eb5003147413934" + "03c1fffc942cff80")
    data = raw.read_bytes()
    assert b"\0\0\1\x65" in data
    raw.write_bytes(data.replace(b"\0\0\1\x65", caption + b"\0\0\1\x65", 1))
    assert probe(raw).notices == ("its closed captions are left out",)


def test_a_mark_of_360_degrees_is_named(tmp_path: Path) -> None:
    """The mark of Google's Spherical Video V1: XML in a box of the track."""
    data = make_video(tmp_path / "in.mp4").read_bytes()
    text = (
        b'<rdf:SphericalVideo xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
        b'xmlns:GSpherical="http://ns.google.com/videos/1.0/spherical/">'
        b"<GSpherical:Spherical>true</GSpherical:Spherical><GSpherical:Stitched>true"
        b"</GSpherical:Stitched><GSpherical:StitchingSoftware>ours</GSpherical:StitchingSoftware>"
        b"<GSpherical:ProjectionType>equirectangular"
        b"</GSpherical:ProjectionType></rdf:SphericalVideo>"
    )
    content = b"uuid" + bytes.fromhex("ffcc8263f8554a938814587a02521fdd") + text
    mark = (4 + len(content)).to_bytes(4, "big") + content
    for name in (b"trak", b"moov"):  # The second is behind the frames, so that none is moved.
        place = data.index(name) - 4
        size = int.from_bytes(data[place : place + 4], "big")
        end = place + size
        if name == b"trak":
            data = data[:end] + mark + data[end:]
        data = data[:place] + (size + len(mark)).to_bytes(4, "big") + data[place + 4 :]
    (tmp_path / "in.mp4").write_bytes(data)
    assert "360 degree mark is left out" in probe(tmp_path / "in.mp4").notices[0]
