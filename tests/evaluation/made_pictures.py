"""Small photographs."""

from pathlib import Path

import numpy as np
from PIL import Image


def photo(path: Path, height: int, width: int, seed: int = 0, mode: str = "RGB") -> np.ndarray:
    """Write a soft picture, neither black nor white anywhere, and give its levels."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(30, 220, (height // 8, width // 8, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).convert(mode)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    return np.asarray(image)
