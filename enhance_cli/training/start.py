"""What recipes do first: read photographs, make a network, start it from other weights."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from enhance_cli.architectures.spec import Architecture
from enhance_cli.data.patches import load_photos
from enhance_cli.engine.checkpoint import build, load_tensors
from enhance_cli.errors import DatasetError, UsageError


def load_split(data: Path, validation: Path | None) -> tuple[list[Tensor], list[Tensor]]:
    """Photographs to train and to validate on, uint8 (3, H, W).

    Args:
        data: folder of photographs to train on.
        validation: folder of photographs to validate on; None holds out every twentieth.

    Raises:
        DatasetError: if there are too few usable photographs.
    """
    photos = load_photos(data)
    if validation is not None:
        return photos, load_photos(validation)
    held = photos[::20]
    photos = [photo for index, photo in enumerate(photos) if index % 20]
    if not photos:
        raise DatasetError(f"{data}: one photograph is too few to train and validate on")
    return photos, held


def make_network(
    architecture: Architecture, config: dict[str, Any], init: dict[str, Tensor] | None
) -> nn.Module:
    """A network, freshly initialised but for those tensors of ``init`` that fit.

    The kernels of a convolution with fewer input channels fit too: those that are left are zero,
    so that a network which sees more begins as the one that did not.

    Raises:
        UsageError: if the architecture refuses the config.
        CheckpointError: if no tensor of ``init`` fits.
    """
    try:
        network = build(architecture, architecture.config(**config))
    except (TypeError, ValueError) as error:
        raise UsageError(f"config {config}: {error}") from error
    if init is not None:
        own = network.state_dict()
        fitting = {
            k: _widen(v, own[k].shape)
            for k, v in init.items()
            if k in own and _fits(v.shape, own[k].shape)
        }
        load_tensors(network, {**own, **fitting} if fitting else init, "--init")
    return network


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
