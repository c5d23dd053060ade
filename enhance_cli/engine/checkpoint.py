"""Safetensors checkpoints that say what they are.

Metadata keys: ``format`` ("enhance"), ``format_version``, ``architecture``, ``task``, ``name``,
``config`` (JSON), ``contract`` (JSON, the running contract) and ``training`` (JSON, free).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from enhance_cli.architectures import ARCHITECTURES
from enhance_cli.architectures.spec import Architecture, Contract
from enhance_cli.errors import CheckpointError
from enhance_cli.io.files import replacing

FORMAT_VERSION = 1


@dataclass(frozen=True)
class CheckpointInfo:
    """What a checkpoint's metadata says.

    Attributes:
        path: the file.
        name: the model's name, e.g. ``"enet-e-x4"``.
        architecture: the entry of ``ARCHITECTURES``.
        config: the architecture's hyperparameters.
        contract: how the network wants to be run.
        training: recipe, data, steps and scores as the trainer noted them.
    """

    path: Path
    name: str
    architecture: Architecture
    config: Any
    contract: Contract
    training: dict[str, Any] = field(default_factory=dict)


def build(architecture: Architecture, config: Any, device: torch.device | str = "cpu") -> nn.Module:
    """A freshly initialised network; on the ``meta`` device it costs no memory."""
    with torch.device(device):
        return architecture.build(config)


def save_checkpoint(
    path: Path,
    network: nn.Module,
    architecture: Architecture,
    name: str,
    *,
    tensors: Mapping[str, Tensor] | None = None,
    dtype: torch.dtype | None = None,
    training: Mapping[str, Any] | None = None,
) -> None:
    """Write a network's parameters and its description, whole or not at all.

    Args:
        path: target, replaced if it exists.
        network: gives config, contract and, unless ``tensors`` is given, the parameters.
        architecture: its entry in ``ARCHITECTURES``.
        name: the model's name.
        tensors: other values for the parameters, e.g. an average of them.
        dtype: storage type of floating point tensors; loading always gives float32.
        training: JSON-able notes on where the values come from.

    Raises:
        CheckpointError: if a value is too large for ``dtype``.
        OutputError: if the file cannot be written.
    """
    metadata = {
        "format": "enhance",
        "format_version": str(FORMAT_VERSION),
        "architecture": architecture.name,
        "task": architecture.task,
        "name": name,
        "config": json.dumps(asdict(network.config)),  # type: ignore[call-overload]
        "contract": json.dumps(asdict(network.contract)),  # type: ignore[call-overload]
        "training": json.dumps(dict(training or {})),
    }
    state = {}
    for key, value in (tensors if tensors is not None else network.state_dict()).items():
        cast = value.to(dtype) if dtype is not None and value.is_floating_point() else value
        state[key] = cast.detach().cpu().contiguous()
        if torch.isfinite(value).all() and not torch.isfinite(cast).all():
            raise CheckpointError(f"{path}: {key} holds values too large for {dtype}, store more")
    with replacing(path) as temporary:
        save_file(state, temporary, metadata=metadata)


def read_checkpoint_info(path: Path) -> CheckpointInfo:
    """Read and check the metadata alone.

    Raises:
        CheckpointError: if the file is missing, damaged, not ours, of a later format version, of
            an unknown architecture, or if its config or contract is not that architecture's.
    """
    metadata = read_metadata(path)
    version = metadata.get("format_version", "")
    if metadata.get("format") != "enhance" or not re.fullmatch("[0-9]+", version):
        raise CheckpointError(
            f"{path}: not a checkpoint of enhance (no description in its metadata); "
            "bring foreign weights in with: enhance weights import"
        )
    if int(version) > FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: checkpoint format {version} is newer than {FORMAT_VERSION}, "
            "the newest this version reads: upgrade enhance"
        )
    name = metadata.get("architecture", "")
    if name not in ARCHITECTURES:
        raise CheckpointError(
            f"{path}: unknown architecture {name!r}, known are {', '.join(sorted(ARCHITECTURES))}"
        )
    architecture = ARCHITECTURES[name]
    try:
        config = architecture.config(**json.loads(metadata["config"]))
        training = json.loads(metadata.get("training", "{}"))
        if not isinstance(training, dict):
            raise TypeError(f"training is {training!r}, not a JSON object")
        stored = json.loads(metadata["contract"])
        contract = Contract(**{**stored, "value_range": tuple(stored["value_range"])})
        expected = build(architecture, config, "meta").contract
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: damaged description of {name} ({error})") from error
    if contract != expected:
        raise CheckpointError(
            f"{path}: its running contract {contract} is not that of {name}: {expected}"
        )
    return CheckpointInfo(
        path, metadata.get("name", path.stem), architecture, config, contract, training
    )


def load_network(info: CheckpointInfo) -> nn.Module:
    """The network with its parameters, float32 on the CPU, in evaluation mode.

    Raises:
        CheckpointError: if a tensor is missing, unexpected, of another shape or not finite.
    """
    network = build(info.architecture, info.config)
    load_tensors(network, read_tensors(info.path), str(info.path))
    return network.eval()


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file, on the CPU, in their stored types.

    Raises:
        CheckpointError: if the file is missing or damaged.
    """
    read_metadata(path)
    with safe_open(path, framework="pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no iterator)


def load_tensors(network: nn.Module, tensors: Mapping[str, Tensor], origin: str) -> None:
    """Copy tensors into a network, every one of them and nothing else.

    Args:
        origin: where they come from, for the message.

    Raises:
        CheckpointError: as ``load_network``.
    """
    own = network.state_dict()
    problems = [
        f"{label}: {', '.join(sorted(names)[:6])}{' ...' if len(names) > 6 else ''}"
        for label, names in (
            ("missing", own.keys() - tensors.keys()),
            ("unexpected", tensors.keys() - own.keys()),
            (
                "of another shape",
                {k for k in own.keys() & tensors.keys() if own[k].shape != tensors[k].shape},
            ),
            ("not finite", {k for k, v in tensors.items() if not torch.isfinite(v).all()}),
        )
        if names
    ]
    if problems:
        raise CheckpointError(
            f"{origin}: these weights do not fit {type(network).__name__}; {'; '.join(problems)}"
        )
    network.load_state_dict(dict(tensors), strict=True)


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata of any safetensors file; empty where there is none.

    Raises:
        CheckpointError: if the file is missing or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such checkpoint") from error
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path}: not a readable safetensors file ({error}), fetch or train it again"
        ) from error
