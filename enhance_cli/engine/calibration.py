"""What the layers of a network see, measured once, so that it can run in integers of 8 bits.

The ranges of a checkpoint lie in a file beside it, ``NAME.int8.json``. They hold for its values
alone, of which the file has a checksum.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from enhance_cli.errors import CheckpointError, UsageError
from enhance_cli.io.files import replacing

Ranges = Mapping[str, tuple[float, float]]

_SUFFIX = ".int8.json"


@dataclass(frozen=True)
class Calibration:
    """The ranges of a network's layers, and what they cost.

    Attributes:
        ranges: smallest and largest value of the inputs of convolutions, by the names of the
            layers. Layers that are not among them stay in float32.
        values: checksum of the network's values, see :func:`digest`.
        photographs: how many photographs the ranges were measured on.
        held_out: how many others the two scores were measured on.
        psnr_fp32, psnr_int8: mean PSNR of RGB in dB, in float32 and in integers.
    """

    ranges: dict[str, tuple[float, float]]
    values: str
    photographs: int
    held_out: int
    psnr_fp32: float
    psnr_int8: float

    def save(self, path: Path) -> None:
        """Write the file, see :func:`calibration_file`, replacing what is there.

        Raises:
            OutputError: if it cannot be written.
        """
        text = json.dumps(asdict(self), indent=1) + "\n"
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")


def calibration_file(checkpoint: Path) -> Path:
    """Where the ranges of a checkpoint lie."""
    return checkpoint.with_suffix(_SUFFIX)


def read_ranges(checkpoint: Path, network: nn.Module) -> Ranges:
    """Read the ranges for a network that was loaded from a checkpoint.

    Raises:
        UsageError: if there are none, or they are for other values than the network's.
        CheckpointError: if the file is damaged.
    """
    path = calibration_file(checkpoint)
    advice = f"use fp32 or bf16, or measure them: enhance weights calibrate {checkpoint}"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        ranges = {
            str(name): (float(low), float(high)) for name, (low, high) in found["ranges"].items()
        }
        values = found["values"]
    except FileNotFoundError as error:
        raise UsageError(
            f"--precision int8: the ranges of {checkpoint.stem} are unknown, {advice}"
        ) from error
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: damaged ({error}), remove it") from error
    if values != digest(network):
        raise UsageError(f"--precision int8: {path} is for other weights than these, {advice}")
    return ranges


def unite_ranges(several: Sequence[Ranges]) -> Ranges:
    """The ranges that hold for all of some networks of one architecture.

    Of blends of them they nearly hold: of two networks, of which one was trained from the other, a
    blend left them in two layers of 33, by up to 5%. Layers of which not all ranges are known are
    left out.
    """
    united = {}
    for name in several[0]:
        if all(name in ranges for ranges in several):
            lows, highs = zip(*(ranges[name] for ranges in several), strict=True)
            united[name] = min(lows), max(highs)
    return united


def digest(network: nn.Module) -> str:
    """The SHA-256 of a network's values, whatever modules lie around it."""
    found = hashlib.sha256()
    for value in network.state_dict().values():
        found.update(value.contiguous().numpy().data)
    return found.hexdigest()


def measure_ranges(network: nn.Module, inputs: Iterable[Tensor]) -> dict[str, tuple[float, float]]:
    """The smallest and largest values that convolutions are given.

    The first and the last convolution are left out: they see the picture and make it, and rounding
    there costs most.

    Args:
        network: on the CPU, run by torch.
        inputs: batches for it.

    Raises:
        UsageError: if the network has fewer than three convolutions.
    """
    ranges: dict[str, tuple[float, float]] = {}

    def watch(name: str) -> Any:
        def note(_: nn.Module, given: tuple[Tensor, ...]) -> None:
            seen = given[0].numpy()  # whose minimum is found many times faster than torch's
            # Zero is in every range: margins are filled with it.
            low, high = ranges.get(name, (0.0, 0.0))
            ranges[name] = min(low, float(seen.min())), max(high, float(seen.max()))

        return note

    hooks = [
        module.register_forward_pre_hook(watch(name))
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d) and module.groups == 1
    ]
    try:
        with torch.inference_mode():
            for batch in inputs:
                network(batch)
    finally:
        for hook in hooks:
            hook.remove()
    if len(ranges) < 3:
        raise UsageError(f"{len(ranges)} convolutions: too few to be run in integers")
    return dict(list(ranges.items())[1:-1])
