"""``enhance video`` as its users meet it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from enhance_cli.architectures import ARCHITECTURES
from enhance_cli.architectures.frvsr import VideoNetwork
from enhance_cli.architectures.srnet import FrvsrConfig
from enhance_cli.engine.checkpoint import build, load_network, read_checkpoint_info, save_checkpoint
from enhance_cli.engine.recurrent import FrameEnlarger, enhance_clip
from enhance_cli.resize import imresize

av = pytest.importorskip("av")

Run = Callable[..., object]

LOSSLESS = ("--codec", "ffv1")


def save_tiny(path: Path, name: str) -> Path:
    """A checkpoint of a very small video network in which the memory counts."""
    torch.manual_seed(0)
    architecture = ARCHITECTURES[name]
    network = build(architecture, FrvsrConfig(channels=4, blocks=1))
    with torch.no_grad():
        network.srnet.out.weight.mul_(10)
    save_checkpoint(path / f"{name}.safetensors", network, architecture, f"{name}-tiny")
    return path / f"{name}.safetensors"


@pytest.fixture(scope="session")
def networks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Checkpoints by architecture."""
    folder = tmp_path_factory.mktemp("video-weights")
    return {name: save_tiny(folder, name) for name in ("frvsr", "vsr", "sisr")}


@pytest.fixture
def tiny(networks: dict[str, Path]) -> list[object]:
    return ["--weights", networks["frvsr"]]


@pytest.fixture
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("enhance_cli.tasks.video.SEGMENT_FRAMES", 3)


def scene(place: int, kind: int = 0, size: tuple[int, int] = (32, 24)) -> np.ndarray:
    """(H, W, 3) uint8: something smooth that moves; two kinds that have nothing in common."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    if kind == 0:
        planes = [(x + 2 * place) * 3 % 100, y * 60 // height, np.full_like(x, 20 + place)]
    else:
        planes = [
            np.full_like(x, 250 - place),
            255 - (y + place) * 3 % 90,
            np.where((x // 6 + y // 6) % 2, 255, 120),
        ]
    return np.stack(planes, -1).astype(np.uint8)


def scenes(*counts: int) -> list[np.ndarray]:
    return [scene(place, kind) for kind, count in enumerate(counts) for place in range(count)]


def make_video(
    path: Path,
    pictures: Sequence[np.ndarray] | int = 7,
    codec: str = "ffv1",
    pixel_format: str = "bgr0",
    rate: int = 10,
    audio: bool = False,
    turn: int = 0,
) -> Path:
    """A video, without loss unless another codec is named."""
    if isinstance(pictures, int):
        pictures = scenes(pictures)
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=rate)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pixel_format
        stream.codec_context.thread_count = 1
        if turn:
            stream.set_display_rotation(turn)
        sound = output.add_stream("aac", rate=8000) if audio else None
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture).reformat(format=pixel_format)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        if sound is not None:
            for place in range(6):
                wave = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
                wave.sample_rate, wave.pts, wave.time_base = 8000, 1024 * place, Fraction(1, 8000)
                output.mux(sound.encode(wave))
            output.mux(sound.encode(None))
    return path


def make_frames(folder: Path, count: int = 5, first: int = 1, digits: int = 3) -> Path:
    folder.mkdir(parents=True)
    for place in range(count):
        Image.fromarray(scene(place)).save(folder / f"{first + place:0{digits}}.png")
    return folder


def frames_of(path: Path) -> np.ndarray:
    """(T, H, W, 3) uint8 of a video or folder."""
    if path.is_dir():
        return np.stack([np.asarray(Image.open(name)) for name in sorted(path.iterdir())])
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def times_of(path: Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


def enlarged(checkpoint: Path, pictures: Sequence[np.ndarray]) -> np.ndarray:
    """What the network makes of a clip, (T, H, W, 3) uint8."""
    network = load_network(read_checkpoint_info(checkpoint))
    assert isinstance(network, VideoNetwork)
    clip = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2) / 255
    result = enhance_clip(network, clip).mul(255).round().permute(0, 2, 3, 1)
    return result.numpy().astype(np.uint8)


def close(one: np.ndarray, other: np.ndarray) -> bool:
    """Equal but for rounding, which a sum in another order may tip over."""
    return one.shape == other.shape and np.abs(one.astype(int) - other).max() <= 1


def interrupt(monkeypatch: pytest.MonkeyPatch, after: int, error: type = KeyboardInterrupt) -> None:
    """Ctrl-C when so many frames were enlarged."""
    original, count = FrameEnlarger.step, 0

    def step(*arguments: object) -> object:
        nonlocal count
        if count == after:
            monkeypatch.setattr(FrameEnlarger, "step", original)
            raise error
        count += 1
        return original(*arguments)

    monkeypatch.setattr(FrameEnlarger, "step", step)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("name", ["frvsr", "vsr", "sisr"])
def test_a_video_is_what_the_network_makes_of_its_frames(
    name: str, tmp_path: Path, enhance: Run, networks: dict[str, Path]
):
    source = make_video(tmp_path / "a.mkv")
    ran = enhance("video", source, "--weights", networks[name], *LOSSLESS, "--tile", 0)
    assert ran.code == 0, ran.err
    assert names(tmp_path) == ["a.mkv", "a_x4.mkv"]
    result = frames_of(tmp_path / "a_x4.mkv")
    assert close(result, enlarged(networks[name], scenes(7)))
    assert times_of(tmp_path / "a_x4.mkv") == times_of(source)
    if name != "sisr":  # else the tests below would show nothing
        assert not close(result[1], enlarged(networks[name], scenes(7)[1:2])[0])


def test_tiles_do_not_show(tmp_path: Path, enhance: Run, tiny: list):
    big = [scene(place, size=(90, 70)) for place in range(3)]
    source = make_video(tmp_path / "a.mkv", big)
    for tile in (0, 32):
        ran = enhance(
            "video", source, *tiny, *LOSSLESS, "--tile", tile, "-o", tmp_path / f"{tile}.mkv"
        )
        assert ran.code == 0, ran.err
    assert close(frames_of(tmp_path / "0.mkv"), frames_of(tmp_path / "32.mkv"))


@pytest.mark.parametrize("name", ["frvsr", "vsr"])
def test_a_cut_begins_anew(name: str, tmp_path: Path, enhance: Run, networks: dict[str, Path]):
    source = make_video(tmp_path / "a.mkv", scenes(4, 3))
    options = ["--weights", networks[name], *LOSSLESS, "--overwrite", "--json"]
    ran = enhance("video", source, *options)
    assert json.loads(ran.out)["results"][0]["cuts"] == [0.4]
    apart = [enlarged(networks[name], pictures) for pictures in (scenes(4), scenes(4, 3)[4:])]
    assert close(frames_of(tmp_path / "a_x4.mkv"), np.concatenate(apart))
    for off in (("--no-cut-detection",), ("--cut-threshold", 1)):
        ran = enhance("video", source, *options, *off)
        assert json.loads(ran.out)["results"][0]["cuts"] == []
        result = frames_of(tmp_path / "a_x4.mkv")
        assert close(result, enlarged(networks[name], scenes(4, 3)))
        assert not close(result[4:], apart[1])


def test_json_and_quiet(tmp_path: Path, enhance: Run, tiny: list):
    source = make_video(tmp_path / "a.mkv", 2)
    ran = enhance("video", source, *tiny, *LOSSLESS, "--json", "-q")
    assert (ran.code, ran.err) == (0, "")
    document = json.loads(ran.out)
    seconds = document["results"][0].pop("seconds")
    assert seconds > 0
    assert document == {
        "model": "frvsr-tiny",
        "scale": 4,
        "failed": 0,
        "results": [
            {
                "input": str(source),
                "output": str(tmp_path / "a_x4.mkv"),
                "status": "ok",
                "width": 128,
                "height": 96,
                "frames": 2,
                "cuts": [],
            }
        ],
    }
    ran = enhance("video", source, *tiny, *LOSSLESS, "-q", "--overwrite")
    assert (ran.code, ran.out, ran.err) == (0, "", "")


def test_dry_run_writes_nothing(tmp_path: Path, enhance: Run, tiny: list):
    make_video(tmp_path / "a.mkv", 2)
    make_frames(tmp_path / "shot")
    ran = enhance(
        "video",
        tmp_path / "a.mkv",
        tmp_path / "shot",
        *tiny,
        "--dry-run",
        "--json",
        "-o",
        tmp_path / "out",
    )
    assert ran.code == 0
    assert [row["output"] for row in json.loads(ran.out)["results"]] == [
        str(tmp_path / "out" / "a_x4.mkv"),
        str(tmp_path / "out" / "shot_x4"),
    ]
    assert names(tmp_path) == ["a.mkv", "shot"]


def test_verbose_names_model_and_tiles(tmp_path: Path, enhance: Run, tiny: list):
    source = make_video(tmp_path / "a.mkv", 1)
    ran = enhance("video", source, *tiny, *LOSSLESS, "-v")
    assert "frvsr-tiny from" in ran.err and "on cpu in float32, tiles of at most 320" in ran.err


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (("--start", 0.2), range(2, 7)),
        (("--end", 0.3), range(3)),
        (("--start", 0.1, "--end", 0.4), range(1, 4)),
        (("--preview", 0.2), range(2)),
        (("--start", 0.1, "--preview", 0.2), range(1, 3)),  # 0.1 + 0.2 is no more than 0.3 here
        (("--start", 0.1, "--preview", 9, "--end", 0.4), range(1, 4)),
        (("--preview", 99), range(7)),
    ],
)
@pytest.mark.parametrize("folder", [False, True])
def test_a_part(
    folder: bool,
    options: tuple,
    wanted: range,
    tmp_path: Path,
    enhance: Run,
    networks: dict[str, Path],
):
    options = (*options, "--weights", networks["sisr"], "-o", tmp_path / "out.mkv", *LOSSLESS)
    if folder:
        ran = enhance("video", make_frames(tmp_path / "in", 7), *options, "--rate", 10)
    else:
        ran = enhance("video", make_video(tmp_path / "a.mkv"), *options)
    assert ran.code == 0, ran.err
    assert close(
        frames_of(tmp_path / "out.mkv"),
        enlarged(networks["sisr"], [scene(place) for place in wanted]),
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--start", 0.4, "--end", 0.2), "--end 0.2: must be after --start 0.4"),
        (("--end", 0), "--end 0: must be after --start 0"),
        (("--preview", 0), "--preview 0: must be more than 0 seconds"),
        (("--start", "nan"), "'--start': Input should be greater than or equal to 0"),
        (("--end", "inf"), "--end inf: must be a number of seconds"),
        (("--cut-threshold", "nan"), "'--cut-threshold': Input should be"),
        (("--cut-threshold", 2), "'--cut-threshold': Input should be less than or equal to 1"),
        (("--start", -1), "'--start': Input should be greater than or equal to 0"),
        (("-x2",), "-x2: model 'frvsr-tiny' enlarges by 4, leave -x out"),
        (("--codec", "h266"), "unknown codec 'h266' (did you mean 'h264'?): choose from av1,"),
        (("--codec", "h264", "--crf", 60), "crf 60: must be from 0 to 51 for h264"),
        (("--codec", "ffv1", "--crf", 20), "crf 20: must be left out"),
        (("--crf", "nan"), "'--crf': Input should be"),
        (("--codec", "h264", "--preset", "quick"), "unknown preset of h264 'quick'"),
        (("--pixel-format", "rgb"), "unknown pixel format of h264 'rgb'"),
        (("--rate", "fast"), "--rate fast: must be frames a second, like 25 or 30000/1001"),
        (("--rate", "0"), "--rate 0: must be frames a second"),
        (("--rate", "-25"), "--rate -25: must be frames a second"),
        (("--rate", "1/0"), "--rate 1/0: must be frames a second"),
        (("--rate", "nan"), "--rate nan: must be frames a second"),
        (("--tile", "big"), "--tile big: must be auto, 0 or a number of pixels"),
        (("--tile", 4), "--tile 4: must be at least"),
        (("--frames", "-o", "out.mp4"), "out.mp4: --frames writes a folder of pictures"),
        (("-o", "out.webm", "--codec", "h264"), "codec h264: .webm cannot hold it"),
    ],
)
def test_wrong_usage(
    options: tuple,
    said: str,
    tmp_path: Path,
    enhance: Run,
    tiny: list,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(tmp_path)
    make_video(tmp_path / "a.mkv", 2)
    ran = enhance("video", "a.mkv", *tiny, *options)
    assert ran.code == 2, ran.err
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1
    assert names(tmp_path) == ["a.mkv"]


def test_frames_in_frames_out(tmp_path: Path, enhance: Run, networks: dict[str, Path]):
    folder = make_frames(tmp_path / "shot.01", 5, first=998, digits=1)  # 998 ... 1002
    (folder / "notes.txt").write_text("not a frame")
    ran = enhance("video", folder, "--weights", networks["frvsr"])
    assert ran.code == 0, ran.err
    made = [
        np.asarray(Image.open(tmp_path / "shot.01_x4" / f"{number}.png"))
        for number in range(998, 1003)
    ]
    assert close(np.stack(made), enlarged(networks["frvsr"], scenes(5)))
    assert names(tmp_path) == ["shot.01", "shot.01_x4"]
    assert len(names(tmp_path / "shot.01_x4")) == 5


def test_sixteen_bits_stay_sixteen(tmp_path: Path, enhance: Run, networks: dict[str, Path]):
    from enhance_cli.io.image import Picture, read_image, write_image

    (tmp_path / "in").mkdir()
    deep = [scene(place).astype(np.uint16) * 3 + 1 for place in range(2)]  # all very dark
    for place, pixels in enumerate(deep):
        write_image(tmp_path / "in" / f"{place}.png", Picture(pixels))
    assert enhance("video", tmp_path / "in", "--weights", networks["sisr"]).code == 0
    result = read_image(tmp_path / "in_x4" / "0.png").pixels
    assert result.dtype == np.uint16 and len(np.unique(result)) > 50


def test_video_to_frames_and_back(tmp_path: Path, enhance: Run, networks: dict[str, Path]):
    tiny = ["--weights", networks["sisr"]]
    source = make_video(tmp_path / "my.clip.mkv", 4)
    assert enhance("video", source, *tiny, "--frames").code == 0
    assert names(tmp_path / "my.clip_x4") == [f"{place:06}.png" for place in range(4)]
    frames = frames_of(tmp_path / "my.clip_x4")
    assert close(frames, enlarged(networks["sisr"], scenes(4)))
    ran = enhance("video", source, *tiny, "--frames")
    assert ran.code == 1 and "exists already" in ran.err
    ran = enhance("video", source, *tiny, "--frames", "--skip-existing")
    assert ran.code == 0 and "skipped" in ran.err
    assert enhance("video", source, *tiny, "--frames", "--overwrite").code == 0
    assert enhance("video", source, *tiny, "--frames", "-o", tmp_path / "out").code == 0
    np.testing.assert_array_equal(frames_of(tmp_path / "out"), frames)
    ran = enhance(
        "video", tmp_path / "out", *tiny, "--rate", "5", *LOSSLESS, "-o", tmp_path / "out.mkv"
    )
    assert ran.code == 0, ran.err
    assert times_of(tmp_path / "out.mkv") == [Fraction(place, 5) for place in range(4)]
    assert frames_of(tmp_path / "out.mkv").shape == (4, 384, 512, 3)


def test_options_that_mean_nothing_are_named(
    tmp_path: Path, enhance: Run, networks: dict[str, Path]
):
    tiny = ["--weights", networks["sisr"]]
    source = make_video(tmp_path / "a.mkv", 1)
    assert "--rate 25 is for folders" in enhance("video", source, *tiny, "--rate", 25).err
    ran = enhance("video", source, *tiny, "--frames", "--codec", "h264", "--crf", 20)
    assert "--codec, --crf: not used" in ran.err


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_compare_puts_bicubic_on_the_left_as_it_is_shown(
    turn: int, tmp_path: Path, enhance: Run, networks: dict[str, Path]
):
    tiny = ["--weights", networks["sisr"], "--compare", "-o"]
    source = make_video(tmp_path / "a.mp4", 2, "libx264", "yuv444p", turn=turn)
    ran = enhance("video", source, *tiny, tmp_path / "out", "--frames")
    assert ran.code == 0, ran.err
    shown = frames_of(tmp_path / "out")
    height, width = (24, 32) if turn % 180 == 0 else (32, 24)
    assert shown.shape == (2, 4 * height, 8 * width, 3)
    lr = torch.from_numpy(np.rot90(frames_of(source)[0], turn // 90).copy()).permute(2, 0, 1)
    bicubic = imresize(lr / 255, 4).clamp(0, 1).mul(255).permute(1, 2, 0).numpy()
    left, right = shown[0, :, : 4 * width], shown[0, :, 4 * width :]
    assert np.abs(left - bicubic).mean() < 2 < np.abs(right.astype(float) - bicubic).mean()
    assert enhance("video", source, *tiny, tmp_path / "b.mp4").code == 0
    assert frames_of(tmp_path / "b.mp4").shape[1:3] == (
        (96, 256) if turn % 180 == 0 else (192, 128)
    )


@pytest.mark.usefixtures("short_segments")
@pytest.mark.parametrize("name", ["frvsr", "vsr"])
@pytest.mark.parametrize(("count", "after"), [(8, 5), (9, 8), (12, 11)])
def test_resumed_is_as_if_uninterrupted(
    name: str,
    count: int,
    after: int,
    tmp_path: Path,
    enhance: Run,
    networks: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
):
    source = make_video(
        tmp_path / "a.mp4", scenes(2, count - 2), "libx264", "yuv444p", rate=30, audio=True
    )
    options = ["--weights", networks[name], "--preset", "ultrafast", "--json"]
    whole = enhance("video", source, *options, "-o", tmp_path / "whole.mp4")
    assert whole.code == 0, whole.err
    interrupt(monkeypatch, after)
    ran = enhance("video", source, *options)
    assert ran.code == 130
    assert "finished segments are kept in" in ran.err and "--resume" in ran.err
    assert names(tmp_path) == ["a.mp4", "a_x4.mp4.part", "whole.mp4"]
    ran = enhance("video", source, *options, "--resume")
    assert ran.code == 0, ran.err
    assert f"going on after {after // 3 * 3} frames" in ran.err
    assert names(tmp_path) == ["a.mp4", "a_x4.mp4", "whole.mp4"]
    np.testing.assert_array_equal(
        frames_of(tmp_path / "a_x4.mp4"), frames_of(tmp_path / "whole.mp4")
    )
    assert times_of(tmp_path / "a_x4.mp4") == times_of(source)
    assert (tmp_path / "a_x4.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()
    rows = [json.loads(said.out)["results"][0] for said in (whole, ran)]
    assert rows[0]["cuts"] == rows[1]["cuts"] == [pytest.approx(2 / 30)]
    assert rows[0]["frames"] == rows[1]["frames"] == count


@pytest.mark.usefixtures("short_segments")
def test_resume_of_frames(
    tmp_path: Path, enhance: Run, tiny: list, monkeypatch: pytest.MonkeyPatch
):
    folder = make_frames(tmp_path / "in", 8)
    assert enhance("video", folder, *tiny, "-o", tmp_path / "whole").code == 0
    interrupt(monkeypatch, 7)
    assert enhance("video", folder, *tiny).code == 130
    assert enhance("video", folder, *tiny, "--resume").code == 0
    assert names(tmp_path) == ["in", "in_x4", "whole"]
    assert names(tmp_path / "in_x4") == names(folder)
    np.testing.assert_array_equal(frames_of(tmp_path / "in_x4"), frames_of(tmp_path / "whole"))


@pytest.mark.usefixtures("short_segments")
@pytest.mark.parametrize("count", [2, 6, 7])
def test_resume_when_only_assembling_was_left(
    count: int, tmp_path: Path, enhance: Run, tiny: list, monkeypatch: pytest.MonkeyPatch
):
    source = make_video(tmp_path / "a.mkv", count)
    options = [*tiny, *LOSSLESS]
    assert enhance("video", source, *options, "-o", tmp_path / "whole.mkv").code == 0

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("enhance_cli.tasks.video.assemble", stop)
        ran = enhance("video", source, *options)
    assert ran.code == 130
    assert ("--resume" in ran.err) == (count > 2) == ("a_x4.mkv.part" in names(tmp_path))
    ran = enhance("video", source, *options, "--resume")
    assert ran.code == 0, ran.err
    assert names(tmp_path) == ["a.mkv", "a_x4.mkv", "whole.mkv"]
    assert (tmp_path / "a_x4.mkv").read_bytes() == (tmp_path / "whole.mkv").read_bytes()


@pytest.mark.parametrize("after", [0, 2])
def test_interrupted_before_the_first_segment_it_leaves_nothing(
    after: int, tmp_path: Path, enhance: Run, tiny: list, monkeypatch: pytest.MonkeyPatch
):
    source = make_video(tmp_path / "a.mkv")
    interrupt(monkeypatch, after)
    ran = enhance("video", source, *tiny, *LOSSLESS, "-o", tmp_path / "new" / "deep" / "o.mkv")
    assert ran.code == 130
    assert len(ran.err.splitlines()) <= 1  # nothing is kept, nothing is announced
    assert "kept" not in ran.err
    assert names(tmp_path) == ["a.mkv"]


def test_resume_with_nothing_there_begins(tmp_path: Path, enhance: Run, tiny: list):
    source = make_video(tmp_path / "a.mkv", 2)
    ran = enhance("video", source, *tiny, *LOSSLESS, "--resume")
    assert ran.code == 0 and "going on" not in ran.err
    assert names(tmp_path) == ["a.mkv", "a_x4.mkv"]


RUNNER = """
import sys, time
from enhance_cli.engine.recurrent import FrameEnlarger
from enhance_cli.tasks import video
video.SEGMENT_FRAMES = 3
step = FrameEnlarger.step
def slow(*arguments):
    time.sleep(0.1)
    return step(*arguments)
FrameEnlarger.step = slow
sys.argv = ["enhance", *sys.argv[1:]]
from enhance_cli.app import main
main()
"""


@pytest.mark.slow
@pytest.mark.usefixtures("short_segments")
def test_ctrl_c_in_earnest(tmp_path: Path, enhance: Run, tiny: list):
    source = make_video(tmp_path / "a.mkv", 30)
    options = list(map(str, [source, *tiny, *LOSSLESS]))
    with subprocess.Popen(
        [sys.executable, "-c", RUNNER, "video", *options],
        text=True,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as process:
        state = tmp_path / "a_x4.mkv.part" / "state-000002.safetensors"
        waited = time.monotonic()
        while not state.exists() and time.monotonic() - waited < 60:
            time.sleep(0.02)
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=30)[1]
    assert process.returncode == 130, said
    assert "finished segments are kept" in said
    assert names(tmp_path) == ["a.mkv", "a_x4.mkv.part"]
    ran = enhance("video", *options, "--resume")
    assert ran.code == 0, ran.err
    assert "going on after" in ran.err
    assert enhance("video", *options, "-o", tmp_path / "whole.mkv").code == 0
    assert (tmp_path / "a_x4.mkv").read_bytes() == (tmp_path / "whole.mkv").read_bytes()


@pytest.mark.parametrize("arguments", [["--help"], ["video", "--help"]])
def test_help_loads_neither_torch_nor_pyav(arguments: list[str]):
    code = (
        "import sys\nfrom enhance_cli.app import main\n"
        f"sys.argv = ['enhance', *{arguments!r}]\n"
        "try:\n    main()\nexcept SystemExit as left:\n    assert not left.code, left.code\n"
        "loaded = [name for name in ('torch', 'av', 'numpy', 'PIL') if name in sys.modules]\n"
        "assert not loaded, loaded\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "video" in ran.stdout
