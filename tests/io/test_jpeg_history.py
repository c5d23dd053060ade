"""What the pixels of a former JPEG tell."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow

from enhance_cli.io.jpeg_history import find_jpeg_quality

PHOTO = Path(__file__).resolve().parents[2] / "examples" / "astronaut.png"

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def photo() -> Pixels:
    with Pillow.open(PHOTO) as image:
        return np.asarray(image.convert("RGB"))


def through_jpeg(pixels: Pixels, quality: int, **options: object) -> Pixels:
    """What is decoded again, of the channels that there were."""
    file = BytesIO()
    Pillow.fromarray(pixels.squeeze()).save(file, "JPEG", quality=quality, **options)
    with Pillow.open(file) as image:
        return np.asarray(image).reshape(pixels.shape)


def test_the_quality_of_a_former_jpeg(photo: Pixels) -> None:
    grey = photo[..., 1:2]
    assert find_jpeg_quality(photo) is None
    assert find_jpeg_quality(grey) is None
    for quality in (30, 60, 75, 90, 95):
        made = through_jpeg(photo, quality)
        assert find_jpeg_quality(made) == quality
        assert find_jpeg_quality(made[5:, 3:]) == quality  # What was cut off does not matter,
        assert find_jpeg_quality(made[:, ::-1]) == quality  # nor whether it was turned round.
        assert find_jpeg_quality(through_jpeg(grey, quality)) == quality
    assert find_jpeg_quality(through_jpeg(photo, 75, subsampling=0)[:64, :64]) == 75
    first = through_jpeg(through_jpeg(photo, 75), 95)
    assert find_jpeg_quality(first) == 75


def test_some_blocks_of_a_large_picture_are_enough(photo: Pixels) -> None:
    large = np.tile(through_jpeg(photo, 80), (11, 9, 1))
    assert find_jpeg_quality(large) == 80


def test_a_picture_that_was_resized_since_has_no_trace(photo: Pixels) -> None:
    image = Pillow.fromarray(through_jpeg(photo, 60))
    for side in (70, 110, 150):
        resized = image.resize((side, side), Pillow.Resampling.BICUBIC)
        assert find_jpeg_quality(np.asarray(resized)) is None


def test_drawings_and_the_smallest_pictures_tell_nothing(photo: Pixels) -> None:
    """Steps of colours and of pixels are no steps of JPEG."""
    chance = np.random.default_rng(0)
    blocks = chance.choice([30, 80, 130, 200], (32, 32, 3)).astype(np.uint8)
    checks = (np.indices((128, 128)).sum(0) % 2 * 100 + 60).astype(np.uint8)[..., None]
    ramp = np.add.outer(np.arange(120), np.arange(120)).astype(np.uint8)[..., None]
    drawings = [
        *(np.kron(blocks, np.ones((side, side, 1), np.uint8)) for side in (2, 3, 8)),
        *(np.tile(photo[40 : 40 + side, 40 : 40 + side], (16, 16, 1)) for side in (4, 8, 16)),
        *(checks, ramp, photo // 32 * 32 + 8, np.full_like(photo, 90)),
        *(np.where(photo > 128, 255, 0).astype(np.uint8), photo[:15], photo[:1, :1]),
    ]
    assert [find_jpeg_quality(drawing) for drawing in drawings] == [None] * len(drawings)
