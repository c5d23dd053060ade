"""What this machine is: its CPU and its devices."""

import os
import platform
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

# The instruction sets that decide how fast networks run, by the names that Linux gives them.
_INSTRUCTIONS = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_bf16": "AVX-512 bf16",
    "avx512_vnni": "AVX-512 int8",
    "avx_vnni": "AVX int8",
    "amx_bf16": "AMX bf16",
    "amx_int8": "AMX int8",
    "asimd": "NEON",
    "bf16": "Arm bf16",
    "i8mm": "Arm int8",
}


def describe_cpu() -> dict[str, Any]:
    """The name of the CPU, the cores that this process may use, and what it computes in."""
    told: dict[str, str] = {}
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        for line in reversed(lines):  # so that the first core has the last word
            name, _, value = line.partition(":")
            told[name.strip().lower()] = value.strip()
    flags = set(told.get("flags", told.get("features", "")).split())
    instructions = [name for flag, name in _INSTRUCTIONS.items() if flag in flags]
    return {
        "name": told.get("model name") or platform.processor() or platform.machine(),
        "cores": usable_cores(),
        "threads": torch.get_num_threads(),
        "instructions": instructions,
        "computes_in": [
            "fp32",
            *(kind for kind in ("bf16", "int8") if any(kind in name for name in instructions)),
        ],
    }


def usable_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def describe_gpus() -> list[dict[str, Any]]:
    """The devices beside the CPU: name, memory in bytes, and whether they compute in bf16."""
    gpus: list[dict[str, Any]] = []
    for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        free, total = torch.cuda.mem_get_info(number)
        gpus.append(
            {
                "device": f"cuda:{number}",
                "name": torch.cuda.get_device_name(number),
                "memory": total,
                "free_memory": free,
                "bf16": torch.cuda.get_device_capability(number) >= (8, 0),
            }
        )
    if torch.backends.mps.is_available():
        gpus.append({"device": "mps", "name": "Apple GPU"})
    return gpus
