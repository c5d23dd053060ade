"""Segments of a video file, and what interrupts or damages them."""

import ctypes
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from media import UNEVEN, convert, make_video, pictures, scene, sink_of, times, write_batch

from enhance_cli.errors import OutputError
from enhance_cli.io.video import EncodeOptions, Frame
from enhance_cli.io.video.codecs import CODECS

av = pytest.importorskip("av")


def test_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", UNEVEN)
    convert(source, tmp_path / "whole.mp4")
    convert(source, tmp_path / "resumed.mp4", stop=1)
    assert not (tmp_path / "resumed.mp4").exists()
    convert(source, tmp_path / "resumed.mp4")
    assert pictures(tmp_path / "resumed.mp4") == pictures(tmp_path / "whole.mp4")
    assert times(tmp_path / "resumed.mp4") == times(tmp_path / "whole.mp4")


@pytest.mark.parametrize("codec", CODECS)
def test_the_same_frames_give_the_same_bytes(
    tmp_path: Path, codec: str, memory_full_of: Callable[[int], None]
) -> None:
    source = make_video(tmp_path / "in.mp4", range(0, 36 * 512, 512), size=(160, 120))
    sink = sink_of(source, tmp_path / "out.mkv", options=EncodeOptions(codec))
    blocks = np.random.default_rng(0).integers(0, 255, (50, 60, 3), np.uint8)
    texture = blocks.repeat(4, 0).repeat(4, 1)
    frames = [
        Frame(texture[place : place + 120, 2 * place :][:, :160].copy(), 512 * place, 512)
        for place in range(36)
    ]
    written = []
    for filling in (0, 85, 170):
        memory_full_of(filling)
        written.append(write_batch(sink, tmp_path / f"{filling}.nut", frames).read_bytes())
    assert written[0] == written[1] == written[2]


@pytest.fixture
def memory_full_of() -> Iterator[Callable[[int], None]]:
    """A function that decides what memory holds that is given out but was never written."""
    if sys.platform != "linux" or not hasattr(library := ctypes.CDLL(None), "mallopt"):
        pytest.skip("only the memory of glibc can be filled")
    perturb = -6  # M_PERTURB of malloc.h
    yield lambda filling: library.mallopt(perturb, filling)
    library.mallopt(perturb, 0)


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("per", [1, 2, 12])
def test_segments_of_very_few_frames(tmp_path: Path, codec: str, per: int) -> None:
    # x265 leaves the decoding times of such streams to chance.
    source = make_video(tmp_path / "in.mp4", UNEVEN)
    options = EncodeOptions(codec, preset="ultrafast", threads=1)
    for turn in range(3):
        target = tmp_path / f"{turn}.mp4"
        convert(source, target, per=per, options=options)
        assert times(target) == times(source)


def test_segments_hold_what_one_stream_would(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4")
    lossless = EncodeOptions("ffv1", threads=1)
    convert(source, tmp_path / "whole.mkv", per=12, options=lossless)
    convert(source, tmp_path / "parts.mkv", per=5, options=lossless)
    assert pictures(tmp_path / "parts.mkv") == pictures(tmp_path / "whole.mkv")


def test_segments_appear_whole_or_not_at_all(tmp_path: Path) -> None:
    sink = sink_of(make_video(tmp_path / "in.mp4"), tmp_path / "o.mp4")
    with pytest.raises(KeyboardInterrupt), sink.segment(tmp_path / "s.nut") as writer:
        writer.write(Frame(scene(64, 48, 0), 0, 512))
        raise KeyboardInterrupt
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4"]


FULL_DISK = """
import resource, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from media import WHOLE, EncodeOptions, convert, sink_of
from enhance_cli.errors import OutputError
source, target, what = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
lossless = EncodeOptions("ffv1", threads=1)
limit = 2000
if what == "assembly":
    convert(source, target.with_name("before.mkv"), options=lossless)
    parts = sorted((target.parent / "before.mkv.parts").iterdir())
    limit = max(part.stat().st_size for part in parts) + 500
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    if what == "assembly":
        sink_of(source, target, options=lossless).assemble(parts, WHOLE, lambda line: None)
    else:
        convert(source, target, options=lossless)
except OutputError as error:
    print(error)
"""


@pytest.mark.parametrize("what", ["segment", "assembly"])
def test_full_disk(tmp_path: Path, what: str) -> None:
    source = make_video(tmp_path / "in.mp4")
    ran = subprocess.run(
        [
            sys.executable,
            "-c",
            FULL_DISK.format(tests=str(Path(__file__).parent)),
            source,
            tmp_path / "out.mkv",
            what,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "cannot write" in ran.stdout, ran.stdout + ran.stderr
    assert ran.stdout.count("\n") == 1 and ran.stderr == ""
    assert not (tmp_path / "out.mkv").exists()
    assert not list(tmp_path.rglob(".*"))


def test_parts_made_otherwise_are_refused(tmp_path: Path) -> None:
    source, target = make_video(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    convert(source, target, stop=1)
    with pytest.raises(OutputError, match="its parts were made with different settings"):
        convert(source, target, options=EncodeOptions(preset="medium", threads=1))
