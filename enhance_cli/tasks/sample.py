"""Draw pictures from models: samples, and the way from one picture to another."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from enhance_cli.architectures.autoencoder import DENSITIES
from enhance_cli.defaults import INTERPOLATION_STEPS, SAMPLE_COUNT, TEMPERATURE
from enhance_cli.engine.generation import (
    BATCH,
    decode_codes,
    default_density,
    draw_pictures,
    encode_pictures,
    slerp,
    usable_densities,
)
from enhance_cli.errors import UnknownNameError, UsageError
from enhance_cli.io.image import Picture, write_image
from enhance_cli.talk import Talk
from enhance_cli.tasks.sample_pictures import (
    NumberedFiles,
    PictureGrid,
    compose_grid,
    read_square,
    square_columns,
    to_zoomed_pixels,
)
from enhance_cli.tasks.sample_reconstruct import reconstruct
from enhance_cli.tasks.sample_run import SampleRequest, SampleRun, check_options


def run_sample(request: SampleRequest, talk: Talk) -> int:
    """Draw the pictures of a request.

    Returns:
        The exit code: 1 if a picture to reconstruct failed.

    Raises:
        EnhanceError: for what concerns all pictures: options, model, device, output.
    """
    check_options(request)
    torch.backends.cudnn.deterministic = True  # the same seed, the same bytes
    model = request.model.load("sample")
    run = SampleRun(request, model, talk, talk.console)
    run.check_encoder()
    run.header.update(
        kind=request.kind, model=model.info.name, density=None, temperature=None, seed=None
    )
    talk.explain(model.describe())
    if request.kind == "reconstructions":
        return reconstruct(run)
    return _interpolate(run) if request.interpolate is not None else _sample(run)


def _choose_density(run: SampleRun) -> str:
    """Choose the density that codes are drawn from.

    Raises:
        UsageError: if the model has no density, or not the one that was asked for.
    """
    name, usable = run.request.density, usable_densities(run.network)
    if name is not None and name not in DENSITIES:
        raise UnknownNameError("density", name, DENSITIES)
    chosen = name or default_density(run.network)
    if chosen not in usable:
        model = run.model.info.name
        if not usable:
            raise UsageError(
                f"model {model!r} has no density to sample from, choose another "
                "model, or --reconstruct or --interpolate pictures"
            )
        raise UsageError(
            f"--density {chosen}: model {model!r} has none, choose from {', '.join(usable)}"
        )
    return chosen


def _sample(run: SampleRun) -> int:
    request, count = run.request, run.request.count or SAMPLE_COUNT
    temperature = TEMPERATURE if request.temperature is None else request.temperature
    seed = request.seed or 0
    density = _choose_density(run)
    pictures = draw_pictures(
        run.model, density, count, temperature=temperature, seed=seed, notice=run.say
    )
    run.header.update(density=density, temperature=temperature, seed=seed)
    return _draw(
        run,
        pictures,
        count,
        square_columns(count),
        f"samples of {run.model.info.name}, density {density}, temperature "
        f"{temperature:g}, seed {seed}",
    )


def _interpolate(run: SampleRun) -> int:
    request = run.request
    assert request.interpolate is not None
    count = request.steps or INTERPOLATION_STEPS
    files = NumberedFiles(request.target, count)
    ends = []
    for path in request.interpolate:
        target = request.target if request.wants_grid else files.namesake(path)
        if target is not None and target.resolve() == path.resolve():
            raise UsageError(f"{target}: an input would be replaced, choose another -o")
        picture, notices = read_square(path, run.model.contract)
        ends.append(picture)
        run.say_notices(path, notices)
    run.header["inputs"] = [str(path) for path in request.interpolate]

    def codes() -> Iterator[Tensor]:
        first, second = encode_pictures(run.model, torch.stack(ends), notice=run.say)
        for shares in torch.split(torch.linspace(0, 1, count), BATCH):
            yield slerp(first, second, shares[:, None])

    first, second = (path.name for path in request.interpolate)
    pictures = decode_codes(run.model, codes(), notice=run.say)
    return _draw(
        run, pictures, count, count, f"steps from {first} to {second} by {run.model.info.name}"
    )


def _draw(run: SampleRun, pictures: Iterator[Tensor], count: int, columns: int, what: str) -> int:
    """Write pictures into a grid or into a folder of single ones.

    Args:
        run: the request and its model.
        pictures: blocks (N, C, side, side) in [0, 1] on the CPU.
        count: of all pictures.
        columns: of a grid, unless the user asks for another number.
        what: the pictures in words, for the line that says what was drawn.
    """
    request, target = run.request, run.request.target
    columns, files = request.columns or columns, NumberedFiles(target, count)
    line = f"{target}: {count} {what}, {_check_target(run, files, columns)}"
    # A list of a million names is made only for who reads it.
    outputs = (
        [target]
        if request.wants_grid or not run.talk.json
        else [files.path(number) for number in range(count)]
    )
    if run.talk.dry_run:
        run.say(f"would write {line}")
        run.report(outputs, count, status="planned")
        return 0
    kept: list[NDArray[np.uint8] | None] = []
    with run.talk.progress("drawing", count, "pictures", run.console) as bar:
        zoomed = (to_zoomed_pixels(one, request.zoom) for block in pictures for one in block)
        for number, pixels in enumerate(zoomed):
            if request.wants_grid:
                kept.append(pixels)
            else:
                files.write(number, pixels)
            bar.advance()
    if request.wants_grid:
        write_image(target, Picture(compose_grid(kept, columns)))
    run.say(line)
    run.report(outputs, count, status="ok")
    return 0


def _check_target(run: SampleRun, files: NumberedFiles, columns: int) -> str:
    """Check, before any work, that the pictures can be written, and say how large they will be.

    Raises:
        OutputError: if not.
    """
    request, side = run.request, run.network.config.side * run.request.zoom
    if request.wants_grid:
        grid = PictureGrid(files.count, columns, side)
        grid.check(request.target)
        request.check_free(request.target)
        return f"{grid.width}x{grid.height}"
    left = files.check(side, request.files.overwrite)
    if left:
        run.say(
            f"{files.folder}: {left} numbered pictures of an earlier run stay beside the new ones"
        )
    return f"{side}x{side} each"
