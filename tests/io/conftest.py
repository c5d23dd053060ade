"""Fixtures of the tests of files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from enhance_cli.io import dng


@pytest.fixture
def raw_folder(shared_data: Path) -> Path:
    folder = shared_data / "raw"
    if not folder.is_dir():
        pytest.skip("the camera RAW files (../shared/data/raw) are not on this machine")
    return folder


@pytest.fixture
def changed_tags(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let ``write_dng`` write other tags: a tuple in place of its own, None for none."""
    encode = dng._encode

    def change(tags: dict[int, tuple[Any, ...] | None]) -> None:
        def encode_changed(mosaic: np.ndarray, own: list[Any]) -> bytes:
            kept = [tag for tag in own if tag[0] not in tags]
            added = [(code, *tag, True) for code, tag in tags.items() if tag]
            return encode(mosaic, kept + added)

        monkeypatch.setattr(dng, "_encode", encode_changed)

    return change
