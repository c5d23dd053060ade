"""``enhance sample`` with a VDVAE, whose latents are in many layers."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from small_pictures import cells, noise

from enhance_cli.architectures.vdvae import VDVAE, Vdvae, VdvaeConfig
from enhance_cli.engine.checkpoint import save_checkpoint

Run = Callable[..., object]
SIDE = 8


@pytest.fixture
def ladder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    network = Vdvae(
        VdvaeConfig(side=SIDE, encoder="8x1,8d8,1x1", decoder="1x1,8m1", width=8, latent=2)
    )
    for parameter in network.decoder.parameters():  # pictures that differ from one another
        torch.nn.init.normal_(parameter, std=0.4)
    path = tmp_path / "tiny-ladder.safetensors"
    save_checkpoint(path, network, VDVAE, "tiny-ladder")
    return path


def test_samples(enhance: Run, ladder: Path):
    ran = enhance("sample", "--weights", ladder, "-n", 6, "--seed", 3, "--json")
    assert ran.code == 0, ran.err
    told = json.loads(ran.out)
    assert (told["model"], told["density"], told["temperature"]) == ("tiny-ladder", "prior", 1.0)
    six = cells(Path("samples.png"), 3, side=SIDE)[:6]
    assert len({cell.tobytes() for cell in six}) == 6
    again = ["sample", "--weights", ladder, "-n", 5, "--seed", 3, "--columns", 3]
    assert enhance(*again, "-o", "five.png").code == 0
    assert np.array_equal(cells(Path("five.png"), 3, side=SIDE)[:5], six[:5])
    assert enhance(*again, "-o", "calm.png", "--temperature", 0).code == 0
    calm = cells(Path("calm.png"), 3, side=SIDE)[:5]
    assert all(np.array_equal(cell, calm[0]) for cell in calm)


def test_reconstructions(enhance: Run, ladder: Path):
    picture = noise(Path("given.png"))
    ran = enhance("sample", "--weights", ladder, "--reconstruct", picture)
    assert ran.code == 0, ran.err
    assert Path("reconstructions.png").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--density", "mixture"], "--density mixture: model 'tiny-ladder' has none"),
        (["--interpolate", "a.png", "b.png"], "latents in many layers and no code"),
    ],
)
def test_what_a_ladder_has_not(enhance: Run, ladder: Path, options: list[str], message: str):
    for name in ("a.png", "b.png"):
        noise(Path(name))
    ran = enhance("sample", "--weights", ladder, *options)
    assert ran.code == 2
    assert message in ran.err
    assert not list(Path().glob("*s.png"))
