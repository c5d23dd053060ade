"""Precision and recall of distributions, PRD (dissertation 003, ch. 5.3.3 and 5.4).

``P`` is the reference and ``Q`` the set that is judged. Precision falls where Q has something that
P has not, and recall where P has something that Q has not. The features of both sets are clustered
together, and the histograms over the clusters are compared. Since k-means is random, the curves of
several runs are averaged.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float64]

CLUSTERS = 20
ANGLES = 1001
RUNS = 10
BETA = 8.0
# Starts of each clustering, of which the best is taken, as in the published implementation.
_STARTS = 10


@dataclass(frozen=True)
class PrecisionRecall:
    """A PRD curve and its summaries; all values are from 0 to 1.

    Attributes:
        precision: alpha at each slope lambda, (angles,); it rises with the slope.
        recall: beta at each slope, (angles,); it falls with the slope.
        f8: the largest F with beta = 8 on the curve, in which recall counts most.
        f1_8: the largest F with beta = 1/8, in which precision counts most.
        max_precision: Q(supp P), the share of Q in clusters that P has too (theorem 1, iii).
        max_recall: P(supp Q) (theorem 1, iv).
    """

    precision: Floats
    recall: Floats
    f8: float
    f1_8: float
    max_precision: float
    max_recall: float


@dataclass(frozen=True)
class Balanced:
    """Two sets of features of one size.

    Attributes:
        first, second: features (N, D) of each set.
        counts: how many pictures each set had before.
    """

    first: Tensor
    second: Tensor
    counts: tuple[int, int]

    @property
    def note(self) -> str | None:
        """A sentence on what was left out, or None if nothing was."""
        larger, smaller = max(self.counts), min(self.counts)
        if larger == smaller:
            return None
        return (
            f"{self.counts[0]} and {self.counts[1]} pictures: precision and recall compare sets of "
            f"one size, so {smaller} of the {larger} were drawn at random"
        )


def balance(first: Tensor, second: Tensor, seed: int = 0) -> Balanced:
    """Draw the larger of two sets down to the size of the smaller, without replacement.

    Args:
        first, second: (N, D) and (M, D) features.
        seed: seed of the random draw. What is drawn keeps its order.
    """
    counts = len(first), len(second)
    size = min(counts)
    generator = np.random.default_rng(seed)

    def drawn(features: Tensor) -> Tensor:
        if len(features) == size:
            return features
        chosen = np.sort(generator.choice(len(features), size, replace=False))
        return features[chosen.tolist()]

    return Balanced(drawn(first), drawn(second), counts)


def _distribution(weights: Any, name: str) -> Floats:
    values = np.asarray(weights, dtype=np.float64)
    if values.ndim != 1 or not np.isfinite(values).all() or (values < 0).any():
        raise ValueError(f"{name} must be one row of weights of at least 0")
    if values.sum() <= 0:
        raise ValueError(f"{name} is empty: it has no distribution")
    return np.asarray(values / values.sum(), dtype=np.float64)


def _pair(p: Any, q: Any) -> tuple[Floats, Floats]:
    reference, samples = _distribution(p, "the reference"), _distribution(q, "the samples")
    if reference.shape != samples.shape:
        raise ValueError(
            f"histograms over the same states are compared, not over {len(reference)} "
            f"and {len(samples)}"
        )
    return reference, samples


def prd_curve(p: Any, q: Any, angles: int = ANGLES) -> tuple[Floats, Floats]:
    """The frontier of attainable precision and recall (theorem 2, eq. 5.10).

    The slopes are lambda = tan(i / (angles + 1) * pi / 2) for i = 1 .. angles. The middle one of
    an odd number is 1, where precision and recall both are 1 minus the total variation.

    Args:
        p: counts or shares of the reference, at least 0; they are divided by their sum.
        q: the same of the samples, over the same states.
        angles: number of slopes.

    Returns:
        Precision and recall, (angles,) each. Flat slopes, where recall is largest, come first.

    Raises:
        ValueError: if the histograms do not match, are negative or empty, or ``angles`` < 1.
    """
    if angles < 1:
        raise ValueError(f"{angles} angles: a curve needs at least 1")
    reference, samples = _pair(p, q)
    slopes = np.tan(np.arange(1, angles + 1) / (angles + 1) * (np.pi / 2))[:, None]
    precision = np.minimum(slopes * reference, samples).sum(1)
    recall = np.minimum(reference, samples / slopes).sum(1)
    return np.clip(precision, 0, 1), np.clip(recall, 0, 1)


def max_precision_recall(p: Any, q: Any) -> tuple[float, float]:
    """Q(supp P) and P(supp Q), the largest precision and recall (theorem 1, iii and iv).

    Raises:
        ValueError: as ``prd_curve``.
    """
    reference, samples = _pair(p, q)
    return (
        min(float(samples[reference > 0].sum()), 1.0),
        min(float(reference[samples > 0].sum()), 1.0),
    )


def f_beta(precision: Floats, recall: Floats, beta: float) -> float:
    """The largest F_beta of a curve (eq. 5.18); a point without precision and recall has 0.

    Args:
        precision, recall: the curve.
        beta: above 1 recall counts more, below 1 precision does.

    Raises:
        ValueError: if ``beta`` is not above 0, or there is no point.
    """
    if not beta > 0 or not len(precision):
        raise ValueError(f"F needs a beta above 0 and a curve, not {beta} and {len(precision)}")
    below = beta**2 * precision + recall
    above = (1 + beta**2) * precision * recall
    return float(np.divide(above, below, out=np.zeros_like(above), where=below > 0).max())


def _histograms(
    distinct: NDArray[Any], places: NDArray[Any], first: int, clusters: int, seed: int
) -> tuple[Floats, Floats]:
    """Shares of the clusters in both sets, whose rows are ``distinct[places]``."""
    from sklearn.cluster import MiniBatchKMeans
    from threadpoolctl import threadpool_limits

    # One thread: the batches are small, and on a busy machine threads wait for each other ten
    # times as long as they work.
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")  # fewer distinct pictures than clusters are no mistake
        clustering = MiniBatchKMeans(clusters, n_init=_STARTS, random_state=seed)
        clustering.fit(distinct[places])
        # Equal pictures count alike: rounding could give two rows of one value two labels.
        labels = clustering.predict(distinct)[places]
    counts = (np.bincount(part, minlength=clusters) for part in (labels[:first], labels[first:]))
    p, q = (count.astype(np.float64) for count in counts)
    return p, q


def precision_recall_curve(
    features_reference: Tensor,
    features_samples: Tensor,
    *,
    clusters: int = CLUSTERS,
    angles: int = ANGLES,
    runs: int = RUNS,
    seed: int = 0,
) -> PrecisionRecall:
    """Compute the PRD curve of two sets of features (ch. 5.4).

    Every run clusters the union of the sets by mini-batch k-means and gives a curve. The curves and
    the two largest values are averaged, and F8 and F1/8 are those of the averaged curve, as in the
    publication. A seed gives the same result each time on one machine.

    Args:
        features_reference, features_samples: features (N, D) of equally many pictures; see
            ``balance``.
        clusters: k of k-means.
        angles: number of points on the curve.
        runs: number of clusterings to average.
        seed: seed of all clusterings.

    Raises:
        ValueError: if the sets differ in size or dimensions, are smaller than ``clusters`` or hold
            values that are not finite, or if a number is below 1.
    """
    first, second = len(features_reference), len(features_samples)
    if min(clusters, runs) < 1:
        raise ValueError(f"{clusters} clusters and {runs} runs: both must be at least 1")
    if min(first, second) < clusters:
        raise ValueError(
            f"{first} and {second} pictures for {clusters} clusters: each set needs at least as "
            "many pictures as there are clusters, give more pictures or ask for fewer clusters"
        )
    if first != second:
        raise ValueError(
            f"{first} and {second} pictures: sets of one size are compared, balance them first"
        )
    if features_reference.shape[1:] != features_samples.shape[1:] or features_samples.ndim != 2:
        raise ValueError(
            f"features of one network are compared, not {tuple(features_reference.shape)} "
            f"and {tuple(features_samples.shape)}"
        )
    parts = (features_reference, features_samples)
    union = np.concatenate([part.detach().double().cpu().numpy() for part in parts])
    if not np.isfinite(union).all():
        raise ValueError("features that are not finite cannot be clustered")
    # Distances come from products, which lose what is small beside a common mean.
    centred = (union - union.mean(0)).astype(np.float32)
    distinct, places = np.unique(centred, axis=0, return_inverse=True)
    curves, ends = [], []
    for state in np.random.SeedSequence(seed).generate_state(runs):
        p, q = _histograms(distinct, places, first, clusters, int(state))
        curves.append(prd_curve(p, q, angles))
        ends.append(max_precision_recall(p, q))
    precision, recall = np.mean(curves, axis=0)
    max_precision, max_recall = np.mean(ends, axis=0)
    return PrecisionRecall(
        precision,
        recall,
        f_beta(precision, recall, BETA),
        f_beta(precision, recall, 1 / BETA),
        float(max_precision),
        float(max_recall),
    )
