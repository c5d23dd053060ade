"""Precision and recall of distributions: theorems 1 and 2, Lemma 1, and the clustering."""

import itertools

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from enhance_cli.metrics.prd import (
    balance,
    f_beta,
    max_precision_recall,
    prd_curve,
    precision_recall_curve,
)

Pair = tuple[NDArray[np.float64], NDArray[np.float64]]


def distributions() -> list[Pair]:
    """Random pairs over 2 to 12 states, many with zeros, some apart, some equal."""
    generator = np.random.default_rng(0)
    pairs = []
    for index in range(9):
        states = int(generator.integers(2, 13))
        p, q = generator.dirichlet(np.full(states, 0.7), size=2)
        if index % 3:
            for one in (p, q):
                one[generator.random(states) < 0.3] = 0
        if p.sum() and q.sum():
            pairs.append((p / p.sum(), q / q.sum()))
    return [*pairs, (np.array([0.5, 0.5, 0]), np.array([0, 0, 1.0]))]


PAIRS = distributions()
SLOPES = np.tan(np.arange(1, 1002) / 1002 * np.pi / 2)


@pytest.mark.parametrize(("p", "q"), PAIRS)
def test_theorem_1(p: NDArray[np.float64], q: NDArray[np.float64]) -> None:
    precision, recall = prd_curve(p, q)
    # i: one and one are reached by equal distributions alone
    assert [part[500] for part in prd_curve(p, p)] == pytest.approx([1, 1])
    assert np.all(np.minimum(precision, recall) < 1 - 1e-9) or np.allclose(p, q)
    # ii: nothing but the origin for disjoint supports
    assert (not np.any((p > 0) & (q > 0))) == (not precision.any()) == (not recall.any())
    # iii and iv: the ends
    top = max_precision_recall(p, q)
    assert top == pytest.approx((q[p > 0].sum(), p[q > 0].sum()))
    assert precision.max() <= top[0] + 1e-12
    assert recall.max() <= top[1] + 1e-12
    steep, flat = prd_curve(p, q, angles=10**5 - 1), prd_curve(q, p, angles=10**5 - 1)
    ratio = 1e-4  # what a state may have of the other and still be met by the steepest slope
    if all(b == 0 or a == 0 or ratio < a / b < 1 / ratio for a, b in zip(p, q, strict=True)):
        assert steep[0][-1] == pytest.approx(top[0])
        assert flat[0][-1] == pytest.approx(top[1])
    # v: the box below every attainable pair is attainable: on each ray it ends below the curve
    boxes = np.minimum(precision[:, None] / SLOPES, recall[:, None])
    assert np.all(boxes <= recall + 1e-12)
    # vi: duality
    turned_precision, turned_recall = prd_curve(q, p)
    np.testing.assert_allclose(turned_precision[::-1], recall, atol=1e-12)
    np.testing.assert_allclose(turned_recall[::-1], precision, atol=1e-12)


@pytest.mark.parametrize(("p", "q"), PAIRS)
def test_theorem_2(p: NDArray[np.float64], q: NDArray[np.float64]) -> None:
    """alpha = lambda beta; mu of eq. 5.15 fulfils Lemma 1; the middle is 1 - total variation."""
    precision, recall = prd_curve(p, q)
    np.testing.assert_allclose(precision, SLOPES * recall, rtol=1e-9)
    assert np.all(np.diff(precision) >= -1e-12)
    assert np.all(np.diff(recall) <= 1e-12)
    variation = np.abs(p - q).sum() / 2
    assert precision[500] == pytest.approx(1 - variation, abs=1e-12)
    assert recall[500] == pytest.approx(1 - variation, abs=1e-12)
    for slope, alpha, beta in zip(SLOPES[::50], precision[::50], recall[::50], strict=True):
        if beta:
            mu = np.minimum(p, q / slope) / beta
            assert mu.sum() == pytest.approx(1)
            assert np.all(p >= beta * mu - 1e-12)
            assert np.all(q >= alpha * mu - 1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_lemma_1_by_trying_every_mu(seed: int) -> None:
    """No mu attains more than the curve, and some mu of a fine grid nearly attains it."""
    p, q = np.random.default_rng(seed).dirichlet([1, 1, 1], size=2)
    steps = 120
    mus = (
        np.array(
            [
                (a, b, steps - a - b)
                for a, b in itertools.product(range(steps + 1), repeat=2)
                if a + b <= steps
            ]
        )
        / steps
    )
    with np.errstate(divide="ignore"):
        beta, alpha = ((one / mus).min(1) for one in (p, q))  # the largest of eq. 5.6
    beta, alpha = np.minimum(beta, 1), np.minimum(alpha, 1)
    slopes = (alpha / beta)[:, None]
    assert np.all(beta <= np.minimum(p, q / slopes).sum(1) + 1e-12)
    precision, recall = prd_curve(p, q, angles=41)
    for one_alpha, one_beta in zip(precision, recall, strict=True):
        share = np.minimum(alpha / one_alpha, beta / one_beta).max()
        assert 0.9 < share <= 1 + 1e-12


def test_counts_are_normalised_and_bad_histograms_refused() -> None:
    np.testing.assert_array_equal(prd_curve([2, 6], [5, 5]), prd_curve([0.25, 0.75], [0.5, 0.5]))
    for p, q, text in [
        ([1, 2], [1, 2, 3], "over 2 and 3"),
        ([0, 0], [1, 1], "reference is empty"),
        ([1, 1], [1, -1], "samples must"),
        ([np.nan, 1], [1, 1], "reference must"),
    ]:
        with pytest.raises(ValueError, match=text):
            prd_curve(p, q)
        with pytest.raises(ValueError, match=text):
            max_precision_recall(p, q)
    with pytest.raises(ValueError, match="0 angles"):
        prd_curve([1], [1], angles=0)


def test_f_beta_by_hand() -> None:
    precision, recall = np.array([0.9, 0.5, 0.0]), np.array([0.1, 0.5, 0.0])
    # 65 * 0.09 / (57.6 + 0.1), and 65 * 0.25 / 32.5
    assert f_beta(precision[:1], recall[:1], 8) == pytest.approx(65 * 0.09 / 57.7)
    assert f_beta(precision, recall, 8) == pytest.approx(0.5)
    # (1 + 1/64) * 0.09 / (0.9/64 + 0.1) weighs precision
    assert f_beta(precision, recall, 1 / 8) == pytest.approx(65 / 64 * 0.09 / (0.9 / 64 + 0.1))
    assert f_beta(precision, recall, 1) == pytest.approx(0.5)
    assert f_beta(np.zeros(3), np.zeros(3), 8) == 0
    assert f_beta(np.ones(1), np.ones(1), 8) == pytest.approx(1)
    for beta, curve in ((0, precision), (-1, precision), (8, precision[:0])):
        with pytest.raises(ValueError, match="beta above 0"):
            f_beta(curve, curve, beta)


def blobs(seed: int, *modes: int, count: int = 120) -> Tensor:
    """Features about as many far corners as there are modes."""
    generator = torch.Generator().manual_seed(seed)
    centres = 20 * torch.eye(8)[torch.tensor(modes)]
    chosen = torch.arange(count) % len(modes)
    return centres[chosen] + 0.1 * torch.randn(count, 8, generator=generator)


def test_dropped_modes_cost_recall_and_invented_ones_precision() -> None:
    reference = blobs(1, 0, 1, 2, 3)
    dropped = precision_recall_curve(reference, blobs(2, 0, 1), clusters=4, runs=3)
    assert (dropped.max_precision, dropped.max_recall) == pytest.approx((1, 0.5))
    assert dropped.f1_8 > 0.9 > 0.6 > dropped.f8
    invented = precision_recall_curve(
        reference, blobs(2, 0, 1, 2, 3, 4, 5, 6, 7), clusters=8, runs=3
    )
    assert (invented.max_precision, invented.max_recall) == pytest.approx((0.5, 1))
    assert invented.f8 > 0.9 > 0.6 > invented.f1_8
    same = precision_recall_curve(reference, blobs(3, 0, 1, 2, 3), clusters=4, runs=3)
    assert same.f8 == pytest.approx(1)
    assert same.f1_8 == pytest.approx(1)
    far = precision_recall_curve(reference, blobs(3, 4, 5), clusters=6, runs=3)
    assert (far.f8, far.f1_8, far.max_precision, far.max_recall) == (0, 0, 0, 0)
    assert not far.precision.any()


def test_turned_round_is_dual_and_a_seed_repeats() -> None:
    generator = torch.Generator().manual_seed(1)
    a, b = torch.randn(90, 6, generator=generator), torch.randn(90, 6, generator=generator) + 0.7
    first, again, other = (
        precision_recall_curve(a, b, clusters=8, runs=2, seed=seed) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first.precision, again.precision)
    np.testing.assert_array_equal(first.recall, again.recall)
    assert not np.array_equal(first.precision, other.precision)
    assert first.precision.shape == first.recall.shape == (1001,)
    assert first.f8 == f_beta(first.precision, first.recall, 8)
    assert first.f1_8 == f_beta(first.precision, first.recall, 1 / 8)
    assert 0 < first.f8 < 1


def test_runs_are_averaged() -> None:
    """Distinct clusterings, of which the average has values that no single one can."""
    generator = torch.Generator().manual_seed(2)
    a, b = torch.randn(2, 40, 3, generator=generator).unbind()
    one = precision_recall_curve(a, b, clusters=6, runs=1)
    many = precision_recall_curve(a, b, clusters=6, runs=7)
    assert round(one.precision[500] * 40, 9) == pytest.approx(round(one.precision[500] * 40))
    assert abs(many.precision[500] * 40 - round(many.precision[500] * 40)) > 1e-6


def test_degenerate_features() -> None:
    equal = precision_recall_curve(torch.ones(30, 4), torch.ones(30, 4), runs=2)
    assert (equal.f8, equal.f1_8, equal.max_precision) == pytest.approx((1, 1, 1))
    apart = precision_recall_curve(torch.ones(30, 4), torch.zeros(30, 4), runs=2)
    assert apart.f8 == apart.f1_8 == apart.max_recall == 0
    whole = precision_recall_curve(torch.rand(3, 2), torch.rand(3, 2), clusters=1, runs=1)
    assert whole.f8 == pytest.approx(1)


@pytest.mark.parametrize(
    ("first", "second", "options", "text"),
    [
        ((12, 4), (12, 4), {}, "12 and 12 pictures for 20 clusters.*fewer clusters"),
        ((30, 4), (12, 4), {}, "30 and 12 pictures for 20 clusters"),
        ((30, 4), (31, 4), {}, "30 and 31 pictures: sets of one size"),
        ((30, 4), (30, 5), {}, "features of one network"),
        ((30,), (30,), {}, "features of one network"),
        ((30, 4), (30, 4), {"runs": 0}, "0 runs: both must"),
        ((30, 4), (30, 4), {"clusters": 0}, "0 clusters"),
    ],
)
def test_refused(
    first: tuple[int, ...], second: tuple[int, ...], options: dict[str, int], text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        precision_recall_curve(torch.rand(first), torch.rand(second), **options)


def test_not_finite_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        precision_recall_curve(torch.rand(30, 2), torch.full((30, 2), float("nan")))


def test_balanced() -> None:
    a, b = torch.arange(50.0)[:, None], torch.arange(100.0, 120)[:, None]
    for both in (balance(a, b, 1), balance(b, a, 1)):
        assert len(both.first) == len(both.second) == 20
        assert sorted(both.counts) == [20, 50]
        assert both.note is not None
        assert "20 of the 50" in both.note
    drawn = balance(a, b, 1).first[:, 0]
    assert torch.equal(balance(a, b, 1).second, b)
    assert (drawn.diff() > 0).all()  # no picture twice, in their order
    assert set(drawn.tolist()) <= set(range(50))
    assert torch.equal(balance(a, b, 1).first[:, 0], drawn)
    assert not torch.equal(balance(a, b, 2).first[:, 0], drawn)
    equal = balance(a, a + 1)
    assert equal.note is None
    assert torch.equal(equal.first, a)


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_equal_sets_score_one_whatever_their_mean(offset: float):
    features = torch.rand(22, 64, generator=torch.Generator().manual_seed(0)) + offset
    equal = precision_recall_curve(features, features.flip(0), runs=3)
    assert (equal.f8, equal.f1_8) == pytest.approx((1, 1))


def test_a_common_mean_changes_nothing():
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randint(0, 64, (40, 8), generator=generator).float() for _ in range(2))
    plain, moved = (
        precision_recall_curve(first + add, second + add, clusters=5, runs=3) for add in (0, 4096)
    )
    assert (plain.f8, plain.f1_8) == pytest.approx((moved.f8, moved.f1_8))
    assert plain.f8 < 0.99
