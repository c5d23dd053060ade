"""How much memory there is."""

from contextlib import suppress
from pathlib import Path

import psutil


def free_memory() -> tuple[int, int]:
    """Bytes of memory that this process can still take, and those of the machine.

    A limit that a container sets counts as the memory of the machine.
    """
    machine = psutil.virtual_memory()
    free, total = machine.available, machine.total
    with suppress(OSError, ValueError):  # the second where there is no limit
        folder = Path("/sys/fs/cgroup")
        limit = int((folder / "memory.max").read_text(encoding="ascii"))
        used = int((folder / "memory.current").read_text(encoding="ascii"))
        total, free = min(total, limit), min(free, max(limit - used, 0))
    return free, total


def taken_memory() -> int:
    """Bytes of memory that this process holds."""
    return int(psutil.Process().memory_info().rss)
