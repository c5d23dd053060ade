"""Checkpoints of earlier format versions, whose descriptions are brought up to date when read.

Version 1 described every video network by one flat configuration. What was no use to a network
was in it nevertheless. Since version 2 the settings are nested by subject, and a network with the
data-consistency step is an architecture of its own. The range of values, which is [0, 1] for every
network, is no longer part of the running contract; the first files of version 2 still state it.
Since version 3 tensors may be stored as rows of 8-bit integers, see ``row_storage``.
"""

from collections.abc import Mapping
from typing import Any

FORMAT_VERSION = 3

_SISR = ("scale", "channels", "blocks")
_DATA_CONSISTENCY = {
    "weight": "trust",
    "tolerance": "tolerance",
    "damping": "damping",
    "noise_floor": "noise_floor",
    "iterations": "sweeps",
}
_FLOW = {
    "limit": "max_flow",
    "passes": "passes",
    "lucas_kanade_steps": "refinements",
    "warping": "warping",
}


def upgrade_description(
    architecture: str, config: Mapping[str, Any], version: int
) -> tuple[str, Mapping[str, Any]]:
    """The architecture and configuration of a checkpoint in the words of today's format.

    Args:
        architecture: as the file names it.
        config: its configuration, as read from JSON.
        version: format version of the file.

    Returns:
        Architecture and configuration, both unchanged where nothing has changed since.
    """
    if version > 1 or architecture not in ("frvsr", "sisr", "vsr"):
        return architecture, config
    new: dict[str, Any] = _take(config, {name: name for name in _SISR})
    if architecture == "vsr":  # which never used the other two settings
        new["flow"] = _take(config, {name: _FLOW[name] for name in ("limit", "passes")})
    elif architecture == "frvsr":
        new["flow"] = _take(config, _FLOW)
        if config.get("trust"):
            architecture = "frvsr-dc"
            new["data_consistency"] = {"iterations": 0, **_take(config, _DATA_CONSISTENCY)}
    return architecture, new


def upgrade_contract(contract: Mapping[str, Any]) -> dict[str, Any]:
    """The running contract of a checkpoint in the words of today's format.

    Args:
        contract: as read from JSON.

    Raises:
        ValueError: if the file states a range of values that is not [0, 1].
    """
    fields = dict(contract)
    if (stated := fields.pop("value_range", [0, 1])) != [0, 1]:
        raise ValueError(f"values range over {stated}, not over [0, 1]")
    return fields


def _take(old: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The values that ``old`` has, under new names (new -> old)."""
    return {new: old[name] for new, name in names.items() if name in old}
