"""``enhance evaluate --study`` on video."""

import csv
import json
import math
import re
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from made_clips import make_clip, small
from PIL import Image
from torch import Tensor

from enhance_cli.architectures.frvsr import Frvsr, VideoState
from enhance_cli.commands.evaluate import evaluate
from enhance_cli.data.video_sets import VIDEO_DATASETS, VideoClip, iterate_pairs
from enhance_cli.engine.checkpoint import load_network, read_checkpoint_info
from enhance_cli.engine.recurrent import enhance_clip
from enhance_cli.evaluation.benchmarks import EXPERIMENTS as STUDIES
from enhance_cli.evaluation.experiments.drift import judge_drift
from enhance_cli.metrics.video import video_psnr
from enhance_cli.resize import imresize


def test_help_names_what_there_is(enhance: Callable, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "200")
    said = enhance("evaluate", "--help").out
    for name in (*VIDEO_DATASETS, *STUDIES):
        assert name in said
    assert "|".join(STUDIES) in said
    assert evaluate.__doc__ is not None


def test_profile(study: Callable, clip_data: Path, tmp_path: Path):
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


def test_frames(study: Callable, clip_data: Path, clip_models: Path, tmp_path: Path):
    document = study("frames", "--csv", tmp_path / "a.csv", "--report", tmp_path / "a.html")
    black, truth = document["results"]
    assert [(row["model"], row["start"]) for row in (black, truth)] == [
        ("frvsr-3-64", "black"),
        ("frvsr-3-64", "truth"),
    ]
    assert len(black["psnr"]) == len(truth["psnr"]) == 6
    assert truth["psnr"][0] is None
    network = load_network(read_checkpoint_info(clip_models / "frvsr-3-64.safetensors"))
    expected = []
    for name in ("pan", "slow"):
        pairs = list(iterate_pairs(VideoClip("", clip_data / "video" / "val" / name), 4, limit=6))
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


def test_frames_end_with_the_shortest_clip(clip_data: Path, clip_models: Path, enhance: Callable):
    ran = enhance(
        "evaluate",
        "--dataset",
        "video-val",
        "--data-root",
        clip_data,
        "--weights",
        clip_models / "frvsr-3-64.safetensors",
        "--study",
        "frames",
    )
    assert ran.code == 0, ran.err
    assert "frames 1 to 8" in ran.err


def test_blur(study: Callable, clip_data: Path, enhance: Callable):
    document = study("blur", "--model", "bicubic")
    assert [row["model"] for row in document["results"]] == ["bicubic", "frvsr-3-64"]
    values = {value["sigma"]: value["psnr"] for value in document["results"][0]["values"]}
    assert list(values) == [0, 0.5, 1, 1.5, 2, 2.5, 3, 4, 5]
    assert values[5] < values[1.5]
    assert any("trains a network for each blur" in note for note in document["notes"])
    frames_lr, truth = small(make_clip(clip_data / "again", 0)[:6])
    enlarged = imresize(frames_lr.double(), 4)
    other, _ = small(make_clip(clip_data / "again", 1, 6, 1))
    slow = video_psnr(
        imresize(other.double(), 4), small(make_clip(clip_data / "again", 1, 6, 1))[1]
    )
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


def test_drift(scene: Path, clip_models: Path, enhance: Callable, tmp_path: Path):
    ran = enhance(
        "evaluate",
        "--dataset",
        "video-val",
        "--data-root",
        scene,
        "--weights",
        clip_models / "sisr.safetensors",
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
    scene: Path, clip_models: Path, enhance: Callable, monkeypatch: pytest.MonkeyPatch
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
        clip_models / "frvsr-3-64.safetensors",
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
