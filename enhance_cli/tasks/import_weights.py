"""Turn the weights of other programs into checkpoints."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from enhance_cli.architectures import ARCHITECTURES, MODELS
from enhance_cli.engine.checkpoint import (
    build,
    load_tensors,
    read_checkpoint_info,
    read_metadata,
    read_tensors,
    save_checkpoint,
)
from enhance_cli.errors import CheckpointError, OutputError, UnknownNameError
from enhance_cli.talk import plain_console


def run_import(
    source: Path, model: str, output: Path, *, half: bool = False, overwrite: bool = False
) -> int:
    """Write the tensors of a file as a checkpoint that ``enhance`` can run.

    Args:
        source: a safetensors file, or a pickled state dict. If it is a checkpoint of ``enhance``
            its notes on the training are kept.
        model: the key of ``MODELS`` whose network the tensors belong to.
        output: the checkpoint to write.
        half: store numbers of 16 bits.
        overwrite: replace ``output`` if it exists.

    Returns:
        The exit code.

    Raises:
        UnknownNameError: if there is no such model.
        CheckpointError: if the file cannot be read, or its tensors are not the model's.
        OutputError: if the output exists.
    """
    if model not in MODELS:
        raise UnknownNameError("model", model, MODELS)
    if output.exists() and not overwrite:
        raise OutputError(f"{output}: exists already, add --overwrite")
    spec = MODELS[model]
    architecture = ARCHITECTURES[spec.architecture]
    network = build(architecture, spec.config)
    load_tensors(network, _read_foreign(source), str(source))
    save_checkpoint(
        output,
        network,
        architecture,
        model,
        training=_training_notes(source),
        dtype=torch.float16 if half else None,
    )
    plain_console(stderr=True).print(f"{source} -> {output}")
    return 0


def _training_notes(source: Path) -> dict[str, Any]:
    if source.suffix == ".safetensors" and read_metadata(source).get("format") == "enhance":
        return read_checkpoint_info(source).training
    return {"imported_from": source.name}


def _read_foreign(source: Path) -> Mapping[str, Tensor]:
    if source.suffix == ".safetensors":
        return read_tensors(source)
    if not source.is_file():
        raise CheckpointError(f"{source}: no such file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            state = torch.load(source, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise CheckpointError(
            f"{source}: not a file of plain tensors ({type(error).__name__}), "
            "save the network's state_dict alone"
        ) from error
    for wrapper in ("state_dict", "params_ema", "params", "model"):
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict) or not all(
        isinstance(k, str)
        and isinstance(v, Tensor)
        and v.layout == torch.strided
        and not v.is_complex()
        for k, v in state.items()
    ):
        raise CheckpointError(f"{source}: holds no state dict, save the network's state_dict")
    return state
