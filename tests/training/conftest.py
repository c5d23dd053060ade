"""Fixtures that tests of training share."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_video import moving_clip, write_frames

from enhance_cli.data.picture_sets import FACES_FILE


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for index in range(3):
        write_frames(folder / f"clip{index}", moving_clip(index))
    return folder


@pytest.fixture(scope="session")
def video_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for index in range(2):
        image = moving_clip(9 + index, 1, 96, 90)[0]
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / f"{index}.png")
    return folder


@pytest.fixture(scope="session")
def small_sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both sets, very small: soft blobs at random places."""
    folder = tmp_path_factory.mktemp("small-sets")
    rng = np.random.default_rng(0)

    def blob(side: int) -> np.ndarray:
        y, x = np.mgrid[:side, :side] / side - rng.uniform(0.3, 0.7, (2, 1, 1))
        return (255 * np.exp(-(x**2 + y**2) / 0.03)).astype(np.uint8)

    digits = np.stack([blob(28) for _ in range(60)])
    np.savez(
        folder / "mnist.npz",
        x_train=digits,
        y_train=np.zeros(60, np.uint8),
        x_test=digits[:10],
        y_test=np.zeros(10, np.uint8),
    )
    files = []
    for _ in range(50):
        file = BytesIO()
        Image.fromarray(np.stack([blob(64)] * 3, -1)).save(file, "JPEG", quality=95)
        files.append(file.getvalue())
    np.savez(
        folder / FACES_FILE,
        data=np.frombuffer(b"".join(files), np.uint8),
        offsets=np.cumsum([0, *map(len, files)]),
    )
    return folder
