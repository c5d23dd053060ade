"""``enhance evaluate`` on video: protocol, models, clips made elsewhere, studies."""

import csv
import json
import math
import re
import shutil
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.metrics import structural_similarity
from torch import Tensor

from enhance_cli.architectures import ARCHITECTURES
from enhance_cli.architectures.frvsr import Frvsr, VideoState
from enhance_cli.architectures.srnet import FrvsrConfig
from enhance_cli.commands.evaluate import evaluate
from enhance_cli.data.degradation import blur_and_subsample
from enhance_cli.data.video_sets import VIDEO_DATASETS, VideoClip, iterate_pairs
from enhance_cli.engine.checkpoint import build, load_network, read_checkpoint_info, save_checkpoint
from enhance_cli.engine.recurrent import enhance_clip
from enhance_cli.evaluation.benchmarks import EXPERIMENTS as STUDIES
from enhance_cli.evaluation.experiments.drift import judge_drift
from enhance_cli.levels import quantise
from enhance_cli.metrics.quality import luma_bt601
from enhance_cli.metrics.video import video_psnr
from enhance_cli.resize import imresize

HEIGHT, WIDTH, LENGTH = 72, 104, 8  # 64x96 are left


def make_clip(folder: Path, seed: int, length: int = LENGTH, speed: int = 2) -> list[np.ndarray]:
    """Numbered frames of a soft picture that pans."""
    coarse = np.random.default_rng(seed).integers(20, 235, (20, 40, 3), dtype=np.uint8)
    scene = np.asarray(Image.fromarray(coarse).resize((320, 160), Image.Resampling.BICUBIC))
    folder.mkdir(parents=True, exist_ok=True)
    frames = [
        scene[index : index + HEIGHT, speed * index : speed * index + WIDTH]
        for index in range(length)
    ]
    for index, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{index:03}.png")
    return frames


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two clips of different lengths."""
    for seed, name in enumerate(("pan", "slow")):
        make_clip(tmp_path / "video" / "val" / name, seed, LENGTH + 2 * seed, 2 - seed)
    return tmp_path


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with very small networks near bicubic."""
    folder = tmp_path_factory.mktemp("video-weights")
    for name, architecture in (("frvsr-3-64", "frvsr"), ("vsr", "vsr"), ("sisr", "sisr")):
        torch.manual_seed(0)
        entry = ARCHITECTURES[architecture]
        network = build(entry, FrvsrConfig(channels=4, blocks=1))
        save_checkpoint(folder / f"{name}.safetensors", network, entry, name)
    return folder


@pytest.fixture
def study(data: Path, weights: Path, enhance: Callable) -> Callable:
    """Run a study of the small network over 6 frames; gives the JSON document and the rest."""

    def run(name: str, *more: object) -> dict:
        ran = enhance(
            "evaluate",
            "--dataset",
            "video-val",
            "--data-root",
            data,
            "--weights",
            weights / "frvsr-3-64.safetensors",
            "--study",
            name,
            "--study-frames",
            6,
            "--json",
            *more,
        )
        assert ran.code == 0, ran.err
        return json.loads(ran.out)

    return run


def small(frames: list[np.ndarray]) -> tuple[Tensor, Tensor]:
    """LR and HR clips in [0, 1], by the paper's words."""
    truth = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)[:, :, 4:68, 4:100].float() / 255
    return quantise(blur_and_subsample(truth, 1.5, 4)), truth


def test_protocol(data: Path, weights: Path, enhance: Callable):
    path = weights / "frvsr-3-64.safetensors"
    ran = enhance(
        "evaluate", "--dataset", "video-val", "--data-root", data, "--weights", path, "--json"
    )
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    assert (document["dataset"], document["protocol"]) == ("video-val", "video-y")
    bicubic, model = document["results"]
    assert [bicubic["model"], model["model"]] == ["bicubic", "frvsr-3-64"]
    assert [clip["name"] for clip in bicubic["images"]] == ["pan", "slow"]

    frames_lr, truth = small(make_clip(data / "again", 0))
    enlarged = (imresize(frames_lr.double() * 255, 4).round().clamp(0, 255)) / 255
    estimates = enhance_clip(load_network(read_checkpoint_info(path)), frames_lr)
    for result, frames in ((bicubic, enlarged), (model, quantise(estimates))):
        first = result["images"][0]
        assert first["psnr"] == pytest.approx(video_psnr(frames, truth), abs=1e-3)
        expected = np.mean(
            [
                structural_similarity(
                    luma_bt601(reference.double())[0].numpy(),
                    luma_bt601(image.double())[0].numpy(),
                    data_range=255,
                    gaussian_weights=True,
                    sigma=1.5,
                    use_sample_covariance=False,
                )
                for image, reference in zip(frames[2:-2], truth[2:-2], strict=True)
            ]
        )
        assert first["ssim"] == pytest.approx(expected, abs=1e-5)
        for metric in ("psnr", "ssim"):
            assert result["mean"][metric] == pytest.approx(
                sum(clip[metric] for clip in result["images"]) / 2
            )


def test_trained_models_unless_named(
    data: Path, weights: Path, enhance: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = tmp_path / "weights"
    shutil.copytree(weights, folder)
    (folder / "MANIFEST.toml").write_text('[vsr]\nuntrained = "two cores do not do"\n')
    monkeypatch.setenv("ENHANCE_WEIGHTS", str(folder))
    arguments = [
        "evaluate",
        "--dataset",
        "video-val",
        "--data-root",
        data,
        "--json",
        "--metrics",
        "psnr",
    ]
    names = [row["model"] for row in json.loads(enhance(*arguments).out)["results"]]
    assert {"bicubic", "frvsr-3-64", "sisr"} <= set(names)
    assert names[0] == "bicubic"
    assert "vsr" not in names
    ran = enhance(*arguments, "--model", "sisr", "--model", "frvsr-3-64")
    assert [(row["model"], list(row["mean"])) for row in json.loads(ran.out)["results"]] == [
        ("bicubic", ["psnr"]),
        ("sisr", ["psnr"]),
        ("frvsr-3-64", ["psnr"]),
    ]
    ran = enhance(*arguments, "--model", "vsr")
    assert (ran.code, len(ran.err.splitlines())) == (1, 1)
    assert "untrained" in ran.err


def test_a_network_that_looks_ahead(data: Path, weights: Path, enhance: Callable):
    ran = enhance(
        "evaluate",
        "--dataset",
        "video-val",
        "--data-root",
        data,
        "--weights",
        weights / "vsr.safetensors",
        "--json",
        "--metrics",
        "psnr",
    )
    assert ran.code == 0, ran.err
    pairs = list(iterate_pairs(VideoClip("", data / "video" / "val" / "slow"), 4))
    network = load_network(read_checkpoint_info(weights / "vsr.safetensors"))
    estimates = enhance_clip(network, torch.stack([pair.frame_lr for pair in pairs]))
    expected = video_psnr(estimates, torch.stack([pair.frame_hr for pair in pairs]))
    assert json.loads(ran.out)["results"][1]["images"][1]["psnr"] == pytest.approx(
        expected, abs=1e-3
    )


def test_for_people_and_files(data: Path, weights: Path, enhance: Callable, tmp_path: Path):
    ran = enhance(
        "evaluate",
        "--dataset",
        "video-val",
        "--data-root",
        data,
        "--weights",
        weights / "sisr.safetensors",
        "--csv",
        tmp_path / "a.csv",
        "--report",
        tmp_path / "a.html",
    )
    assert ran.code == 0, ran.err
    for text in ("pan", "slow", "mean", "bicubic", "sisr", "PSNR (dB)", "SSIM", "video-y"):
        assert text in ran.out
        assert text in (tmp_path / "a.html").read_text()
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["model"], row["image"]) for row in rows] == [
        (model, clip) for model in ("bicubic", "sisr") for clip in ("pan", "slow", "mean")
    ]


def test_two_folders_of_clips(data: Path, enhance: Callable, tmp_path: Path):
    gt = data / "video" / "val"
    noisy = []
    for path in sorted((gt / "pan").iterdir()):
        pixels = np.asarray(Image.open(path)).astype(int)
        pixels += np.random.default_rng(1).integers(-9, 9, pixels.shape)
        noisy.append(pixels.clip(0, 255).astype(np.uint8))
        noisy[-1][:4] = 0  # is cut off
        (tmp_path / "pred" / "pan").mkdir(parents=True, exist_ok=True)
        Image.fromarray(noisy[-1]).save(tmp_path / "pred" / "pan" / path.name)
    arguments = ["evaluate", "--pred", tmp_path / "pred", "--gt", gt, "--json"]
    ran = enhance(*arguments)
    assert (ran.code, len(ran.err.splitlines())) == (1, 1)
    assert "slow: no clip of this name in" in ran.err
    shutil.copytree(gt / "slow", tmp_path / "pred" / "slow")
    ran = enhance(*arguments)
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    assert document["protocol"] == "video-y"
    (result,) = document["results"]
    assert result["model"] == "pred"
    assert [clip["psnr"] is None for clip in result["images"]] == [False, True]
    truth = make_clip(tmp_path / "again", 0)
    expected = video_psnr(
        *(
            torch.from_numpy(np.stack(clip))[:, 4:68, 4:100].permute(0, 3, 1, 2) / 255
            for clip in (noisy, truth)
        )
    )
    assert result["images"][0]["psnr"] == pytest.approx(expected, abs=1e-3)
    inner = json.loads(enhance(*arguments, "--border", 8).out)["results"][0]["images"][0]
    assert inner["psnr"] != pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["--dataset", "vid4"], 1, "dataset 'vid4' is not in"),
        (["--dataset", "vid5"], 2, "unknown dataset 'vid5' (did you mean 'vid4'?)"),
        (["--protocol", "rgb"], 2, "video is compared by video-y alone"),
        (["--metrics", "mae"], 2, "of video there are psnr and ssim"),
        (["--metrics", "vmaf"], 2, "unknown metric 'vmaf'"),
        (["--strategy", "fastest"], 2, "of no use with --dataset video-val"),
        (["--model", "enet-e-x4"], 2, "is for superres, not for video"),
        (["--model", "nothing"], 2, "unknown model 'nothing'"),
        (["--border", "40", "--model", "bicubic"], 1, "nothing is left inside a border of 40"),
        (["--border", "30", "--model", "bicubic"], 1, "pan: SSIM needs at least 11x11"),
        (["--row", "3"], 2, "--row 3: of no use with --dataset video-val without --study"),
        (["-o", "x"], 2, "-o x: of no use"),
        (["--pred", "a", "--gt", "b"], 2, "not both"),
        (["--study", "blurr"], 2, "unknown study 'blurr' (did you mean 'blur'?)"),
        (["--study", "blur", "--row", "3"], 2, "--row 3: of no use with --study blur"),
        (["--study", "noise", "-o", "x"], 2, "-o x: of no use with --study noise"),
        (["--study", "blur", "--metrics", "ssim"], 2, "--metrics ssim: of no use"),
        (["--study", "drift", "--border", "2"], 2, "--border 2: of no use"),
        (["--study", "frames", "--model", "bicubic"], 2, "needs a recurrent model"),
        (["--study", "profile", "--row", "64", "--model", "bicubic"], 2, "have rows 0 to 63"),
        (["--study", "drift", "--model", "bicubic"], 1, "at least 80x80 are needed"),
        (
            ["--study", "blur", "--dataset", "set5"],
            2,
            "--study blur: of no use with --dataset set5",
        ),
        (["--study", "blur", "--dataset", "lol"], 2, "--study blur: of no use with --dataset lol"),
    ],
)
def test_wrong_options(arguments: list[str], code: int, text: str, data: Path, enhance: Callable):
    if "--dataset" not in arguments:
        arguments = ["--dataset", "video-val", *arguments]
    ran = enhance("evaluate", "--data-root", data, *arguments)
    assert (ran.code, len(ran.err.splitlines())) == (code, 1), ran.err
    assert text in ran.err


def test_studies_need_a_dataset(enhance: Callable):
    ran = enhance("evaluate", "--study", "blur")
    assert (ran.code, len(ran.err.splitlines())) == (2, 1), ran.err
    assert "add --dataset vid4 or video-val" in ran.err


def test_help_names_what_there_is(enhance: Callable, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "200")
    said = enhance("evaluate", "--help").out
    for name in (*VIDEO_DATASETS, *STUDIES):
        assert name in said
    assert "|".join(STUDIES) in said
    assert evaluate.__doc__ is not None


def test_profile(study: Callable, data: Path, tmp_path: Path):
    document = study(
        "profile",
        "--row",
        10,
        "-o",
        tmp_path / "profiles",
        "--csv",
        tmp_path / "a.csv",
        "--report",
        tmp_path / "a.html",
    )
    assert (document["dataset"], document["study"]) == ("video-val", "profile")
    assert [(row["clip"], row["model"]) for row in document["results"]] == [
        (clip, model) for clip in ("pan", "slow") for model in ("truth", "bicubic", "frvsr-3-64")
    ]
    truth = np.asarray(Image.open(tmp_path / "profiles" / "pan_truth.png"))
    frames = make_clip(tmp_path / "again", 0)
    assert np.array_equal(truth, np.stack([frame[14, 4:100] for frame in frames[:6]]))
    first, second = document["results"][:2]
    assert (first["psnr"], first["flicker"]) == (None, 0)
    assert second["psnr"] > 15
    assert second["flicker"] > 0
    assert Path(second["picture"]).name == "pan_bicubic.png"
    page = (tmp_path / "a.html").read_text()
    assert page.count("<figure>") == 2
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 7


def test_profile_without_pictures(study: Callable):
    document = study("profile")
    assert {row["picture"] for row in document["results"]} == {None}
    assert any("give -o DIR" in note for note in document["notes"])


def test_frames(study: Callable, data: Path, weights: Path, tmp_path: Path):
    document = study("frames", "--csv", tmp_path / "a.csv", "--report", tmp_path / "a.html")
    black, truth = document["results"]
    assert [(row["model"], row["start"]) for row in (black, truth)] == [
        ("frvsr-3-64", "black"),
        ("frvsr-3-64", "truth"),
    ]
    assert len(black["psnr"]) == len(truth["psnr"]) == 6
    assert truth["psnr"][0] is None
    network = load_network(read_checkpoint_info(weights / "frvsr-3-64.safetensors"))
    expected = []
    for name in ("pan", "slow"):
        pairs = list(iterate_pairs(VideoClip("", data / "video" / "val" / name), 4, limit=6))
        frames_lr = torch.stack([pair.frame_lr for pair in pairs])
        estimates = enhance_clip(network, frames_lr, pairs[0].frame_hr)
        expected.append(video_psnr(estimates[1:2], pairs[1].frame_hr[None], left_out=0))
    assert truth["psnr"][1] == pytest.approx(sum(expected) / 2, abs=1e-3)
    rows = list(csv.reader((tmp_path / "a.csv").read_text().splitlines()))
    assert [row[0] for row in rows] == ["frame", "1", "2", "3", "4", "5", "6"]
    assert rows[1][2] == ""
    figure = re.search(r"base64,([^\"]+)", (tmp_path / "a.html").read_text())
    assert figure is not None
    assert b64decode(figure[1]).startswith(b"<?xml")


def test_frames_end_with_the_shortest_clip(data: Path, weights: Path, enhance: Callable):
    ran = enhance(
        "evaluate",
        "--dataset",
        "video-val",
        "--data-root",
        data,
        "--weights",
        weights / "frvsr-3-64.safetensors",
        "--study",
        "frames",
    )
    assert ran.code == 0, ran.err
    assert "frames 1 to 8" in ran.err


def test_blur(study: Callable, data: Path, enhance: Callable):
    document = study("blur", "--model", "bicubic")
    assert [row["model"] for row in document["results"]] == ["bicubic", "frvsr-3-64"]
    values = {value["sigma"]: value["psnr"] for value in document["results"][0]["values"]}
    assert list(values) == [0, 0.5, 1, 1.5, 2, 2.5, 3, 4, 5]
    assert values[5] < values[1.5]
    assert any("trains a network for each blur" in note for note in document["notes"])
    frames_lr, truth = small(make_clip(data / "again", 0)[:6])
    enlarged = imresize(frames_lr.double(), 4)
    other, _ = small(make_clip(data / "again", 1, 6, 1))
    slow = video_psnr(imresize(other.double(), 4), small(make_clip(data / "again", 1, 6, 1))[1])
    assert values[1.5] == pytest.approx((video_psnr(enlarged, truth) + slow) / 2, abs=1e-3)


def test_noise_repeats(study: Callable, tmp_path: Path):
    document = study("noise", "--report", tmp_path / "a.html")
    assert study("noise") == document
    values = {value["input"]: value["psnr"] for value in document["results"][0]["values"]}
    assert list(values) == ["noise 0.025", "noise 0.075", "JPEG 40", "JPEG 70"]
    assert values["noise 0.075"] < values["noise 0.025"]
    assert values["JPEG 40"] < values["JPEG 70"]


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """A clip large enough to make scenes of."""
    folder = tmp_path / "scene" / "video" / "val" / "soft"
    folder.mkdir(parents=True)
    coarse = np.random.default_rng(0).integers(20, 235, (12, 12, 3), dtype=np.uint8)
    picture = Image.fromarray(coarse).resize((96, 96), Image.Resampling.BICUBIC)
    for index in range(5):
        picture.save(folder / f"{index}.png")
    return tmp_path / "scene"


def test_drift(scene: Path, weights: Path, enhance: Callable, tmp_path: Path):
    ran = enhance(
        "evaluate",
        "--dataset",
        "video-val",
        "--data-root",
        scene,
        "--weights",
        weights / "sisr.safetensors",
        "--study",
        "drift",
        "--study-frames",
        24,
        "--json",
        "--report",
        tmp_path / "a.html",
        "--csv",
        tmp_path / "a.csv",
    )
    assert ran.code == 0, ran.err
    assert "nothing drifts" in ran.err
    rows = json.loads(ran.out)["results"]
    assert [(row["scene"], row["model"]) for row in rows] == [
        (scene, model) for scene in ("static", "panning") for model in ("bicubic", "sisr")
    ]
    still, _, moving, _ = rows
    assert still["change"] == 0
    assert len(set(still["psnr"])) == 1
    # Other content meets the border, which counts in so small a frame; over 600 frames the same.
    assert moving["change"] == pytest.approx(0, abs=0.2)
    assert len(moving["psnr"]) == 24
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 1 + 4 * 24


def test_drift_is_found(
    scene: Path, weights: Path, enhance: Callable, monkeypatch: pytest.MonkeyPatch
):
    condition = Frvsr.condition

    def worse(self: Frvsr, frame_lr: Tensor, state: VideoState | None, following: Tensor | None):
        if state is not None:  # a little is added in every frame
            state = VideoState(state.frame_lr + 0.02, state.frame_hr)
            frame_lr = state.frame_lr
        return condition(self, frame_lr, state, following)

    monkeypatch.setattr(Frvsr, "condition", worse)
    ran = enhance(
        "evaluate",
        "--dataset",
        "video-val",
        "--data-root",
        scene,
        "--weights",
        weights / "frvsr-3-64.safetensors",
        "--study",
        "drift",
        "--study-frames",
        12,
    )
    assert ran.code == 1
    assert "drifts: frvsr-3-64 (static), frvsr-3-64 (panning)" in ran.err
    assert "steady" in ran.out


@pytest.mark.parametrize(
    ("psnrs", "drifts"),
    [
        ([30.0] * 600, False),
        ([20.0] * 20 + [30.0] * 480 + [29.91] * 100, False),
        ([20.0] * 20 + [30.0] * 480 + [29.89] * 100, True),
        ([30.0] * 499 + [0.0] + [30.0] * 100, False),
        ([30.0] * 599 + [math.nan], True),
        ([30.0] * 600 + [31.0], False),
    ],
)
def test_verdict(psnrs: list[float], drifts: bool):
    verdict = judge_drift(psnrs)
    assert verdict["drifts"] is drifts
    if len(psnrs) == 600 and not math.isnan(sum(psnrs)):
        assert verdict["early"] == pytest.approx(30)


def test_bicubic_of_the_validation_clips(shared_data: Path, enhance: Callable):
    """Keeps the README's figure; the smallest clip, since others take their time."""
    pytest.importorskip("av")
    if not (shared_data / "video" / "val").is_dir():
        pytest.skip("no validation clips")
    path = shared_data / "video" / "val" / "bear.mp4"
    pairs = list(iterate_pairs(VideoClip("bear", path), 4, limit=6))
    assert pairs[0].frame_lr.shape == (3, 56, 104)
    estimates = imresize(torch.stack([pair.frame_lr for pair in pairs]).double(), 4)
    assert video_psnr(estimates, torch.stack([pair.frame_hr for pair in pairs])) == pytest.approx(
        24.3, abs=0.5
    )
