"""How noisy a picture is told to be."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from enhance_cli.noise import estimate_noise

PHOTO = Path(__file__).resolve().parents[1] / "examples" / "astronaut.png"


def test_the_noise_that_was_added_is_found() -> None:
    with Pillow.open(PHOTO) as image:
        photo = np.asarray(image.convert("RGB"))
    clean = estimate_noise(photo)
    assert clean is not None
    assert clean < 2  # Its textures are alike in all channels.
    chance = np.random.default_rng(0)
    for pixels in (photo, np.tile(photo, (6, 5, 1))):
        for deviation in (4, 8, 16):
            noise = chance.normal(0, deviation, pixels.shape)
            noisy = (pixels + noise).round().clip(0, 255).astype(np.uint8)
            assert estimate_noise(noisy) == pytest.approx(deviation, rel=0.12)


def test_pictures_that_tell_nothing() -> None:
    chance = np.random.default_rng(0)
    for shape in ((4, 90, 3), (1, 1, 3), (12, 12, 3)):
        assert estimate_noise(chance.integers(1, 255, shape, np.uint8)) is None
    clipped = chance.choice(np.array([0, 255], np.uint8), (60, 60, 3))
    assert estimate_noise(clipped) is None
    assert estimate_noise(np.full((60, 60, 3), 90, np.uint8)) == 0
