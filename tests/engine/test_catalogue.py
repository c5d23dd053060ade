"""Names, look-up order and the manifest."""

import hashlib
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from enhance_cli.architectures import ARCHITECTURES, MODELS
from enhance_cli.architectures.enhancenet import EnhanceNetConfig
from enhance_cli.engine import weight_files
from enhance_cli.engine.catalogue import ModelOptions, load_model, resolve_name, scales_of
from enhance_cli.engine.checkpoint import build, save_checkpoint
from enhance_cli.engine.complexity import measure_complexity
from enhance_cli.engine.weight_files import find_weights, read_manifest, weight_folders
from enhance_cli.errors import CheckpointError, UnknownNameError, UsageError

CPU = torch.device("cpu")


def save(folder: Path, name: str, scale: int, channels: int = 8) -> Path:
    architecture = ARCHITECTURES["enhancenet"]
    network = build(architecture, EnhanceNetConfig(scale, channels, blocks=1))
    save_checkpoint(folder / f"{name}.safetensors", network, architecture, name)
    return folder / f"{name}.safetensors"


def test_every_folder_in_its_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    package, cache, chosen = tmp_path / "top" / "package", tmp_path / "cache", tmp_path / "mine"
    monkeypatch.setattr(weight_files, "_PACKAGE", package)
    monkeypatch.setenv("ENHANCE_CACHE", str(cache))
    monkeypatch.delenv("ENHANCE_WEIGHTS", raising=False)
    folders = [chosen, tmp_path / "top" / "weights", package / "weights", cache / "weights"]
    for folder in reversed(folders):
        folder.mkdir(parents=True)
        if folder == chosen:
            monkeypatch.setenv("ENHANCE_WEIGHTS", str(chosen))
        path = save(folder, "enet-e-x4", 4)
        found = find_weights("enet-e-x4")
        assert found is not None
        assert found.path == path
    assert weight_folders() == folders


def test_a_mistyped_weights_folder_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("ENHANCE_WEIGHTS", str(tmp_path / "nowhere"))
    with pytest.raises(CheckpointError, match="is no folder"):
        weight_folders()


def test_names_families_and_scales():
    assert resolve_name("superres", None, None) == "fast-x4"
    assert resolve_name("superres", None, 2) == "fast-x2"
    assert resolve_name("superres", "enet-e", 4) == "enet-e-x4"
    assert resolve_name("superres", "enet-e-x2", None) == "enet-e-x2"
    assert resolve_name("superres", "enet-e-x2", 4) == "enet-e-x2"
    nearest = {Fraction(3, 2): 2, Fraction(5, 2): 4, 3: 4, 9: 4}
    for wanted, scale in nearest.items():
        assert resolve_name("superres", None, wanted) == f"fast-x{scale}"
    assert scales_of("superres", ModelOptions()) == [2, 4]
    assert scales_of("superres", ModelOptions("enet-e-x2")) == []
    with pytest.raises(UnknownNameError, match=r"unknown model 'enet' .*enet-e-x2, enet-e-x4"):
        resolve_name("superres", "enet", None)


def test_models_are_built_from_their_checkpoint(tmp_path: Path):
    path = save(tmp_path, "small", 2)
    model = load_model("superres", weights=path, device=CPU)
    assert model.contract.scale == 2
    assert not model.network.training
    with pytest.raises(UsageError, match="holds 'small'"):
        load_model("superres", weights=path, name="enet-e-x4", device=CPU)


def test_a_checkpoint_of_another_task_is_refused(tmp_path: Path):
    path = save(tmp_path, "small", 2)
    with pytest.raises(CheckpointError, match="for superres, not for lowlight"):
        load_model("lowlight", weights=path, device=CPU)


def test_absent_weights_say_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(weight_files, "_PACKAGE", tmp_path / "package")
    monkeypatch.setenv("ENHANCE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ENHANCE_WEIGHTS", raising=False)
    with pytest.raises(CheckpointError, match="enhance train fast-x4"):
        load_model("superres", device=CPU)


def test_manifest_and_sha256(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = save(tmp_path, "enet-e-x4", 4)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setenv("ENHANCE_WEIGHTS", str(tmp_path))

    def matches() -> bool | None:
        found = find_weights("enet-e-x4")
        assert found is not None
        return found.matches_manifest()

    assert matches() is None
    (tmp_path / "MANIFEST.toml").write_text(f'[enet-e-x4]\nsha256 = "{digest}"\n')
    assert matches() is True
    (tmp_path / "MANIFEST.toml").write_text(f'[enet-e-x4]\nsha256 = "{digest[::-1]}"\n')
    assert matches() is False
    (tmp_path / "MANIFEST.toml").write_text("[enet-e-x4")
    with pytest.raises(CheckpointError, match="not valid TOML"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("name", "parameters", "macs"),
    [
        # Parameters: dissertation 003, table 2.1, counted by hand: 3x3 kernels with biases.
        (
            "enet-e-x4",
            852_867,
            256 * 256 * (9 * (3 * 64 + 20 * 64 * 64) + 4 * 9 * 4096 + 16 * 9 * (2 * 4096 + 64 * 3)),
        ),
        (
            "enet-e-x2",
            815_939,
            256 * 256 * (9 * (3 * 64 + 20 * 64 * 64) + 4 * 9 * (2 * 4096 + 64 * 3)),
        ),
    ],
)
def test_parameters_and_macs(name: str, parameters: int, macs: int):
    spec = MODELS[name]
    size = measure_complexity(ARCHITECTURES[spec.architecture], spec.config)
    assert (size.parameters, size.macs, size.macs_input) == (parameters, macs, (3, 256, 256))


def test_grey_planes_pass_through_the_colour_network(tmp_path: Path):
    model = load_model("superres", weights=save(tmp_path, "small", 2), device=CPU)
    grey = model.as_grey()
    plane = torch.rand(1, 1, 6, 5)
    expected = model.run(plane.expand(-1, 3, -1, -1)).mean(1, keepdim=True)
    torch.testing.assert_close(grey.run(plane), expected)
    contract = grey.contract
    assert (contract.channels_in, contract.channels_out, contract.scale) == (1, 1, 2)


def test_models_without_a_file_are_lent_weights() -> None:
    """``sisr-dc-recurrent`` has the SRNet of sisr, which sees no memory, and frvsr-3-64's FNet."""
    lent, single, whole = (
        load_model("video", name=name, device=CPU).network.state_dict()
        for name in ("sisr-dc-recurrent", "sisr", "frvsr-3-64")
    )
    for name, value in lent.items():
        if name == "srnet.head.weight":
            assert torch.equal(value[:, :3], single[name])
            assert not value[:, 3:].any()
        else:
            assert torch.equal(value, (single if name in single else whole)[name]), name
    model = load_model("video", name="sisr-dc", device=CPU)
    assert model.info.name == "sisr-dc"
    assert model.contract.scale == 4
