"""From a recipe's name to finished weights: settings, stages, data, progress."""

import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from enhance_cli.engine.checkpoint import read_checkpoint_info
from enhance_cli.engine.device import choose_device, choose_dtype, keep_freed_memory
from enhance_cli.errors import UnknownNameError, UsageError
from enhance_cli.io.files import sha256_of
from enhance_cli.talk import Bar, Bars
from enhance_cli.training.loop import Report, train
from enhance_cli.training.overrides import override
from enhance_cli.training.recipes import RECIPES
from enhance_cli.training.resume import (
    LAST_FILE,
    STATE_FILE,
    check_folder,
    finished_steps,
    make_fingerprint,
)
from enhance_cli.training.stages import Recipe, Stage, TrainingTask
from enhance_cli.training.start import Start, WeightsFile, read_start, stage_folder

NO_INIT = Path("none")  # for ``init``: begin with fresh weights, whatever the recipe says


@dataclass(frozen=True)
class _Order:
    """What the stages of a run have in common; see :func:`run_recipe`."""

    recipe: Recipe
    data: Path
    validation: Path | None
    out: Path
    place: torch.device
    dtype: torch.dtype
    console: Console


def list_recipes() -> None:
    """Print the recipes' names and summaries, and the stages of those that have several."""
    console = Console(markup=False)
    width = max(map(len, RECIPES))
    for recipe in RECIPES.values():
        console.print(f"{recipe.name:{width}}  {recipe.summary}", highlight=False)
        for number, stage in enumerate(recipe.stages, 1):
            if len(recipe.stages) > 1 or stage.start:
                console.print(f"{'':{width}}  {_describe(number, stage)}", highlight=False)


def _describe(number: int, stage: Stage) -> str:
    start = " and ".join(map(str, stage.start)) or "fresh weights"
    return f"stage {number}: {stage.optimisation.steps:,} steps from {start}"


def run_recipe(
    name: str,
    data: Path,
    *,
    validation: Path | None = None,
    out: Path,
    resume: bool = False,
    stage: int | None = None,
    minutes: float | None = None,
    init: Path | None = None,
    overrides: Sequence[str] = (),
    device: str = "auto",
    precision: str = "auto",
    quiet: bool = False,
) -> Report:
    """Train a recipe, stage by stage; see the options of ``enhance train``.

    Returns:
        The last report of the last stage that ran; it says whether the user cut it short.

    Raises:
        EnhanceError: For unknown names, unusable data, or a state of other settings.
    """
    recipe = _choose_recipe(name, overrides)
    count = len(recipe.stages)
    if stage is not None and not 1 <= stage <= count:
        raise UsageError(f"--stage {stage}: {name} has {count} stages, see enhance train --list")
    numbers = range(1, count + 1) if stage is None else range(stage, stage + 1)
    place, dtype = _choose_place(device, precision)
    if place.type == "cpu":
        keep_freed_memory()
    other_rank = int(os.environ.get("RANK", "0")) > 0
    console = Console(stderr=True, quiet=quiet or other_rank, markup=False)
    order = _Order(recipe, data, validation, out, place, dtype, console)
    first = _first_stage(recipe, numbers, out, resume)
    deadline = math.inf if minutes is None else time.monotonic() + minutes * 60

    for number in range(first, numbers.stop):
        folder = stage_folder(out, number, count)
        going_on = resume and (folder / STATE_FILE).exists()
        init_here = init if number == numbers.start else None
        seconds = deadline - time.monotonic()
        report = _train_stage(order, number, init_here, going_on, seconds)
        cut = report.step < report.steps or report.signal
        if cut or time.monotonic() > deadline:
            break
    if report.step < report.steps or number + 1 < numbers.stop:
        where = f"stage {number}, " if count > 1 else ""
        console.print(
            f"stopped at {where}step {report.step} of {report.steps}; go on with --resume"
        )
    kept = [folder / f"{stem}.safetensors" for stem in (name, "last")]
    console.print(
        f"weights: {next((p for p in kept if p.exists()), 'none yet')}",
        highlight=False,
        soft_wrap=True,
    )
    return report


def _train_stage(
    order: _Order, number: int, init: Path | None, going_on: bool, seconds: float
) -> Report:
    """Run or continue a stage, and show how it goes."""
    recipe, console = order.recipe, order.console
    name, count = recipe.name, len(recipe.stages)
    folder = stage_folder(order.out, number, count)
    task = _prepare(order, number, init, going_on)
    steps = task.stage.optimisation.steps
    console.print(
        f"{name}{f', stage {number} of {count}' if count > 1 else ''}: {task.data}, {steps} steps, "
        f"{order.place}, {str(order.dtype).removeprefix('torch.')}, run in {folder}",
        highlight=False,
    )
    files = [path for path in (order.data, order.validation) if path is not None]
    with (
        Bars(console, shown=console.is_terminal) as bars,
        bars.bar("starting", steps, "steps") as bar,
    ):
        return train(
            task,
            folder,
            name,
            fingerprint=make_fingerprint(
                name, task.stage.settings(), task.data, files, order.dtype
            ),
            device=order.place,
            dtype=order.dtype,
            resume=going_on,
            report=_Display(console, bar, task.unit).show,
            seconds=seconds,
            notes=_notes(number, count, init, folder if going_on else None),
        )


def _prepare(order: _Order, number: int, init: Path | None, going_on: bool) -> TrainingTask:
    """Read the data of a stage and make its network; a resumed one has weights in its state."""
    recipe = order.recipe
    stage = recipe.stages[number - 1]
    start: tuple[Start, ...] = stage.start
    if init is not None:
        start = () if init == NO_INIT else (WeightsFile(init),)
    tensors = None
    if not going_on:
        tensors = read_start(start, order.out, recipe.name, len(recipe.stages))
    return stage.prepare(order.data, order.validation, order.place, tensors)


def _notes(number: int, count: int, init: Path | None, resumed: Path | None) -> dict[str, Any]:
    """What checkpoints say of a stage: its number, and what it began from by ``--init``.

    Args:
        number, count: Which stage of how many.
        init: What was given; None is what the recipe says.
        resumed: Folder of a run that goes on, whose checkpoint knows what it began from.
    """
    notes: dict[str, Any] = {"stage": f"{number} of {count}"} if count > 1 else {}
    if resumed is not None:
        last = resumed / LAST_FILE
        known = read_checkpoint_info(last).training.get("init") if last.exists() else None
    elif init is None or init == NO_INIT:
        known = init and str(init)
    else:
        known = {"file": init.name, "sha256": sha256_of(init)}
    return notes | ({"init": known} if known else {})


def _choose_recipe(name: str, overrides: Sequence[str]) -> Recipe:
    """The recipe of a name, with changed settings in all of its stages.

    Raises:
        UnknownNameError: If there is no such recipe or setting.
        UsageError: If a value cannot be, or would make another model.
    """
    if name not in RECIPES:
        raise UnknownNameError("recipe", name, RECIPES)
    recipe = RECIPES[name]
    stages = tuple(override(stage, overrides) for stage in recipe.stages)
    for before, now in zip(recipe.stages, stages, strict=True):
        if before.identity != now.identity:
            raise UsageError(
                f"--set {' '.join(overrides)}: that would be another model than {name}, "
                "choose another recipe"
            )
    return replace(recipe, stages=stages)


def _first_stage(recipe: Recipe, numbers: range, out: Path, resume: bool) -> int:
    """The stage to begin or to go on with; those before it are done.

    Raises:
        CheckpointError: If there is nothing to resume, or a stage was made by other settings.
        OutputError: If a run lies there that is not to be resumed.
    """
    count = len(recipe.stages)
    states = {number: stage_folder(out, number, count) / STATE_FILE for number in numbers}
    found = [number for number, state in states.items() if state.exists()]
    if not resume:
        for number in found or numbers:
            check_folder(states[number].parent, resume=False)
        return numbers.start
    if not found:
        check_folder(states[numbers.start].parent, resume=True)
    for number in numbers:
        stage = recipe.stages[number - 1]
        steps = finished_steps(states[number], stage.settings())
        if steps is None or steps < stage.optimisation.steps:
            return number
    return numbers[-1]


def _choose_place(device: str, precision: str) -> tuple[torch.device, torch.dtype]:
    """Device and precision of this process; under ``torchrun`` each takes a GPU of its own."""
    place = choose_device(device)
    if place.type == "cuda" and place.index is None:
        place = choose_device(f"cuda:{os.environ.get('LOCAL_RANK', '0')}")
    dtype = choose_dtype(precision, place)
    if dtype == torch.float16:
        if precision == "fp16":
            raise UsageError("--precision fp16: gradients underflow in it, train in bf16 or fp32")
        dtype = torch.float32
    return place, dtype


class _Display:
    """Shows reports: a live bar on a terminal, and anywhere one line per validation."""

    def __init__(self, console: Console, bar: Bar, unit: str) -> None:
        self._console, self._bar, self._unit = console, bar, unit

    def show(self, report: Report) -> None:
        """Take in the news of a run."""
        best = f"  best {report.best:.3f} {self._unit}" if math.isfinite(report.best) else ""
        self._bar.rename(f"loss {report.loss:.5f}{best}")
        self._bar.update(report.step, report.steps, "steps")
        if report.validation is not None:
            self._console.print(
                f"step {report.step}: loss {report.loss:.5f}, validation "
                f"{report.validation:.4f} {self._unit}, {report.steps_per_second:.2f} steps/s",
                highlight=False,
            )
