"""The learned part of networks, compiled by OpenVINO for the CPU of this machine.

OpenVINO is an extra of ``enhance``. What a network computes with fixed operations stays in torch,
see ``LearnedPart``. A part is converted once for all sizes of pictures, and kept in the cache of
the user; what is kept there depends on the weights, the code of the networks, the versions of
OpenVINO and torch, the CPU and the precision.
"""

import hashlib
import importlib
import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from enhance_cli import __version__
from enhance_cli.architectures.spec import LearnedPart
from enhance_cli.engine.calibration import Ranges
from enhance_cli.engine.device import KEPT_PRIMITIVES, one_thread
from enhance_cli.engine.weight_files import cache_folder
from enhance_cli.errors import EnhanceError, OutputError, describe
from enhance_cli.io.files import replacing

INSTALL = "pip install 'enhance-cli[openvino]'"
# Our names and those of OpenVINO; integers are for the layers whose ranges are known.
PRECISIONS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}

_KEPT = 32  # compiled parts in the cache; those that were used longest ago are removed
_SIDE = 64  # of the input with which a part is traced
_DIGEST = 32  # bytes of a SHA-256, with which every file of the cache begins


class CompilationError(EnhanceError):
    """OpenVINO is absent, or does not run a network; the text is the reason."""


def native_precision() -> str:
    """The precision of our names in which the CPU is quickest: bf16 where it computes in that.

    Raises:
        CompilationError: if OpenVINO is not installed, or does not import.
    """
    able = _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return "bf16" if "BF16" in able else "fp32"


def compile_network(
    network: nn.Module, precision: str, ranges: Ranges | None = None
) -> OutputError | None:
    """Let OpenVINO run the learned parts of a network from now on.

    Args:
        network: on the CPU and in evaluation mode. Its values stay the same to within 1e-5 in
            fp32. A network whose parts were compiled runs in one thread at a time.
        precision: key of ``PRECISIONS``.
        ranges: with ``int8``, of the inputs of the layers that are run in integers, by their
            names in the part's module.

    Returns:
        Why the cache could not be written, if it could not; the network runs all the same.

    Raises:
        CompilationError: if OpenVINO is not installed or does not run the network. Then the
            network is unchanged.
    """
    core = _core()
    owners = [
        (module, part)
        for module in network.modules()
        if isinstance(part := getattr(module, "learned", None), LearnedPart)
    ]
    if not owners:
        raise CompilationError("its learned part is not told from its fixed operations")
    settings = {
        "INFERENCE_PRECISION_HINT": PRECISIONS[precision],
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "NUM_STREAMS": 1,
        "CPU_RUNTIME_CACHE_CAPACITY": KEPT_PRIMITIVES,
        # Threads that are bound to cores wait for each other where several programs run.
        "ENABLE_CPU_PINNING": False,
    }
    compiled, failure = [], None
    for owner, part in owners:
        path = cache_folder() / "openvino" / f"{_key(core, owner, settings, ranges)}.blob"
        runs = _load(core, path, settings)
        if runs is None:
            runs = _compile(core, owner, part, settings, ranges)
            try:
                _keep(path, runs)
            except OutputError as error:
                failure = error
        compiled.append(_Compiled(runs))
    for (owner, part), runs in zip(owners, compiled, strict=True):
        setattr(owner, part.method, runs)  # It goes before the method of the class.
    return failure


class _Compiled:
    """A part that OpenVINO runs: float32 tensors (N, C, h, w) on the CPU to one of these."""

    def __init__(self, part: Any) -> None:
        self._part = part

    def __call__(self, *inputs: Tensor) -> Tensor:
        arrays = [value.detach().float().contiguous().numpy() for value in inputs]
        return torch.from_numpy(self._part(arrays)[0])


class _Part(nn.Module):
    """The learned part of a network as a network, for tracing."""

    def __init__(self, owner: nn.Module, method: str) -> None:
        super().__init__()
        self.owner, self.method = owner, method

    def forward(self, *inputs: Tensor) -> Tensor:
        result: Tensor = getattr(self.owner, self.method)(*inputs)
        return result


@lru_cache(maxsize=1)
def _core() -> Any:
    """OpenVINO's entrance."""
    # OpenVINO reports every import to a server and leaves files in the home folder, unless its
    # package for that is missing. None stands for a package that is.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        return _module("openvino").Core()
    except ModuleNotFoundError as error:
        raise CompilationError(f"OpenVINO is not installed: {INSTALL}") from error
    except Exception as error:  # It loads libraries, which fail in many ways.
        raise CompilationError(f"OpenVINO does not start ({describe(error)})") from error


def _module(name: str) -> Any:
    return importlib.import_module(name)


def _compile(
    core: Any,
    owner: nn.Module,
    part: LearnedPart,
    settings: dict[str, Any],
    ranges: Ranges | None,
) -> Any:
    """Convert and compile the part of a module, for inputs of any size."""
    examples = [
        torch.zeros(1, planes, _SIDE // shrink, _SIDE // shrink)
        for planes, shrink in zip(part.planes, part.shrink, strict=True)
    ]
    try:
        decoders = _module("openvino.frontend.pytorch.ts_decoder")
        frontend = _module("openvino.frontend").FrontEndManager().load_by_framework("pytorch")
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch advises against what OpenVINO builds on
            network = _Part(owner, part.method)
            traced = torch.jit.trace(  # type: ignore[no-untyped-call]
                network, examples, check_trace=False
            )
            decoder = decoders.TorchScriptPythonDecoder(traced)
            model = frontend.convert(frontend.load(decoder))
        shapes = {
            value: [-1, planes, -1, -1]
            for value, planes in zip(model.inputs, part.planes, strict=True)
        }
        model.reshape(shapes)
        if ranges is not None:
            _quantise(model, owner, ranges)
        return core.compile_model(model, "CPU", settings)
    except Exception as error:  # Each layer of it has its own types.
        raise CompilationError(_last_line(error)) from error


def _quantise(model: Any, owner: nn.Module, ranges: Ranges) -> None:
    """Round the inputs and the weights of convolutions to 8 bits, which OpenVINO then computes in.

    Inputs have 256 levels over their range, weights 255 over that of their output channel.
    """
    operations = _module("openvino.opset13")
    left = set(ranges)
    for node in model.get_ordered_ops():
        found = re.match(r"__module\.owner\.(.+?)/", node.get_friendly_name())
        if node.get_type_name() != "Convolution" or not found or found[1] not in left:
            continue
        left.remove(found[1])
        low, high = ranges[found[1]]
        step = max((high - low) / 255, 1e-12)
        low = round(low / step) * step  # Zero, of which margins are made, must be a level.
        largest = owner.get_submodule(found[1]).weight.detach().abs().amax((1, 2, 3), keepdim=True)  # type: ignore[operator]
        most = largest.clamp(min=1e-12).numpy()
        bounds = ((low, low + 255 * step, 256), (-most, most, 255))
        for index, (*both, levels) in enumerate(bounds):
            ends = [np.float32(end) for end in both]
            rounded = operations.fake_quantize(node.input_value(index), *ends, *ends, levels)
            node.input(index).replace_source_output(rounded.output(0))
    if left:
        raise ValueError(f"no convolutions are named {', '.join(sorted(left))}")


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join([type(error).__name__, *lines[-1:]])


def _load(core: Any, path: Path, settings: dict[str, Any]) -> Any | None:
    """A part that was kept, or None if there is none or the file is damaged."""
    with suppress(OSError, RuntimeError):
        data = path.read_bytes()
        blob = data[_DIGEST:]
        if hashlib.sha256(blob).digest() == data[:_DIGEST]:
            os.utime(path)
            return core.import_model(blob, "CPU", settings)
    return None


def _keep(path: Path, part: Any) -> None:
    """Write a part to the cache, and remove what was used longest ago.

    Raises:
        OutputError: if it cannot be written.
    """
    blob = part.export_model().getvalue()
    with replacing(path) as temporary:
        temporary.write_bytes(hashlib.sha256(blob).digest() + blob)
    with suppress(OSError):  # Another run may remove the same files.
        files = sorted(path.parent.glob("*.blob"), key=lambda file: file.stat().st_mtime)
        for old in files[:-_KEPT]:
            old.unlink()


@one_thread()
def _key(core: Any, owner: nn.Module, settings: dict[str, Any], ranges: Ranges | None) -> str:
    """What a compiled part depends on, as a name of a file."""
    digest = hashlib.sha256()
    for fact in (
        __version__,
        torch.__version__,
        _module("openvino").__version__,
        core.get_property("CPU", "FULL_DEVICE_NAME"),
        core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"),
        sorted(settings.items()),
        sorted((ranges or {}).items()),
        type(owner).__qualname__,
        owner.learned,
        getattr(owner, "config", None),
    ):
        digest.update(repr(fact).encode() + b"\n")
    for data in (*_code(), *_values(owner)):
        digest.update(data)
    return digest.hexdigest()[:32]


def _code() -> Iterator[bytes]:
    """The code of all networks and this one, so no change meets what was compiled before."""
    here = Path(__file__)
    for path in (here, *sorted((here.parents[1] / "architectures").glob("*.py"))):
        yield path.read_bytes()


def _values(owner: nn.Module) -> Iterator[Any]:
    for name, value in owner.state_dict().items():
        yield f"{name} {tuple(value.shape)} {value.dtype}".encode()
        yield value.contiguous().numpy().data
