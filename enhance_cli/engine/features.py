"""The networks whose features the measures of samples compare: finding, checking and running them.

To add one, write its network in ``architectures`` and give it an entry in ``FEATURES``.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from enhance_cli.architectures import inception, squeezenet
from enhance_cli.engine.checkpoint import load_tensors, read_tensors
from enhance_cli.engine.device import keep_freed_memory
from enhance_cli.engine.foreign import read_foreign
from enhance_cli.errors import CheckpointError, UnknownNameError
from enhance_cli.io.fetch import fetch, has_sha256
from enhance_cli.metrics.lpips import check_lpips_weights, lpips

# Pictures for SqueezeNet are resized so that their shorter side is in this range.
SHORTEST, LONGEST = 64, 256
LPIPS_FILE = "lpips_squeeze_v0_1.safetensors"
_FOLDER = "nets"


def as_given(images: Tensor) -> Tensor:
    """Leave the size of pictures alone, for a network that resizes them itself."""
    return images


@dataclass(frozen=True)
class FeatureNetwork:
    """A network that gives features, and where its weights are.

    Attributes:
        title: name of the network for people.
        build: makes the network, freshly initialised.
        dimensions: how many features a picture has.
        mark: name of a tensor that only this network's weights hold.
        filename: name of the weights, in a folder ``nets`` of a data root or in the cache.
        url: address of the published weights; empty if they are not fetched.
        sha256: digest of the published file, by which it is recognised.
        measure: name of the Frechet distance with the published file; empty if it has none.
        ignored: prefixes of the tensors that the features do not need.
        prepare: resizes pictures (N, 3, H, W) for the network.
    """

    title: str
    build: Callable[[], nn.Module]
    dimensions: int
    mark: str
    filename: str
    url: str = ""
    sha256: str = ""
    measure: str = ""
    ignored: tuple[str, ...] = ()
    prepare: Callable[[Tensor], Tensor] = as_given


def fit_for_squeezenet(images: Tensor, longest: float = LONGEST) -> Tensor:
    """Resize pictures (N, C, H, W) bilinearly, so that the shorter side is from 64 to ``longest``.

    Smaller pictures are enlarged, since the last map of SqueezeNet, at 1/16, must have more than
    one place. Larger ones are reduced, with antialiasing, because they take long.
    """
    height, width = images.shape[2:]
    shorter = min(height, width)
    target = min(max(shorter, SHORTEST), longest)
    if target == shorter:
        return images
    size = [round(side * target / shorter) for side in (height, width)]
    return functional.interpolate(
        images, size, mode="bilinear", align_corners=False, antialias=target < shorter
    )


FEATURES: dict[str, FeatureNetwork] = {
    "inception": FeatureNetwork(
        title="Inception-v3",
        build=inception.FidInception,
        dimensions=inception.DIMENSIONS,
        mark="Conv2d_1a_3x3.conv.weight",
        filename="pt_inception-2015-12-05-6726825d.pth",
        url="https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
        "pt_inception-2015-12-05-6726825d.pth",
        sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        measure="FID",
        ignored=("fc.",),
    ),
    "squeezenet": FeatureNetwork(
        title="SqueezeNet 1.1",
        build=squeezenet.SqueezeNet,
        dimensions=squeezenet.DIMENSIONS,
        mark="fire2.squeeze1x1.weight",
        filename="squeezenet_1_1_features.safetensors",
        prepare=fit_for_squeezenet,
    ),
}


@dataclass(frozen=True)
class FeatureExtractor:
    """A network with weights that turns pictures into features.

    Attributes:
        name: name of the Frechet distance of these features. It is ``FID`` for the official
            weights alone, and ``Frechet distance (...)`` with the name of the network for others.
        title: name of the network for people.
        dimensions: how many features a picture has.
        path: file of the weights.
        network: the network in evaluation mode, on its device.
        prepare: resizes pictures for the network.
        device: where the network runs.
    """

    name: str
    title: str
    dimensions: int
    path: Path
    network: nn.Module
    prepare: Callable[[Tensor], Tensor]
    device: torch.device

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        """Compute the features of a batch of pictures.

        Args:
            images: (N, 1 or 3, H, W) in [0, 1], where grey means R = G = B. The caller rounds
                them to 8 bits, as files are.

        Returns:
            (N, dimensions) float32 on the CPU.

        Raises:
            ValueError: if the pictures have another shape.
        """
        prepared = self.prepare(_on(as_rgb(images), self.device))
        features: Tensor = self.network(prepared)
        return features.float().cpu()


def as_rgb(images: Tensor) -> Tensor:
    """Repeat grey pictures (N, 1, H, W) as RGB; those with three channels stay as they are.

    Raises:
        ValueError: if there are other axes or channels.
    """
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise ValueError(f"features need (N, 1 or 3, H, W) pictures, not {tuple(images.shape)}")
    return images.expand(-1, 3, -1, -1)


def _precision(device: torch.device) -> torch.dtype:
    # On CUDA the inputs of float32 convolutions are rounded to TF32, of 10 bits, by default, and
    # the switch for that is not the same in all versions of torch.
    return torch.float64 if device.type == "cuda" else torch.float32


def _on(images: Tensor, device: torch.device) -> Tensor:
    # With the channels last in memory a CPU is twice as fast.
    return images.to(device, _precision(device)).contiguous(memory_format=torch.channels_last)


def extract(
    extractor: FeatureExtractor,
    batches: Iterable[Tensor],
    progress: Callable[[int], None] | None = None,
) -> Tensor:
    """Compute the features of pictures that come in batches, holding one batch at a time.

    Args:
        extractor: see ``load_features``.
        batches: pictures (n, 1 or 3, H, W) in [0, 1], whose sizes may differ between batches.
        progress: called after each batch with the number of its pictures.

    Returns:
        (N, dimensions) float32 on the CPU; N is 0 if there are no pictures.
    """
    parts = []
    for batch in batches:
        parts.append(extractor(batch))
        if progress is not None:
            progress(len(batch))
    return torch.cat(parts) if parts else torch.empty(0, extractor.dimensions)


def load_features(
    name_or_path: str | Path,
    *,
    roots: Sequence[Path],
    cache: Path,
    device: torch.device,
    say: Callable[[str], None] | None = None,
) -> FeatureExtractor:
    """Load a feature network with its weights.

    The weights of a name in ``FEATURES`` are looked for as ``nets/FILE`` in the roots and then in
    the cache. If they are in neither and are published, they are fetched into the cache. The
    network of a file is recognised by the names of its tensors.

    Args:
        name_or_path: a name, or a file of weights (.safetensors, .pth or .pt). Only tensors are
            read from pickles.
        roots: folders of data.
        cache: folder for files that were fetched.
        device: where to run the network.
        say: called with one line before a file is fetched.

    Raises:
        UnknownNameError: if it is no name and does not look like a file.
        CheckpointError: if the weights are missing, damaged, or of another network.
        InputError: if they have to be fetched and cannot be.
        OutputError: if the cache cannot be written.
    """
    name = str(name_or_path)
    if name in FEATURES:
        path = _find(name, roots, cache, say)
        tensors = read_foreign(path)
        entry = FEATURES[name]
    else:
        path = Path(name_or_path)
        if not path.suffix and path.name == name and not path.exists():
            raise UnknownNameError("feature network", name, FEATURES)
        tensors = read_foreign(path)
        entry = _recognise(path, tensors)
    network = entry.build()
    load_tensors(network, _needed(tensors, entry, network), str(path))
    if device.type == "cpu":
        keep_freed_memory()
    network.eval().requires_grad_(False)
    network.to(device, _precision(device), memory_format=torch.channels_last)  # type: ignore[call-overload]
    return FeatureExtractor(
        _measure(entry, path), entry.title, entry.dimensions, path, network, entry.prepare, device
    )


def find_network_file(filename: str, roots: Sequence[Path], cache: Path) -> Path:
    """Find the weights of a network in a folder ``nets`` of the data roots, or in the cache.

    Raises:
        CheckpointError: if no folder has them.
    """
    path = _look_for(filename, roots, cache)
    if path is None:
        looked = ", ".join(str(root / _FOLDER) for root in roots) or "no folder of data"
        raise CheckpointError(
            f"no {filename} in {looked} or {cache}: put it there, or name a file of weights"
        )
    return path


def _look_for(filename: str, roots: Sequence[Path], cache: Path) -> Path | None:
    folders = [*(root / _FOLDER for root in roots), cache]
    return next((folder / filename for folder in folders if (folder / filename).exists()), None)


def _find(name: str, roots: Sequence[Path], cache: Path, say: Callable[[str], None] | None) -> Path:
    entry = FEATURES[name]
    if not entry.url:
        return find_network_file(entry.filename, roots, cache)
    path = _look_for(entry.filename, roots, cache)
    if path is not None:
        if not has_sha256(path, entry.sha256):
            raise CheckpointError(
                f"{path}: not the published weights (its sha256 does not begin with "
                f"{entry.sha256[:8]}), remove it or name another file"
            )
        return path
    if say is not None:
        say(f"fetching {entry.url}")
    others = [other for other, offered in FEATURES.items() if not offered.url]
    hint = f"use --features {others[0]}" if others else ""
    return fetch(entry.url, cache, entry.filename, entry.sha256, hint=hint)


def _measure(entry: FeatureNetwork, path: Path) -> str:
    if entry.measure and has_sha256(path, entry.sha256):
        return entry.measure
    # Other weights of a published network are named too, since its title alone would suggest FID.
    weights = f" of {path.name}" if entry.measure else ""
    return f"Frechet distance ({entry.title}{weights})"


def _recognise(path: Path, tensors: dict[str, Tensor]) -> FeatureNetwork:
    for entry in FEATURES.values():
        if entry.mark in tensors:
            return entry
    known = " or ".join(entry.title for entry in FEATURES.values())
    raise CheckpointError(
        f"{path}: holds no weights of {known}, name another file or one of {', '.join(FEATURES)}"
    )


def _needed(
    tensors: dict[str, Tensor], entry: FeatureNetwork, network: nn.Module
) -> dict[str, Tensor]:
    """Leave out tensors that features do not need; counters of batches may be there or not."""
    kept = {key: value for key, value in tensors.items() if not key.startswith(entry.ignored)}
    for key, value in network.state_dict().items():
        if key.endswith(".num_batches_tracked"):
            kept.setdefault(key, value)
    return kept


@dataclass(frozen=True)
class PerceptualDistance:
    """LPIPS v0.1 on the maps of the SqueezeNet that ``FEATURES`` has.

    The linear weights are the published ones. They were learned on another port of the network,
    with other preprocessing, so figures cannot be compared with published ones, and ``name`` says
    so.

    Attributes:
        name: name of the measure.
        network: the network that gives the maps, on its device.
        weights: seven tensors (1, C, 1, 1), one for each map.
        device: where the network runs.
    """

    name: str
    network: squeezenet.SqueezeNet
    weights: tuple[Tensor, ...]
    device: torch.device

    def compare(self, first: Tensor, second: Tensor) -> Tensor:
        """Compute the distances of pairs of pictures, with gradients where pictures have them.

        Args:
            first, second: (N, 1 or 3, H, W) in [0, 1] on the network's device, both of one shape.
                They are compared at their own size; only those with a side below 64 pixels are
                enlarged.

        Returns:
            (N,) float32; 0 for equal pictures.

        Raises:
            ValueError: if the shapes differ, or are not those of pictures.
        """
        if first.shape != second.shape:
            raise ValueError(
                f"pictures of one shape are compared, not {tuple(first.shape)} "
                f"and {tuple(second.shape)}"
            )
        of_first, of_second = (
            [layer.float() for layer in self.network.maps(fitted)]
            for fitted in (
                fit_for_squeezenet(as_rgb(part), longest=math.inf) for part in (first, second)
            )
        )
        return lpips(of_first, of_second, self.weights)

    @torch.inference_mode()
    def __call__(self, first: Tensor, second: Tensor) -> Tensor:
        """Compare pictures on any device; the distances are on the CPU, without gradients."""
        return self.compare(_on(first, self.device), _on(second, self.device)).cpu()


def load_perceptual_distance(
    *, roots: Sequence[Path], cache: Path, device: torch.device
) -> PerceptualDistance:
    """Load the network ``squeezenet`` and the linear weights that lie beside its own.

    Raises:
        CheckpointError: if a file is missing, damaged, or holds something else.
    """
    extractor = load_features("squeezenet", roots=roots, cache=cache, device=device)
    path = extractor.path.parent / LPIPS_FILE
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file, put the weights of LPIPS v0.1 there")
    tensors = read_tensors(path)
    names = [f"lin{layer}.weight" for layer in range(len(squeezenet.MAP_CHANNELS))]
    try:
        if sorted(tensors) != names:
            raise ValueError(f"it holds {', '.join(sorted(tensors)[:8])}")
        weights = tuple(tensors[name].float().to(device) for name in names)
        check_lpips_weights(weights, squeezenet.MAP_CHANNELS)
    except ValueError as error:
        raise CheckpointError(
            f"{path}: no weights of LPIPS for SqueezeNet ({error}), get it again"
        ) from error
    assert isinstance(extractor.network, squeezenet.SqueezeNet)
    return PerceptualDistance(
        f"LPIPS v0.1 ({extractor.title}, Keras port)", extractor.network, weights, device
    )
