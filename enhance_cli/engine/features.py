"""Networks whose features measures of samples compare, found, checked and run.

To add one: its network in ``architectures`` and its entry in ``FEATURES``.
"""

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from enhance_cli.architectures import inception, squeezenet
from enhance_cli.engine.checkpoint import load_tensors, read_tensors
from enhance_cli.engine.device import keep_freed_memory
from enhance_cli.errors import CheckpointError, UnknownNameError
from enhance_cli.io.fetch import fetch, has_sha256
from enhance_cli.metrics.lpips import check_lpips_weights, lpips

# The rule of sizes for SqueezeNet: the shorter side is brought into this range.
SHORTEST, LONGEST = 64, 256
LPIPS_FILE = "lpips_squeeze_v0_1.safetensors"
_FOLDER = "nets"


def as_given(images: Tensor) -> Tensor:
    """No rule of sizes: the network has its own."""
    return images


@dataclass(frozen=True)
class FeatureNetwork:
    """A network that gives features, and where its weights are.

    Attributes:
        title: of the network, for people.
        build: makes it, freshly initialised.
        dimensions: of its features.
        mark: a tensor that its weights hold and no other network's.
        filename: of its weights, in a folder ``nets`` of a data root or in the cache.
        url: where they are published; empty where they are not fetched.
        sha256: of the published file; with it, and only with it, the distance is ``measure``.
        measure: the name that the Frechet distance then has; empty where it has none.
        ignored: prefixes of tensors that the features do not need.
        prepare: what is done to (N, 3, H, W) pictures before the network.
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


def fit_for_squeezenet(images: Tensor) -> Tensor:
    """Bring the shorter side of (N, C, H, W) pictures into 64..256, the other in proportion.

    Bilinear: smaller pictures are enlarged so that the last of SqueezeNet's maps, at 1/16, has
    more than one place; larger ones are reduced, with antialiasing, for their cost.
    """
    height, width = images.shape[2:]
    shorter = min(height, width)
    target = min(max(shorter, SHORTEST), LONGEST)
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
    """Pictures to features.

    Attributes:
        name: of the Frechet distance of these features: ``FID``, for the official weights alone,
            or ``Frechet distance (...)`` with the network.
        title: of the network.
        dimensions: D.
        path: of the weights.
        network: in evaluation mode, on its device.
        prepare: the network's rule of sizes.
        device: where it runs.
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
        """Features of a batch.

        Args:
            images: (N, 1 or 3, H, W) in [0, 1], grey taken as R = G = B; rounded to 8 bits by
                the caller, as files are.

        Returns:
            (N, D) float32 on the CPU.

        Raises:
            ValueError: if the pictures are of another shape.
        """
        prepared = self.prepare(_on(as_rgb(images), self.device))
        features: Tensor = self.network(prepared)
        return features.float().cpu()


def as_rgb(images: Tensor) -> Tensor:
    """(N, 1 or 3, H, W) -> (N, 3, H, W).

    Raises:
        ValueError: if there are other axes or channels.
    """
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise ValueError(f"features need (N, 1 or 3, H, W) pictures, not {tuple(images.shape)}")
    return images.expand(-1, 3, -1, -1)


def _precision(device: torch.device) -> torch.dtype:
    # On CUDA float32 convolutions are rounded to TF32, of 10 bits, by default; no switch for that
    # is the same in all versions of torch.
    return torch.float64 if device.type == "cuda" else torch.float32


def _on(images: Tensor, device: torch.device) -> Tensor:
    # Channels last doubles the speed on a CPU.
    return images.to(device, _precision(device)).contiguous(memory_format=torch.channels_last)


def extract(
    extractor: FeatureExtractor,
    batches: Iterable[Tensor],
    progress: Callable[[int], None] | None = None,
) -> Tensor:
    """Features of pictures that come in batches, of which one is held at a time.

    Args:
        extractor: of ``load_features``.
        batches: (n, 1 or 3, H, W) each, in [0, 1]; sizes may differ from batch to batch.
        progress: told the number of pictures after each batch.

    Returns:
        (N, D) float32 on the CPU; (0, D) without pictures.
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
    """A feature network with its weights.

    A name of ``FEATURES`` is looked for as ``nets/FILE`` in the roots, then in the cache, then
    fetched into it if it is published. A file is known by the names of its tensors.

    Args:
        name_or_path: name, or file of weights (.safetensors, .pth or .pt; of pickles only tensors
            are read).
        roots: folders of data.
        cache: folder for fetched files.
        device: where to run.
        say: told, in a line, before a file is fetched.

    Raises:
        UnknownNameError: if it is neither a name nor looks like a file.
        CheckpointError: if weights are missing, damaged or another network's.
        InputError: if they have to be fetched and cannot be.
        OutputError: if the cache cannot be written.
    """
    name = str(name_or_path)
    if name in FEATURES:
        path = _find(name, roots, cache, say)
        tensors = _read_weights(path)
        entry = FEATURES[name]
    else:
        path = Path(name_or_path)
        if not path.suffix and path.name == name and not path.exists():
            raise UnknownNameError("feature network", name, FEATURES)
        tensors = _read_weights(path)
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


def _find(name: str, roots: Sequence[Path], cache: Path, say: Callable[[str], None] | None) -> Path:
    entry = FEATURES[name]
    for folder in [*(root / _FOLDER for root in roots), cache]:
        path = folder / entry.filename
        if not path.exists():
            continue
        if entry.sha256 and not has_sha256(path, entry.sha256):
            raise CheckpointError(
                f"{path}: not the published weights (its sha256 does not begin with "
                f"{entry.sha256[:8]}), remove it or name another file"
            )
        return path
    if not entry.url:
        looked = ", ".join(str(root / _FOLDER) for root in roots) or "no folder of data"
        raise CheckpointError(
            f"no {entry.filename} in {looked} or {cache}: put it there, or name a file of weights"
        )
    if say is not None:
        say(f"fetching {entry.url}")
    others = [other for other, offered in FEATURES.items() if not offered.url]
    hint = f"use --features {others[0]}" if others else ""
    return fetch(entry.url, cache, entry.filename, entry.sha256, hint=hint)


def _measure(entry: FeatureNetwork, path: Path) -> str:
    if entry.measure and has_sha256(path, entry.sha256):
        return entry.measure
    # A stranger's weights of a published network are named too: the title alone would promise it.
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


def _read_weights(path: Path) -> dict[str, Tensor]:
    if path.suffix not in (".pth", ".pt"):
        return read_tensors(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file of weights")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of protocols: the error below says it all
            stored = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle may raise anything
        raise CheckpointError(
            f"{path}: cannot be read as weights ({type(error).__name__}), get it again"
        ) from error
    if not isinstance(stored, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in stored.items()
    ):
        raise CheckpointError(f"{path}: holds something else than tensors by name, get it again")
    return stored


def _needed(
    tensors: dict[str, Tensor], entry: FeatureNetwork, network: nn.Module
) -> dict[str, Tensor]:
    """Without what features do not need; counters of batches may be there or not."""
    kept = {key: value for key, value in tensors.items() if not key.startswith(entry.ignored)}
    for key, value in network.state_dict().items():
        if key.endswith(".num_batches_tracked"):
            kept.setdefault(key, value)
    return kept


@dataclass(frozen=True)
class PerceptualDistance:
    """LPIPS v0.1 with the SqueezeNet trunk at hand.

    The linear weights are the published ones, the trunk is a Keras port with other preprocessing
    than the one they were learned on: figures are not those of published LPIPS, and ``name`` says
    so.

    Attributes:
        name: of the measure.
        network: trunk, on its device.
        weights: seven of (1, C, 1, 1).
        device: where it runs.
    """

    name: str
    network: squeezenet.SqueezeNet
    weights: tuple[Tensor, ...]
    device: torch.device

    @torch.inference_mode()
    def __call__(self, first: Tensor, second: Tensor) -> Tensor:
        """Distances of pairs.

        Args:
            first, second: (N, 1 or 3, H, W) in [0, 1], of one shape; sized as features are.

        Returns:
            (N,) float32 on the CPU, 0 for equal pictures.

        Raises:
            ValueError: if the shapes differ or are no pictures.
        """
        if first.shape != second.shape:
            raise ValueError(
                f"pictures of one shape are compared, not {tuple(first.shape)} "
                f"and {tuple(second.shape)}"
            )
        maps = [
            self.network.maps(fit_for_squeezenet(_on(as_rgb(part), self.device)))
            for part in (first, second)
        ]
        return lpips(maps[0], maps[1], self.weights).float().cpu()


def load_perceptual_distance(
    *, roots: Sequence[Path], cache: Path, device: torch.device
) -> PerceptualDistance:
    """The trunk of ``squeezenet`` and the linear weights beside it.

    Raises:
        CheckpointError: if a file is missing, damaged or something else.
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
