"""Which device computes, and in which precision."""

import ctypes
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from enhance_cli.errors import DeviceError, UsageError

DEVICES = ("auto", "cpu", "cuda", "cuda:N", "mps")
PRECISIONS = ("auto", "fp32", "bf16", "fp16", "int8")
# How many prepared operations oneDNN, which computes on CPUs for torch and for OpenVINO, and
# OpenVINO itself keep. Each is for one shape: by default there are thousands, which take hundreds
# of MiB where each picture has another size. The shapes of tiles, or of a video, are far fewer.
KEPT_PRIMITIVES = 256


def choose_device(name: str = "auto") -> torch.device:
    """Find the device that the option ``--device`` names.

    Args:
        name: ``auto`` (``$ENHANCE_DEVICE`` if set, else CUDA, then MPS, then the CPU), ``cpu``,
            ``cuda``, ``cuda:N`` or ``mps``.

    Raises:
        UsageError: if the name is none of these.
        DeviceError: if this machine has no such device.
    """
    if name == "auto":
        name = os.environ.get("ENHANCE_DEVICE") or "auto"
    if name == "auto":
        name = (
            "cuda"
            if torch.cuda.is_available()
            else "mps"
            if torch.backends.mps.is_available()
            else "cpu"
        )
    if not re.fullmatch(r"cpu|mps|cuda(:[0-9]+)?", name):
        raise UsageError(f"unknown device {name!r}: choose from {', '.join(DEVICES)}")
    kind, _, index = name.partition(":")
    if kind == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(index or 0) >= count:
            raise DeviceError(
                f"device {name!r}: this machine has {count} CUDA device(s), use --device cpu"
            )
    if kind == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("device 'mps': not available on this machine, use --device cpu")
    return torch.device(name)


def choose_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Find the floating point type that the option ``--precision`` names.

    Args:
        precision: ``auto`` (bf16 on CUDA devices that compute in it, fp16 on other CUDA
            devices, else fp32), ``fp32``, ``bf16`` or ``fp16``. Torch does not compute in
            ``int8``.
        device: where it will be used.

    Raises:
        UsageError: if the name is none of these.
    """
    if precision == "int8":
        raise UsageError(
            "--precision int8: torch does not compute in it, choose fp32 or bf16, or "
            "--backend openvino where that is an option"
        )
    if precision == "auto":
        if device.type != "cuda":
            return torch.float32
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if native else torch.float16
    types = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    if precision not in types:
        raise UsageError(f"unknown precision {precision!r}: choose from {', '.join(PRECISIONS)}")
    return types[precision]


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch work in one thread, for small tensors on a machine that may be busy.

    Where other programs hold the cores, threads wait for each other in a loop that takes more time
    than the work: loading a model of 4 MB took a second in place of a tenth.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def keep_freed_memory() -> None:
    """Let the C library reuse the memory of freed tensors instead of giving it back at once.

    On a CPU each layer frees and takes feature maps of many megabytes. By default glibc asks the
    kernel for each of them, which clears the memory anew. That took a quarter of the time of
    training and a third of that of enlarging. In return some memory that is free stays with the
    process. With another C library this function does nothing about that.

    What grows with each new shape of tensors, the operations that oneDNN prepares, is bounded.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(KEPT_PRIMITIVES))
    if not sys.platform.startswith("linux"):
        return
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return
    # From malloc.h: M_TRIM_THRESHOLD (-1: never), M_TOP_PAD and M_MMAP_MAX.
    for parameter, value in ((-1, -1), (-2, 2**28), (-4, 0)):
        library.mallopt(parameter, value)
