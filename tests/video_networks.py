"""Small video networks and frames for the tests of chapter 3."""

from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from enhance_cli.architectures.data_consistency import DataConsistency
from enhance_cli.architectures.data_consistent import (
    DataConsistentFrvsr,
    DataConsistentFrvsrConfig,
    DataConsistentSisr,
    DataConsistentSisrConfig,
)
from enhance_cli.architectures.flow_net import FlowConfig
from enhance_cli.architectures.frvsr import Frvsr, FrvsrConfig, Sisr, VideoNetwork, Vsr
from enhance_cli.architectures.srnet import SisrConfig

KINDS: dict[str, tuple[type[VideoNetwork], type[SisrConfig]]] = {
    "frvsr": (Frvsr, FrvsrConfig),
    "sisr": (Sisr, SisrConfig),
    "vsr": (Vsr, FrvsrConfig),
    "frvsr-dc": (DataConsistentFrvsr, DataConsistentFrvsrConfig),
    "sisr-dc": (DataConsistentSisr, DataConsistentSisrConfig),
}
SIZES = [(1, 1), (1, 5), (7, 13), (17, 3)]
_PARTS = {"flow": FlowConfig, "data_consistency": DataConsistency}


def make_config(kind: str, **settings: Any) -> SisrConfig:
    """A small configuration; settings of its parts are given by their own names."""
    config = KINDS[kind][1]
    own = {field.name for field in fields(config)}
    chosen: dict[str, Any] = {"channels": 4, "blocks": 1}
    for part, made in _PARTS.items():
        names = [field.name for field in fields(made) if field.name in settings]
        values = {name: settings.pop(name) for name in names}
        if part in own:
            chosen[part] = made(**values)
    return config(**(chosen | settings))


def make_network(kind: str = "frvsr", *, lively: bool = False, **settings: Any) -> VideoNetwork:
    """A small network; ``lively`` undoes the damping at the start, so that every layer counts."""
    torch.manual_seed(0)
    network = KINDS[kind][0](make_config(kind, **settings))
    if lively:
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                size = 0.2
                if name.startswith("fnet"):  # keep the size of what goes in, up to tanh
                    size = 1.6 / parameter[0].numel() ** 0.5 if parameter.ndim > 1 else 0.05
                parameter.copy_(torch.randn_like(parameter) * size)
    return network.eval()


def random(*shape: int, seed: int = 0) -> Tensor:
    """Uniform in [0, 1], the same for the same seed."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def smooth(
    height: int, width: int, *, left: float = 0, top: float = 0, length: float = 7
) -> Tensor:
    """A picture (1, 3, H, W) of slow waves, seen from ``left``, ``top``: shifts are exact."""
    x, y = torch.arange(width) + left, torch.arange(height)[:, None] + top
    return torch.stack(
        [
            0.5
            + 0.2 * torch.sin(x / length + colour)
            + 0.2 * torch.cos(y / (1.3 * length) - colour)
            for colour in range(3)
        ]
    )[None]


def constant_flow(height: int, width: int, x: float, y: float) -> Tensor:
    """(1, 2, h, w): the same displacement everywhere."""
    return torch.tensor([x, y], dtype=torch.float32).view(1, 2, 1, 1).expand(1, 2, height, width)
