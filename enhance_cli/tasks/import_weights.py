"""Turn the weights of other programs into checkpoints."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from enhance_cli.architectures import ARCHITECTURES, MODELS
from enhance_cli.architectures.adapted import ADAPTED, find_adapted
from enhance_cli.architectures.spec import Architecture
from enhance_cli.defaults import SHORT_NAMES
from enhance_cli.engine.checkpoint import (
    build,
    load_network,
    load_tensors,
    read_checkpoint_info,
    read_metadata,
    save_checkpoint,
)
from enhance_cli.engine.foreign import is_safetensors, read_foreign
from enhance_cli.engine.layouts import Recognised, nearest_layout, recognise
from enhance_cli.engine.weight_files import family_of, import_folder
from enhance_cli.errors import CheckpointError, OutputError, UnknownNameError, UsageError, one_line
from enhance_cli.talk import plain_console

_SUFFIX = ".safetensors"


@dataclass(frozen=True)
class ImportRequest:
    """The options of ``enhance weights import``; see its help."""

    source: Path
    model: str | None = None
    name: str | None = None
    output: Path | None = None
    half: bool = False
    int8: bool = False
    overwrite: bool = False


@dataclass(frozen=True)
class _Found:
    """A network with its weights, and what the checkpoint notes on where they come from."""

    architecture: Architecture
    network: nn.Module
    training: dict[str, Any]
    title: str
    remark: str | None = None
    half: bool = False  # the file holds numbers of 16 bits alone, so that these lose nothing


def run_import(request: ImportRequest) -> int:
    """Write the tensors of a file as a checkpoint that ``enhance`` can run.

    The file is a safetensors file or a pickled state dict. If it is a checkpoint of ``enhance`` its
    notes on the training are kept.

    Returns:
        The exit code.

    Raises:
        UnknownNameError: if there is no such model.
        UsageError: if the name cannot be that of an imported model, or the output no checkpoint.
        CheckpointError: if the file cannot be read, or its tensors are those of no known network.
        OutputError: if the output exists or is the file that is read.
    """
    source = request.source
    name = _choose_name(request)
    output = _choose_output(request, name)
    found = _find(source, request.model)
    save_checkpoint(
        output,
        found.network,
        found.architecture,
        name,
        training=found.training,
        dtype=_choose_type(request, found),
    )
    console = plain_console(stderr=True)
    parameters = sum(parameter.numel() for parameter in found.network.parameters())
    contract = found.network.contract
    console.print(one_line(f"{source} -> {output}"))
    console.print(f"{found.title}, x{contract.scale}, {parameters:,} parameters")  # type: ignore[union-attr]
    if found.remark:
        console.print(f"notice: {found.remark}")
    if request.output is None:
        console.print(one_line(f"run it with --model {name}"))
    return 0


def _choose_type(request: ImportRequest, found: _Found) -> torch.dtype | None:
    """The type in which tensors are stored, None for that of the network."""
    if request.half and request.int8:
        raise UsageError("--int8: --half stores 16 bits, leave one of the two out")
    if request.int8:
        return torch.int8
    return torch.float16 if request.half or found.half else None


def _choose_output(request: ImportRequest, name: str) -> Path:
    """The checkpoint to write, which may be written."""
    output = request.output or import_folder() / f"{name}{_SUFFIX}"
    option = "--as" if request.output is None else "-o"
    if output.suffix != _SUFFIX:
        raise UsageError(f"-o {output}: a checkpoint is a {_SUFFIX} file, name one")
    if output.is_dir():
        raise OutputError(f"{output}: is a folder, choose another with {option}")
    if output.resolve() == request.source.resolve():
        raise OutputError(f"{output}: the input would be replaced, choose another with {option}")
    if output.exists() and not request.overwrite:
        raise OutputError(
            f"{output}: exists already, add --overwrite or choose another with {option}"
        )
    return output


def _choose_name(request: ImportRequest) -> str:
    """The name of the imported model, by which ``--model`` finds it."""
    if request.model is not None:
        if request.name is not None:
            raise UsageError("--as: --model names the model already, leave one of them out")
        if request.model not in MODELS:
            raise UnknownNameError("model", request.model, MODELS)
        return request.model
    name = request.source.stem if request.name is None else request.name
    families = {*map(family_of, MODELS)} - {""} | {*SHORT_NAMES}
    if name not in MODELS and {name, family_of(name)} & families:
        raise UsageError(
            f"{name!r} would stand for models of enhance, which --model finds by this name or its "
            "beginning: choose another name with --as"
        )
    if name in MODELS:
        raise UsageError(
            f"{name!r} is a model of enhance: choose another name with --as, or say with "
            f"--model {name} that these are weights for it"
        )
    if not name or Path(name).name != name or name.startswith(".") or not name.isprintable():
        raise UsageError(
            f"--as {one_line(name)!r}: a name without folders is needed, on one line and without "
            "a dot at its beginning"
        )
    if name.endswith(_SUFFIX):
        raise UsageError(f"--as {name}: leave {_SUFFIX} out, which is added to the name")
    return name


def _find(source: Path, model: str | None) -> _Found:
    if is_safetensors(source) and read_metadata(source).get("format") == "enhance":
        info = read_checkpoint_info(source)
        if model is None:
            architecture, network = info.architecture, load_network(info)
            return _Found(architecture, network, info.training, f"a checkpoint of {info.name}")
        training = info.training
    else:
        training = {"imported_from": source.name}
    tensors = read_foreign(source)
    half = all(t.dtype == torch.float16 for t in tensors.values() if t.is_floating_point())
    if model is not None:
        spec = MODELS[model]
        architecture = ARCHITECTURES[spec.architecture]
        network = build(architecture, spec.config)
        load_tensors(network, tensors, str(source))
        return _Found(architecture, network, training, model, half=half)
    known = _recognise(tensors, source)
    training["layout"] = known.title
    return _Found(known.architecture, known.network, training, known.title, known.remark, half)


def _recognise(tensors: Mapping[str, Tensor], source: Path) -> Recognised:
    """A network of our own if the tensors are all of one, else one of the package spandrel.

    Raises:
        CheckpointError: if it is neither, with what is wrong for the nearest of our own.
    """
    try:
        return recognise(tensors, str(source))
    except CheckpointError as error:
        unknown = nearest_layout(tensors)[1] < 0.5
        try:
            config = find_adapted(tensors)
        except CheckpointError as other:
            if unknown:
                raise CheckpointError(
                    f"{error}; more are known to spandrel, but {other}"
                ) from other
            raise error from other
        if config is None:
            raise
    network = build(ADAPTED, config)
    load_tensors(network, tensors, str(source))
    return Recognised(f"{config.network} of the package spandrel", ADAPTED, network)
