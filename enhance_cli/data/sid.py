"""The SID dataset's files: Chen et al., Learning to See in the Dark, CVPR 2018."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from enhance_cli.errors import DatasetError
from enhance_cli.io.exposure import read_exposure

Split = Literal["train", "val", "test"]

RATIO_LIMIT = 300.0  # Chen et al. take 10 s over 0.033 s for 300
_DIGIT = {"train": "0", "test": "1", "val": "2"}  # the first of a scene's five
_LINE = re.compile(r"(?P<short>\S+)\s+(?P<long>\S+)\s+ISO(?P<iso>\d+)\b.*")
_NAME = re.compile(r"(?P<scene>\d{5})_.*_(?P<seconds>\d+(\.\d+)?)s")


@dataclass(frozen=True)
class SidPair:
    """Two exposures of a scene of the SID dataset.

    Attributes:
        short: RAW file of the short exposure.
        long: RAW file of the long exposure.
        ratio: The long exposure's time over the short one's, at most 300.
        iso: ISO of the short exposure; None where neither list nor file tells it.
    """

    short: Path
    long: Path
    ratio: float
    iso: float | None


def load_sid_pairs(root: Path, split: Split) -> list[SidPair]:
    """The Sony pairs of the SID dataset.

    They are read from ``Sony_{split}_list.txt``. Where that is missing, the names of the files in
    ``Sony/short`` and ``Sony/long`` tell: they begin with five digits of the scene, the first of
    which stands for the split, and end with the seconds of the exposure.

    Args:
        root: The folder with ``Sony`` and the lists in it.
        split: Which of the authors' splits is wanted.

    Raises:
        DatasetError: If a line or name is not understood, or a file of a pair is missing.
    """
    listing = root / f"Sony_{split}_list.txt"
    pairs = list(_listed_pairs(listing) if listing.is_file() else _named_pairs(root, split))
    missing = [path for pair in pairs for path in (pair.short, pair.long) if not path.is_file()]
    if missing:
        more = f" and {len(missing) - 1} more files are" if len(missing) > 1 else " is"
        raise DatasetError(
            f"{missing[0]}{more} missing: complete the dataset, or cut "
            f"{listing.name} down to what is there"
        )
    if not pairs:
        raise DatasetError(
            f"{root}: no pairs for {split} here, put Sony/short, Sony/long and {listing.name} there"
        )
    return pairs


def _listed_pairs(listing: Path) -> Iterator[SidPair]:
    lines = listing.read_text(encoding="utf-8", errors="replace").splitlines()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        found = _LINE.fullmatch(line.strip())
        if found is None:
            raise DatasetError(
                f"{listing}:{number}: not understood, lines are like "
                "./Sony/short/10003_00_0.04s.ARW ./Sony/long/10003_00_10s.ARW "
                "ISO200 F9"
            )
        short, long = (listing.parent / found[key] for key in ("short", "long"))
        yield SidPair(short, long, _ratio(short, long), float(found["iso"]))


def _named_pairs(root: Path, split: Split) -> Iterator[SidPair]:
    def files(kind: str) -> list[Path]:
        found = sorted((root / "Sony" / kind).glob("*.ARW"))
        return [path for path in found if path.name.startswith(_DIGIT[split])]

    longs: dict[str, Path] = {}
    for path in files("long"):
        longs.setdefault(_match_name(path)["scene"], path)
    for short in files("short"):
        long = longs.get(_match_name(short)["scene"])
        if long is None:
            raise DatasetError(f"{short}: no long exposure of this scene in {root / 'Sony/long'}")
        yield SidPair(short, long, _ratio(short, long), read_exposure(short).iso)


def _match_name(path: Path) -> re.Match[str]:
    found = _NAME.fullmatch(path.stem)
    if found is None or float(found["seconds"]) <= 0:
        raise DatasetError(f"{path}: not a name of the SID dataset like 10003_00_0.04s.ARW")
    return found


def _ratio(short: Path, long: Path) -> float:
    ratio = float(_match_name(long)["seconds"]) / float(_match_name(short)["seconds"])
    return round(min(ratio, RATIO_LIMIT), 6)
