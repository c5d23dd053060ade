"""Frechet distance: closed forms, its laws, and an independent reference in float64."""

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor

from enhance_cli.metrics.frechet import FeatureStatistics, bias_note, frechet_distance


def features(seed: int, count: int, dimensions: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(dimensions, dimensions, generator=generator, dtype=torch.float64)
    values = torch.randn(count, dimensions, generator=generator, dtype=torch.float64)
    return values @ mix + torch.randn(dimensions, generator=generator, dtype=torch.float64)


def gaussian(mean: list[float], variances: list[float]) -> FeatureStatistics:
    return FeatureStatistics(
        100,
        torch.tensor(mean, dtype=torch.float64),
        torch.diag(torch.tensor(variances, dtype=torch.float64)),
    )


def test_diagonal_gaussians_by_hand() -> None:
    first, second = gaussian([0, 1, 2], [1, 4, 9]), gaussian([3, 1, 0], [4, 4, 1])
    # |(3, 0, -2)|^2 + (1 - 2)^2 + (2 - 2)^2 + (3 - 1)^2
    assert frechet_distance(first, second) == pytest.approx(13 + 1 + 0 + 4, rel=1e-12)


def test_a_variance_of_zero_by_hand() -> None:
    first, second = gaussian([0, 0], [0, 4]), gaussian([0, 0], [9, 0])
    assert frechet_distance(first, second) == pytest.approx(13, rel=1e-12)
    point = gaussian([1, 2], [0, 0])
    assert frechet_distance(point, point) == 0
    assert frechet_distance(point, gaussian([1, 2], [1, 1])) == pytest.approx(2)


def test_rotation_changes_nothing() -> None:
    turn, _ = torch.linalg.qr(features(5, 8, 8))
    a, b = features(1, 50, 8), features(2, 40, 8)
    plain = frechet_distance(*map(FeatureStatistics.from_features, (a, b)))
    turned = frechet_distance(*map(FeatureStatistics.from_features, (a @ turn, b @ turn)))
    assert turned == pytest.approx(plain, rel=1e-10)


def test_symmetric_zero_for_itself_and_above_zero_else() -> None:
    a, b = (FeatureStatistics.from_features(features(seed, 60, 10)) for seed in (1, 2))
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-12)
    assert frechet_distance(a, b) > 1
    assert 0 <= frechet_distance(a, a) < 1e-10 * float(a.covariance.trace())


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_the_root_of_the_product(seed: int) -> None:
    a, b = features(seed, 400, 24), features(seed + 10, 300, 24)
    mean_a, mean_b = a.numpy().mean(0), b.numpy().mean(0)
    cov_a, cov_b = (np.cov(x.numpy(), rowvar=False) for x in (a, b))
    root = scipy.linalg.sqrtm(cov_a @ cov_b)
    expected = ((mean_a - mean_b) ** 2).sum() + np.trace(cov_a + cov_b - 2 * root.real)
    found = frechet_distance(*map(FeatureStatistics.from_features, (a, b)))
    assert found == pytest.approx(expected, rel=1e-8)


def test_fewer_pictures_than_dimensions() -> None:
    """Sets in a low-dimensional subspace: as far apart as in that subspace alone."""
    a, b = features(1, 12, 5), features(2, 9, 5)
    basis, _ = torch.linalg.qr(features(3, 64, 64))
    small = frechet_distance(*map(FeatureStatistics.from_features, (a, b)))
    wide = [FeatureStatistics.from_features(x @ basis[:5]) for x in (a, b)]
    assert frechet_distance(*wide) == pytest.approx(small, rel=1e-9)
    assert frechet_distance(wide[0], wide[0]) == pytest.approx(0, abs=1e-9)


def test_low_rank_against_full_rank() -> None:
    """Rounding in the directions that a set lacks must not count: its square root is 1e-8 each."""
    basis, _ = torch.linalg.qr(features(3, 64, 64))
    some = basis[:, :3] * torch.tensor([9.0, 4.0, 1.0], dtype=torch.float64) @ basis[:, :3].T
    low = FeatureStatistics(4, torch.zeros(64, dtype=torch.float64), some)
    full = gaussian([0.0] * 64, [1.0] * 64)
    assert frechet_distance(low, full) == pytest.approx(14 + 64 - 2 * (3 + 2 + 1), rel=1e-12)


def test_statistics_far_from_zero() -> None:
    whole = features(4, 101, 7) + 1e4  # where sums of squares would cancel
    made = FeatureStatistics.from_features(whole)
    assert made.count == 101
    np.testing.assert_allclose(made.mean, whole.mean(0), rtol=1e-13)
    np.testing.assert_allclose(made.covariance, np.cov(whole.numpy(), rowvar=False), rtol=1e-9)


def test_float32_features_are_summed_in_float64() -> None:
    single = features(6, 50, 4).float()
    double = FeatureStatistics.from_features(single.double())
    assert torch.equal(FeatureStatistics.from_features(single).covariance, double.covariance)


@pytest.mark.parametrize(
    "wrong",
    [
        torch.zeros(0, 4),
        torch.zeros(4),
        torch.full((3, 2), float("nan")),
        torch.tensor([[1.0], [float("inf")]]),
    ],
)
def test_no_statistics(wrong: Tensor) -> None:
    with pytest.raises(ValueError, match="statistics"):
        FeatureStatistics.from_features(wrong)


def test_what_cannot_be_compared() -> None:
    five, six = (FeatureStatistics.from_features(features(1, 9, n)) for n in (5, 6))
    with pytest.raises(ValueError, match="5 and 6 dimensions"):
        frechet_distance(five, six)
    single = FeatureStatistics.from_features(features(1, 1, 5))
    with pytest.raises(ValueError, match="9 and 1 pictures.*at least 2"):
        frechet_distance(five, single)


def test_the_bias_is_there_and_told() -> None:
    """Samples of one distribution are apart, by less the more there are."""
    distances = [
        frechet_distance(
            *(
                FeatureStatistics.from_features(
                    torch.randn(n, 8, generator=torch.Generator().manual_seed(seed))
                )
                for seed in (1, 2)
            )
        )
        for n in (20, 200, 2000)
    ]
    assert distances[0] > 5 * distances[1] > 25 * distances[2] > 0
    assert bias_note(500, 512) != bias_note(513, 512)
    for note in (bias_note(500, 512), bias_note(10_000, 512)):
        assert "512 features" in note
        assert "biased" in note
        assert "as many pictures" in note
    assert "strongly" in bias_note(512, 512)
    assert "strongly" not in bias_note(513, 512)
    assert bias_note(1, 3).startswith("1 picture for")
