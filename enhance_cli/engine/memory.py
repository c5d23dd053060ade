"""What to do when the memory of a device does not suffice: the same work in smaller pieces."""

from collections.abc import Callable
from typing import TypeVar

import torch

from enhance_cli.errors import DeviceError

SizeT = TypeVar("SizeT")
ResultT = TypeVar("ResultT")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means exhausted memory: CUDA has a type for it, the CPU only a text."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(
        text in str(error) for text in ("out of memory", "can't allocate memory")
    )


def shrink_to_fit(
    run: Callable[[SizeT], ResultT],
    size: SizeT,
    *,
    smaller: Callable[[SizeT], SizeT | None],
    describe: Callable[[SizeT], str],
    device: torch.device,
    notice: Callable[[str], None],
) -> tuple[ResultT, SizeT]:
    """Do some work in the largest size that fits in memory.

    Args:
        run: does the work in pieces of a size. It must be able to start anew.
        size: that is tried first.
        smaller: gives the size to try after one that did not fit, or None if there is none.
        describe: names a size for people, e.g. "2 tiles of 256 pixels at a time".
        device: whose memory it is.
        notice: called with one line before a smaller size is tried.

    Returns:
        What ``run`` returned, and the size that fitted.

    Raises:
        DeviceError: if not even the smallest size fits.
    """
    while True:
        try:
            return run(size), size
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        # Not in the clause above, where the exception still holds the tensors of the attempt.
        if device.type == "cuda":
            torch.cuda.empty_cache()
        following = smaller(size)
        if following is None:
            raise DeviceError(
                f"out of memory on {device} even with {describe(size)}: "
                "close other programs or use --device cpu"
            )
        size = following
        notice(f"out of memory on {device}: going on with {describe(size)}")
