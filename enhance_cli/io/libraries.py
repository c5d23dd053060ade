"""The libraries that decode files: what they are, how they are imported and set up."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from enhance_cli.errors import EnhanceError

DECODERS = frozenset({"PIL", "pyvips", "tifffile", "rawpy", "av", "imageio", "pillow_heif"})
_settings_lock = threading.RLock()


@cache
def prepare_pillow() -> None:
    """Make Pillow know all of its formats, and HEIC; the first call does it."""
    from PIL import Image
    from pillow_heif import register_heif_opener

    Image.init()
    # Thumbnails are not wanted; depth maps are told, but not decoded.
    register_heif_opener(thumbnails=False, depth_images=True)


@contextmanager
def pillow_setting(module: ModuleType, name: str, value: int) -> Iterator[None]:
    """Change one of Pillow's global settings inside a ``with``; other threads wait for its end."""
    with _settings_lock:
        before = getattr(module, name)
        setattr(module, name, value)
        try:
            yield
        finally:
            setattr(module, name, before)


def import_pyvips(path: Path, error: type[EnhanceError]) -> Any:
    """Import pyvips, which only pictures of 16 bits and TIFF need.

    Args:
        path: the file that needs it, for the message.
        error: type of the exception that is raised if pyvips or libvips is missing.
    """
    try:
        import pyvips
    except (ImportError, OSError) as missing:  # the second where libvips itself is absent
        raise error(
            f"{path}: 16-bit pictures and TIFF need libvips, run: pip install 'pyvips[binary]'"
        ) from missing
    return pyvips
