"""The same work in smaller pieces, once memory has ended."""

import pytest
import torch

from enhance_cli.engine.memory import shrink_to_fit
from enhance_cli.errors import DeviceError


def shrink(most: int, size: int, notices: list[str]) -> tuple[list[int], int]:
    """Work that fits up to ``most``, halved down to 2; gives its result and the fitting size."""

    def run(size: int) -> list[int]:
        if size > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [0] * size

    return shrink_to_fit(
        run,
        size,
        smaller=lambda size: size // 2 if size > 2 else None,
        describe=lambda size: f"{size} things",
        device=torch.device("cpu"),
        notice=notices.append,
    )


def test_the_largest_size_that_fits_is_used():
    notices: list[str] = []
    assert shrink(20, 16, notices) == ([0] * 16, 16)
    assert notices == []
    assert shrink(5, 16, notices) == ([0] * 4, 4)
    assert notices == [f"out of memory on cpu: going on with {size} things" for size in (8, 4)]


def test_the_smallest_size_that_was_tried_is_named():
    with pytest.raises(DeviceError, match="out of memory on cpu even with 2 things: close other"):
        shrink(1, 16, [])
