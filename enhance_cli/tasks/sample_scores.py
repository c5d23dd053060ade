"""What the evaluations of generated pictures share: features, and how two sets of pictures compare.

Frechet distance and PRD (dissertation 003, eq. 5.2 and ch. 5.4), and the share of fine detail.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from enhance_cli.engine.catalogue import cache_folder
from enhance_cli.engine.features import FEATURES, FeatureExtractor, extract, load_features
from enhance_cli.errors import CheckpointError
from enhance_cli.levels import to_values
from enhance_cli.metrics.frechet import FeatureStatistics, bias_note, frechet_distance
from enhance_cli.metrics.prd import PrecisionRecall, precision_recall_curve
from enhance_cli.metrics.spectrum import high_frequency_energy
from enhance_cli.talk import Talk
from enhance_cli.tasks.score_report import Curve

PRD_MEASURES = ("f8", "f1_8", "max_precision", "max_recall")
PRD_AXES = ("recall", "precision")
UNIT = (0.0, 1.0)
_AT_ONCE = 50  # pictures: Inception enlarges each to 299x299


@dataclass(frozen=True)
class SampleEvaluationRequest:
    """The options of ``enhance evaluate`` for generative models; see its help."""

    dataset: str
    models: Sequence[str] = ()
    weights: Path | None = None
    features: str | None = None
    count: int | None = None
    seed: int = 0
    study: str | None = None
    data_root: Path | None = None
    csv: Path | None = None
    report: Path | None = None
    device: str = "auto"
    precision: str = "auto"


@dataclass(frozen=True)
class SetScore:
    """How a set of pictures compares with the reference.

    Attributes:
        frechet: distance; its name depends on the features.
        curve: precision and recall.
        detail: power at high frequencies as a multiple of the reference's; None if that has none.
    """

    frechet: float
    curve: PrecisionRecall
    detail: float | None

    def numbers(self) -> dict[str, float | None]:
        """By their names in JSON and CSV."""
        return {"frechet": self.frechet, **prd_numbers(self.curve), "high_frequencies": self.detail}


@dataclass(frozen=True)
class Reference:
    """The set that others are compared with; its features are computed once.

    Attributes:
        extractor: of the features.
        features: (N, D).
        statistics: of ``features``.
        energy: at high frequencies.
        seed: of the clusterings.
    """

    extractor: FeatureExtractor
    features: Tensor
    statistics: FeatureStatistics
    energy: float
    seed: int

    def score(self, pictures: Tensor, advance: Callable[[int], None]) -> SetScore:
        """Compare as many pictures, uint8 (N, C, H, W); ``advance`` is told how many, twice."""
        features = set_features(self.extractor, pictures, advance)
        result = SetScore(
            frechet_distance(FeatureStatistics.from_features(features), self.statistics),
            precision_recall_curve(self.features, features, seed=self.seed),
            high_frequency_energy(to_values(pictures)) / self.energy if self.energy else None,
        )
        advance(len(pictures))
        return result


def make_reference(
    extractor: FeatureExtractor, pictures: Tensor, seed: int, advance: Callable[[int], None]
) -> Reference:
    """The reference of uint8 (N, C, H, W) pictures."""
    features = set_features(extractor, pictures, advance)
    return Reference(
        extractor,
        features,
        FeatureStatistics.from_features(features),
        high_frequency_energy(to_values(pictures)),
        seed,
    )


def set_features(
    extractor: FeatureExtractor, pictures: Tensor, advance: Callable[[int], None]
) -> Tensor:
    """(N, D) features of uint8 (N, C, H, W) pictures."""
    batches = (to_values(part) for part in torch.split(pictures, _AT_ONCE))
    return finite_features(extractor, batches, advance)


def finite_features(
    extractor: FeatureExtractor, batches: Iterable[Tensor], advance: Callable[[int], None]
) -> Tensor:
    """(N, D) features of batches in [0, 1].

    Raises:
        CheckpointError: if one is not finite.
    """
    features = extract(extractor, batches, advance)
    if not torch.isfinite(features).all():
        raise CheckpointError(f"{extractor.path}: gives features that are not finite, get it again")
    return features


def prd_numbers(curve: PrecisionRecall) -> dict[str, float | None]:
    """The summaries of a curve, by their names in JSON and CSV."""
    return {name: getattr(curve, name) for name in PRD_MEASURES}


def prd_curve_of(name: str, curve: PrecisionRecall) -> Curve:
    """For ``draw_curves``, recall to the right and precision upwards (fig. 5.5)."""
    return Curve(name, curve.recall.tolist(), curve.precision.tolist())


def draw_from(pictures: Tensor, count: int, seed: int) -> Tensor:
    """``count`` of the pictures at random: the first of a set may be easier than the rest."""
    order = torch.randperm(len(pictures), generator=torch.Generator().manual_seed(seed))
    return pictures[order[:count]]


def net_roots(roots: Sequence[Path]) -> list[Path]:
    """Roots that may hold ``nets``: the development data's folder of benchmarks and its parent."""
    return list(dict.fromkeys(folder for root in roots for folder in (root, root.parent)))


def choose_features(
    name: str | None, roots: Sequence[Path], device: torch.device, talk: Talk
) -> FeatureExtractor:
    """The features asked for; else the official Inception's if they are here, else SqueezeNet's.

    Raises:
        EnhanceError: as ``load_features``.
    """
    cache, roots = cache_folder(), net_roots(roots)
    folders = [*(root / "nets" for root in roots), cache]
    present = [
        key
        for key in ("inception", "squeezenet")
        if any((folder / FEATURES[key].filename).exists() for folder in folders)
    ]
    if name is None and not present:
        looked = ", ".join(str(folder) for folder in folders)
        raise CheckpointError(
            f"no {FEATURES['squeezenet'].filename} in {looked}: put it there, or choose "
            "--features inception, which is fetched, or a file of weights"
        )
    return load_features(
        name or present[0], roots=roots, cache=cache, device=device, say=talk.console.print
    )


def feature_notes(extractor: FeatureExtractor, count: int) -> list[str]:
    """What must be said beside figures of so many pictures, the smaller set's."""
    scale = (
        "compare figures with published FID only for the same data and number of pictures"
        if extractor.name == "FID"
        else "never compare figures of them with published FID"
    )
    return [
        f"features: {extractor.title} ({extractor.path.name}); {scale}",
        bias_note(count, extractor.dimensions),
    ]


@contextmanager
def picture_bar(title: str, total: int, talk: Talk) -> Iterator[Callable[[int], None]]:
    """A bar; yields what moves it on by a number of pictures."""
    with talk.progress(title, total, "pictures") as bar:
        yield bar.advance


def decimal(value: float | None, decimals: int) -> str:
    """A number for a table."""
    return "" if value is None else f"{value:.{decimals}f}"


def csv_cells(values: Iterable[Any]) -> list[Any]:
    """What is not known is empty."""
    return ["" if value is None else value for value in values]
