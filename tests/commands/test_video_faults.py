"""``enhance video`` when threads, memory or disks fail it."""

import errno
import gc
import json
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from small_videos import LOSSLESS, Run, errors, frames_of, interrupt, make_video, names, scene

from enhance_cli.engine.recurrent import FrameEnlarger
from enhance_cli.errors import InputError, OutputError
from enhance_cli.io.video import Frame, Span, probe
from enhance_cli.io.video.files import FileSink
from enhance_cli.io.video.writing import FileSegmentWriter
from enhance_cli.tasks import video as task

av = pytest.importorskip("av")


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(0.5)
        assert not thread.is_alive()


class MadeUpSource:
    """Frames made up on the way; counts those that are alive."""

    def __init__(self, path: Path, count: int, fail: BaseException | None = None) -> None:
        self.info = probe(path)
        self.count, self.fail = count, fail
        self.alive = self.most = 0

    def frames(self, span: Span, skip: int) -> Iterator[Frame]:
        for place in range(self.count):
            pixels = scene(place % 7)
            self.watch(pixels)
            yield Frame(pixels, place * 100, 100)
        if self.fail is not None:
            raise self.fail

    def watch(self, thing: object) -> None:
        self.alive += 1
        self.most = max(self.most, self.alive)
        weakref.finalize(thing, self._gone)

    def _gone(self) -> None:
        self.alive -= 1


def replace_source(monkeypatch: pytest.MonkeyPatch, source: MadeUpSource) -> None:
    monkeypatch.setattr(task, "open_source", lambda *_, **__: source)


@pytest.mark.parametrize("count", [20, 300])
def test_few_frames_are_alive_however_long_the_video(
    count: int,
    tmp_path: Path,
    enhance: Run,
    video_networks: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
):
    reader = MadeUpSource(make_video(tmp_path / "a.mkv", 1), count)
    replace_source(monkeypatch, reader)
    original, large = FrameEnlarger.step, MadeUpSource(tmp_path / "a.mkv", 0)

    def step(*arguments: object) -> tuple[torch.Tensor, object]:
        frame_hr, state = original(*arguments)
        large.watch(frame_hr)
        return frame_hr, state

    monkeypatch.setattr(FrameEnlarger, "step", step)
    ran = enhance(
        "video", tmp_path / "a.mkv", "--weights", video_networks["vsr"], *LOSSLESS, "--json"
    )
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["results"][0]["frames"] == count
    assert reader.most <= 3 + 2 + 8
    assert large.most <= 2 + 4
    gc.collect()
    assert reader.alive == large.alive == 0


@pytest.mark.usefixtures("short_segments")
@pytest.mark.parametrize(("count", "kept"), [(2, False), (8, True)])
def test_what_the_decoder_raises_reaches_the_user(
    count: int,
    kept: bool,
    tmp_path: Path,
    enhance: Run,
    tiny_sisr: list,
    monkeypatch: pytest.MonkeyPatch,
):
    source = make_video(tmp_path / "a.mkv", 1)
    replace_source(monkeypatch, MadeUpSource(source, count, InputError("in: damaged at 2")))
    ran = enhance("video", source, *tiny_sisr, *LOSSLESS)
    assert ran.code == 1
    assert ran.err.splitlines()[-1] == f"error: {source}: in: damaged at 2"
    assert ("are kept in" in ran.err) == kept
    assert names(tmp_path) == ["a.mkv", "a_x4.mkv.part"][: 1 + kept]
    if kept:
        assert "segment-000002.nut" not in names(tmp_path / "a_x4.mkv.part")


def test_an_unforeseen_fault_in_a_thread_names_the_file(
    tmp_path: Path, enhance: Run, tiny_sisr: list, monkeypatch: pytest.MonkeyPatch
):
    source = make_video(tmp_path / "a.mkv", 1)
    replace_source(monkeypatch, MadeUpSource(source, 2, ZeroDivisionError("oops")))
    ran = enhance("video", source, *tiny_sisr, *LOSSLESS)
    assert ran.code == 1
    assert ran.err.splitlines()[-1].startswith(f"error: {source}: ")
    assert "ZeroDivisionError: oops. This is a fault of enhance" in ran.err
    assert names(tmp_path) == ["a.mkv"]


@pytest.mark.usefixtures("short_segments")
@pytest.mark.parametrize("frame", [0, 3, 7])
def test_a_disk_that_fills_up_while_encoding(
    frame: int, tmp_path: Path, enhance: Run, tiny_sisr: list, monkeypatch: pytest.MonkeyPatch
):
    source = make_video(tmp_path / "a.mkv", 8)
    original, count = FileSegmentWriter.write, 0

    def write(*arguments: object) -> None:
        nonlocal count
        if count == frame:
            raise OSError(errno.ENOSPC, "No space left on device")
        count += 1
        original(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(FileSegmentWriter, "write", write)
        ran = enhance("video", source, *tiny_sisr, *LOSSLESS)
    assert ran.code == 1
    assert "No space left on device" in errors(ran.err)[0] and len(errors(ran.err)) == 1
    assert names(tmp_path) == ["a.mkv", "a_x4.mkv.part"][: 1 + (frame >= 3)]
    assert enhance("video", source, *tiny_sisr, *LOSSLESS, "--resume").code == 0
    assert len(frames_of(tmp_path / "a_x4.mkv")) == 8


@pytest.mark.usefixtures("short_segments")
@pytest.mark.usefixtures("in_this_process")
def test_a_disk_that_fills_up_while_the_memory_of_the_stream_is_saved(
    tmp_path: Path, enhance: Run, tiny_frvsr: list
):
    resource = pytest.importorskip("resource")
    source = make_video(tmp_path / "a.mkv", 8)
    make_video(tmp_path / "b.mkv", [scene(place, size=(16, 12)) for place in range(8)])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))  # of a.mkv it takes 156 kB
    try:
        ran = enhance("video", tmp_path, *tiny_frvsr)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert ran.code == 1
    state = tmp_path / "a_x4.mkv.part" / "state-000001.safetensors"
    assert errors(ran.err) == [f"error: {source}: {state}: cannot write (File too large)"]
    assert names(tmp_path) == ["a.mkv", "b.mkv", "b_x4.mkv"]
    assert enhance("video", source, *tiny_frvsr, "--resume").code == 0
    assert len(frames_of(tmp_path / "a_x4.mkv")) == 8


@pytest.mark.usefixtures("short_segments")
def test_a_disk_that_fills_up_while_assembling_keeps_what_can_be_resumed(
    tmp_path: Path, enhance: Run, tiny_sisr: list, monkeypatch: pytest.MonkeyPatch
):
    source = make_video(tmp_path / "a.mkv", 8)

    def fail(*_: object, **__: object) -> None:
        raise OutputError("o: cannot write (No space left on device)")

    with monkeypatch.context() as patched:
        patched.setattr(FileSink, "assemble", fail)
        ran = enhance("video", source, *tiny_sisr, *LOSSLESS)
    assert ran.code == 1 and "finished segments are kept in" in ran.err
    ran = enhance("video", source, *tiny_sisr, *LOSSLESS, "--resume")
    assert ran.code == 0 and "going on after 6 frames" in ran.err
    assert names(tmp_path) == ["a.mkv", "a_x4.mkv"]


@pytest.mark.usefixtures("in_this_process")
def test_out_of_memory_fails_this_input_alone(
    tmp_path: Path, enhance: Run, tiny_sisr: list, monkeypatch: pytest.MonkeyPatch
):
    for name in "ab":
        make_video(tmp_path / f"{name}.mkv", 2)
    interrupt(monkeypatch, 1, MemoryError)
    ran = enhance("video", tmp_path, *tiny_sisr, *LOSSLESS)
    assert ran.code == 1 and "too large for the memory" in ran.err
    assert names(tmp_path) == ["a.mkv", "b.mkv", "b_x4.mkv"]


@pytest.mark.usefixtures("in_this_process")
def test_ctrl_c_stops_all_inputs(
    tmp_path: Path, enhance: Run, tiny_sisr: list, monkeypatch: pytest.MonkeyPatch
):
    for name in "abc":
        make_video(tmp_path / f"{name}.mkv", 2)
    interrupt(monkeypatch, 3)  # in the second
    assert enhance("video", tmp_path, *tiny_sisr, *LOSSLESS).code == 130
    assert names(tmp_path) == ["a.mkv", "a_x4.mkv", "b.mkv", "c.mkv"]
