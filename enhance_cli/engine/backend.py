"""Which engine computes networks: torch, or OpenVINO on a CPU."""

import os
from dataclasses import dataclass

import torch

from enhance_cli.engine.compiling import CompilationError, native_precision
from enhance_cli.engine.device import choose_device, choose_dtype
from enhance_cli.errors import DeviceError, UnknownNameError, UsageError

BACKENDS = ("auto", "torch", "openvino")


@dataclass(frozen=True)
class Engine:
    """What computes, where and in which precision.

    Attributes:
        device: where networks lie.
        dtype: the type that torch computes in, of all that it computes.
        compiled: the precision in which OpenVINO runs the learned part of networks; None if torch
            runs it.
        required: whether it is an error that OpenVINO does not run a network.
        notice: why torch has to do what OpenVINO would do faster; empty if nothing is to be said.
    """

    device: torch.device
    dtype: torch.dtype
    compiled: str | None = None
    required: bool = False
    notice: str = ""


def choose_engine(backend: str, device: str, precision: str) -> Engine:
    """Find the engine that the options name.

    Args:
        backend: ``torch``; ``openvino``; or ``auto``, which is ``$ENHANCE_BACKEND`` if that is
            set, else OpenVINO on a CPU where it is installed, and torch elsewhere.
        device: see :func:`choose_device`; with ``openvino`` ``auto`` is the CPU.
        precision: see :func:`choose_dtype`. With OpenVINO ``auto`` is bf16 on a CPU that computes
            in it, else fp32. ``int8`` asks for OpenVINO.

    Raises:
        UsageError: if a name is unknown, or OpenVINO is asked for on another device than a CPU or
            in a precision that it does not compute in there.
        DeviceError: if there is no such device, or OpenVINO is asked for and does not start.
    """
    if backend == "auto":
        backend = os.environ.get("ENHANCE_BACKEND") or "auto"
    if backend not in BACKENDS:
        raise UnknownNameError("backend", backend, BACKENDS)
    integers = precision == "int8" and backend != "torch"
    required = integers or backend == "openvino"
    asked = "--precision int8" if integers else "--backend openvino"
    place = choose_device("cpu" if required and device == "auto" else device)
    dtype = torch.float32 if integers else choose_dtype(precision, place)
    if required and place.type != "cpu":
        raise UsageError(f"{asked}: OpenVINO runs on the CPU, not on {place}, leave one out")
    if backend == "torch" or place.type != "cpu":
        return Engine(place, dtype)
    try:
        native = native_precision()
    except CompilationError as error:
        if required:
            raise DeviceError(f"{asked}: {error}") from error
        return Engine(place, dtype, notice=f"torch runs the network, which is slower: {error}")
    wanted = native if precision == "auto" else precision
    if integers or wanted in ("fp32", native):
        return Engine(place, dtype, wanted, required)
    can = " and ".join(dict.fromkeys(("fp32", native)))
    told = f"OpenVINO computes in {can} on this CPU, not in {wanted}"
    if required:
        raise UsageError(f"--precision {wanted}: {told}")
    return Engine(place, dtype, notice=f"torch runs the network, which is slower: {told}")
