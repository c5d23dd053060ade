"""Read the tensors of files that other programs wrote, and never run what such a file may hold."""

import re
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from enhance_cli.engine.checkpoint import read_tensors
from enhance_cli.errors import CheckpointError

# Where training programs keep the network beside other things; averaged weights go first.
_WRAPPERS = (
    "model_state_dict",
    "state_dict",
    "params_ema",
    "params-ema",
    "params",
    "model",
    "net",
    "generator",
)
# What they put before every name: several GPUs, compiled networks, generators of a GAN.
_PREFIXES = ("module.", "_orig_mod.", "netG.", "generator.")


def read_foreign(path: Path) -> dict[str, Tensor]:
    """Read tensors by name from a safetensors file or from a pickle of torch.

    The network may lie within dictionaries, as in the files of BasicSR and of Lightning, and
    prefixes that all names share are taken off. Tensors that shared memory do not any longer, and
    those in floats of 8 bits, with which nothing can be computed, become float32.

    Raises:
        CheckpointError: if the file is missing or damaged, or holds anything but tensors by name.
            Code in a pickle is never run.
    """
    if is_safetensors(path):
        state: Any = read_tensors(path)
    else:
        state = _unpickle(path)
    for wrapper in _WRAPPERS:
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if (
        not isinstance(state, dict)
        or not state
        or not all(isinstance(k, str) and _is_plain(v) for k, v in state.items())
    ):
        raise CheckpointError(
            f"{path}: holds something else than tensors by name, save the network's state_dict"
        )
    while prefix := next((p for p in _PREFIXES if all(key.startswith(p) for key in state)), ""):
        state = {key.removeprefix(prefix): value for key, value in state.items()}
    return {key: _own(value) for key, value in state.items()}


def is_safetensors(path: Path) -> bool:
    """Whether a file is a safetensors file by its first bytes, whatever its name.

    A file of that suffix that is no pickle counts too, so that its damage is told as that.

    Raises:
        CheckpointError: if there is no such file.
    """
    if path.is_dir():
        raise CheckpointError(f"{path}: is a folder, name the file of weights in it")
    if not path.exists():
        raise CheckpointError(f"{path}: no such file of weights")
    try:
        with path.open("rb") as file:
            head = file.read(9)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
    # After its length a header begins with a brace; pickles of torch are ZIP files or plain.
    return head[8:] == b"{" or path.suffix == ".safetensors" and head[:1] not in (b"P", b"\x80")


def _is_plain(value: object) -> bool:
    return isinstance(value, Tensor) and value.layout == torch.strided and not value.is_complex()


def _own(value: Tensor) -> Tensor:
    if value.is_floating_point() and value.element_size() < 2:
        return value.float()
    return value.clone(memory_format=torch.contiguous_format)


def _unpickle(path: Path) -> Any:
    try:
        # Of a file without a name, for torch would go by its suffix.
        with warnings.catch_warnings(), path.open("rb") as file:
            warnings.simplefilter("ignore")  # The errors below say enough.
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # A damaged pickle may raise anything.
        wanted = re.search(r"GLOBAL ([\w.]+)", str(error))
        if wanted:
            raise CheckpointError(
                f"{path}: cannot be read as weights: it asks for {wanted[1]}, which is no "
                "tensor but code, and none was run; save the network's state_dict alone"
            ) from error
        raise CheckpointError(
            f"{path}: cannot be read as weights ({type(error).__name__}): get it again, or save "
            "the network's state_dict alone"
        ) from error
