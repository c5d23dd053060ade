"""Records of what made an output: program, model, weights and options.

A record is one JSON object. It stands in the output's metadata, or with ``--sidecar`` in a file
beside it.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

from enhance_cli import __version__
from enhance_cli.engine.catalogue import Model
from enhance_cli.io.files import replacing, sha256_of
from enhance_cli.io.job_list import sidecar_of
from enhance_cli.io.metadata import note_step

# The options that say what is worked on, what is said of them, and which model runs
# where: the record tells the last in its own words.
_TOLD_APART = frozenset(
    {
        "files",
        "workers",
        "page",
        "metadata",
        "resume",
        "keep_time",
        "name",
        "weights",
        "device",
        "precision",
        "backend",
    }
)


@dataclass(frozen=True)
class Provenance:
    """The record that the outputs of a command have in common.

    Attributes:
        command: the name of the command.
        options: the options that were given, and are not the usual ones.
        in_metadata: whether records go into the metadata of outputs.
    """

    command: str
    options: Mapping[str, Any]
    in_metadata: bool = True

    @classmethod
    def of(cls, command: str, request: Any) -> "Provenance":
        """The part of a record that follows from a request, the dataclass of a task's options."""
        inside = getattr(request, "metadata", True) and not request.files.sidecar
        return cls(command, dict(_given(request)), inside)

    def record(self, model: Model, **found: Any) -> dict[str, Any]:
        """The record of an output.

        Args:
            model: what made it.
            found: further entries, which were found out for this output.
        """
        return {
            "program": "enhance",
            "version": __version__,
            "command": self.command,
            "model": model.info.name,
            "weights": [
                {"file": path.name, "sha256": sha256_of(path)} for path in model.info.files
            ],
            "device": str(model.device),
            "precision": model.precision,
            "options": dict(self.options),
            **found,
        }

    def note(
        self, exif: bytes | None, record: Mapping[str, Any], software: str = ""
    ) -> bytes | None:
        """EXIF with a record in it, unless records go elsewhere.

        Args:
            exif: EXIF in Pillow's byte form, or None.
            record: the record.
            software: what is said for people; by default the program, the command and the model.
        """
        if not self.in_metadata:
            return exif
        software = software or f"enhance {__version__} {self.command}, model {record['model']}"
        return note_step(exif, software, as_line(record))


def as_line(record: Mapping[str, Any]) -> str:
    """A record on one line, of ASCII alone."""
    return json.dumps(record, separators=(", ", ": "))


def join_pages(rows: Sequence[Mapping[str, Any] | None]) -> dict[str, Any]:
    """One row, or one record, of what was made from several pages.

    Args:
        rows: that of each page, with the same keys; None for pages that had been made before.

    Returns:
        What all have in common, and of what differs a list by page. It is empty if no page was
        made.
    """
    made = [row for row in rows if row is not None]
    return {
        key: value
        if all(row[key] == value for row in made)
        else [None if row is None else row[key] for row in rows]
        for key, value in (made[0] if made else {}).items()
    }


def write_sidecars(outputs: Iterable[Path], record: Mapping[str, Any], source: Path) -> None:
    """Write a record with the name of the input beside each output, as ``{output}.json``.

    Raises:
        OutputError: if a file cannot be written.
    """
    text = json.dumps({**record, "input": source.name}, indent=2) + "\n"
    for output in outputs:
        with replacing(sidecar_of(output)) as temporary:
            temporary.write_text(text, "utf-8")


def _given(request: Any) -> Iterator[tuple[str, Any]]:
    """The fields of a dataclass, and of those in it, that have not their default."""
    for field in fields(request):
        value = getattr(request, field.name)
        if field.name in _TOLD_APART or value == field.default or value is None:
            continue
        if tag := getattr(value, "tag", None):  # a size
            yield field.name, str(tag).removeprefix("_")
        elif is_dataclass(value):
            yield from _given(value)
        else:
            plain = isinstance(value, str | int | float | bool)
            named = value.name if isinstance(value, Path) else str(value)
            yield field.name, value if plain else named
