"""Networks of the package spandrel, and what is said where it is not installed.

The tests of the adapter need spandrel itself, which CI does not install.
"""

import json
import types
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from enhance_cli.engine.checkpoint import read_checkpoint_info

PHOTO = Path(__file__).resolve().parents[2] / "examples" / "astronaut.png"


@pytest.fixture(autouse=True)
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of imported weights."""
    folder = tmp_path / "mine"
    folder.mkdir()
    monkeypatch.setenv("ENHANCE_WEIGHTS", str(folder))
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def networks() -> types.ModuleType:
    """The package spandrel, where it is installed and imports."""
    try:
        import spandrel
    except Exception as error:  # without it, or with a torchvision that is made for another torch
        pytest.skip(f"the package spandrel does not import here: {error}")
    return spandrel


def swin() -> dict[str, torch.Tensor]:
    """A small transformer with random weights, made by spandrel."""
    from spandrel.architectures.SwinIR import SwinIR

    torch.manual_seed(0)
    network = SwinIR(
        img_size=16,
        embed_dim=12,
        depths=[2],
        num_heads=[2],
        window_size=8,
        mlp_ratio=2.0,
        upscale=2,
        upsampler="pixelshuffle",
    )
    return dict(network.state_dict())


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_a_transformer_runs_as_spandrel_runs_it(
    networks: types.ModuleType, mine: Path, enhance: Callable
):
    state = swin()
    torch.save({"params": state}, "swin.pth")
    ran = enhance("weights", "import", "swin.pth")
    assert ran.code == 0, ran.err
    assert "SwinIR of the package spandrel, x2" in ran.err
    photo = Image.open(PHOTO).crop((20, 20, 61, 57))
    photo.save("photo.png")
    ran = enhance("superres", "photo.png", "--model", "swin")
    assert ran.code == 0, ran.err
    image = torch.tensor(np.asarray(photo)).permute(2, 0, 1)[None] / 255
    theirs = networks.ModelLoader().load_from_state_dict(state)
    made = theirs(image)[0].permute(1, 2, 0).numpy() * 255
    ours = np.asarray(Image.open("photo_x2.png")).astype(float)
    assert np.abs(ours - made).max() <= 0.51
    ran = enhance("superres", "photo.png", "--model", "swin", "--tile", "32", "-o", "t.png")
    assert ran.code == 0, ran.err
    tiled = np.asarray(Image.open("t.png")).astype(float)
    assert np.abs(tiled - ours).mean() < 3
    row = next(r for r in json.loads(enhance("models", "--json").out) if r["name"] == "swin")
    assert row["scale"] == 2
    assert row["macs"] > 0
    assert row["parameters"] == sum(value.numel() for value in theirs.model.parameters())
    assert read_checkpoint_info(mine / "swin.safetensors").architecture.name == "spandrel"
    again = enhance("weights", "import", mine / "swin.safetensors", "--as", "again", "--half")
    assert again.code == 0, again.err
    assert enhance("weights", "verify", "again").code == 0


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_what_spandrel_cannot_build_is_refused(networks: types.ModuleType, enhance: Callable):
    state = swin()
    half = {key: value for key, value in state.items() if "mlp.fc2" not in key}
    torch.save(half, "half.pth")
    torch.save({"stem.0.weight": torch.zeros(1)}, "unknown.pth")
    for name in ("half.pth", "unknown.pth"):
        ran = enhance("weights", "import", name)
        assert (ran.code, len(ran.err.splitlines())) == (1, 1)
        assert "no network that enhance knows" in ran.err


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        (ModuleNotFoundError("No module named 'spandrel'", name="spandrel"), "not installed: pip"),
        (ModuleNotFoundError("No module named 'einops'", name="einops"), "lacks einops: pip"),
        (RuntimeError("operator torchvision::nms does not exist"), "install the torchvision that"),
    ],
)
def test_without_spandrel_it_is_named(
    failure: Exception, text: str, enhance: Callable, monkeypatch: pytest.MonkeyPatch
):
    def fail(name: str) -> None:
        raise failure

    monkeypatch.setattr("enhance_cli.architectures.adapted.importlib.import_module", fail)
    torch.save({"layers.0.residual_group.norm1.weight": torch.zeros(1)}, "their.pth")
    ran = enhance("weights", "import", "their.pth")
    assert (ran.code, len(ran.err.splitlines())) == (1, 1)
    assert "no network that enhance knows" in ran.err
    assert text in ran.err
