"""What the tests of camera RAW files share: a made mosaic with its tags, and what a refusal is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from enhance_cli.errors import InputError

WHITE = 4095
OPTIONS: dict[str, Any] = {
    "white": WHITE,
    "as_shot_neutral": (0.5, 1.0, 0.625),
    "color_matrix": np.array(
        [[0.6988, -0.1384, -0.0714], [-0.5631, 1.341, 0.2447], [-0.1485, 0.2204, 0.7318]]
    ),
}


def scene(height: int = 40, width: int = 48) -> np.ndarray:
    """A mosaic without a repetition, so that a shift by a block shows."""
    rng = np.random.default_rng(7)
    return rng.integers(0, WHITE, (height, width), dtype=np.uint16, endpoint=True)


def refusal(call: Callable[[Path], object], path: Path) -> str:
    """The one line of a refusal."""
    with pytest.raises(InputError) as refused:
        call(path)
    message = str(refused.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message
