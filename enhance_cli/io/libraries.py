"""Pillow's settings, changed for a while, and libvips, loaded when first needed."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from enhance_cli.errors import EnhanceError

_settings_lock = threading.RLock()


@contextmanager
def pillow_setting(module: ModuleType, name: str, value: int) -> Iterator[None]:
    """Change one of Pillow's global settings for a while; other threads wait."""
    with _settings_lock:
        before = getattr(module, name)
        setattr(module, name, value)
        try:
            yield
        finally:
            setattr(module, name, before)


def import_pyvips(path: Path, error: type[EnhanceError]) -> Any:
    """The module, which a machine that only trains need not have.

    Raises:
        EnhanceError: of the type ``error``, for the file that needs it.
    """
    try:
        import pyvips
    except (ImportError, OSError) as missing:  # the second where libvips itself is absent
        raise error(
            f"{path}: 16-bit pictures and TIFF need libvips, run: pip install 'pyvips[binary]'"
        ) from missing
    return pyvips
