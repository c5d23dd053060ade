"""Small low-light networks, which the tests of all of them and of SidFcn share."""

from collections.abc import Callable
from typing import Any

import torch
from tensors import random
from torch import Tensor

from enhance_cli.architectures import ARCHITECTURES, MODELS
from enhance_cli.architectures.pix2pix import Pix2Pix, Pix2PixConfig
from enhance_cli.architectures.sid_fcn import SidFcn, SidFcnConfig
from enhance_cli.architectures.sid_net import SidNet, SidNetConfig
from enhance_cli.engine.checkpoint import build

LOWLIGHT = [
    name for name, spec in MODELS.items() if ARCHITECTURES[spec.architecture].task == "lowlight"
]


def on_meta(name: str) -> Any:
    spec = MODELS[name]
    return build(ARCHITECTURES[spec.architecture], spec.config, "meta").eval()


SMALL: dict[str, Callable[[], Any]] = {
    "sid-net": lambda: SidNet(SidNetConfig(width=2, latent=5)),
    "sid-net-no-skip": lambda: SidNet(SidNetConfig(width=2, latent=5, skips=False)),
    "pix2pix": lambda: Pix2Pix(Pix2PixConfig()),
    "sid-fcn": lambda: SidFcn(SidFcnConfig(width=2, latent=3)),
    "sid-fcn-grey": lambda: SidFcn(SidFcnConfig(width=2, latent=3, colours=1)),
    "sid-fcn-srgb": lambda: SidFcn(SidFcnConfig(width=2, latent=3, source="srgb")),
    "sid-fcn-srgb-grey": lambda: SidFcn(SidFcnConfig(width=2, latent=3, source="srgb", colours=1)),
    "sid-fcn-adaptive": lambda: SidFcn(
        SidFcnConfig(width=2, latent=3, demosaicing="adaptive", refinements=2)
    ),
    "sid-fcn-gradient-corrected-grey": lambda: SidFcn(
        SidFcnConfig(width=2, latent=3, demosaicing="gradient-corrected", colours=1)
    ),
    "sid-fcn-noise": lambda: SidFcn(SidFcnConfig(width=2, latent=3, noise_plane=True)),
    "sid-fcn-srgb-bounded": lambda: SidFcn(
        SidFcnConfig(width=2, latent=3, source="srgb", noise_plane=True, bounded=True)
    ),
    "sid-fcn-adaptive-bounded": lambda: SidFcn(
        SidFcnConfig(
            width=2, latent=3, noise_plane=True, demosaicing="adaptive", refinements=2, bounded=True
        )
    ),
}
# One of each kind: for laws that hold of every network.
FAMILIES = [
    "sid-net",
    "sid-net-no-skip",
    "pix2pix",
    "sid-fcn",
    "sid-fcn-srgb-grey",
    "sid-fcn-noise",
    "sid-fcn-adaptive-bounded",
]


def small(name: str, lively: bool = True) -> Any:
    """A small network in which every layer counts, unless told otherwise."""
    torch.manual_seed(3)
    network = SMALL[name]().eval()
    if lively:
        with torch.no_grad():
            for parameter in network.parameters():
                fan = parameter[0].numel() if parameter.dim() > 1 else 100
                parameter.copy_(torch.randn_like(parameter) * fan**-0.5)
    return network


def an_input(network: Any, count: int = 1, side: int | None = None) -> Tensor:
    contract = network.contract
    side = contract.patch_size or side or 2 * contract.size_multiple
    return random(count, contract.channels_in, side, side)
