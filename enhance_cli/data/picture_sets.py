"""Sets of small pictures that generative models learn. To add one: its line in ``PICTURE_SETS``."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from enhance_cli.data.arrays import read_arrays
from enhance_cli.data.mnist import FILE_NAME, read_mnist
from enhance_cli.errors import DatasetError

FACES_FILE = "faces64.npz"
_FACE_SIDE = 64
# MNIST's own test set is kept; a sixth, 10,000 digits, validates (ch. 6.8). CelebA has splits of
# its own, but of these 5,000 faces all that is known is their order.
_HELD_DIGITS = 6
_HELD_SHARE = 5


@dataclass(frozen=True)
class PictureSets:
    """Pictures uint8 (N, C, side, side) to train on, to validate on and to test on."""

    train: Tensor
    validation: Tensor
    test: Tensor


@dataclass(frozen=True)
class PictureSource:
    """A set on disk.

    Attributes:
        file: its name under a data root, in ``generative`` or directly.
        read: gives the pictures from the file or its folder.
        source: what it is, for the message when it is absent.
    """

    file: str
    read: Callable[[Path], PictureSets]
    source: str


def read_digits(path: Path) -> PictureSets:
    """MNIST, (N, 1, 28, 28): 50,000, 10,000 and 10,000 digits.

    Args:
        path: ``mnist.npz`` or its folder.

    Raises:
        DatasetError: as ``read_mnist``, or if there are too few digits to hold some out.
    """
    mnist = read_mnist(path)
    pictures = mnist.train.pictures[:, None]
    if len(pictures) < _HELD_DIGITS:
        raise DatasetError(f"{path}: {len(pictures)} digits are too few to hold some out")
    # Some files are sorted by their digits, so those held out come from everywhere.
    held = torch.arange(len(pictures)) % _HELD_DIGITS == 0
    return PictureSets(pictures[~held], pictures[held], mnist.test.pictures[:, None])


def read_faces(path: Path) -> PictureSets:
    """Faces, (N, 3, 64, 64) RGB: three fifths to train, a fifth each to validate and to test.

    Args:
        path: ``faces64.npz`` with the arrays ``data`` (JPEG files behind one another, uint8) and
            ``offsets`` (int64, N + 1: where each begins, and the end), or its folder.

    Raises:
        DatasetError: if there is no such file, or it holds something else.
    """
    file = path / FACES_FILE if path.is_dir() else path
    arrays = read_arrays(path, FACES_FILE, ["data", "offsets"])
    data, offsets = arrays["data"], arrays["offsets"]
    if (
        data.dtype != np.uint8
        or data.ndim != 1
        or offsets.dtype.kind not in "iu"
        or offsets.ndim != 1
        or len(offsets) <= _HELD_SHARE
        or (np.diff(offsets.astype(np.int64)) <= 0).any()
        or offsets[0] != 0
        or offsets[-1] != len(data)
    ):
        raise DatasetError(
            f"{file}: data must be uint8 bytes, and offsets must rise from 0 to "
            f"their number, over at least {_HELD_SHARE} pictures"
        )
    pictures = torch.stack(
        [
            _decode(file, index, data[start:end].tobytes())
            for index, (start, end) in enumerate(zip(offsets[:-1], offsets[1:], strict=True))
        ]
    )
    held = len(pictures) // _HELD_SHARE
    return PictureSets(pictures[: -2 * held], pictures[-2 * held : -held], pictures[-held:])


def _decode(file: Path, index: int, data: bytes) -> Tensor:
    try:
        with Image.open(BytesIO(data)) as image:
            pixels = np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise DatasetError(f"{file}: picture {index} is damaged, fetch the file again") from error
    if pixels.shape != (_FACE_SIDE, _FACE_SIDE, 3):
        raise DatasetError(
            f"{file}: picture {index} has {pixels.shape[1]}x{pixels.shape[0]} "
            f"pixels, must have {_FACE_SIDE}x{_FACE_SIDE}"
        )
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)


PICTURE_SETS: dict[str, PictureSource] = {
    "mnist": PictureSource(FILE_NAME, read_digits, "MNIST as Keras distributes it"),
    "faces": PictureSource(FACES_FILE, read_faces, "5,000 aligned faces of CelebA at 64x64"),
}


def find_picture_set(name: str, roots: Sequence[Path]) -> Path:
    """The file of a set: ``ROOT/generative/FILE`` or ``ROOT/FILE`` in the first root with it.

    Args:
        name: key of ``PICTURE_SETS``.
        roots: folders to look in; the development data's folder of benchmarks stands for its
            parent too.

    Raises:
        DatasetError: if no root has it.
    """
    entry = PICTURE_SETS[name]
    for root in roots:
        for folder in (root / "generative", root, root.parent / "generative"):
            if (folder / entry.file).is_file():
                return folder / entry.file
    raise DatasetError(
        f"dataset {name!r} is not in {', '.join(str(root) for root in roots)}: put "
        f"generative/{entry.file} there ({entry.source}) or name its folder with --data-root"
    )
