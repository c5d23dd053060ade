"""Jensen-Shannon divergence: its laws, and examples worked out by hand."""

import math

import pytest
import torch
from torch import Tensor

from enhance_cli.metrics.distribution import histogram_divergence, jsd, luminance_histogram


def picture(seed: int, *shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def test_equal_pictures_have_none() -> None:
    image = picture(0, 3, 20, 30)
    assert jsd(image, image, 1.0) == 0
    assert jsd(image, image.flip(1, 2), 1.0) == 0  # only how often, not where


def test_black_and_white_are_as_far_as_can_be() -> None:
    assert jsd(torch.zeros(3, 8, 8), torch.ones(3, 8, 8), 1.0) == pytest.approx(1)
    assert jsd(torch.zeros(1, 8, 8), torch.full((3, 4, 9), 255.0), 255.0) == pytest.approx(1)


def test_symmetric_and_between_the_two() -> None:
    first, second = picture(1, 3, 24, 24), picture(2, 3, 24, 24) ** 2
    assert jsd(first, second, 1.0) == jsd(second, first, 1.0)
    assert 0 < jsd(first, second, 1.0) < 1


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        # M = (3/4, 1/4): 1/2 log2(4/3) + 1/2 (1/2 log2(2/3) + 1/2 log2 2)
        ([8, 0], [5, 5], 0.5 * math.log2(4 / 3) + 0.25 * math.log2(2 / 3) + 0.25),
        ([1, 1, 0], [0, 1, 1], 0.5),
        ([0, 3, 0], [0, 0, 7], 1.0),
        ([2, 4, 6], [1, 2, 3], 0.0),
    ],
)
def test_by_hand(first: list[int], second: list[int], expected: float) -> None:
    found = histogram_divergence(torch.tensor(first), torch.tensor(second))
    assert found == pytest.approx(expected, abs=1e-12)


def test_levels_of_8_bits_and_luma() -> None:
    image = torch.tensor([[1.0, 0.0, 0.0, 0.5], [1.0, 1.0, 0.0, 0.5], [1.0, 0.0, 1.0, 0.5]])
    counts = luminance_histogram(image.view(3, 2, 2), 1.0)
    # 0.7152 * 255 = 182.4, 0.0722 * 255 = 18.4, and 127.5 is rounded to even
    assert counts.nonzero().flatten().tolist() == [18, 128, 182, 255]
    assert counts.sum() == 4
    outside = luminance_histogram(torch.tensor([-1.0, 3.0]).view(1, 1, 2), 1.0)
    assert (outside[0], outside[255]) == (1, 1)


@pytest.mark.parametrize("image", [torch.zeros(2, 8, 8), torch.zeros(3, 0, 8)])
def test_no_histogram(image: Tensor) -> None:
    with pytest.raises(ValueError, match="1 or 3 channels"):
        luminance_histogram(image, 1.0)


def test_no_divergence() -> None:
    with pytest.raises(ValueError, match="one shape"):
        histogram_divergence(torch.ones(2), torch.ones(3))
    with pytest.raises(ValueError, match="empty"):
        histogram_divergence(torch.ones(2), torch.zeros(2))
