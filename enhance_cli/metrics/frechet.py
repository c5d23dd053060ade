"""Frechet distance of two sets of features (dissertation 003, eq. 5.2; Heusel et al., 2017).

With the features of the official Inception network this is FID. Features of another network give
figures on another scale, which must carry another name.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class FeatureStatistics:
    """The Gaussian that stands for a set of features.

    Attributes:
        count: how many pictures there are.
        mean: mean of the features, (D,) float64.
        covariance: sample covariance of the features, (D, D) float64. It is divided by
            ``count - 1``, as in the published FID, and zero for a single picture.
    """

    count: int
    mean: Tensor
    covariance: Tensor

    @classmethod
    def from_features(cls, features: Tensor) -> "FeatureStatistics":
        """Compute the statistics of features (N, D) in float64.

        Raises:
            ValueError: if there are no features, or one is not finite.
        """
        if features.ndim != 2 or not features.numel():
            raise ValueError(f"statistics need (N, D) features, not {tuple(features.shape)}")
        values = features.detach().double().cpu()
        if not torch.isfinite(values).all():
            raise ValueError("features that are not finite have no statistics")
        mean = values.mean(0)
        centred = values - mean
        return cls(len(values), mean, centred.T @ centred / max(len(values) - 1, 1))


def _check_dimensions(first: FeatureStatistics, second: FeatureStatistics) -> None:
    if first.mean.shape != second.mean.shape:
        raise ValueError(
            f"features of one network are compared, not of {len(first.mean)} "
            f"and {len(second.mean)} dimensions"
        )


def _factor(covariance: Tensor) -> Tensor:
    """Factor F of shape (D, rank) with F F^T = covariance.

    Eigenvalues below the usual tolerance of the rank, D times the rounding of the largest one, are
    noise. They are dropped, since their square roots would not be negligible.
    """
    eigenvalues, vectors = torch.linalg.eigh((covariance + covariance.T) / 2)
    tolerance = len(eigenvalues) * torch.finfo(eigenvalues.dtype).eps * eigenvalues.abs().max()
    kept = eigenvalues > tolerance
    factor: Tensor = vectors[:, kept] * eigenvalues[kept].sqrt()
    return factor


def frechet_distance(first: FeatureStatistics, second: FeatureStatistics) -> float:
    """Squared Frechet (2-Wasserstein) distance of two Gaussians (eq. 5.2).

    All arithmetic is in float64. With S = F F^T, Tr((S1 S2)^1/2) is the sum of the singular values
    of F1^T F2. That equals eq. 5.2, needs no square root of a matrix that is not symmetric, and
    also holds for covariances of low rank, which fewer pictures than dimensions have.

    Returns:
        0 for equal Gaussians, and more for others. A result that rounding made negative is 0.

    Raises:
        ValueError: if the dimensions differ, or a set has fewer than two pictures.
    """
    _check_dimensions(first, second)
    if min(first.count, second.count) < 2:
        raise ValueError(
            f"a Frechet distance of {first.count} and {second.count} pictures: a covariance needs "
            "at least 2 on each side, give more"
        )
    common = torch.linalg.svdvals(_factor(first.covariance).T @ _factor(second.covariance)).sum()
    distance = (
        (first.mean - second.mean).square().sum()
        + first.covariance.trace()
        + second.covariance.trace()
        - 2 * common
    )
    return max(float(distance), 0.0)


def bias_note(count: int, dimensions: int) -> str:
    """The caution that belongs beside a Frechet distance, as a sentence.

    Args:
        count: how many pictures the smaller set has.
        dimensions: how many features a picture has.
    """
    pictures = f"{count} picture{'' if count == 1 else 's'}"
    if count <= dimensions:
        return (
            f"{pictures} for {dimensions} features: the covariance lacks full rank and the "
            "distance is biased strongly upwards; use more pictures than features, and compare "
            "only figures of as many pictures"
        )
    return (
        f"{pictures} for {dimensions} features: the distance is biased upwards; compare only "
        "figures of as many pictures"
    )
