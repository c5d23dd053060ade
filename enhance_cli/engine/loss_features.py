"""The networks whose features losses compare: finding and loading them.

Their weights are not part of the project. A user names the file of VGG-19, or puts the files into
a folder ``nets`` of the data.
"""

from collections.abc import Sequence
from pathlib import Path

import torch

from enhance_cli.architectures.vgg import Vgg19
from enhance_cli.engine.checkpoint import load_tensors, read_tensors
from enhance_cli.engine.features import (
    PerceptualDistance,
    find_network_file,
    load_perceptual_distance,
)

VGG_FILE = "vgg19_normalised_to_conv3_1.safetensors"


def load_loss_features(
    path: Path | None, *, roots: Sequence[Path], cache: Path, device: torch.device
) -> Vgg19:
    """Load the layers of VGG-19, whose parameters are not to be trained.

    Args:
        path: A safetensors file with the tensors of ``Vgg19``; None looks for ``VGG_FILE``.
        roots: Folders of data, in whose ``nets`` it may lie.
        cache: Folder in which it may lie too.
        device: Where to run the network.

    Raises:
        CheckpointError: If the file is missing, damaged or holds something else.
    """
    found = path or find_network_file(VGG_FILE, roots, cache)
    network = Vgg19()
    load_tensors(network, read_tensors(found), str(found))
    network.eval().requires_grad_(False)
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def load_loss_distance(
    *, roots: Sequence[Path], cache: Path, device: torch.device
) -> PerceptualDistance:
    """Load LPIPS as a loss, in the precision of training.

    Args:
        roots: Folders of data, in whose ``nets`` its files may lie.
        cache: Folder in which they may lie too.
        device: Where to run the network.

    Raises:
        CheckpointError: If a file is missing, damaged or holds something else.
    """
    distance = load_perceptual_distance(roots=roots, cache=cache, device=device)
    distance.network.float()
    return distance
