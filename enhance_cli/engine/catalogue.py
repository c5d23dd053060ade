"""Find a model by its name or that of its family, and load a network that is ready to run."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor, nn

from enhance_cli.architectures import ARCHITECTURES, MODELS
from enhance_cli.architectures.frame_by_frame import FrameByFrame
from enhance_cli.architectures.spec import Contract
from enhance_cli.defaults import DEVICE, PRECISION, SCALE, SHORT_NAMES, usual_model
from enhance_cli.engine.backend import Engine, choose_engine
from enhance_cli.engine.blending import blend, check_texture, texture_ends
from enhance_cli.engine.calibration import Ranges, read_ranges, unite_ranges
from enhance_cli.engine.checkpoint import (
    CheckpointInfo,
    build_empty,
    fit_tensors,
    load_network,
    load_tensors,
    read_checkpoint_info,
    read_tensors,
)
from enhance_cli.engine.compiling import CompilationError, compile_network
from enhance_cli.engine.device import keep_freed_memory, one_thread
from enhance_cli.engine.runnable import Runnable
from enhance_cli.engine.weight_files import (
    family_of,
    find_entry,
    find_imported,
    find_weights,
    weight_folders,
)
from enhance_cli.errors import CheckpointError, DeviceError, UnknownNameError, UsageError


@dataclass(frozen=True, kw_only=True)
class Model(Runnable):
    """A network with what its checkpoint says of it.

    Attributes:
        info: description and notes of the checkpoint.
        notice: what users should know of how it runs; empty if there is nothing.
    """

    info: CheckpointInfo
    notice: str = ""

    @property
    def precision(self) -> str:
        """In which precision it is computed, and by what."""
        if self.compiled:
            return f"{self.compiled} by OpenVINO"
        return str(self.dtype).removeprefix("torch.")

    def describe(self, tile_side: int | None = None) -> str:
        """Describe in one line what runs where.

        Args:
            tile_side: side of the tiles in input pixels, or 0 for the whole picture at once. None
                says nothing about tiles.
        """
        files = " and ".join(map(str, self.info.files))
        text = f"{self.info.name} from {files}, on {self.device} in {self.precision}"
        if tile_side is None:
            return text
        return f"{text}, tiles of at most {tile_side} pixels" if tile_side else f"{text}, untiled"


@dataclass(frozen=True)
class ModelOptions:
    """Which model a command runs, and where and how.

    Attributes:
        name: full or of a family, see :func:`resolve_name`; None is the task's usual one.
        weights: a checkpoint file that is used instead of the model's own.
        device, precision, backend: see :func:`choose_engine`. Torch is the reference.
        tile: side of the tiles in input pixels, 0 for the whole picture at once, None for the
            size that suits the model and the device.
        texture: see :func:`load_model`.
    """

    name: str | None = None
    weights: Path | None = None
    device: str = DEVICE
    precision: str = PRECISION
    tile: int | None = None
    texture: float | None = None
    backend: str = "torch"

    @property
    def engine(self) -> Engine:
        """What computes the model.

        Raises:
            EnhanceError: see :func:`choose_engine`.
        """
        return choose_engine(self.backend, self.device, self.precision)

    def load(self, task: str, scale: Fraction | int | None = None) -> Model:
        """Load the model of a task onto its device.

        Args:
            task: the task.
            scale: the enlargement that is wanted, which chooses among the models of a family; see
                :func:`resolve_name`. The network's own scale may be another.

        Raises:
            EnhanceError: see :func:`choose_engine`, :func:`load_model` and :func:`speed_up`.
        """
        engine = self.engine
        model = load_model(
            task,
            name=self.name,
            weights=self.weights,
            scale=scale,
            texture=self.texture,
            device=engine.device,
            dtype=engine.dtype,
        )
        return speed_up(model, engine)


def speed_up(model: Model, engine: Engine) -> Model:
    """Let an engine run a model that torch runs.

    Args:
        model: on the engine's device; its network is changed.
        engine: what shall run it.

    Raises:
        DeviceError: if the engine must be OpenVINO, and it does not run the network.
        UsageError, CheckpointError: if it shall compute in integers, see :func:`read_ranges`.
    """
    if engine.compiled is None:
        return replace(model, notice=engine.notice)
    assert isinstance(model.network, nn.Module)
    ranges = _find_ranges(model.info, model.network) if engine.compiled == "int8" else None
    try:
        failure = compile_network(model.network, engine.compiled, ranges)
    except CompilationError as error:
        told = f"OpenVINO does not run {model.info.name}: {error}"
        if engine.required:
            raise DeviceError(f"--backend openvino: {told}; use --backend torch") from error
        return replace(model, notice=f"torch runs the network, which is slower: {told}")
    notice = f"the compiled network cannot be kept: {failure}" if failure else ""
    return replace(model, dtype=torch.float32, compiled=engine.compiled, notice=notice)


def _find_ranges(info: CheckpointInfo, network: nn.Module) -> Ranges:
    """The ranges of a network's layers; those of a blend are what either end needs.

    Raises:
        UsageError, CheckpointError: see :func:`read_ranges`; also if the model has another task
            than those whose ranges can be measured.
    """
    if info.architecture.task != "superres":
        raise UsageError(
            f"--precision int8: {info.name} is a model of {info.architecture.task}, and only those "
            "of superres run in integers, use fp32 or bf16"
        )
    if not info.sources:
        return read_ranges(info.path, network)
    return unite_ranges([read_ranges(end.path, load_network(end)) for end in info.sources])


def resolve_name(
    task: str,
    name: str | None,
    scale: Fraction | int | None = None,
    texture: float | None = None,
) -> str:
    """Find the full name of a model in ``MODELS``, or of one that was imported.

    Args:
        task: the task that the model must serve.
        name: a full name (``enet-e-x4``) or that of a family (``enet-e``); None is the one that
            :func:`enhance_cli.defaults.usual_model` gives.
        scale: the enlargement that is wanted, ``SCALE`` if it is None. Of a family it chooses the
            model with the smallest scale that reaches it, or else the one with the largest.
        texture: see :func:`load_model`. If it is given, those of a family go first that can be
            blended.

    Raises:
        UnknownNameError: if there is no such model.
        UsageError: if the model is for another task.
    """
    given = name or usual_model(task, texture)
    if given in MODELS:
        actual = ARCHITECTURES[MODELS[given].architecture].task
        if not _serves(actual, task):
            raise UsageError(f"model {given!r} is for {actual}, not for {task}")
        return given
    if find_weights(given):
        return given
    family = _family(task, given, texture)
    if not family:
        imported = [
            n for n, info in find_imported().items() if _serves(info.architecture.task, task)
        ]
        raise UnknownNameError("model", given, [*_known(task), *imported])
    wanted = SCALE if scale is None else scale
    return family[min((own for own in family if own >= wanted), default=max(family))]


def scales_of(task: str, options: ModelOptions) -> list[int]:
    """The enlargements among which a family offers a choice, from the smallest on.

    Returns:
        An empty list where the options name one model or a checkpoint.
    """
    if options.weights is not None:
        return []
    name = options.name or usual_model(task, options.texture)
    return sorted(_family(task, name, options.texture))


def _known(task: str) -> list[str]:
    """The full names of the models of a task."""
    return [
        name
        for name, spec in MODELS.items()
        if _serves(ARCHITECTURES[spec.architecture].task, task)
    ]


def _serves(made_for: str, task: str) -> bool:
    """Whether a network does a task; those for pictures do the frames of a video one by one."""
    return made_for == task or (made_for, task) == ("superres", "video")


def _family(task: str, name: str, texture: float | None) -> dict[int, str]:
    """The models of a family by their enlargement; those with weights, if any has.

    With a texture it is those that can be blended, if any can.
    """
    name = SHORT_NAMES.get(name, name)
    members = [other for other in _known(task) if family_of(other) == name]
    if texture is not None:
        members = list(filter(texture_ends, members)) or members
    found = [other for other in members if find_weights(other)]
    imported = {
        info.contract.scale: other
        for other, info in find_imported(family=name).items()
        if _serves(info.architecture.task, task)
    }
    return imported | {_scale(other): other for other in found or members}


def _scale(name: str) -> int:
    """The enlargement of a model; 1 if its config has none."""
    return int(getattr(MODELS[name].config, "scale", 1))


@one_thread()
def load_model(
    task: str,
    *,
    name: str | None = None,
    weights: Path | None = None,
    scale: Fraction | int | None = None,
    texture: float | None = None,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
) -> Model:
    """Find a checkpoint and put its network on a device.

    Args:
        task: the task that the model must serve.
        name, scale: see ``resolve_name``. They are not needed with ``weights``.
        weights: a checkpoint file, which is loaded in place of the model's own.
        texture: from 0 to 1, where the weights lie between those of a model and of its
            counterpart that draws texture; see ``ModelSpec.textured``. None blends nothing.
        device: where the network will run.
        dtype: the precision in which it will run.

    Raises:
        UnknownNameError, UsageError: see ``resolve_name``. UsageError also if there is a texture
            and the model has no counterpart.
        CheckpointError: if there are no weights, or they do not fit.
    """
    if weights is not None:
        info = read_checkpoint_info(weights)
        if name is not None and name != info.name and name != family_of(info.name):
            raise UsageError(f"--model {name}: {weights} holds {info.name!r}, leave --model out")
    else:
        full = resolve_name(task, name, scale, texture)
        if full in MODELS and (lenders := MODELS[full].weights_from):
            return _lend_weights(full, [_find_trained(name) for name in lenders], device, dtype)
        info = _find_trained(full)
    if not _serves(info.architecture.task, task):
        raise CheckpointError(
            f"{info.path}: a checkpoint for {info.architecture.task}, not for {task}: "
            f"use enhance {info.architecture.task}"
        )
    if texture is not None:
        ends = check_texture(str(info.name))
        smooth, textured = (info if end == info.name else _find_trained(end) for end in ends)
        network, info = blend(smooth, textured, texture)
    else:
        network = load_network(info)
    if info.architecture.task != task:
        network = FrameByFrame(network).eval()
        info = replace(info, contract=network.contract)
    return _place(network, info, device, dtype)


def _find_trained(name: str) -> CheckpointInfo:
    """Find the checkpoint of a model that has weights of its own, and read its description."""
    found = find_weights(name)
    untrained = (found.entry if found else find_entry(name)).get("untrained")
    if untrained:
        raise CheckpointError(
            f"model {name!r} is untrained ({untrained}): train it (enhance train {name}) and "
            "name the checkpoint with --weights, or choose another of enhance models"
        )
    if found is None:
        folders = ", ".join(str(folder) for folder in weight_folders()) or "no weights folder"
        raise CheckpointError(
            f"no weights for {name!r} in {folders}: train them (enhance train {name}) "
            "or name a checkpoint with --weights"
        )
    info = read_checkpoint_info(found.path)
    if name in MODELS and info.architecture.name != MODELS[name].architecture:
        raise CheckpointError(
            f"{found.path}: holds {info.architecture.name}, but {name} is "
            f"{MODELS[name].architecture}: remove or rename it"
        )
    return info


def _lend_weights(
    name: str, lenders: Sequence[CheckpointInfo], device: torch.device, dtype: torch.dtype
) -> Model:
    """Load a model that has no file of its own, with the weights that other models lend it."""
    spec = MODELS[name]
    architecture = ARCHITECTURES[spec.architecture]
    network = build_empty(architecture, spec.config)
    tensors: dict[str, Tensor] = {}
    for lender in lenders:
        lent = fit_tensors(network, read_tensors(lender.path))
        tensors = {**lent, **tensors}
    load_tensors(network, tensors, " and ".join(str(lender.path) for lender in lenders))
    contract = network.contract
    assert isinstance(contract, Contract)
    info = CheckpointInfo(
        lenders[0].path, name, architecture, spec.config, contract, sources=tuple(lenders)
    )
    return _place(network.eval(), info, device, dtype)


def _place(
    network: nn.Module, info: CheckpointInfo, device: torch.device, dtype: torch.dtype
) -> Model:
    """Move a network to its device."""
    if device.type == "cpu":
        keep_freed_memory()
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Model(network, info.contract, device, dtype, info=info)
