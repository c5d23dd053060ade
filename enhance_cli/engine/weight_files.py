"""Where weights lie, and what is said of them beside them.

Weights are looked for in the folder ``$ENHANCE_WEIGHTS``, then in the project's ``weights/``, in
that of the installed package, and in a cache of the user. ``--weights PATH`` goes before them all.
A folder may hold a ``MANIFEST.toml``, which says where each file comes from and how it scores.
"""

import os
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import platformdirs

from enhance_cli.architectures import MODELS
from enhance_cli.engine.checkpoint import CheckpointInfo, read_checkpoint_info
from enhance_cli.errors import CheckpointError, UnknownNameError
from enhance_cli.io.fetch import has_sha256

_PACKAGE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class FoundWeights:
    """A model's weights on disk, and its entry in the manifest beside them.

    Attributes:
        name: name of the model.
        path: file of the checkpoint.
        entry: what the manifest says of it; empty if it says nothing.
    """

    name: str
    path: Path
    entry: dict[str, Any]

    def matches_manifest(self) -> bool | None:
        """Whether the file has the sha256 of the manifest; None if the manifest states none."""
        if "sha256" not in self.entry:
            return None
        return has_sha256(self.path, str(self.entry["sha256"]))


def weight_folders() -> list[Path]:
    """List the existing folders that may hold weights, in the order of the search.

    Raises:
        CheckpointError: if ``$ENHANCE_WEIGHTS`` is set and is no folder.
    """
    folders = [
        _PACKAGE.parent / "weights",
        _PACKAGE / "weights",
        cache_folder() / "weights",
    ]
    if chosen := os.environ.get("ENHANCE_WEIGHTS"):
        if not Path(chosen).is_dir():
            raise CheckpointError(f"$ENHANCE_WEIGHTS: {chosen} is no folder, mend or unset it")
        folders.insert(0, Path(chosen))
    return [folder for folder in folders if folder.is_dir()]


def import_folder() -> Path:
    """The folder that gets imported weights: ``$ENHANCE_WEIGHTS``, or else a cache of the user.

    Raises:
        CheckpointError: see :func:`weight_folders`.
    """
    return weight_folders()[0] if os.environ.get("ENHANCE_WEIGHTS") else cache_folder() / "weights"


def cache_folder() -> Path:
    """The folder ``$ENHANCE_CACHE``, or else the cache folder that the platform has for users."""
    return Path(os.environ.get("ENHANCE_CACHE") or platformdirs.user_cache_dir("enhance"))


def read_manifest(folder: Path) -> dict[str, dict[str, Any]]:
    """Read the tables of a folder's ``MANIFEST.toml`` by model; without a manifest there are none.

    Raises:
        CheckpointError: if the manifest is not valid TOML.
    """
    path = folder / "MANIFEST.toml"
    if not path.exists():
        return {}
    try:
        return _parse_manifest(path, path.stat().st_mtime_ns)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: not valid TOML ({error}), mend or remove it") from error


@lru_cache(maxsize=8)  # A search asks for it once for each file of weights.
def _parse_manifest(path: Path, _changed: int) -> dict[str, dict[str, Any]]:
    with path.open("rb") as file:
        tables = tomllib.load(file)
    return {name: table for name, table in tables.items() if isinstance(table, dict)}


def find_weights(name: str) -> FoundWeights | None:
    """Find the weights of a model in the first folder that has them."""
    for folder in weight_folders() if Path(name).name == name else ():
        path = folder / f"{name}.safetensors"
        if path.exists():
            return FoundWeights(name, path, read_manifest(folder).get(name, {}))
    return None


def find_file(name: str) -> FoundWeights:
    """Find weights by the name of their model, or a checkpoint file by its path.

    Raises:
        UnknownNameError: if no weights of a name can be found.
    """
    if name.endswith(".safetensors") or "/" in name:
        path = Path(name)
        return FoundWeights(path.stem, path, read_manifest(path.parent).get(path.stem, {}))
    found = find_weights(name)
    if found is None:
        known = {file.name for file in iterate_weights()}
        raise UnknownNameError("weights", name, known or {"(none found)"})
    return found


def find_entry(name: str) -> dict[str, Any]:
    """Find what a manifest says of a model, even if its weights are not there."""
    for folder in weight_folders():
        entry = read_manifest(folder).get(name)
        if entry is not None:
            return entry
    return {}


def iterate_weights() -> Iterator[FoundWeights]:
    """List all weights that can be found, in the order of the models' names."""
    names = {path.stem for folder in weight_folders() for path in folder.glob("*.safetensors")}
    for name in sorted(names):
        found = find_weights(name)
        if found is not None:
            yield found


def family_of(name: str) -> str:
    """The family of a model that is named ``{family}-x{scale}``; empty if it is not."""
    return name.rpartition("-x")[0]


def find_imported(family: str | None = None) -> dict[str, CheckpointInfo]:
    """The checkpoints that can be found by name and are of no model in ``MODELS``.

    Files that cannot be read are left out; ``enhance weights list`` names them.

    Args:
        family: only those whose names are ``{family}-x{scale}``.
    """
    imported = {}
    for found in iterate_weights():
        ours = found.name in MODELS
        if not ours and family in (None, family_of(found.name)):
            with suppress(CheckpointError):
                imported[found.name] = read_checkpoint_info(found.path)
    return imported
