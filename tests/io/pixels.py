"""Pictures that the tests of picture files need."""

import numpy as np


def noise(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    """Levels of the whole range of an integer type, the same in every run."""
    rng = np.random.default_rng(sum(shape))
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)
