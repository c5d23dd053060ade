"""``enhance evaluate`` on video: protocol, models, clips made elsewhere."""

import csv
import json
import shutil
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from made_clips import make_clip, small
from PIL import Image
from skimage.metrics import structural_similarity

from enhance_cli.data.video_sets import VideoClip, crop_middle, iterate_frames, iterate_pairs
from enhance_cli.engine.catalogue import load_model
from enhance_cli.engine.checkpoint import load_network, read_checkpoint_info
from enhance_cli.engine.recurrent import enhance_clip
from enhance_cli.levels import quantise, to_values
from enhance_cli.metrics.quality import luma_bt601
from enhance_cli.metrics.video import video_psnr
from enhance_cli.resize import imresize
from enhance_cli.subsampling import PHASES, blur_and_subsample, shift_to_phase


def test_protocol(clip_data: Path, clip_models: Path, enhance: Callable):
    path = clip_models / "frvsr-3-64.safetensors"
    ran = enhance(
        "evaluate", "--dataset", "video-val", "--data-root", clip_data, "--weights", path, "--json"
    )
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    assert (document["dataset"], document["protocol"]) == ("video-val", "video-y")
    bicubic, model = document["results"]
    assert [bicubic["model"], model["model"]] == ["bicubic", "frvsr-3-64"]
    assert [clip["name"] for clip in bicubic["images"]] == ["pan", "slow"]

    frames_lr, truth = small(make_clip(clip_data / "again", 0))
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


def test_both_phases_score_alike(clip_data: Path, clip_models: Path, enhance: Callable):
    """The small frames differ by 1.5 large pixels; what is made of them is compared in place."""
    scores = []
    for phase in ("middle", "first"):
        ran = enhance(
            *("evaluate", "--dataset", "video-val", "--data-root", clip_data, "--phase", phase),
            *("--weights", clip_models / "frvsr-3-64.safetensors"),
            *("--border", 8, "--metrics", "psnr", "--json"),
        )
        assert ran.code == 0, ran.err
        document = json.loads(ran.out)
        assert document["phase"] == phase
        scores.append([result["mean"]["psnr"] for result in document["results"]])
    assert scores[1] == pytest.approx(scores[0], abs=0.1)
    assert scores[1] != scores[0]


def test_an_unknown_phase_and_one_without_use(clip_data: Path, enhance: Callable):
    ran = enhance("evaluate", "--dataset", "video-val", "--data-root", clip_data, "--phase", "last")
    assert ran.code == 2
    assert "unknown phase 'last'" in ran.err
    ran = enhance("evaluate", "--dataset", "set5", "--data-root", clip_data, "--phase", "first")
    assert ran.code == 2
    assert "--phase first" in ran.err


def test_trained_models_unless_named(
    clip_data: Path,
    clip_models: Path,
    enhance: Callable,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    folder = tmp_path / "weights"
    shutil.copytree(clip_models, folder)
    (folder / "MANIFEST.toml").write_text('[vsr]\nuntrained = "two cores do not do"\n')
    monkeypatch.setenv("ENHANCE_WEIGHTS", str(folder))
    arguments = [
        "evaluate",
        "--dataset",
        "video-val",
        "--data-root",
        clip_data,
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


def test_a_network_that_looks_ahead(clip_data: Path, clip_models: Path, enhance: Callable):
    ran = enhance(
        "evaluate",
        "--dataset",
        "video-val",
        "--data-root",
        clip_data,
        "--weights",
        clip_models / "vsr.safetensors",
        "--json",
        "--metrics",
        "psnr",
    )
    assert ran.code == 0, ran.err
    pairs = list(iterate_pairs(VideoClip("", clip_data / "video" / "val" / "slow"), 4))
    network = load_network(read_checkpoint_info(clip_models / "vsr.safetensors"))
    estimates = enhance_clip(network, torch.stack([pair.frame_lr for pair in pairs]))
    expected = video_psnr(estimates, torch.stack([pair.frame_hr for pair in pairs]))
    assert json.loads(ran.out)["results"][1]["images"][1]["psnr"] == pytest.approx(
        expected, abs=1e-3
    )


def test_for_people_and_files(
    clip_data: Path, clip_models: Path, enhance: Callable, tmp_path: Path
):
    ran = enhance(
        "evaluate",
        "--dataset",
        "video-val",
        "--data-root",
        clip_data,
        "--weights",
        clip_models / "sisr.safetensors",
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


def test_two_folders_of_clips(clip_data: Path, enhance: Callable, tmp_path: Path):
    gt = clip_data / "video" / "val"
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
        (["--model", "sid-fcn"], 2, "is for lowlight, not for video"),
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
def test_wrong_options(
    arguments: list[str], code: int, text: str, clip_data: Path, enhance: Callable
):
    if "--dataset" not in arguments:
        arguments = ["--dataset", "video-val", *arguments]
    ran = enhance("evaluate", "--data-root", clip_data, *arguments)
    assert (ran.code, len(ran.err.splitlines())) == (code, 1), ran.err
    assert text in ran.err


def test_studies_need_a_dataset(enhance: Callable):
    ran = enhance("evaluate", "--study", "blur")
    assert (ran.code, len(ran.err.splitlines())) == (2, 1), ran.err
    assert "add --dataset vid4 or video-val" in ran.err


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


@pytest.mark.slow
def test_phase_first_is_as_good_as_the_middle(shared_data: Path):
    """Within 0.1 dB on the validation clips, for bicubic enlargement and for frvsr-3-64."""
    network = load_model("video", name="frvsr-3-64", device=torch.device("cpu")).network
    scores: dict[str, list[float]] = {phase: [0.0, 0.0] for phase in PHASES}
    for name in ("bear", "juggle", "market2"):
        frames = islice(iterate_frames(shared_data / "video" / "val" / f"{name}.mp4"), 5)
        truth = torch.stack([crop_middle(to_values(frame), 32) for frame in frames])
        for phase in PHASES:
            frames_lr = quantise(blur_and_subsample(truth, 4, phase=phase))
            both = imresize(frames_lr, 4), enhance_clip(network, frames_lr)
            for index, enlarged in enumerate(both):
                made = quantise(shift_to_phase(enlarged, 4, phase))
                scores[phase][index] += video_psnr(made, truth) / 3
    assert scores["first"] == pytest.approx(scores["middle"], abs=0.1)
