"""How much memory there is."""

import os
from contextlib import suppress
from pathlib import Path


def free_memory() -> tuple[int, int]:
    """Bytes of memory that this process can still take, and those of the machine.

    A limit that a container sets counts as the memory of the machine.
    """
    page = os.sysconf("SC_PAGE_SIZE")
    total = free = os.sysconf("SC_PHYS_PAGES") * page
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                free = int(line.split()[1]) * 1024
    with suppress(OSError, ValueError):  # the second where there is no limit
        folder = Path("/sys/fs/cgroup")
        limit = int((folder / "memory.max").read_text(encoding="ascii"))
        used = int((folder / "memory.current").read_text(encoding="ascii"))
        total, free = min(total, limit), min(free, max(limit - used, 0))
    return free, total
