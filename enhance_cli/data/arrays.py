"""Reads datasets that are a single file of NumPy arrays."""

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from enhance_cli.errors import DatasetError


def read_arrays(path: Path, file_name: str, names: Sequence[str]) -> dict[str, Any]:
    """Read arrays from an ``npz`` file.

    Args:
        path: the file, or the folder that holds it under the name ``file_name``.
        file_name: the usual name of the file.
        names: the names of the wanted arrays.

    Returns:
        The arrays by name.

    Raises:
        DatasetError: if there is no such file, or it cannot be read, or it lacks an array.
    """
    file = path / file_name if path.is_dir() else path
    try:
        # The file is opened here, since numpy would leave a damaged archive open.
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            missing = [name for name in names if name not in arrays]
            if missing:
                raise DatasetError(
                    f"{file}: holds no {' and no '.join(missing)}, this is not "
                    f"{file_name}: give --data the path of that"
                )
            return {name: arrays[name] for name in names}
    except FileNotFoundError as error:
        raise DatasetError(
            f"{file}: no such file, give --data the path of {file_name} or its folder"
        ) from error
    except (ValueError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise DatasetError(
            f"{file}: not an npz file, or a damaged one: fetch {file_name} again"
        ) from error
    except OSError as error:
        raise DatasetError(f"{file}: cannot be read ({error.strerror or error})") from error
