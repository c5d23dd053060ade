"""Fixtures of the tests of commands."""

from pathlib import Path

import pytest
from small_pictures import save_tiny


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
