"""``enhance video`` as its users meet it."""

import json
import math
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_videos import (
    LOSSLESS,
    Run,
    close,
    enlarged,
    frames_of,
    make_frames,
    make_video,
    names,
    scene,
    scenes,
    times_of,
)

from enhance_cli.errors import UsageError
from enhance_cli.io.video import Span, folders, reading
from enhance_cli.io.video.probing import probe_file
from enhance_cli.resize import imresize
from enhance_cli.subsampling import shift_to_phase
from enhance_cli.tasks.video import PartOptions, parse_rate

av = pytest.importorskip("av")


@pytest.mark.parametrize("name", ["frvsr", "vsr", "sisr"])
def test_a_video_is_what_the_network_makes_of_its_frames(
    name: str, tmp_path: Path, enhance: Run, video_networks: dict[str, Path]
):
    source = make_video(tmp_path / "a.mkv")
    ran = enhance("video", source, "--weights", video_networks[name], *LOSSLESS, "--tile", 0)
    assert ran.code == 0, ran.err
    assert names(tmp_path) == ["a.mkv", "a_x4.mkv"]
    result = frames_of(tmp_path / "a_x4.mkv")
    assert close(result, enlarged(video_networks[name], scenes(7)))
    assert times_of(tmp_path / "a_x4.mkv") == times_of(source)
    if name != "sisr":  # else the tests below would show nothing
        assert not close(result[1], enlarged(video_networks[name], scenes(7)[1:2])[0])


def test_frames_of_another_phase_are_moved(tmp_path: Path, enhance: Run, tiny_frvsr: list):
    source = make_video(tmp_path / "a.mkv", 3)
    results = {}
    for phase in ("middle", "first"):
        output = tmp_path / f"{phase}.mkv"
        ran = enhance("video", source, *tiny_frvsr, *LOSSLESS, "--phase", phase, "-o", output)
        assert ran.code == 0, ran.err
        results[phase] = torch.from_numpy(frames_of(output)).permute(0, 3, 1, 2) / 255
    moved = shift_to_phase(results["middle"], 4, "first")
    assert (results["first"] - moved.clamp(0, 1)).abs().max() < 3 / 255  # rounded twice
    assert (results["first"] - results["middle"]).abs().max() > 8 / 255


def test_tiles_do_not_show(tmp_path: Path, enhance: Run, tiny_frvsr: list):
    big = [scene(place, size=(90, 70)) for place in range(3)]
    source = make_video(tmp_path / "a.mkv", big)
    for tile in (0, 32):
        ran = enhance(
            "video", source, *tiny_frvsr, *LOSSLESS, "--tile", tile, "-o", tmp_path / f"{tile}.mkv"
        )
        assert ran.code == 0, ran.err
    assert close(frames_of(tmp_path / "0.mkv"), frames_of(tmp_path / "32.mkv"))


@pytest.mark.parametrize("name", ["frvsr", "vsr"])
def test_a_cut_begins_anew(
    name: str, tmp_path: Path, enhance: Run, video_networks: dict[str, Path]
):
    source = make_video(tmp_path / "a.mkv", scenes(4, 3))
    options = ["--weights", video_networks[name], *LOSSLESS, "--overwrite", "--json"]
    ran = enhance("video", source, *options)
    assert json.loads(ran.out)["results"][0]["cuts"] == [0.4]
    apart = [enlarged(video_networks[name], pictures) for pictures in (scenes(4), scenes(4, 3)[4:])]
    assert close(frames_of(tmp_path / "a_x4.mkv"), np.concatenate(apart))
    for off in (("--no-cut-detection",), ("--cut-threshold", 1)):
        ran = enhance("video", source, *options, *off)
        assert json.loads(ran.out)["results"][0]["cuts"] == []
        result = frames_of(tmp_path / "a_x4.mkv")
        assert close(result, enlarged(video_networks[name], scenes(4, 3)))
        assert not close(result[4:], apart[1])


def test_json_and_quiet(tmp_path: Path, enhance: Run, tiny_frvsr: list):
    source = make_video(tmp_path / "a.mkv", 2)
    ran = enhance("video", source, *tiny_frvsr, *LOSSLESS, "--json", "-q")
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
                "damaged": [],
                "cut_off": None,
            }
        ],
    }
    ran = enhance("video", source, *tiny_frvsr, *LOSSLESS, "-q", "--overwrite")
    assert (ran.code, ran.out, ran.err) == (0, "", "")


def test_dry_run_writes_nothing(tmp_path: Path, enhance: Run, tiny_frvsr: list):
    make_video(tmp_path / "a.mkv", 2)
    make_frames(tmp_path / "shot")
    ran = enhance(
        "video",
        tmp_path / "a.mkv",
        tmp_path / "shot",
        *tiny_frvsr,
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


def test_verbose_names_model_and_tiles(tmp_path: Path, enhance: Run, tiny_frvsr: list):
    source = make_video(tmp_path / "a.mkv", 1)
    ran = enhance("video", source, *tiny_frvsr, *LOSSLESS, "-v")
    assert "frvsr-tiny from" in ran.err and "on cpu in float32, tiles of at most 320" in ran.err


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (("--start", 0.2), range(2, 7)),
        (("--start", 0.1, "--end", 0.4), range(1, 4)),
        (("--preview", 0.2), range(2)),
        (("--start", "00:00.2", "--end", "0:00:00.4"), range(2, 4)),
    ],
)
@pytest.mark.parametrize("folder", [False, True])
def test_a_part(
    folder: bool,
    options: tuple,
    wanted: range,
    tmp_path: Path,
    enhance: Run,
    video_networks: dict[str, Path],
):
    options = (*options, "--weights", video_networks["sisr"], "-o", tmp_path / "out.mkv", *LOSSLESS)
    if folder:
        ran = enhance("video", make_frames(tmp_path / "in", 7), *options, "--rate", 10)
    else:
        ran = enhance("video", make_video(tmp_path / "a.mkv"), *options)
    assert ran.code == 0, ran.err
    assert close(
        frames_of(tmp_path / "out.mkv"),
        enlarged(video_networks["sisr"], [scene(place) for place in wanted]),
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--start", 0.4, "--end", 0.2), "--end 0.2: must be after --start 0.4"),
        (("--start", "nan"), "'--start': nan: must be seconds from 0 on, MM:SS or HH:MM:SS"),
        (("--cut-threshold", "nan"), "'--cut-threshold': Input should be"),
        (("--start", -1), "'--start': -1: must be seconds from 0 on, MM:SS or HH:MM:SS"),
        (("-x", "1"), "-x 1: must be a number above 1, like 2, 3 or 1.5"),
        (("--size", "big"), "--size big: must be WxH, like 1920x1080, or lines, like 1080p"),
        (("--codec", "h266"), "unknown codec 'h266' (did you mean 'h264'?): choose from av1,"),
        (("--codec", "h264", "--crf", 60), "crf 60: must be from 0 to 51 for h264"),
        (("--codec", "ffv1", "--crf", 20), "crf 20: must be left out"),
        (("--crf", "nan"), "'--crf': Input should be"),
        (("--codec", "h264", "--preset", "quick"), "unknown preset of h264 'quick'"),
        (("--pixel-format", "rgb"), "unknown pixel format of h264 'rgb'"),
        (("--rate", "fast"), "--rate fast: must be frames a second, like 25 or 30000/1001"),
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
    tiny_frvsr: list,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(tmp_path)
    make_video(tmp_path / "a.mkv", 2)
    ran = enhance("video", "a.mkv", *tiny_frvsr, *options)
    assert ran.code == 2, ran.err
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1
    assert names(tmp_path) == ["a.mkv"]


@pytest.mark.parametrize("text", ["0", "-25", "1/0", "nan", "fast"])
def test_rates_that_no_video_has(text: str):
    with pytest.raises(UsageError, match=f"--rate {text}: must be frames a second"):
        parse_rate(text)


def test_rates_are_exact():
    assert parse_rate("23.976") == Fraction(2997, 125)
    assert parse_rate("30000/1001") == Fraction(30000, 1001)


def test_the_part_that_start_end_and_preview_leave():
    assert PartOptions(0.1, None, 0.2).span == Span(0.1, 0.3)  # and no more, as floats would add
    assert PartOptions(0.1, 0.4, 9).span == Span(0.1, 0.4)
    assert PartOptions(preview=99).span == Span(None, 99)


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (PartOptions(end=0), "--end 0: must be after --start 0"),
        (PartOptions(end=math.inf), "--end inf: must be a number of seconds"),
        (PartOptions(preview=0), "--preview 0: must be more than 0 seconds"),
        (PartOptions(preview=math.nan), "--preview nan: must be a number of seconds"),
    ],
)
def test_parts_that_cannot_be(part: PartOptions, said: str):
    with pytest.raises(UsageError, match=said):
        _ = part.span


def test_frames_in_frames_out(tmp_path: Path, enhance: Run, video_networks: dict[str, Path]):
    folder = make_frames(tmp_path / "shot.01", 5, first=998, digits=1)  # 998 ... 1002
    (folder / "notes.txt").write_text("not a frame")
    ran = enhance("video", folder, "--weights", video_networks["frvsr"])
    assert ran.code == 0, ran.err
    made = [
        np.asarray(Image.open(tmp_path / "shot.01_x4" / f"{number}.png"))
        for number in range(998, 1003)
    ]
    assert close(np.stack(made), enlarged(video_networks["frvsr"], scenes(5)))
    assert names(tmp_path) == ["shot.01", "shot.01_x4"]
    assert len(names(tmp_path / "shot.01_x4")) == 5


def test_sixteen_bits_stay_sixteen(tmp_path: Path, enhance: Run, video_networks: dict[str, Path]):
    from enhance_cli.io.image import Picture, read_image, write_image

    (tmp_path / "in").mkdir()
    deep = [scene(place).astype(np.uint16) * 3 + 1 for place in range(2)]  # all very dark
    for place, pixels in enumerate(deep):
        write_image(tmp_path / "in" / f"{place}.png", Picture(pixels))
    assert enhance("video", tmp_path / "in", "--weights", video_networks["sisr"]).code == 0
    result = read_image(tmp_path / "in_x4" / "0.png").pixels
    assert result.dtype == np.uint16 and len(np.unique(result)) > 50


def test_video_to_frames_and_back(tmp_path: Path, enhance: Run, tiny_sisr: list):
    source = make_video(tmp_path / "my.clip.mkv", 4)
    assert enhance("video", source, *tiny_sisr, "--frames").code == 0
    assert names(tmp_path / "my.clip_x4") == [f"{place:06}.png" for place in range(4)]
    frames = frames_of(tmp_path / "my.clip_x4")
    assert close(frames, enlarged(tiny_sisr[1], scenes(4)))
    ran = enhance("video", source, *tiny_sisr, "--frames")
    assert ran.code == 1 and "exists already" in ran.err
    ran = enhance("video", source, *tiny_sisr, "--frames", "--skip-existing")
    assert ran.code == 0 and "skipped" in ran.err
    assert enhance("video", source, *tiny_sisr, "--frames", "--overwrite").code == 0
    assert enhance("video", source, *tiny_sisr, "--frames", "-o", tmp_path / "out").code == 0
    np.testing.assert_array_equal(frames_of(tmp_path / "out"), frames)
    ran = enhance(
        "video", tmp_path / "out", *tiny_sisr, "--rate", "5", *LOSSLESS, "-o", tmp_path / "out.mkv"
    )
    assert ran.code == 0, ran.err
    assert times_of(tmp_path / "out.mkv") == [Fraction(place, 5) for place in range(4)]
    assert frames_of(tmp_path / "out.mkv").shape == (4, 384, 512, 3)


def test_options_that_mean_nothing_are_named(tmp_path: Path, enhance: Run, tiny_sisr: list):
    source = make_video(tmp_path / "a.mkv", 1)
    assert "--rate 25 is for folders" in enhance("video", source, *tiny_sisr, "--rate", 25).err
    ran = enhance("video", source, *tiny_sisr, "--frames", "--codec", "h264", "--crf", 20)
    assert "--codec, --crf: not used" in ran.err


@pytest.mark.usefixtures("in_this_process")
def test_each_input_is_described_once_and_a_file_opened_six_times(
    tmp_path: Path, enhance: Run, tiny_sisr: list, monkeypatch: pytest.MonkeyPatch
):
    """A file is opened to be described, to look whether it is interlaced, for the streams that the
    output cannot hold, to be decoded, for the duration of its last frame, and for the streams that
    are copied."""
    source = make_video(tmp_path / "a.mkv", 2, audio=True)
    folder = make_frames(tmp_path / "shot", 2)
    opened: list[Path] = []
    described: list[Path] = []
    original, describe = av.open, folders._describe

    def open_counted(name: object, *arguments: object, **options: object) -> object:
        path = str(name).removeprefix("file:")
        opened.extend([source] if path == str(source) else [])
        return original(name, *arguments, **options)

    def describe_counted(path: Path, *arguments: object) -> object:
        described.append(path)
        return describe(path, *arguments)

    def probe_counted(path: Path) -> object:
        described.append(path)
        return probe_file(path)

    monkeypatch.setattr(av, "open", open_counted)
    monkeypatch.setattr(folders, "_describe", describe_counted)
    monkeypatch.setattr(reading, "probe_file", probe_counted)
    assert enhance("video", source, folder, *tiny_sisr, *LOSSLESS).code == 0
    assert described == [source, folder]
    assert len(opened) == 6


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_compare_puts_bicubic_on_the_left_as_it_is_shown(
    turn: int, tmp_path: Path, enhance: Run, video_networks: dict[str, Path]
):
    options = ["--weights", video_networks["sisr"], "--compare", "-o"]
    source = make_video(tmp_path / "a.mp4", 2, "libx264", "yuv444p", turn=turn)
    ran = enhance("video", source, *options, tmp_path / "out", "--frames")
    assert ran.code == 0, ran.err
    shown = frames_of(tmp_path / "out")
    height, width = (24, 32) if turn % 180 == 0 else (32, 24)
    assert shown.shape == (2, 4 * height, 8 * width, 3)
    lr = torch.from_numpy(np.rot90(frames_of(source)[0], turn // 90).copy()).permute(2, 0, 1)
    bicubic = imresize(lr / 255, 4).clamp(0, 1).mul(255).permute(1, 2, 0).numpy()
    left, right = shown[0, :, : 4 * width], shown[0, :, 4 * width :]
    assert np.abs(left - bicubic).mean() < 2 < np.abs(right.astype(float) - bicubic).mean()
    assert enhance("video", source, *options, tmp_path / "b.mp4").code == 0
    assert frames_of(tmp_path / "b.mp4").shape[1:3] == (
        (96, 256) if turn % 180 == 0 else (192, 128)
    )


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
