"""Safetensors checkpoints that say what they are.

Metadata keys: ``format`` ("enhance"), ``format_version``, ``architecture``, ``task``, ``name``,
``config`` (JSON, nested as the architecture's dataclasses are), ``contract`` (JSON, the running
contract) and ``training`` (JSON, free).
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from enhance_cli.architectures import ARCHITECTURES
from enhance_cli.architectures.spec import Architecture, Contract
from enhance_cli.engine.checkpoint_versions import (
    FORMAT_VERSION,
    upgrade_contract,
    upgrade_description,
)
from enhance_cli.engine.row_storage import pack_rows, unpack_rows
from enhance_cli.errors import CheckpointError, OutputError
from enhance_cli.io.files import replacing

PICKLES = (".pth", ".pt", ".ckpt")  # what torch.save writes, which only an import ever reads


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
        sources: the checkpoints that its weights were taken from, where those are several and
            ``path`` is only the first of them.
    """

    path: Path
    name: str
    architecture: Architecture
    config: Any
    contract: Contract
    training: dict[str, Any] = field(default_factory=dict)
    sources: "tuple[CheckpointInfo, ...]" = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that its weights were taken from."""
        return tuple(source.path for source in self.sources) or (self.path,)


def build(architecture: Architecture, config: Any, device: torch.device | str = "cpu") -> nn.Module:
    """Build a freshly initialised network."""
    with torch.device(device):
        return architecture.build(config)


def build_empty(
    architecture: Architecture, config: Any, device: torch.device | str = "cpu"
) -> nn.Module:
    """Build a network whose parameters are yet to be loaded, or never needed.

    Values that would be drawn by chance are left out. That takes no time, and on the ``meta``
    device, where networks take no memory, keeps torch from loading its compiler.
    """
    with torch.device(device), _WithoutChance():
        return architecture.build(config)


class _WithoutChance(TorchFunctionMode):
    """Tensors that would be filled by chance hold what their memory held before."""

    _filling = (
        Tensor.normal_,
        Tensor.uniform_,
        nn.init.normal_,
        nn.init.uniform_,
        nn.init.kaiming_uniform_,
    )

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = kwargs or {}
        if func in self._filling:
            return args[0] if args else given["tensor"]
        return func(*args, **given)


def restore_config(kind: type[Any], values: Mapping[str, Any]) -> Any:
    """A configuration from what ``dataclasses.asdict`` and JSON made of it.

    Args:
        kind: a dataclass, whose fields may be dataclasses too.
        values: by field name; fields that are left out keep their defaults.

    Raises:
        TypeError: if there is no such field, or a configuration is no mapping.
        ValueError: if the configuration refuses a value.
    """
    if not isinstance(values, Mapping):
        raise TypeError(f"{kind.__name__} is described by {values!r}, not by an object")
    hints = get_type_hints(kind)
    return kind(
        **{
            name: restore_config(hints[name], value) if is_dataclass(hints.get(name)) else value
            for name, value in values.items()
        }
    )


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
        path: where to write; an existing file is replaced.
        network: the network, with its config and contract.
        architecture: the network's entry in ``ARCHITECTURES``.
        name: name of the model.
        tensors: values that are stored in place of the network's own, e.g. an average of them.
        dtype: storage type of floating point tensors; loading always gives float32. With
            ``torch.int8`` they are stored as :func:`pack_rows` says.
        training: notes on where the values come from, which JSON can hold.

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
    values = tensors if tensors is not None else network.state_dict()
    if dtype == torch.int8:
        values, dtype = pack_rows(values), None
    for key, value in values.items():
        cast = value.to(dtype) if dtype is not None and value.is_floating_point() else value
        state[key] = cast.detach().cpu().contiguous()
        if torch.isfinite(value).all() and not torch.isfinite(cast).all():
            raise CheckpointError(f"{path}: {key} holds values too large for {dtype}, store more")
    write_tensors(path, state, metadata)


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file, completely or not at all.

    Args:
        path: the file; what is there is replaced.
        tensors: contiguous tensors on the host, by name.
        metadata: texts by name.

    Raises:
        OutputError: if the file cannot be written, for instance because the disk is full.
    """
    with replacing(path) as temporary:
        try:
            save_file(dict(tensors), temporary, metadata=dict(metadata))
        except SafetensorError as error:  # It stands for every OSError, too.
            told = re.sub(r".*I/O error: | \(os error.*", "", str(error))
            raise OutputError(f"{path}: cannot write ({told})") from error


def read_checkpoint_info(path: Path) -> CheckpointInfo:
    """Read and check the metadata, without the tensors.

    Raises:
        CheckpointError: if the file is missing or damaged, was not written by ``enhance`` or by a
            later version of it, or if its config or contract is not that of its architecture.
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
    try:
        name, settings = upgrade_description(name, json.loads(metadata["config"]), int(version))
        architecture = ARCHITECTURES[name]
        config = restore_config(architecture.config, settings)
        training = json.loads(metadata.get("training", "{}"))
        if not isinstance(training, dict):
            raise TypeError(f"training is {training!r}, not a JSON object")
        contract = Contract(**upgrade_contract(json.loads(metadata["contract"])))
        expected = build_empty(architecture, config, "meta").contract
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
    """Load a network with its parameters, in float32 on the CPU and in evaluation mode.

    Raises:
        CheckpointError: if a tensor is missing, unexpected, of another shape or not finite.
    """
    network = build_empty(info.architecture, info.config)
    load_tensors(network, read_tensors(info.path), str(info.path))
    return network.eval()


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read all tensors of a safetensors file to the CPU, in the types in which they are stored.

    Rows of integers with a scale become float32.

    Raises:
        CheckpointError: if the file is missing or damaged.
    """
    read_metadata(path)
    with safe_open(path, framework="pt") as file:
        stored = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no iterator)
    try:
        return unpack_rows(stored)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: damaged, its scales do not fit ({error})") from error


def load_tensors(network: nn.Module, tensors: Mapping[str, Tensor], origin: str) -> None:
    """Copy tensors into a network, whose tensors they must match by name and shape.

    Args:
        network: the network, which is changed.
        tensors: a value for each of its tensors.
        origin: where the values come from, for the message.

    Raises:
        CheckpointError: if a tensor is missing, unexpected, of another shape or not finite.
    """
    own = network.state_dict()
    problems = [
        f"{len(names)} {label}: {', '.join(sorted(names)[:6])}{' ...' if len(names) > 6 else ''}"
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
            f"{origin}: these weights do not fit the {len(own)} tensors of "
            f"{type(network).__name__}; {'; '.join(problems)}"
        )
    network.load_state_dict(dict(tensors), strict=True)


def fit_tensors(network: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those of the given tensors that fit a network by name and shape, e.g. to start training from.

    Kernels of a convolution with fewer input channels fit too. Those that are missing become
    zero, so that a network which sees more begins as the one that did not.
    """
    own = network.state_dict()
    return {
        name: _widen(value, own[name].shape)
        for name, value in tensors.items()
        if name in own and _fits(value.shape, own[name].shape)
    }


def _fits(given: torch.Size, wanted: torch.Size) -> bool:
    """Whether a tensor has the shape of another, or is a kernel with fewer input channels."""
    return given == wanted or (
        len(given) == len(wanted) == 4
        and given[0] == wanted[0]
        and given[1] < wanted[1]
        and given[2:] == wanted[2:]
    )


def _widen(value: Tensor, wanted: torch.Size) -> Tensor:
    if value.shape == wanted:
        return value
    wide = value.new_zeros(wanted)
    wide[:, : value.shape[1]] = value
    return wide


def read_metadata(path: Path) -> dict[str, str]:
    """Read the metadata of any safetensors file; a file without metadata gives an empty dict.

    Raises:
        CheckpointError: if the file is missing or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such checkpoint") from error
    except (SafetensorError, OSError) as error:
        if path.suffix in PICKLES:
            raise CheckpointError(
                f"{path}: not a checkpoint of enhance, bring it in with: enhance weights import"
            ) from error
        raise CheckpointError(
            f"{path}: not a readable safetensors file ({error}), fetch or train it again"
        ) from error
