"""``enhance doctor``: whether everything is there and whole, and what would make it faster."""

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from enhance_cli import __version__
from enhance_cli.defaults import TASKS
from enhance_cli.engine.backend import choose_engine
from enhance_cli.engine.catalogue import resolve_name
from enhance_cli.engine.checkpoint import read_checkpoint_info
from enhance_cli.engine.compiling import INSTALL, CompilationError, native_precision
from enhance_cli.engine.machine import describe_cpu, describe_gpus
from enhance_cli.engine.weight_files import (
    cache_folder,
    find_weights,
    iterate_weights,
    weight_folders,
)
from enhance_cli.errors import EnhanceError, describe, one_line
from enhance_cli.io.memory import free_memory
from enhance_cli.talk import plain_console, print_json

# The packages that decode, encode and compute, with the modules that they are imported as.
PACKAGES = {
    "torch": "torch",
    "numpy": "numpy",
    "scipy": "scipy",
    "safetensors": "safetensors",
    "pillow": "PIL",
    "pillow-heif": "pillow_heif",
    "pyvips": "pyvips",
    "tifffile": "tifffile",
    "rawpy": "rawpy",
    "av": "av",
    "imageio-ffmpeg": "imageio_ffmpeg",
}
EXTRAS = ("openvino", "spandrel", "ray")
_LITTLE_MEMORY = 2 * 2**30
_LITTLE_DISK = 2**30


@dataclass
class Findings:
    """What was found out.

    Attributes:
        facts: the JSON document, by topics.
        problems: what is broken, a sentence each.
        advice: what would help, a sentence each.
    """

    facts: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)


def run_doctor(*, as_json: bool) -> int:
    """Examine the installation and the machine, and tell what was found.

    Returns:
        The exit code: 1 if something is broken.
    """
    found = Findings()
    for examine in (_versions, _machine, _engines, _weights, _formats, _room):
        examine(found)
    if as_json:
        print_json({**found.facts, "problems": found.problems, "advice": found.advice})
    else:
        console = plain_console()
        for line in _lines(found):
            console.print(one_line(line))
    return 1 if found.problems else 0


def _versions(found: Findings) -> None:
    """The versions of the program and of what it stands on."""
    versions = {"enhance": __version__, "python": platform.python_version()}
    for package, module in PACKAGES.items():
        try:
            import_module(module)
            versions[package] = version(package)
        except (ImportError, OSError, PackageNotFoundError) as error:
            versions[package] = "broken"
            found.problems.append(
                f"{package} cannot be imported ({describe(error)}): run pip install {package}."
            )
    for package in EXTRAS:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    found.facts["versions"] = versions
    found.facts["system"] = f"{platform.system()} {platform.release()}, {platform.machine()}"


def _machine(found: Findings) -> None:
    """The CPU, other devices and the memory."""
    cpu, gpus = describe_cpu(), describe_gpus()
    free, total = free_memory()
    found.facts |= {"cpu": cpu, "gpus": gpus, "memory": {"free": free, "total": total}}
    if not gpus and shutil.which("nvidia-smi") and torch.version.cuda is None:
        found.advice.append(
            "There is an NVIDIA driver, but torch was built without CUDA: install the build of "
            "torch for your CUDA version."
        )
    if cpu["threads"] < cpu["cores"]:
        found.advice.append(
            f"torch uses {cpu['threads']} of {cpu['cores']} cores: unset OMP_NUM_THREADS for all."
        )
    if free < _LITTLE_MEMORY:
        found.advice.append(
            f"Only {_size(free)} of memory are free: close other programs, or use --tile 128."
        )


def _engines(found: Findings) -> None:
    """What computes networks here, and in which precision by default."""
    engines: dict[str, Any] = {"torch": {"precision": ["fp32", "bf16", "fp16"]}}
    try:
        able = dict.fromkeys(("fp32", native_precision(), "int8"))
        engines["openvino"] = {"precision": list(able)}
    except CompilationError as error:
        engines["openvino"] = {"precision": [], "reason": str(error)}
        if not found.facts["gpus"]:
            found.advice.append(
                f"Networks would run several times faster on this CPU with OpenVINO: {INSTALL}."
            )
    try:
        engine = choose_engine("auto", "auto", "auto")
        engines["default"] = {
            "device": str(engine.device),
            "engine": "openvino" if engine.compiled else "torch",
            "precision": engine.compiled or str(engine.dtype).removeprefix("torch."),
        }
    except EnhanceError as error:  # by the environment variables
        engines["default"] = None
        found.problems.append(f"No device can be chosen: {error}.")
    found.facts["engines"] = engines


def _weights(found: Findings) -> None:
    """The checkpoints that can be found, and whether they are whole."""
    rows: list[dict[str, Any]] = []
    found.facts["weights"] = rows
    try:
        found.facts["weight_folders"] = [str(folder) for folder in weight_folders()]
        files = list(iterate_weights())
    except EnhanceError as error:
        found.problems.append(f"{error}.")
        return
    for file in files:
        row = {"name": file.name, "path": str(file.path), "status": "ok"}
        rows.append(row)
        try:
            if file.matches_manifest() is False:
                row["status"] = "damaged"
                found.problems.append(
                    f"{file.path} has another SHA-256 than its manifest says: get it anew."
                )
            elif "sha256" not in file.entry:
                row["status"] = "not in a manifest"
            read_checkpoint_info(file.path)
        except EnhanceError as error:
            row["status"] = "damaged"
            found.problems.append(f"{error}.")
    for task, defaults in TASKS.items():
        for family in (defaults.model, *defaults.variants.values()):
            name = resolve_name(task, family, None)
            if find_weights(name) is None:
                found.problems.append(f"The weights of {name}, for {task}, are missing.")


def _formats(found: Findings) -> None:
    """The formats of pictures and the codecs of videos that can be read and written."""
    parts: dict[str, Callable[[Findings], dict[str, Any]]] = {
        "pictures": _pictures,
        "raw": _raw,
        "deep pictures": _deep,
        "videos": _videos,
    }
    found.facts["formats"] = {}
    for name, part in parts.items():
        try:
            found.facts["formats"][name] = part(found)
        except (ImportError, OSError):  # told with the versions
            found.facts["formats"][name] = None


def _pictures(found: Findings) -> dict[str, Any]:
    """What Pillow reads."""
    from PIL import Image, features

    from enhance_cli.io.libraries import prepare_pillow
    from enhance_cli.io.pillow_reading import READABLE_FORMATS

    prepare_pillow()
    absent = [name for name in ("webp", "avif", "jpg_2000") if not features.check(name)]
    if absent:
        found.advice.append(
            f"Pillow was built without {', '.join(absent)}: install it from a wheel."
        )
    return {"read": [name for name in READABLE_FORMATS if name in Image.OPEN], "absent": absent}


def _raw(_: Findings) -> dict[str, Any]:
    """What reads RAW files."""
    import rawpy

    return {"libraw": ".".join(map(str, rawpy.libraw_version))}


def _deep(_: Findings) -> dict[str, Any]:
    """What reads and writes 16 bits."""
    import pyvips

    return {"libvips": ".".join(str(pyvips.version(part)) for part in range(3))}


def _videos(found: Findings) -> dict[str, Any]:
    """What FFmpeg encodes."""
    import av

    from enhance_cli.io.video.codecs import CODECS
    from enhance_cli.io.video.program import find_program

    lacking = [name for name, codec in CODECS.items() if codec.encoder not in av.codecs_available]
    if lacking:
        found.advice.append(f"PyAV cannot encode {', '.join(lacking)}: install its wheel.")
    if find_program() is None:
        found.advice.append(
            "The program ffmpeg of imageio-ffmpeg is missing, which copies rare sound: "
            "pip install imageio-ffmpeg."
        )
    libraries = {name: ".".join(map(str, numbers)) for name, numbers in av.library_versions.items()}
    return {
        "encode": [name for name in CODECS if name not in lacking],
        "ffmpeg": find_program(),
        **libraries,
    }


def _room(found: Findings) -> None:
    """The free disk space where files are written."""
    rows = {}
    places = {
        "working folder": Path.cwd(),
        "cache": cache_folder(),
        "temporary files": Path(tempfile.gettempdir()),
    }
    for name, path in places.items():
        standing = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
        free = shutil.disk_usage(standing).free
        writable = os.access(standing, os.W_OK | os.X_OK)
        rows[name] = {"path": str(path), "free": free, "writable": writable}
        if not writable:
            found.advice.append(
                f"The {name} {path} may not be written: "
                + (
                    "set ENHANCE_CACHE to another."
                    if name == "cache"
                    else "choose outputs with -o."
                )
            )
        elif free < _LITTLE_DISK:
            found.advice.append(f"Only {_size(free)} are free for the {name} {path}.")
    found.facts["disk"] = rows


def _lines(found: Findings) -> Iterator[str]:
    """What people read."""
    facts = found.facts
    cpu, memory, engines = facts["cpu"], facts["memory"], facts["engines"]
    yield f"enhance {__version__} on Python {sys.version.split()[0]}, {facts['system']}"
    names = (name for name in facts["versions"] if name not in ("enhance", "python"))
    yield "packages: " + ", ".join(f"{name} {facts['versions'][name]}" for name in names)
    yield (
        f"CPU: {cpu['name']}, {cpu['cores']} cores, {', '.join(cpu['instructions'])}; computes in "
        f"{', '.join(cpu['computes_in'])}"
    )
    for gpu in facts["gpus"]:
        room = f", {_size(gpu['free_memory'])} free" if "free_memory" in gpu else ""
        yield f"{gpu['device']}: {gpu['name']}{room}"
    yield f"memory: {_size(memory['free'])} free of {_size(memory['total'])}"
    if chosen := engines["default"]:
        yield (
            f"networks run by {chosen['engine']} on {chosen['device']} in {chosen['precision']}; "
            f"OpenVINO: {', '.join(engines['openvino']['precision']) or 'not there'}"
        )
    good = [row for row in facts["weights"] if row["status"] != "damaged"]
    yield f"weights: {len(good)} of {len(facts['weights'])} files are whole"
    for name, row in facts["formats"].items():
        told = (row or {"missing": ""}).items()
        values = (
            f"{key} {' '.join(value) if isinstance(value, list) else value}"
            for key, value in told
            if value not in ([], None)
        )
        yield f"{name}: {', '.join(values)}"
    for name, row in facts["disk"].items():
        yield f"disk: {_size(row['free'])} free for the {name} {row['path']}"
    for text in found.problems:
        yield f"BROKEN: {text}"
    for text in found.advice:
        yield f"advice: {text}"
    if not found.problems:
        yield "nothing is broken"


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GB"
