"""MNIST, the digits of thesis 000, ch. 5, from the one file ``mnist.npz``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from enhance_cli.data.arrays import read_arrays
from enhance_cli.errors import DatasetError

FILE_NAME = "mnist.npz"
SIDE = 28
CLASSES = 10


@dataclass(frozen=True)
class Digits:
    """Pictures of digits.

    Attributes:
        pictures: uint8 (N, 28, 28), where 0 is the black ground and 255 the white of a stroke.
        labels: The digits from 0 to 9, int64 (N,).
    """

    pictures: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> "Digits":
        """The same digits on another device."""
        return Digits(self.pictures.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Mnist:
    """Both parts of the dataset: 60,000 digits to train on and 10,000 others to test on."""

    train: Digits
    test: Digits


def read_mnist(path: Path) -> Mnist:
    """Read the dataset.

    Args:
        path: The file ``mnist.npz`` as Keras distributes it, with the arrays ``x_train``,
            ``y_train``, ``x_test`` and ``y_test``, or a folder that holds it.

    Raises:
        DatasetError: If there is no such file, or it holds something else.
    """
    file = path / FILE_NAME if path.is_dir() else path
    names = [f"{kind}_{part}" for part in ("train", "test") for kind in "xy"]
    arrays = read_arrays(path, FILE_NAME, names)
    return Mnist(_digits(file, arrays, "train"), _digits(file, arrays, "test"))


def _digits(file: Path, arrays: dict[str, Any], part: str) -> Digits:
    names = [f"{kind}_{part}" for kind in "xy"]
    pictures, labels = (arrays[name] for name in names)
    if pictures.dtype != np.uint8 or pictures.shape[1:] != (SIDE, SIDE) or not len(pictures):
        raise DatasetError(
            f"{file}: {names[0]} is {pictures.dtype} {pictures.shape}, must be uint8 "
            f"(N, {SIDE}, {SIDE}): give --data the {FILE_NAME} of Keras"
        )
    if (
        labels.shape != pictures.shape[:1]
        or labels.dtype.kind not in "iu"
        or labels.min() < 0
        or labels.max() >= CLASSES
    ):
        raise DatasetError(
            f"{file}: {names[1]} must be {len(pictures)} integers from 0 to {CLASSES - 1}, one "
            f"for each picture: give --data the {FILE_NAME} of Keras"
        )
    return Digits(torch.from_numpy(pictures), torch.from_numpy(labels.astype(np.int64)))
