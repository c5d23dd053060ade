"""Measure what a network's layers see, so that ``--precision int8`` can run it."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from enhance_cli.data.patches import cut_middle, find_photos
from enhance_cli.engine.backend import choose_engine
from enhance_cli.engine.calibration import (
    Calibration,
    calibration_file,
    digest,
    measure_ranges,
)
from enhance_cli.engine.catalogue import Model, load_model
from enhance_cli.engine.compiling import CompilationError, compile_network
from enhance_cli.engine.weight_files import find_file
from enhance_cli.errors import DatasetError, DeviceError, EnhanceError, OutputError, one_line
from enhance_cli.io.image import read_rgb8
from enhance_cli.levels import quantise, to_levels, to_planes, to_values
from enhance_cli.metrics.quality import psnr
from enhance_cli.resize import imresize
from enhance_cli.talk import plain_console

MOST_LOST = 0.1  # dB of PSNR that integers may cost

_SIDE = 96  # of the inputs, in pixels
_EVERY = 4  # one of so many photographs is held out


@dataclass(frozen=True)
class CalibrationRequest:
    """The options of ``enhance weights calibrate``; see its help."""

    name: str
    data: Path
    count: int
    overwrite: bool = False


def run_calibrate(request: CalibrationRequest) -> int:
    """Write the ranges of a model's layers beside its checkpoint.

    They are measured on the middles of photographs, and on middles that the bicubic filter has
    made smaller. Every fourth photograph is held out, and tells how much PSNR the integers cost.

    Returns:
        The exit code.

    Raises:
        UnknownNameError: if no weights of the name can be found.
        CheckpointError: if the weights are not of a network that enlarges pictures.
        DatasetError: if too few photographs are large enough.
        DeviceError: if OpenVINO is missing, or does not run the network.
        OutputError: if the file exists, or cannot be written.
        EnhanceError: if the integers cost more than ``MOST_LOST``.
    """
    engine = choose_engine("openvino", "cpu", "fp32")
    model = load_model("superres", weights=find_file(request.name).path, device=engine.device)
    path = calibration_file(model.info.path)
    if path.exists() and not request.overwrite:
        raise OutputError(f"{path}: exists already, add --overwrite")
    held, shown = _draw(request, model.contract.scale)
    inputs = (to_values(part)[None] for pair in shown for part in pair)
    assert isinstance(model.network, torch.nn.Module)
    ranges = measure_ranges(model.network, inputs)
    before = _score(model, held)
    try:
        compile_network(model.network, "int8", ranges)
    except CompilationError as error:
        raise DeviceError(f"OpenVINO does not run {model.info.name}: {error}") from error
    after = _score(model, held)
    told = f"PSNR of {len(held)} photographs {before:.3f} dB in fp32, {after:.3f} dB in int8"
    if before - after > MOST_LOST:
        raise EnhanceError(f"{model.info.name}: {told}, more than {MOST_LOST} dB lost: use bf16")
    values = digest(model.network)
    scores = round(before, 3), round(after, 3)
    Calibration(ranges, values, len(shown), len(held), *scores).save(path)
    console = plain_console(stderr=True)
    console.print(one_line(f"{path}: {len(ranges)} layers, {told}"))
    return 0


def _draw(
    request: CalibrationRequest, scale: int
) -> tuple[list[tuple[Tensor, Tensor]], list[tuple[Tensor, Tensor]]]:
    """Photographs that are held out, and those to measure ranges on.

    Each is a pair of uint8 (3, side, side), one made of (3, scale * side, scale * side), and these.
    """
    side = scale * _SIDE
    paths = find_photos(request.data)
    step = max(len(paths) // request.count, 1)
    photos = (to_planes(read_rgb8(path)) for path in paths[::step][: request.count])
    chosen = [cut_middle(photo, side, side) for photo in photos if min(photo.shape[-2:]) >= side]
    if len(chosen) < _EVERY:
        raise DatasetError(
            f"{request.data}: {len(chosen)} photographs have {side} pixels on both sides, give "
            f"--data {_EVERY} or more"
        )
    pairs = [(to_levels(imresize(to_values(photo), 1 / scale)), photo) for photo in chosen]
    return pairs[::_EVERY], [pair for index, pair in enumerate(pairs) if index % _EVERY]


def _score(model: Model, pairs: list[tuple[Tensor, Tensor]]) -> float:
    """The mean PSNR of RGB in dB."""
    scores = [
        psnr(quantise(model.run(to_values(small)[None])[0]), to_values(large), 1.0)
        for small, large in pairs
    ]
    return sum(scores) / len(scores)
