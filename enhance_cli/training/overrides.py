"""Changed settings: ``--set NAME=VALUE`` applied to the stages of a recipe."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass, replace
from functools import reduce
from typing import Any

from enhance_cli.errors import UnknownNameError, UsageError

# A stage's start is no value that can be written after an equals sign; see --init.
_FIXED = ("start",)

_Place = tuple[str, ...]  # the names of nested dataclasses, then that of a setting in the last


def override(stage: Any, assignments: Sequence[str]) -> Any:
    """A stage with some of its settings changed, all at once: only together need they be allowed.

    Args:
        stage: Frozen dataclass, nested at will.
        assignments: ``name=value``, the value as JSON or as a bare word. A name is looked for in
            the stage, then in the dataclasses that it holds; a dotted name says in which:
            ``optimisation.steps=100``. Of two values for one setting the last counts.

    Raises:
        UsageError: If an assignment has no ``=``, or its value is of another type or out of range.
        UnknownNameError: If no part of the stage has such a name.
    """
    changes: dict[_Place, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise UsageError(f"--set {assignment!r}: write it as name=value")
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = text
        place = _find(stage, name)
        if place is None:
            raise UnknownNameError("setting", name, setting_names(stage))
        changes[place] = _cast(name, reduce(getattr, place, stage), value)
    try:
        return _changed(stage, changes)
    except (TypeError, ValueError) as error:
        told = str(error)
        to_blame = [each for each in assignments if each.partition("=")[0].split(".")[-1] in told]
        options = " ".join(f"--set {assignment}" for assignment in to_blame or assignments)
        raise UsageError(f"{options}: {told}") from error


def setting_names(part: Any) -> list[str]:
    """The names that ``--set`` takes for a stage, those of nested dataclasses last."""
    held = {e.name: getattr(part, e.name) for e in fields(part) if e.name not in _FIXED}
    own = [name for name, value in held.items() if not is_dataclass(value)]
    return own + [
        name for value in held.values() if is_dataclass(value) for name in setting_names(value)
    ]


def _find(part: Any, name: str) -> _Place | None:
    """Where a setting is held, or None if there is none of this name."""
    first, _, rest = name.partition(".")
    for entry in fields(part):
        held = getattr(part, entry.name)
        if is_dataclass(held):
            place = _find(held, rest if rest and entry.name == first else name)
            if place is not None:
                return (entry.name, *place)
        elif entry.name == name and name not in _FIXED:
            return (name,)
    return None


def _changed(part: Any, changes: dict[_Place, Any]) -> Any:
    """``part`` with the values at some places changed."""
    values: dict[str, Any] = {}
    for name in {place[0] for place in changes}:
        below = {place[1:]: value for place, value in changes.items() if place[0] == name}
        values[name] = below[()] if () in below else _changed(getattr(part, name), below)
    return replace(part, **values)


def _cast(name: str, old: Any, value: Any) -> Any:
    if isinstance(old, float) and type(value) is int:
        value = float(value)
    if isinstance(old, float) and isinstance(value, str):
        with suppress(ValueError):  # JSON has no .1
            value = float(value)
    if isinstance(old, tuple) and isinstance(value, list):
        value = tuple(value)
    if type(value) is not type(old):
        raise UsageError(f"--set {name}={value}: must be {type(old).__name__} like {old!r}")
    return value
