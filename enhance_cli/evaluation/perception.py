"""What networks that see say of pictures: LPIPS of each pair, Frechet distance of all together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from enhance_cli.engine.device import choose_device
from enhance_cli.engine.features import FeatureExtractor, load_perceptual_distance
from enhance_cli.engine.weight_files import cache_folder
from enhance_cli.errors import DatasetError, UsageError
from enhance_cli.evaluation.benchmarks import FRECHET, LPIPS, Measures
from enhance_cli.evaluation.models import net_roots
from enhance_cli.evaluation.request import EvaluationRequest
from enhance_cli.evaluation.scores import Score, mean
from enhance_cli.evaluation.set_scores import FeatureSet, check_fid, choose_features, feature_notes
from enhance_cli.levels import to_values
from enhance_cli.talk import Talk

_FEATURES, _TRUTH = "_features", "_true_features"  # in the score of a picture


@dataclass(frozen=True)
class Perception:
    """The networks that some measures need.

    Attributes:
        distance: LPIPS of two (1, 3, H, W) in [0, 1], if it is wanted.
        extractor: of the features whose Frechet distance is wanted, if it is.
        notes: what must be said beside their figures.
    """

    distance: Callable[[Tensor, Tensor], Tensor] | None = None
    extractor: FeatureExtractor | None = None
    notes: Sequence[str] = ()

    def look(self, estimate: Tensor, reference: Tensor) -> Score:
        """What is seen of a picture and its truth, uint8 (3, H, W), for :func:`summarise`.

        Raises:
            DatasetError: if their sizes differ.
        """
        found: Score = {}
        pictures = [to_values(picture[None]) for picture in (estimate, reference)]
        if self.distance is not None:
            try:
                found[LPIPS] = float(self.distance(*pictures))
            except ValueError as error:
                raise DatasetError(str(error)) from error
        if self.extractor is not None:
            # The journal of a run is JSON, and a case may be of this run or of an earlier one.
            for key, picture in zip((_FEATURES, _TRUTH), pictures, strict=True):
                found[key] = self.extractor(picture)[0].tolist()
        return found


def open_perception(
    request: EvaluationRequest, measures: Measures, count: int, talk: Talk
) -> Perception:
    """Load the networks that the measures need, if any.

    Args:
        request, measures: what was asked for.
        count: of pictures.
        talk: how to say that weights are fetched.

    Raises:
        UsageError: if LPIPS is to look through a network that it has no weights for, FID is asked
            for and the features are others, or features are named and nothing needs them.
        DatasetError: if a Frechet distance of a single picture is asked for.
        CheckpointError: if weights are absent.
    """
    notes: list[str] = []
    distance = extractor = None
    if LPIPS in measures.metrics:
        if request.samples.features not in (None, "squeezenet"):
            raise UsageError(
                f"--features {request.samples.features}: lpips has weights for squeezenet only"
            )
        distance = load_perceptual_distance(
            roots=net_roots(request),
            cache=cache_folder(),
            device=choose_device(request.models.device),
        )
        notes.append(
            f"lpips: {distance.name}, of the whole picture in RGB; compare it only with "
            "figures of the same network"
        )
    asked = [metric for metric in measures.metrics if metric in FRECHET]
    if asked:
        if count < 2:
            raise DatasetError(
                f"--metrics {asked[0]}: compares sets of at least 2 pictures, here is {count}"
            )
        extractor = choose_features(request, talk)
        check_fid(extractor, measures.metrics)
        notes += feature_notes(extractor, count)
    if request.samples.features is not None and distance is None and extractor is None:
        raise UsageError(
            f"--features {request.samples.features}: of no use without --metrics "
            f"{', '.join(FRECHET)} or {LPIPS}, leave it out"
        )
    return Perception(distance, extractor, notes)


def summarise(scores: Sequence[Score], metric: str) -> float | None:
    """What a model reached by a metric over all pictures: the mean, or a distance of the sets.

    Returns:
        None for a distance of fewer than two pictures, as when the others could not be scored.
    """
    if metric not in FRECHET:
        return mean(scores, metric)
    if len(scores) < 2:
        return None
    drawn, truth = (
        FeatureSet(torch.tensor([score[key] for score in scores])) for key in (_FEATURES, _TRUTH)
    )
    return drawn.frechet(truth)
