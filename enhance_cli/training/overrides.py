"""Changed settings: ``--set NAME=VALUE`` applied to the stages of a recipe."""

import json
from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

from enhance_cli.errors import UnknownNameError, UsageError

# A stage's start is no value that can be written after an equals sign; see --init.
_FIXED = ("start",)


def override(stage: Any, assignments: Sequence[str]) -> Any:
    """A stage with some of its settings changed.

    Args:
        stage: Frozen dataclass, nested at will.
        assignments: ``name=value``, the value as JSON or as a bare word. A name is looked for in
            the stage, then in the dataclasses that it holds; a dotted name says in which:
            ``optimisation.steps=100``.

    Raises:
        UsageError: If an assignment has no ``=``, or its value is of another type or out of range.
        UnknownNameError: If no part of the stage has such a name.
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
            changed = _replace_named(stage, name, value)
        except (TypeError, ValueError) as error:
            raise UsageError(f"--set {assignment}: {error}") from error
        if changed is None:
            raise UnknownNameError("setting", name, setting_names(stage))
        stage = changed
    return stage


def setting_names(part: Any) -> list[str]:
    """The names that ``--set`` takes for a stage, those of nested dataclasses last."""
    held = {e.name: getattr(part, e.name) for e in fields(part) if e.name not in _FIXED}
    own = [name for name, value in held.items() if not is_dataclass(value)]
    return own + [
        name for value in held.values() if is_dataclass(value) for name in setting_names(value)
    ]


def _replace_named(part: Any, name: str, value: Any) -> Any | None:
    """``part`` with the value changed, or None if it has no such name."""
    first, _, rest = name.partition(".")
    for entry in fields(part):
        held = getattr(part, entry.name)
        if is_dataclass(held):
            changed = _replace_named(held, rest if rest and entry.name == first else name, value)
            if changed is not None:
                return replace(part, **{entry.name: changed})
        elif entry.name == name and name not in _FIXED:
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
