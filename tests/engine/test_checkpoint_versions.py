"""Checkpoints of format version 1 are read as what they are today; nested configs survive JSON."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from video_networks import KINDS, make_config, make_network

from enhance_cli.architectures import ARCHITECTURES
from enhance_cli.architectures.data_consistency import DataConsistency
from enhance_cli.architectures.flow_net import FlowConfig
from enhance_cli.engine.checkpoint import (
    load_network,
    read_checkpoint_info,
    restore_config,
    save_checkpoint,
)
from enhance_cli.errors import CheckpointError

# What version 1 wrote for every video network, with nothing at its default.
OLD = {
    "scale": 2,
    "channels": 4,
    "blocks": 1,
    "max_flow": 7.0,
    "passes": 2,
    "refinements": 1,
    "warping": "bicubic",
    "trust": 0.9,
    "tolerance": 0.04,
    "damping": 0.5,
    "noise_floor": 0.03,
    "sweeps": 2,
}
FLOW = FlowConfig(limit=7.0, passes=2, lucas_kanade_steps=1, warping="bicubic")
CONSISTENCY = DataConsistency(
    weight=0.9, tolerance=0.04, damping=0.5, noise_floor=0.03, iterations=2
)


def write_old(path: Path, kind: str, now: str, **changes: Any) -> dict[str, torch.Tensor]:
    """A file as version 1 wrote it, of ``now``'s tensors; gives these."""
    network = make_network(now, scale=2)
    metadata = {
        "format": "enhance",
        "format_version": "1",
        "architecture": kind,
        "name": "old",
        "config": json.dumps({**OLD, **changes}),
        "contract": json.dumps(asdict(network.contract)),  # type: ignore[call-overload]
    }
    tensors = dict(network.state_dict())
    save_file(tensors, path, metadata=metadata)
    return tensors


@pytest.mark.parametrize(
    ("kind", "changes", "now", "parts"),
    [
        ("frvsr", {}, "frvsr-dc", {"flow": FLOW, "data_consistency": CONSISTENCY}),
        ("frvsr", {"trust": 0.0}, "frvsr", {"flow": FLOW}),
        ("sisr", {}, "sisr", {}),
        ("vsr", {}, "vsr", {"flow": FlowConfig(limit=7.0, passes=2)}),
    ],
)
def test_version_1_is_read(
    kind: str, changes: dict[str, Any], now: str, parts: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "old.safetensors"
    tensors = write_old(path, kind, now, **changes)
    info = read_checkpoint_info(path)
    assert info.architecture.name == now
    assert info.config == KINDS[now][1](scale=2, channels=4, blocks=1, **parts)
    read = load_network(info).state_dict()
    assert all(torch.equal(read[name], value) for name, value in tensors.items())


def test_what_version_1_left_out_had_a_default(tmp_path: Path) -> None:
    """Its first files knew of nothing but the size and ``max_flow``."""
    path = tmp_path / "old.safetensors"
    write_old(path, "frvsr", "frvsr-dc")
    network = make_network("frvsr-dc", scale=2)
    metadata = {
        "format": "enhance",
        "format_version": "1",
        "architecture": "frvsr",
        "config": json.dumps({"scale": 2, "channels": 4, "blocks": 1, "trust": 0.8}),
        "contract": json.dumps(asdict(network.contract)),  # type: ignore[call-overload]
    }
    save_file(dict(network.state_dict()), path, metadata=metadata)
    assert read_checkpoint_info(path).config == make_config(
        "frvsr-dc", scale=2, weight=0.8, iterations=0
    )


def test_impossible_settings_of_version_1_are_one_line(tmp_path: Path) -> None:
    path = tmp_path / "old.safetensors"
    write_old(path, "frvsr", "frvsr-dc", trust=1.5)
    with pytest.raises(
        CheckpointError, match="damaged.*weight must be from 0 to below 1"
    ) as caught:
        read_checkpoint_info(path)
    assert "\n" not in str(caught.value)


def test_a_contract_may_state_the_range_of_all_values(tmp_path: Path) -> None:
    path = tmp_path / "old.safetensors"
    write_old(path, "sisr", "sisr")
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    contract = json.loads(metadata["contract"])
    assert "value_range" not in contract
    for stated, fits in (([0.0, 1.0], True), ([-1, 1], False), (5, False)):
        changed = json.dumps({**contract, "value_range": stated})
        save_file(load_file(path), path, metadata={**metadata, "contract": changed})
        if fits:
            assert read_checkpoint_info(path).contract == make_network("sisr", scale=2).contract
        else:
            with pytest.raises(CheckpointError, match="damaged.*not over"):
                read_checkpoint_info(path)


@pytest.mark.parametrize("kind", KINDS)
def test_nested_configurations_survive(kind: str, tmp_path: Path) -> None:
    network = make_network(kind, scale=2, limit=5.0, weight=0.5)
    path = tmp_path / "new.safetensors"
    save_checkpoint(path, network, ARCHITECTURES[kind], "new")
    assert read_checkpoint_info(path).config == network.config


def test_unknown_and_misplaced_settings_are_refused() -> None:
    kind = KINDS["frvsr-dc"][1]
    for values in ({"trust": 0.9}, {"flow": {"weight": 0.9}}, {"flow": 3}):
        with pytest.raises(TypeError):
            restore_config(kind, values)
