"""Reads the sets of small pictures that generative models learn.

To add a set, add its line to ``PICTURE_SETS``.
"""

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
from enhance_cli.levels import to_planes

FACES_FILE = "faces64.npz"
_FACE_SIDE = 64
# MNIST keeps its own test set, and every sixth of the other digits, 10,000 in all, validates
# (dissertation, ch. 6.8). CelebA has official splits too, but it is not known which of them the
# 5,000 faces of this file belong to, so a fifth of them validates and the last fifth tests.
_HELD_DIGITS = 6
_HELD_SHARE = 5


@dataclass(frozen=True)
class PictureSets:
    """The pictures to train on, to validate on and to test on, each uint8 (N, C, side, side)."""

    train: Tensor
    validation: Tensor
    test: Tensor


@dataclass(frozen=True)
class PictureSource:
    """A set of pictures on disk.

    Attributes:
        file: its name; it lies in a data root or in the folder ``generative`` of one.
        read: the function that reads the pictures, given the file or the folder it lies in.
        source: what it is, for the message that appears when it is missing.
    """

    file: str
    read: Callable[[Path], PictureSets]
    source: str


def read_digits(path: Path) -> PictureSets:
    """Read the handwritten digits of MNIST as pictures (N, 1, 28, 28).

    There are 50,000 to train on, 10,000 to validate on and 10,000 to test on.

    Args:
        path: the file ``mnist.npz`` or the folder it lies in.

    Raises:
        DatasetError: in the cases in which ``read_mnist`` raises it, or if there are too few
            digits to hold some out.
    """
    mnist = read_mnist(path)
    pictures = mnist.train.pictures[:, None]
    if len(pictures) < _HELD_DIGITS:
        raise DatasetError(f"{path}: {len(pictures)} digits are too few to hold some out")
    # Some copies of MNIST are sorted by digit, so the digits that are held out are spread evenly.
    held = torch.arange(len(pictures)) % _HELD_DIGITS == 0
    return PictureSets(pictures[~held], pictures[held], mnist.test.pictures[:, None])


def read_colour_digits(path: Path) -> PictureSets:
    """Read colour MNIST: pictures (N, 3, 28, 28) of three digits each (dissertation, ch. 4.4.1).

    A digit drawn at random is put into each of the three channels, so that there are 1000
    combinations. Each part is made of the same part of ``read_digits``, and shows each of its
    digits once in each channel; which three come together is drawn once and for all.

    Args:
        path: as for ``read_digits``, which also says what is raised.
    """
    digits = read_digits(path)
    generator = torch.Generator().manual_seed(0)

    def stack(pictures: Tensor) -> Tensor:
        orders = [torch.randperm(len(pictures), generator=generator) for _ in range(3)]
        return torch.cat([pictures[order] for order in orders], 1)

    return PictureSets(stack(digits.train), stack(digits.validation), stack(digits.test))


def read_small_faces(path: Path) -> PictureSets:
    """Read the faces of ``read_faces`` at half their size, (N, 3, 32, 32).

    Each level is the mean of 2x2 pixels.

    Args:
        path: as for ``read_faces``, which also says what is raised.
    """
    faces = read_faces(path)

    def halve(pictures: Tensor) -> Tensor:
        fours = [pictures[..., y::2, x::2].int() for y in (0, 1) for x in (0, 1)]
        return ((torch.stack(fours).sum(0) + 2) // 4).to(torch.uint8)

    return PictureSets(halve(faces.train), halve(faces.validation), halve(faces.test))


def read_faces(path: Path) -> PictureSets:
    """Read aligned faces as RGB pictures (N, 3, 64, 64).

    Three fifths are to train on, a fifth to validate on and the last fifth to test on.

    Args:
        path: the file ``faces64.npz`` or the folder it lies in. The file holds two arrays:
            ``data``, uint8, the bytes of all JPEG files one after the other; and ``offsets``,
            integers (N + 1,), where each of them begins, and where the last one ends.

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
    return to_planes(pixels)


PICTURE_SETS: dict[str, PictureSource] = {
    "mnist": PictureSource(FILE_NAME, read_digits, "MNIST as Keras distributes it"),
    "colour-mnist": PictureSource(
        FILE_NAME, read_colour_digits, "MNIST as Keras distributes it, three digits to a picture"
    ),
    "faces": PictureSource(FACES_FILE, read_faces, "5,000 aligned faces of CelebA at 64x64"),
    "faces-32": PictureSource(
        FACES_FILE, read_small_faces, "5,000 aligned faces of CelebA, reduced to 32x32"
    ),
}


def find_picture_set(name: str, roots: Sequence[Path]) -> Path:
    """Find the file of a set, as ``generative/FILE`` or ``FILE`` in the first root that has it.

    Args:
        name: a key of ``PICTURE_SETS``.
        roots: the folders to look in. The parent of each is tried too, since the development
            data have their benchmarks in a folder of their own.

    Raises:
        DatasetError: if no root has the file.
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
