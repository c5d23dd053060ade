"""Networks of the package ``spandrel``, which an extra of ``enhance`` installs.

spandrel reads the hyperparameters of some forty architectures from the names and shapes of their
tensors, and builds the network. So these names and shapes are all that a checkpoint says of it, and
its tensors keep the names that they had.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from enhance_cli.architectures.spec import Architecture, Contract
from enhance_cli.errors import CheckpointError

INSTALL = "pip install 'enhance-cli[spandrel]'"


@dataclass(frozen=True)
class AdaptedConfig:
    """What spandrel is told of a network.

    Attributes:
        network: spandrel's name of the architecture, such as ``SwinIR``.
        scale: enlargement along each axis.
        tensors: shapes by the names that the tensors have in the original file.
    """

    network: str
    scale: int
    tensors: Mapping[str, list[int]]


class AdaptedNetwork(nn.Module):
    """A network that spandrel builds, run as spandrel runs it.

    How far its layers see is not known, so that tiles overlap and are blended; where spandrel says
    that the network must see the whole picture, it does.

    Raises:
        CheckpointError: if spandrel is not installed, or does not import.
        ValueError: if spandrel builds no such network.
    """

    def __init__(self, config: AdaptedConfig) -> None:
        super().__init__()
        self.config = config
        device = torch.empty(0).device
        with torch.device("cpu"):  # Some networks compute constants, which ``meta`` cannot.
            self._build({name: torch.zeros(shape) for name, shape in config.tensors.items()})
        self.to(device)

    def _build(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = {
            name: value.float() if value.is_floating_point() else value
            for name, value in tensors.items()
        }
        self._descriptor = _describe(self.config.network, self._tensors)
        self.model: nn.Module = self._descriptor.model.eval()
        needed = self._descriptor.size_requirements
        whole = self._descriptor.tiling.name == "INTERNAL" or needed.square
        self.contract = Contract(
            scale=self._descriptor.scale,
            size_multiple=needed.multiple_of,
            tiling="forbidden" if whole else "blended",
        )
        if self.contract.scale != self.config.scale:
            raise ValueError(f"x{self.contract.scale}, not x{self.config.scale}")

    def state_dict(self, *_args: Any, **_kwargs: Any) -> Any:
        """The tensors under the names of the original file."""
        return self._tensors

    def load_state_dict(self, state_dict: Mapping[str, Any], *_: Any, **_kwargs: Any) -> Any:
        """Build the network anew from tensors under the names of the original file."""
        self._build(state_dict)

    def to(self, *args: Any, memory_format: Any = None, **kwargs: Any) -> "AdaptedNetwork":
        """Move to a device. The order in memory stays, since some networks rely on it."""
        return super().to(*args, **kwargs)

    def forward(self, frame_lr: Tensor) -> Tensor:
        """Enlarge (N, 3, H, W) sRGB in [0, 1] to (N, 3, scale * H, scale * W) in [0, 1]."""
        kind = frame_lr.device.type
        if not torch.amp.is_autocast_available(kind) or self._takes_autocast(kind):
            frame_hr: Tensor = self._descriptor(frame_lr.contiguous())
        else:
            with torch.autocast(kind, enabled=False):
                frame_hr = self._descriptor(frame_lr.contiguous())
        return frame_hr

    def _takes_autocast(self, kind: str) -> bool:
        """Whether the network bears the precision in which a kind of device runs."""
        able = {
            torch.float16: self._descriptor.supports_half,
            torch.bfloat16: self._descriptor.supports_bfloat16,
        }
        return bool(able.get(torch.get_autocast_dtype(kind)))


def find_adapted(tensors: Mapping[str, Tensor]) -> AdaptedConfig | None:
    """What spandrel makes of the tensors of a file, or None if it knows no such network.

    Raises:
        CheckpointError: if spandrel is not installed, or does not import; if the network is none
            that turns a picture in RGB into another one.
    """
    known = _spandrel().MAIN_REGISTRY.architectures("detection")
    name = next((arch.architecture.id for arch in known if arch.detect(tensors)), None)
    if name is None:
        return None
    try:
        descriptor = _describe(str(name), tensors)
    except ValueError:
        return None
    shapes = {key: list(value.shape) for key, value in tensors.items()}
    return AdaptedConfig(str(name), descriptor.scale, shapes)


def _describe(name: str, tensors: Mapping[str, Tensor]) -> Any:
    """spandrel's descriptor of a network with its weights.

    Raises:
        CheckpointError: as ``find_adapted``.
        ValueError: if spandrel knows no such network, or cannot build it of these tensors.
    """
    spandrel = _spandrel()
    found = spandrel.MAIN_REGISTRY.get(name)
    if found is None:
        raise ValueError(f"spandrel {spandrel.__version__} knows no {name!r}")
    try:
        descriptor = found.architecture.load(dict(tensors))
    except Exception as error:  # It finds out by indexing, dividing and building.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"spandrel builds no {name} of these tensors: {reason}") from error
    planes = (descriptor.input_channels, descriptor.output_channels)
    if not isinstance(descriptor, spandrel.ImageModelDescriptor) or planes != (3, 3):
        raise CheckpointError(
            f"{name}: {descriptor.purpose} with {planes[0]} planes in and {planes[1]} out; "
            "enhance runs networks that make of a picture in RGB another one"
        )
    return descriptor


def _spandrel() -> Any:
    try:
        return importlib.import_module("spandrel")
    except ModuleNotFoundError as error:
        if error.name != "spandrel":
            raise CheckpointError(f"spandrel lacks {error.name}: {INSTALL}") from error
        raise CheckpointError(f"the package spandrel is not installed: {INSTALL}") from error
    except Exception as error:  # torchvision fails by itself where it is not made for this torch
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(
            f"the package spandrel does not import ({reason}): install the torchvision that is "
            f"made for torch {torch.__version__}"
        ) from error


ADAPTED = Architecture(
    name="spandrel",
    task="superres",
    config=AdaptedConfig,
    build=AdaptedNetwork,
    source="the package spandrel (MIT), which names the paper and the licence of each network",
)
