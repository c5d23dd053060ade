"""What a stage does first: read photographs, and make a network that begins from other weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from enhance_cli.architectures.spec import Architecture
from enhance_cli.data.patches import load_photos
from enhance_cli.engine.checkpoint import build, fit_tensors, load_tensors, read_tensors
from enhance_cli.engine.weight_files import find_weights
from enhance_cli.errors import CheckpointError, DatasetError, UsageError


@dataclass(frozen=True)
class EarlierStage:
    """The weights that an earlier stage of the same recipe has kept.

    Attributes:
        number: Which stage, counted from 1.
    """

    number: int

    def __str__(self) -> str:
        return f"stage {self.number}"


@dataclass(frozen=True)
class NamedModel:
    """The weights of a model of ``MODELS``, from the folders where models are looked for.

    Attributes:
        name: Of the model.
        part: How the names of those tensors begin that are taken; empty for all.
        place: What stands there instead in the network that begins with them.
    """

    name: str
    part: str = ""
    place: str = ""

    def __str__(self) -> str:
        return f"{self.name}, its {self.part.rstrip('.')}" if self.part else self.name

    def rename(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Those tensors that are taken, by their names in the network that begins with them."""
        return {
            self.place + name.removeprefix(self.part): value
            for name, value in tensors.items()
            if name.startswith(self.part)
        }


@dataclass(frozen=True)
class WeightsFile:
    """The weights in a safetensors file."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)


Start = EarlierStage | NamedModel | WeightsFile

_ORIGIN = "the weights to begin with (--init)"


def stage_folder(out: Path, number: int, count: int) -> Path:
    """Where a stage of ``count`` writes: the last one into ``out``, those before it beneath."""
    return out if number == count else out / f"stage-{number}"


def read_start(
    starts: Sequence[Start], out: Path, name: str, count: int
) -> dict[str, Tensor] | None:
    """The tensors that a stage begins with; None for fresh weights.

    Args:
        starts: Where they come from; later ones take the place of earlier ones.
        out: Folder of the run.
        name: Name of the model that is made.
        count: Number of the recipe's stages.

    Raises:
        CheckpointError: If a file is missing or damaged.
    """
    tensors: dict[str, Tensor] = {}
    for start in starts:
        if isinstance(start, EarlierStage):
            path = stage_folder(out, start.number, count) / f"{name}.safetensors"
            if not path.exists():
                raise CheckpointError(
                    f"{path}: {start} has left no weights, train it first (--stage "
                    f"{start.number}) or give others with --init"
                )
        elif isinstance(start, NamedModel):
            found = find_weights(start.name)
            if found is None:
                raise CheckpointError(
                    f"no weights for {start.name!r}, from which {name} begins: train them "
                    f"(enhance train {start.name}) or give others with --init"
                )
            path = found.path
        else:
            path = start.path
        read = read_tensors(path)
        tensors |= start.rename(read) if isinstance(start, NamedModel) else read
    return tensors or None


def load_split(data: Path, validation: Path | None) -> tuple[list[Tensor], list[Tensor]]:
    """The photographs to train on and those to validate on, each uint8 (3, H, W).

    Args:
        data: Folder of photographs to train on.
        validation: Folder of photographs to validate on; None holds out every twentieth.

    Raises:
        DatasetError: If there are too few usable photographs.
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
    architecture: Architecture, config: Any, init: dict[str, Tensor] | None
) -> nn.Module:
    """A fresh network, but for those tensors of ``init`` that fit.

    The kernels of a convolution with fewer input channels fit too: those that are left are zero,
    so that a network which sees more begins as the one that did not.

    Args:
        architecture: Entry of ``ARCHITECTURES``.
        config: Its hyperparameters, an instance of its configuration.
        init: Tensors by name, or None.

    Raises:
        UsageError: If the architecture refuses the configuration.
        CheckpointError: If no tensor of ``init`` fits.
    """
    try:
        network = build(architecture, config)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{config}: {error}") from error
    if init is not None:
        fitting = fit_tensors(network, init)
        load_tensors(network, {**network.state_dict(), **fitting} if fitting else init, _ORIGIN)
    return network
