"""From a recipe's name to a finished run: overrides, data, progress."""

import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from enhance_cli.engine.checkpoint import read_tensors
from enhance_cli.engine.device import choose_device, choose_dtype, keep_freed_memory
from enhance_cli.errors import UnknownNameError, UsageError
from enhance_cli.talk import Bar, Bars
from enhance_cli.training.loop import Report, train
from enhance_cli.training.recipes import RECIPES
from enhance_cli.training.resume import check_folder


def list_recipes() -> None:
    """Print the recipes' names and summaries."""
    console = Console(markup=False)
    width = max(map(len, RECIPES))
    for recipe in RECIPES.values():
        console.print(f"{recipe.name:{width}}  {recipe.summary}", highlight=False)


def override(recipe: Any, assignments: Sequence[str]) -> Any:
    """A recipe with some values changed.

    Args:
        recipe: frozen dataclass, nested at will.
        assignments: ``name=value``, the value as JSON or as a bare word; a name is looked for
            in the recipe, then in the dataclasses and dicts that it holds.

    Raises:
        UsageError: if an assignment has no ``=``, or its value is of another type.
        UnknownNameError: if no part of the recipe has such a name.
    """
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise UsageError(f"--set {assignment!r}: write it as name=value")
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = text
        try:
            changed = _replace_named(recipe, name, value)
        except (TypeError, ValueError) as error:
            raise UsageError(f"--set {assignment}: {error}") from error
        if changed is None:
            raise UnknownNameError("recipe value", name, _names(recipe))
        recipe = changed
    return recipe


def _names(part: Any) -> list[str]:
    if isinstance(part, dict):
        return list(part)
    nested = [getattr(part, entry.name) for entry in fields(part)]
    own = [
        entry.name
        for entry, value in zip(fields(part), nested, strict=True)
        if not isinstance(value, dict) and not is_dataclass(value)
    ]
    return own + [
        name
        for value in nested
        if isinstance(value, dict) or is_dataclass(value)
        for name in _names(value)
    ]


def _replace_named(part: Any, name: str, value: Any) -> Any | None:
    """``part`` with the value changed, or None if it has no such name."""
    if isinstance(part, dict):
        return {**part, name: _cast(name, part[name], value)} if name in part else None
    for entry in fields(part):
        held = getattr(part, entry.name)
        if isinstance(held, dict) or is_dataclass(held):
            changed = _replace_named(held, name, value)
            if changed is not None:
                return replace(part, **{entry.name: changed})
        elif entry.name == name:
            return replace(part, **{name: _cast(name, held, value)})
    return None


def _cast(name: str, old: Any, value: Any) -> Any:
    if isinstance(old, float) and type(value) is int:
        value = float(value)
    if isinstance(old, tuple) and isinstance(value, list):
        value = tuple(value)
    if type(value) is not type(old):
        raise UsageError(f"--set {name}={value}: must be {type(old).__name__} like {old!r}")
    return value


def run_recipe(
    name: str,
    data: Path,
    *,
    validation: Path | None = None,
    out: Path,
    resume: bool = False,
    minutes: float | None = None,
    init: Path | None = None,
    overrides: Sequence[str] = (),
    device: str = "auto",
    precision: str = "auto",
    quiet: bool = False,
) -> Report:
    """Train a recipe; see the options of ``enhance train``.

    Returns:
        The last report of the run; it says whether the user cut it short.

    Raises:
        EnhanceError: for unknown names, unusable data, or a state of other settings.
    """
    if name not in RECIPES:
        raise UnknownNameError("recipe", name, RECIPES)
    recipe = override(RECIPES[name], overrides)
    if recipe.identity != RECIPES[name].identity:
        raise UsageError(
            f"--set {' '.join(overrides)}: that would be another model than {name}, "
            "choose another recipe"
        )
    place, dtype = _choose_place(device, precision)
    if place.type == "cpu":
        keep_freed_memory()
    other_rank = int(os.environ.get("RANK", "0")) > 0
    console = Console(stderr=True, quiet=quiet or other_rank, markup=False)
    check_folder(out, resume)  # as train does, but before the data is read
    tensors = read_tensors(init) if init is not None else None
    experiment = recipe.prepare(data, validation, place, tensors)
    console.print(
        f"{name}: {experiment.data}, {recipe.optimisation.steps} steps, "
        f"{place}, {str(dtype).removeprefix('torch.')}, run in {out}",
        highlight=False,
    )
    settings = {**asdict(recipe), "data": experiment.data, "dtype": str(dtype)}
    del settings["summary"]  # words for people: may change between two parts of a run
    fingerprint = json.dumps(settings, sort_keys=True)
    with (
        Bars(console, shown=console.is_terminal) as bars,
        bars.bar("starting", recipe.optimisation.steps, "steps") as bar,
    ):
        report = train(
            experiment,
            recipe.optimisation,
            out,
            name,
            fingerprint=fingerprint,
            device=place,
            dtype=dtype,
            resume=resume,
            report=_Display(console, bar, experiment.unit).show,
            seconds=math.inf if minutes is None else minutes * 60,
        )
    if report.step < report.steps:
        console.print(f"stopped at step {report.step} of {report.steps}; go on with --resume")
    kept = [out / f"{stem}.safetensors" for stem in (name, "last")]
    console.print(
        f"weights: {next((p for p in kept if p.exists()), 'none yet')}",
        highlight=False,
        soft_wrap=True,
    )
    return report


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
