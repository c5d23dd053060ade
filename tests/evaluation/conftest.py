"""Fixtures of the tests of benchmarks and experiments."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from made_clips import LENGTH, make_clip, save_video_networks
from made_samples import DIGITS, FACES, random_features, save, write_digits, write_faces
from safetensors.torch import save_file

from enhance_cli.architectures import squeezenet
from enhance_cli.engine.features import FEATURES, LPIPS_FILE
from enhance_cli.evaluation import set_scores
from enhance_cli.metrics import prd


@pytest.fixture
def few_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two clusterings from one start each, for time."""
    monkeypatch.setattr(prd, "_STARTS", 1)
    monkeypatch.setattr(
        set_scores, "precision_recall_curve", partial(prd.precision_recall_curve, runs=2)
    )


@pytest.fixture(scope="session")
def sample_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root of data with both sets, and a SqueezeNet and LPIPS of random weights."""
    folder = tmp_path_factory.mktemp("samples") / "data"
    write_digits(folder / "generative" / "mnist.npz")
    write_faces(folder / "generative" / "faces64.npz")
    (folder / "nets").mkdir()
    random_features(folder / "nets" / FEATURES["squeezenet"].filename, 0)
    save_file(
        {
            f"lin{layer}.weight": torch.rand(1, channels, 1, 1)
            for layer, channels in enumerate(squeezenet.MAP_CHANNELS)
        },
        folder / "nets" / LPIPS_FILE,
    )
    return folder


@pytest.fixture(scope="session")
def sample_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny models: with a prior, with fitted densities, with neither; and with a likelihood."""
    folder = tmp_path_factory.mktemp("models")
    save(folder, "digits-vae", replace(DIGITS, posterior="gaussian", prior=True))
    save(folder, "digits-rae", DIGITS)
    save(folder, "digits-ae", DIGITS, fitted=False)
    save(
        folder,
        "faces-vae-white",
        replace(FACES, posterior="gaussian", prior=True, likelihood="white"),
    )
    save(
        folder,
        "faces-vae-blur",
        replace(FACES, posterior="gaussian", prior=True, likelihood="blur"),
    )
    return folder


@pytest.fixture
def score(
    sample_root: Path,
    sample_models: Path,
    few_runs: None,
    tmp_path: Path,
    enhance: Callable,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable:
    """``enhance evaluate`` in this little world."""
    monkeypatch.setenv("COLUMNS", "200")  # side by side with other processes pytest says 80
    monkeypatch.setenv("ENHANCE_WEIGHTS", str(sample_models))
    monkeypatch.setenv("ENHANCE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ENHANCE_DATA", raising=False)
    monkeypatch.setattr("enhance_cli.engine.weight_files._PACKAGE", tmp_path / "elsewhere" / "x")
    return partial(enhance, "evaluate", "--data-root", sample_root)


@pytest.fixture
def clip_data(tmp_path: Path) -> Path:
    """Two clips of different lengths."""
    for seed, name in enumerate(("pan", "slow")):
        make_clip(tmp_path / "video" / "val" / name, seed, LENGTH + 2 * seed, 2 - seed)
    return tmp_path


@pytest.fixture(scope="session")
def clip_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with very small networks near bicubic."""
    return save_video_networks(tmp_path_factory.mktemp("video-weights"))


@pytest.fixture
def study(clip_data: Path, clip_models: Path, enhance: Callable) -> Callable:
    """Run a study of the small network over 6 frames; gives the JSON document and the rest."""

    def run(name: str, *more: object) -> dict:
        ran = enhance(
            "evaluate",
            "--dataset",
            "video-val",
            "--data-root",
            clip_data,
            "--weights",
            clip_models / "frvsr-3-64.safetensors",
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
