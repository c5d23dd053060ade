"""The reduced copy of an enlargement becomes the input; and the spread of several of them."""

import numpy as np
import pytest
import torch

from enhance_cli.engine.consistency import Reduction
from enhance_cli.engine.spread import RunningSpread
from enhance_cli.resize import imresize


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, np.float32)


@pytest.mark.parametrize(("height", "width", "scale"), [(9, 14, 4), (1, 3, 2), (20, 7, 3)])
def test_the_projection_has_the_input_as_its_reduced_copy(height: int, width: int, scale: int):
    truth = 0.3 + 0.4 * noise(scale * height, scale * width)
    reduction = Reduction(height, width, scale)
    small = reduction.reduce(truth)
    expected = imresize(torch.from_numpy(truth), 1 / scale).numpy()
    np.testing.assert_allclose(small, expected, atol=1e-6)
    guess = truth + 0.1 * noise(*truth.shape, seed=1) - 0.08
    found = reduction.project(guess, small)
    assert np.square(reduction.reduce(found) - small).mean() < 1e-6  # 60 dB
    assert np.square(found - truth).mean() < np.square(guess - truth).mean()


def test_what_no_picture_can_hold_stays_within_black_and_white():
    """A chessboard of small pixels would need values beyond both."""
    small = np.indices((8, 8)).sum(0).astype(np.float32) % 2
    reduction = Reduction(8, 8, 4)
    found = reduction.project(np.full((32, 32), 0.5, np.float32), small)
    assert found.min() >= 0
    assert found.max() <= 1
    before = np.square(small - 0.5).mean()
    assert np.square(reduction.reduce(found) - small).mean() < before / 3


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_running_spread(dtype: type):
    top = np.iinfo(dtype).max
    pictures = [(noise(70, 5, 3, seed=seed) * top).astype(dtype) for seed in range(4)]
    spread = RunningSpread()
    with pytest.raises(ValueError, match="at least 2"):
        spread.spread()
    for picture in pictures:
        spread.add(picture)
    expected = np.sqrt(np.var(np.stack(pictures) / top, 0, ddof=1).mean(2))
    np.testing.assert_allclose(spread.spread(), expected, rtol=1e-4)
