"""``--texture``: weights between those of two models of one network."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from enhance_cli.architectures import ARCHITECTURES, MODELS
from enhance_cli.architectures.enhancenet import EnhanceNetConfig
from enhance_cli.engine.catalogue import ModelOptions, load_model, resolve_name, scales_of
from enhance_cli.engine.checkpoint import build, save_checkpoint
from enhance_cli.errors import CheckpointError, UsageError

CPU = torch.device("cpu")
ENDS = ("enet-e-x4", "enet-pat-x4")


def save(folder: Path, name: str, seed: int, channels: int = 8) -> Path:
    torch.manual_seed(seed)
    architecture = ARCHITECTURES["enhancenet"]
    network = build(architecture, EnhanceNetConfig(MODELS[name].config.scale, channels, blocks=1))
    path = folder / f"{name}.safetensors"
    save_checkpoint(path, network, architecture, name, dtype=torch.float16)
    return path


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "weights"
    folder.mkdir()
    for seed, name in enumerate((*ENDS, "enet-e-x2")):
        save(folder, name, seed)
    monkeypatch.setenv("ENHANCE_WEIGHTS", str(folder))
    return folder


def test_every_pair_of_the_catalogue_is_of_one_network() -> None:
    pairs = [spec for spec in MODELS.values() if spec.textured]
    assert pairs
    for spec in pairs:
        other = MODELS[spec.textured]
        assert (other.architecture, other.config) == (spec.architecture, spec.config)


@pytest.mark.parametrize("name", [None, "enet-e", *ENDS])
def test_the_ends_are_the_two_models_to_the_bit(weights: Path, name: str | None) -> None:
    for texture, end in zip((0.0, 1.0), ENDS, strict=True):
        network = load_model("superres", name=name, texture=texture, device=CPU).network
        expected = load_file(weights / f"{end}.safetensors")
        own = network.state_dict()  # type: ignore[attr-defined]
        assert own.keys() == expected.keys()
        for key, value in own.items():
            assert torch.equal(value, expected[key].float()), key


def test_a_blend_lies_in_between(weights: Path) -> None:
    model = load_model("superres", texture=0.25, device=CPU)
    first, second = (load_file(weights / f"{end}.safetensors") for end in ENDS)
    for key, value in model.network.state_dict().items():  # type: ignore[attr-defined]
        expected = 0.75 * first[key].double() + 0.25 * second[key].double()
        assert torch.allclose(value.double(), expected, atol=1e-6)
    assert model.info.name == "enet-e-x4 with 0.25 of enet-pat-x4"
    assert model.info.files == tuple(weights / f"{end}.safetensors" for end in ENDS)


def test_a_checkpoint_stands_for_the_end_of_its_name(weights: Path, tmp_path: Path) -> None:
    mine = save(tmp_path, "enet-pat-x4", 9)
    network = load_model("superres", weights=mine, texture=1.0, device=CPU).network
    assert torch.equal(
        network.state_dict()["head.weight"],  # type: ignore[attr-defined]
        load_file(mine)["head.weight"].float(),
    )


def test_a_family_serves_with_those_that_can_be_blended() -> None:
    assert resolve_name("superres", "enet-e", 2) == "enet-e-x2"
    assert resolve_name("superres", "enet-e", 2, 0.5) == "enet-e-x4"
    assert scales_of("superres", ModelOptions(texture=0.5)) == [4]


def test_what_cannot_be_blended_is_told(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'enet-e-x2' has no counterpart.*choose enet-e-x4"):
        load_model("superres", name="enet-e-x2", texture=0.5, device=CPU)
    other = save(tmp_path, "enet-pat-x4", 9, channels=4)
    with pytest.raises(CheckpointError, match=f"{other}: holds another network than"):
        load_model("superres", weights=other, texture=0.5, device=CPU)


def test_the_command_blends(weights: Path, tmp_path: Path, enhance: Callable) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 20, 3), dtype=np.uint8)
    source = tmp_path / "a.png"
    Image.fromarray(pixels).save(source)

    def enlarge(name: str, *options: object) -> bytes:
        ran = enhance("superres", source, "-o", tmp_path / name, "--no-metadata", *options)
        assert ran.code == 0, ran.err
        return (tmp_path / name).read_bytes()

    ends = [enlarge(f"{end}.png", "--model", end) for end in ENDS]
    assert enlarge("0.png", "--texture", 0) == ends[0] != ends[1]
    assert enlarge("1.png", "--texture", 1) == ends[1]
    assert enlarge("half.png", "--texture", 0.5, "--sidecar") not in ends
    (sidecar,) = tmp_path.glob("half*.json")
    told = json.loads(sidecar.read_text(encoding="utf-8"))["weights"]
    assert [entry["file"] for entry in told] == [f"{end}.safetensors" for end in ENDS]
    enlarge("x2.png", "--texture", 0.5, "-x", 2)
    with Image.open(tmp_path / "x2.png") as image:
        assert image.size == (40, 48)


@pytest.mark.parametrize("texture", ["-0.1", "1.5", "nan", "much"])
def test_impossible_textures_are_one_line(texture: str, enhance: Callable) -> None:
    ran = enhance("superres", "a.png", "--texture", texture)
    assert ran.code == 2
    assert len(ran.err.strip().splitlines()) == 1
    assert "--texture" in ran.err
