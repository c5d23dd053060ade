"""How two sets of pictures compare: Frechet distance, and precision and recall (PRD).

Dissertation 003, eq. 5.2 and ch. 5.4.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from enhance_cli.engine.device import choose_device
from enhance_cli.engine.features import FEATURES, FeatureExtractor, extract, load_features
from enhance_cli.engine.weight_files import cache_folder
from enhance_cli.errors import CheckpointError, DatasetError, UsageError
from enhance_cli.evaluation.case import Advance
from enhance_cli.evaluation.figures import Curve, draw_curves
from enhance_cli.evaluation.models import net_roots
from enhance_cli.evaluation.request import EvaluationRequest
from enhance_cli.evaluation.scores import Column, Score
from enhance_cli.levels import to_values
from enhance_cli.metrics.frechet import FeatureStatistics, bias_note, frechet_distance
from enhance_cli.metrics.prd import CLUSTERS, balance, precision_recall_curve
from enhance_cli.talk import Talk

PRD_COLUMNS = (
    Column("f8", "F8 (recall)", 3),
    Column("f1_8", "F1/8 (precision)", 3),
    Column("max_precision", "max precision", 3),
    Column("max_recall", "max recall", 3),
)
PICTURES_AT_ONCE = 50  # Inception enlarges each to 299x299


@dataclass(frozen=True)
class FeatureSet:
    """The features (N, D) of a set of pictures."""

    features: Tensor

    @cached_property
    def statistics(self) -> FeatureStatistics:
        """Mean and covariance of the features, computed once."""
        return FeatureStatistics.from_features(self.features)

    def frechet(self, other: "FeatureSet") -> float:
        """Frechet distance to another set."""
        return frechet_distance(self.statistics, other.statistics)

    def precision_recall(self, drawn: "FeatureSet", seed: int) -> Score:
        """How far drawn pictures cover this set, the reference, and stay within it.

        Args:
            drawn: what is judged; the larger set is drawn down to the size of the smaller.
            seed: of the draw and of the clusterings.

        Returns:
            The summaries of the curve by the keys of ``PRD_COLUMNS``, the curve itself for
            ``read_curve``, and ``_note``: what was left out, or None.
        """
        both = balance(drawn.features, self.features, seed)
        curve = precision_recall_curve(both.second, both.first, seed=seed)
        return {
            **{column.key: float(getattr(curve, column.key)) for column in PRD_COLUMNS},
            "_recall": curve.recall.tolist(),
            "_precision": curve.precision.tolist(),
            "_note": both.note,
        }

    def compare(self, drawn: "FeatureSet", seed: int) -> Score:
        """Frechet distance, precision and recall of drawn pictures beside this set."""
        return {"frechet": drawn.frechet(self), **self.precision_recall(drawn, seed)}


def read_curve(label: str, score: Score) -> Curve:
    """The curve of precision and recall of a score, to be drawn with a label."""
    return Curve(label, score["_recall"], score["_precision"])


def draw_precision_recall(panels: Mapping[str, Sequence[Curve]], caption: str) -> tuple[bytes, str]:
    """Curves by the title of their panel, recall to the right and precision upwards (fig. 5.5)."""
    drawing = draw_curves(panels, "recall", "precision", marked=False, limits=(0.0, 1.0))
    return drawing, caption


def measure_features(extractor: FeatureExtractor, pictures: Tensor, advance: Advance) -> FeatureSet:
    """The features of uint8 (N, C, H, W) pictures.

    Raises:
        CheckpointError: if one is not finite.
    """
    parts = torch.split(pictures, PICTURES_AT_ONCE)
    return measure_batches(extractor, map(to_values, parts), advance)


def measure_batches(
    extractor: FeatureExtractor, batches: Iterable[Tensor], advance: Advance
) -> FeatureSet:
    """The features of pictures that come in batches (n, C, H, W) in [0, 1].

    Raises:
        CheckpointError: if one is not finite.
    """
    features = extract(extractor, batches, advance)
    if not torch.isfinite(features).all():
        raise CheckpointError(f"{extractor.path}: gives features that are not finite, get it again")
    return FeatureSet(features)


def draw_from(pictures: Tensor, count: int, seed: int) -> Tensor:
    """``count`` of the pictures at random: the first of a set may be easier than the rest."""
    order = torch.randperm(len(pictures), generator=torch.Generator().manual_seed(seed))
    return pictures[order[:count]]


def choose_count(asked: int | None, there: int, few: str, what: str) -> int:
    """How many pictures are compared on each side.

    Args:
        asked: for by ``--count``, or None for all.
        there: how many there are.
        few: the data and what it has, for an error message.
        what: names what there are ``there`` of.

    Raises:
        DatasetError: if there are fewer pictures than clusters.
        UsageError: if more or fewer are asked for than possible.
    """
    if there < CLUSTERS:
        raise DatasetError(f"{few}, precision and recall need at least {CLUSTERS}")
    if asked is not None and not CLUSTERS <= asked <= there:
        raise UsageError(
            f"--count {asked}: must be from {CLUSTERS} (the clusters of precision and recall) "
            f"to {there} ({what})"
        )
    return asked or there


def choose_features(request: EvaluationRequest, talk: Talk) -> FeatureExtractor:
    """The features asked for; else the official Inception's if they are here, else SqueezeNet's.

    Raises:
        EnhanceError: as ``load_features``.
    """
    name, cache, roots = request.samples.features, cache_folder(), net_roots(request)
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
    device = choose_device(request.models.device)
    say = talk.console.print
    return load_features(name or present[0], roots=roots, cache=cache, device=device, say=say)


def check_fid(extractor: FeatureExtractor, metrics: Sequence[str]) -> None:
    """Refuse to call a distance of other features FID.

    Raises:
        UsageError: if FID is asked for and these are not its features.
    """
    if "fid" in metrics and extractor.name != "FID":
        raise UsageError(
            f"--metrics fid: {extractor.path.name} gives no FID, which is of the "
            "official Inception weights: ask for frechet, or for --features inception"
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
