"""The processes that train together, and how a user ends them between two steps."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.distributed
from torch import Tensor

from enhance_cli.errors import UsageError


class Processes:
    """The processes of one run: this one alone, unless ``torchrun`` started several.

    Args:
        device: Where this process computes, which decides how they talk to each other.
    """

    def __init__(self, device: torch.device) -> None:
        self.count = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        if self.count > 1 and not torch.distributed.is_initialized():
            backend = "nccl" if device.type == "cuda" else "gloo"
            torch.distributed.init_process_group(backend)

    @property
    def share(self) -> slice:
        """The items of a batch that this process takes."""
        return slice(self.rank, None, self.count)

    def check_batch(self, batch: int) -> None:
        """See that all processes get as much of a batch, so that the mean of theirs is its own.

        Raises:
            UsageError: If they do not.
        """
        if batch % self.count:
            raise UsageError(
                f"batch={batch}: cannot be shared evenly among {self.count} processes, choose a "
                f"multiple of {self.count} with --set batch=..."
            )

    def average(self, tensors: list[Tensor]) -> None:
        """Replace each tensor by its mean over the processes, in one message."""
        if self.count == 1 or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        torch.distributed.all_reduce(flat)
        flat /= self.count
        parts = torch.split(flat, [tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))

    def agree(self, flag: bool, device: torch.device) -> bool:
        """True in all processes where it is true in one, so that all stop at the same step."""
        if self.count == 1:
            return flag
        vote = torch.tensor(float(flag), device=device)
        torch.distributed.all_reduce(vote)
        return bool(vote > 0)

    def wait(self) -> None:
        """Return once all processes are here, so that they find what the first has written."""
        if self.count > 1:
            torch.distributed.barrier()


@contextmanager
def interruptible() -> Iterator[Callable[[], int]]:
    """Turn the first Ctrl-C or SIGTERM into a question that the loop asks between two steps.

    Yields:
        What gives the number of that signal, or 0 if there was none yet.
    """
    asked = 0

    def ask(number: int, _frame: object) -> None:
        nonlocal asked
        asked = number
        restore()  # a second one ends the program at once

    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, ask) for number in signals}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    try:
        yield lambda: asked
    finally:
        restore()
