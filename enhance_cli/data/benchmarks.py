"""Benchmark datasets on disk. To add one: its line in ``DATASETS``."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from enhance_cli.errors import DatasetError
from enhance_cli.io.image import find_images

_PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Dataset:
    """A super-resolution benchmark.

    Attributes:
        folder: its folder's name under a data root.
        pictures: how many it has.
        source: where to get it, for the message when it is absent.
    """

    folder: str
    pictures: int
    source: str


_SELFEXSR = "the SelfExSR release (Huang et al., CVPR 2015) holds it"

DATASETS: dict[str, Dataset] = {
    "set5": Dataset("Set5", 5, _SELFEXSR),
    "set14": Dataset("Set14", 14, _SELFEXSR),
    "bsd100": Dataset("BSD100", 100, _SELFEXSR),
    "urban100": Dataset("Urban100", 100, _SELFEXSR),
}


@dataclass(frozen=True)
class Pair:
    """One test picture.

    Attributes:
        name: for reports.
        reference: the HR file.
        source: the LR file; None to make it from the reference.
    """

    name: str
    reference: Path
    source: Path | None


def data_roots(chosen: Path | None, cache: Path) -> list[Path]:
    """Folders to look for datasets in: the one chosen alone, or environment, cache, development.

    Args:
        chosen: ``--data-root``.
        cache: the per-user cache folder.
    """
    if chosen is not None:
        return [chosen]
    roots = [cache / "data", _PROJECT.parent / "shared" / "data" / "benchmarks"]
    if named := os.environ.get("ENHANCE_DATA"):
        roots = [Path(named), Path(named) / "benchmarks", *roots]
    return roots


def load_pairs(name: str, scale: int, roots: Sequence[Path]) -> list[Pair]:
    """The test pictures of a dataset.

    Under ``ROOT/Set14`` (or ``set14``): ``x4/NAME_HR.png`` with ``x4/NAME_LR.png``, the same in
    ``image_SRF_4``, or HR pictures alone, in ``HR`` or directly; LR is then made from them with
    the MATLAB bicubic.

    Args:
        name: key of ``DATASETS``.
        scale: HR pixels per LR pixel.
        roots: folders to look in, in this order.

    Raises:
        DatasetError: if no root has it, or a picture lacks its LR.
    """
    dataset = DATASETS[name]
    for root in roots:
        for folder in (root / dataset.folder, root / name):
            for layout in (f"x{scale}", f"image_SRF_{scale}", "HR", "."):
                pairs = _pairs_in(folder / layout)
                if pairs:
                    return pairs
    raise DatasetError(
        f"dataset {name!r} (x{scale}) is not in {', '.join(str(root) for root in roots)}: "
        f"put {dataset.folder}/x{scale}/NAME_HR.png and NAME_LR.png there or name its folder "
        f"with --data-root; {dataset.source}"
    )


def _pairs_in(folder: Path) -> list[Pair]:
    if not folder.is_dir():
        return []
    pictures = find_images(folder)
    marked = [path for path in pictures if path.stem.endswith("_HR")]
    pairs = []
    for path in marked:
        source = path.with_name(f"{path.stem.removesuffix('_HR')}_LR{path.suffix}")
        if not source.exists():
            raise DatasetError(f"{path}: its LR picture {source.name} is missing beside it")
        pairs.append(Pair(path.stem.removesuffix("_HR"), path, source))
    return pairs or [Pair(path.stem, path, None) for path in pictures]


def match_folders(predictions: Path, references: Path) -> list[Pair]:
    """Pair the pictures of two folders by name, for scoring pictures made elsewhere.

    A prediction may carry an ending like ``_x4`` behind the reference's stem; endings ``_HR``
    of a reference and ``_LR`` before ``_x4`` are overlooked.

    Returns:
        Pairs whose ``source`` is the prediction.

    Raises:
        DatasetError: if a folder is missing or empty, or a reference has no prediction.
    """
    for folder in (predictions, references):
        if not folder.is_dir():
            raise DatasetError(f"{folder}: no such folder")
    found = find_images(predictions)
    pairs: dict[Path, Pair] = {}
    for path in find_images(references):
        if path.stem.endswith("_LR"):
            continue
        matches = [other for other in found if other.stem == path.stem] or [
            other for other in found if _plain_stem(other) == _plain_stem(path)
        ]
        if not matches:
            raise DatasetError(f"{path}: no picture of this name in {predictions}")
        if len(matches) > 1 or matches[0] in pairs:
            names = ", ".join(sorted({*(m.name for m in matches), path.name}))
            raise DatasetError(
                f"{path}: which picture belongs to which is unclear ({names}), "
                "give both folders the same names"
            )
        pairs[matches[0]] = Pair(path.stem.removesuffix("_HR"), path, matches[0])
    if not pairs:
        raise DatasetError(f"{references}: no pictures in this folder")
    return list(pairs.values())


def _plain_stem(path: Path) -> str:
    stem = path.stem
    head, mark, digits = stem.rpartition("_x")
    if mark and digits.isdigit():
        stem = head
    for ending in ("_HR", "_LR"):
        stem = stem.removesuffix(ending)
    return stem
