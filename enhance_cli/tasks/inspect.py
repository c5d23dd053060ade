"""Tell which models and weights there are, and whether files are whole."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from enhance_cli.architectures import ARCHITECTURES, MODELS
from enhance_cli.architectures.spec import Architecture
from enhance_cli.data.benchmarks import DATASETS
from enhance_cli.engine.checkpoint import load_network, read_checkpoint_info
from enhance_cli.engine.complexity import count_parameters, measure_complexity
from enhance_cli.engine.weight_files import (
    FoundWeights,
    find_entry,
    find_file,
    find_imported,
    find_weights,
    iterate_weights,
)
from enhance_cli.errors import CheckpointError, EnhanceError
from enhance_cli.talk import plain_console, print_errors, print_json

Row = Mapping[str, Any]

TABLE_WIDTH = 100  # columns; a table that people read is no wider, wherever it goes
# What the models of each task are for, above them.
_TASKS = {
    "superres": "enlarge pictures",
    "lowlight": "brighten dark pictures",
    "video": "enlarge videos",
    "sample": "make pictures",
    "evaluate": "judge pictures",
}
_MAIN_DATASET = "set14"  # whose score stands for a model; for one without it, that of its first
_MAIN_METRIC = "psnr"
_SAMPLES_METRIC = "mixture"  # the Frechet distance of samples, for models that make pictures


def run_models(*, as_json: bool) -> int:
    """Print every model, whether there are weights for it or not, and those that were imported.

    Returns:
        The exit code.
    """
    rows = []
    for name, spec in MODELS.items():
        found = find_weights(spec.weights_from[0] if spec.weights_from else name)
        entry = find_entry(name) if spec.weights_from or not found else found.entry
        rows.append(
            {
                **_describe(
                    name, ARCHITECTURES[spec.architecture], spec.config, operations=as_json
                ),
                "summary": spec.summary,
                "reference": spec.reference,
                "weights": str(found.path) if found else None,
                "untrained": entry.get("untrained"),
                "scores": entry.get("scores", {}),
            }
        )
    for name, info in find_imported().items():
        rows.append(
            {
                **_describe(name, info.architecture, info.config, operations=as_json),
                "summary": f"x{info.contract.scale}, imported from "
                f"{info.training.get('imported_from', 'a checkpoint')}",
                "reference": info.architecture.source,
                "weights": str(info.path),
                "untrained": None,
                "scores": find_entry(name).get("scores", {}),
            }
        )
    if as_json:
        print_json(rows)
    else:
        _print_models(rows)
    return 0


def run_list(*, as_json: bool) -> int:
    """Print every weights file that can be found.

    Returns:
        The exit code: 1 if a file cannot be used.
    """
    rows = [_row(file, operations=as_json) for file in iterate_weights()]
    if as_json:
        print_json(rows)
    else:
        usable = [row for row in rows if "error" not in row]
        _print_rows(("name", "task", "size", "sha256", "score", "trained on"), usable)
    broken = [f"error: {row['error']}" for row in rows if "error" in row]
    print_errors(*broken)
    return 1 if broken else 0


def run_show(name: str, *, as_json: bool) -> int:
    """Print all that is known of one model's weights or of a checkpoint file.

    Returns:
        The exit code.

    Raises:
        UnknownNameError: if no such weights can be found.
        CheckpointError: if the file cannot be read.
    """
    file = find_file(name)
    info = read_checkpoint_info(file.path)
    details = {
        **_row(file),
        "config": asdict(info.config),
        "contract": asdict(info.contract),
        "source": info.architecture.source,
        "manifest": file.entry,
        "training": info.training,
    }
    if as_json:
        print_json(details)
        return 0
    table = _table("what", "value")
    for key, value in details.items():
        text = json.dumps(value, indent=2) if isinstance(value, dict) else str(value)
        table.add_row(key, text)
    _table_console().print(table)
    return 0


def run_verify(names: list[str]) -> int:
    """Check weights files: compare them with the manifest's sha256, and load every tensor.

    Args:
        names: models or files; without any, all weights that can be found.

    Returns:
        The exit code: 1 if a file is not as it should be.

    Raises:
        CheckpointError: if there are no weights at all.
        UnknownNameError: if no weights of a name can be found.
    """
    console = plain_console()
    files = [find_file(name) for name in names] or list(iterate_weights())
    if not files:
        raise CheckpointError("no weights found: train some, or set ENHANCE_WEIGHTS")
    bad = 0
    for file in files:
        try:
            matches = file.matches_manifest()
            if matches is False:
                raise CheckpointError(
                    f"{file.path}: sha256 is not that of the manifest, fetch it again"
                )
            load_network(read_checkpoint_info(file.path))
        except EnhanceError as error:
            bad += 1
            print_errors(f"error: {error}")
        else:
            note = "sha256 right" if matches else "not in a manifest"
            console.print(f"{file.name}: {note}, every tensor loads")
    return 1 if bad else 0


def _describe(
    name: str, architecture: Architecture, config: Any, *, operations: bool = True
) -> dict[str, Any]:
    """What a network is; its operations take a while to count where there are many layers."""
    row = {
        "name": name,
        "task": architecture.task,
        "architecture": architecture.name,
        "scale": getattr(config, "scale", 1),  # what is enlarged at all
    }
    if not operations:
        return {**row, "parameters": count_parameters(architecture, config)}
    size = measure_complexity(architecture, config)
    return {
        **row,
        "parameters": size.parameters,
        "macs": size.macs,
        "macs_input": list(size.macs_input),
    }


def _row(file: FoundWeights, *, operations: bool = True) -> dict[str, Any]:
    try:
        info = read_checkpoint_info(file.path)
    except CheckpointError as error:
        return {"name": file.name, "path": str(file.path), "error": str(error)}
    checked = {True: "right", False: "WRONG", None: "not in a manifest"}
    return {
        **_describe(file.name, info.architecture, info.config, operations=operations),
        "path": str(file.path),
        "data": file.entry.get("data", "unknown"),
        "scores": file.entry.get("scores", {}),
        "sha256": checked[file.matches_manifest()],
    }


def _print_models(rows: Iterable[Row]) -> None:
    """Print the models of each task below a line that says what the task is."""
    columns = ("name", "for", "size", "trained", "score")
    table, task = _table(*columns), None
    for row in sorted(rows, key=lambda row: list(_TASKS).index(row["task"])):
        if row["task"] != task:
            if task is not None:
                table.add_row()
            task = row["task"]
            table.add_row(f"{task}:", _TASKS[task])
        table.add_row(f"  {row['name']}", *(_CELLS[column](row) for column in columns[1:]))
    _table_console().print(table)


def _print_rows(columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Print a table with a line for each row; the columns are keys of ``_CELLS``."""
    table = _table(*columns)
    for row in rows:
        table.add_row(*(_CELLS[column](row) for column in columns))
    _table_console().print(table)


def _table_console() -> Console:
    console = plain_console()
    console.width = min(console.width, TABLE_WIDTH)
    return console


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for column in columns:
        justify: Any = "right" if column == "size" else "left"
        table.add_column(column, overflow="fold", justify=justify)
    return table


def _availability(row: Row) -> str:
    return "no" if row["untrained"] else "yes" if row["weights"] else "missing"


def _size(parameters: int) -> str:
    """The number of parameters as people say it: ``0.85 M``."""
    millions = parameters / 1e6
    return f"{millions:.2f} M" if millions < 100 else f"{millions:.1f} M"


def _main_score(scores: Any) -> str:
    """The score that stands for a model: ``Set14 28.22 dB``."""
    if not isinstance(scores, dict) or not scores:
        return ""
    name = _MAIN_DATASET if _MAIN_DATASET in scores else next(iter(scores))
    title = DATASETS[name].folder if name in DATASETS else name
    values = scores[name]
    if not isinstance(values, dict):
        return f"{title} {values}"
    if _MAIN_METRIC in values:
        return f"{title} {values[_MAIN_METRIC]:.2f} dB"
    if _SAMPLES_METRIC in values:
        return f"{title} Frechet {values[_SAMPLES_METRIC]:,.0f}"
    return f"{title} {' '.join(f'{key} {value:g}' for key, value in list(values.items())[:1])}"


# What the tables show of a row, by column.
_CELLS: dict[str, Callable[[Row], str]] = {
    "name": lambda row: row["name"],
    "task": lambda row: row["task"],
    "for": lambda row: row["summary"],
    "size": lambda row: _size(row["parameters"]),
    "trained": _availability,
    "trained on": lambda row: row["data"],
    "score": lambda row: _main_score(row["scores"]),
    "sha256": lambda row: row["sha256"],
}
