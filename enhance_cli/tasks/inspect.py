"""Tell what models and weights there are."""

import json
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.table import Table
from torch import Tensor

from enhance_cli.architectures import ARCHITECTURES, MODELS
from enhance_cli.architectures.spec import Architecture
from enhance_cli.engine.catalogue import (
    WeightsFile,
    find_entry,
    find_weights,
    iterate_weights,
    read_manifest,
)
from enhance_cli.engine.checkpoint import (
    build,
    load_network,
    load_tensors,
    read_checkpoint_info,
    read_metadata,
    read_tensors,
    save_checkpoint,
)
from enhance_cli.engine.complexity import measure_complexity
from enhance_cli.errors import CheckpointError, EnhanceError, OutputError, UnknownNameError
from enhance_cli.talk import plain_console, print_errors, print_json


def run_models(*, as_json: bool) -> int:
    """Print every model, weights or not; returns the exit code."""
    rows = []
    for name, spec in MODELS.items():
        found = find_weights(name)
        entry = found.entry if found else find_entry(name)
        rows.append(
            {
                **_describe(name, ARCHITECTURES[spec.architecture], spec.config),
                "summary": spec.summary,
                "weights": str(found.path) if found else None,
                "untrained": entry.get("untrained"),
                "scores": entry.get("scores", {}),
            }
        )
    if as_json:
        print_json(rows)
        return 0
    table = _table("Models", "name", "task", "scale", "parameters", "MACs", "weights", "scores")
    for row in rows:
        table.add_row(
            row["name"],
            row["task"],
            _enlargement(row),
            f"{row['parameters']:,}",
            _macs(row),
            _availability(row),
            _scores(row["scores"]),
        )
    plain_console().print(table)
    return 0


def _enlargement(row: Mapping[str, Any]) -> str:
    return f"x{row['scale']}" if row["scale"] > 1 else ""


def _availability(row: Mapping[str, Any]) -> str:
    if row["untrained"]:
        return f"untrained: {row['untrained']}"
    return "yes" if row["weights"] else "no"


def run_list(*, as_json: bool) -> int:
    """Print every weights file that can be found; returns 1 if one cannot be used."""
    rows = [_row(file) for file in iterate_weights()]
    if as_json:
        print_json(rows)
    else:
        table = _table(
            "Weights",
            "name",
            "architecture",
            "task",
            "scale",
            "parameters",
            "MACs",
            "trained on",
            "scores",
            "sha256",
        )
        for row in rows:
            if "error" in row:
                continue
            table.add_row(
                row["name"],
                row["architecture"],
                row["task"],
                _enlargement(row),
                f"{row['parameters']:,}",
                _macs(row),
                row["data"],
                _scores(row["scores"]),
                row["sha256"],
            )
        plain_console().print(table)
    broken = [f"error: {row['error']}" for row in rows if "error" in row]
    print_errors(*broken)
    return 1 if broken else 0


def run_show(name: str, *, as_json: bool) -> int:
    """Print all that is known of one model's weights or of a file; returns the exit code."""
    file = _find(name)
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
    table = _table(file.name, "what", "value")
    for key, value in details.items():
        text = json.dumps(value, indent=2) if isinstance(value, dict) else str(value)
        table.add_row(key, text)
    plain_console().print(table)
    return 0


def run_verify(names: list[str]) -> int:
    """Check files against the manifest and load them; returns 1 if one is not right."""
    console = plain_console()
    files = [_find(name) for name in names] or list(iterate_weights())
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


def run_import(
    source: Path, model: str, output: Path, *, half: bool = False, overwrite: bool = False
) -> int:
    """Write a state dict as a checkpoint of ours; returns the exit code.

    Args:
        source: safetensors or a pickled state dict; notes on its training are kept where it is
            a checkpoint of ours.
        model: key of ``MODELS``.
        output: checkpoint to write.
        half: store float16.
        overwrite: replace ``output`` if it exists.

    Raises:
        UnknownNameError: if there is no such model.
        CheckpointError: if the file cannot be read, or its tensors are not the model's.
        OutputError: if the output exists.
    """
    if model not in MODELS:
        raise UnknownNameError("model", model, MODELS)
    if output.exists() and not overwrite:
        raise OutputError(f"{output}: exists already, add --overwrite")
    spec = MODELS[model]
    architecture = ARCHITECTURES[spec.architecture]
    network = build(architecture, spec.config)
    load_tensors(network, _read_foreign(source), str(source))
    save_checkpoint(
        output,
        network,
        architecture,
        model,
        training=_training_notes(source),
        dtype=torch.float16 if half else None,
    )
    plain_console(stderr=True).print(f"{source} -> {output}")
    return 0


def _training_notes(source: Path) -> dict[str, Any]:
    if source.suffix == ".safetensors" and read_metadata(source).get("format") == "enhance":
        return read_checkpoint_info(source).training
    return {"imported_from": source.name}


def _read_foreign(source: Path) -> Mapping[str, Tensor]:
    if source.suffix == ".safetensors":
        return read_tensors(source)
    if not source.is_file():
        raise CheckpointError(f"{source}: no such file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            state = torch.load(source, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise CheckpointError(
            f"{source}: not a file of plain tensors ({type(error).__name__}), "
            "save the network's state_dict alone"
        ) from error
    for wrapper in ("state_dict", "params_ema", "params", "model"):
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict) or not all(
        isinstance(k, str)
        and isinstance(v, Tensor)
        and v.layout == torch.strided
        and not v.is_complex()
        for k, v in state.items()
    ):
        raise CheckpointError(f"{source}: holds no state dict, save the network's state_dict")
    return state


def _find(name: str) -> WeightsFile:
    """Weights by model name, or a checkpoint file by its path."""
    if name.endswith(".safetensors") or "/" in name:
        path = Path(name)
        return WeightsFile(path.stem, path, read_manifest(path.parent).get(path.stem, {}))
    found = find_weights(name)
    if found is None:
        known = {file.name for file in iterate_weights()}
        raise UnknownNameError("weights", name, known or {"(none found)"})
    return found


def _describe(name: str, architecture: Architecture, config: Any) -> dict[str, Any]:
    size = measure_complexity(architecture, config)
    return {
        "name": name,
        "task": architecture.task,
        "architecture": architecture.name,
        "scale": getattr(config, "scale", 1),  # what is enlarged at all
        "parameters": size.parameters,
        "macs": size.macs,
        "macs_input": list(size.macs_input),
    }


def _row(file: WeightsFile) -> dict[str, Any]:
    try:
        info = read_checkpoint_info(file.path)
    except CheckpointError as error:
        return {"name": file.name, "path": str(file.path), "error": str(error)}
    checked = {True: "right", False: "WRONG", None: "not in a manifest"}
    return {
        **_describe(file.name, info.architecture, info.config),
        "path": str(file.path),
        "data": file.entry.get("data", "unknown"),
        "scores": file.entry.get("scores", {}),
        "sha256": checked[file.matches_manifest()],
    }


def _macs(row: Mapping[str, Any]) -> str:
    _, height, width = row["macs_input"]
    return f"{row['macs'] / 1e9:.2f} G at {width}x{height}"


def _scores(scores: Any) -> str:
    """One line per dataset: ``set14 28.08 dB / 0.7691``."""
    if not isinstance(scores, dict):
        return str(scores)
    return "\n".join(
        f"{name} {value['psnr']:.2f} dB / {value['ssim']:.4f}"
        if isinstance(value, dict) and value.keys() >= {"psnr", "ssim"}
        else f"{name} {value}"
        for name, value in scores.items()
    )


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
