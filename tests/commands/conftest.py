"""Fixtures of the tests of commands."""

from pathlib import Path

import pytest
from small_pictures import save_tiny

from enhance_cli.tasks.pool import WorkerOptions
from enhance_cli.tasks.video_work import WorkFolder


@pytest.fixture(scope="session")
def autoencoders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Checkpoints by kind: of colours, of grey, a VAE, and one with nothing to sample from."""
    folder = tmp_path_factory.mktemp("sample-weights")
    return {
        "rgb": save_tiny(folder / "tiny-rgb.safetensors"),
        "grey": save_tiny(folder / "tiny-grey.safetensors", channels=1),
        "vae": save_tiny(
            folder / "tiny-vae.safetensors", fitted=False, posterior="gaussian", prior=True
        ),
        "bare": save_tiny(folder / "tiny-bare.safetensors", fitted=False),
    }


@pytest.fixture
def tiny_autoencoder(
    autoencoders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> list[object]:
    """Options for the tiny_autoencoder network of colours; the working folder is empty."""
    monkeypatch.chdir(tmp_path)
    return ["--weights", autoencoders["rgb"], "--device", "cpu"]


@pytest.fixture(scope="session")
def video_networks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Checkpoints of very small video networks, by architecture."""
    from small_videos import save_video_network

    folder = tmp_path_factory.mktemp("video-weights")
    return {name: save_video_network(folder, name) for name in ("frvsr", "vsr", "sisr")}


@pytest.fixture
def tiny_frvsr(video_networks: dict[str, Path]) -> list[object]:
    """Options for a network with a memory."""
    return ["--weights", video_networks["frvsr"]]


@pytest.fixture
def tiny_sisr(video_networks: dict[str, Path]) -> list[object]:
    """Options for the quickest network, which has no memory."""
    return ["--weights", video_networks["sisr"]]


@pytest.fixture
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of three frames."""
    monkeypatch.setattr(WorkFolder, "segment_frames", 3)


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several videos are worked on here, not by a worker, which would see nothing of a patch."""
    monkeypatch.setattr(WorkerOptions, "wanted", lambda _self, _jobs: False)
