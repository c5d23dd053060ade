"""Fixtures that the tests of training video networks share."""

from pathlib import Path

import pytest
from PIL import Image
from tiny_video import moving_clip, write_frames


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
