"""Finds the super-resolution benchmarks on disk and pairs their pictures.

To add a benchmark of this kind, add its line to ``DATASETS``.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from enhance_cli.errors import DatasetError
from enhance_cli.io.image import find_images

_PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Dataset:
    """A set of pictures on which super-resolution is measured.

    Attributes:
        folder: the name of its folder under a data root.
        pictures: the number of its pictures.
        source: where it can be had, for the message that appears when it is missing.
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
    "manga109": Dataset("Manga109", 109, "its authors give it on request (Matsui et al., 2017)"),
    "t91": Dataset("T91", 91, "the training set of Yang et al. (CVPR 2008) serves"),
    "general100": Dataset(
        "General100", 100, "the FSRCNN release (Dong et al., ECCV 2016) holds it"
    ),
    "photos-val": Dataset("photos_val", 16, "any folder of sharp photographs serves"),
}


@dataclass(frozen=True)
class Pair:
    """The files of one test picture.

    Attributes:
        name: the name under which reports list it.
        reference: the high-resolution file (HR), which is the truth.
        source: the low-resolution file (LR); None if it is to be made from the reference.
    """

    name: str
    reference: Path
    source: Path | None


def data_roots(chosen: Path | None, cache: Path) -> list[Path]:
    """The folders in which datasets are looked for, in this order.

    They are the chosen folder alone; or, if none was chosen, the folder that the environment
    variable ``ENHANCE_DATA`` names, the per-user cache and the development data beside the
    project.

    Args:
        chosen: the value of ``--data-root``, or None.
        cache: the per-user cache folder.
    """
    if chosen is not None:
        return [chosen]
    roots = [cache / "data", _PROJECT.parent / "shared" / "data" / "benchmarks"]
    if named := os.environ.get("ENHANCE_DATA"):
        roots = [Path(named), Path(named) / "benchmarks", *roots]
    return roots


def load_pairs(name: str, scale: int, roots: Sequence[Path]) -> list[Pair]:
    """Find the test pictures of a dataset.

    A root holds the dataset as the folder ``Set14`` (or ``set14``). Its pictures are pairs like
    ``x4/NAME_HR.png`` and ``x4/NAME_LR.png``, or the same in ``image_SRF_4``, or HR pictures alone
    in ``HR`` or in the folder itself. Where there is no LR picture, it is later made from the HR
    picture with MATLAB's bicubic.

    Args:
        name: a key of ``DATASETS``.
        scale: the enlargement: how many HR pixels lie along the side of one LR pixel.
        roots: the folders to look in, in this order.

    Raises:
        DatasetError: if no root has the dataset, or an HR picture lacks its LR picture.
    """
    dataset = DATASETS[name]
    for root in roots:
        # The development data have their benchmarks in a folder of their own.
        for folder in (root / dataset.folder, root / name, root.parent / dataset.folder):
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
    """Pair the pictures of two folders by name, so that pictures made elsewhere can be scored.

    A prediction has the name of its reference, or that name with an ending like ``_x4``. The
    ending ``_HR`` of a reference and ``_LR`` before ``_x4`` do not count.

    Returns:
        Pairs in which ``source`` is the prediction.

    Raises:
        DatasetError: if a folder is missing or empty, or a reference has no prediction or more
            than one.
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
