"""Worn small pictures with what a teacher makes of them: the data of knowledge distillation.

A file of pairs is a safetensors file of tensors, uint8 but for the last, with N items each:

- ``input``, (N, 3, h, w): small pictures, worn by ``Wear``;
- ``teacher``, (N, 3, s * h, s * w): what the teacher, a large network, makes of them;
- ``truth``, of the same size: the parts of photographs that they were made of;
- ``photo``, (N,), int64: a number for the photograph of each.

``examples/teacher_pairs.py`` makes such files.
"""

from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from enhance_cli.errors import DatasetError
from enhance_cli.levels import to_values


class Pairs(NamedTuple):
    """Small pictures, what a teacher makes of them, and the truth; see the head of this module.

    The pictures are uint8 as in files, or float32 in [0, 1].
    """

    input: Tensor
    teacher: Tensor
    truth: Tensor
    photo: Tensor

    @property
    def scale(self) -> int:
        """How many times wider the large pictures are."""
        return self.teacher.shape[-1] // self.input.shape[-1]


def load_pairs(folder: Path) -> Pairs:
    """Read all files of pairs in a folder.

    Returns:
        All items of all files, in the order of the files' names.

    Raises:
        DatasetError: if there is no such file, or one of them is damaged or unlike the others.
    """
    paths = sorted(folder.glob("*.safetensors"))
    if not paths:
        raise DatasetError(
            f"{folder}: no pairs in this folder, make them with examples/teacher_pairs.py"
        )
    parts: list[Pairs] = []
    for path in paths:
        try:
            tensors = load_file(path)
            part = Pairs(*(tensors[name] for name in Pairs._fields))
        except (OSError, SafetensorError, KeyError) as error:
            raise DatasetError(f"{path}: no file of pairs ({error}), make it anew") from error
        shapes = [tensor.shape for tensor in part]
        expected = shapes[0] if not parts else parts[0].input.shape
        if shapes[0][1:] != expected[1:] or shapes[1] != shapes[2] or len({*map(len, part)}) > 1:
            raise DatasetError(f"{path}: its pictures do not fit together, make it anew")
        parts.append(part)
    return Pairs(*(torch.cat([part[i] for part in parts]) for i in range(len(Pairs._fields))))


class PairSampler:
    """Draws random squares from pairs, and flips or turns each of them.

    Args:
        pairs: with uint8 pictures, see ``load_pairs``.
        patch: the side of the small squares in pixels.
        border: so many pixels along the border of the small pictures are left out, since the
            teacher saw nothing beyond it.

    Raises:
        DatasetError: if the pictures are too small for a square.
    """

    def __init__(self, pairs: Pairs, patch: int, border: int = 4) -> None:
        self.pairs, self.patch, self.border = pairs, patch, border
        self._room = [side - 2 * border - patch + 1 for side in pairs.input.shape[-2:]]
        if min(self._room) < 1:
            raise DatasetError(
                f"pairs of {pairs.input.shape[-1]} pixels hold no patch of {patch} within a "
                f"border of {border}: use a smaller patch"
            )

    def batch(self, count: int, generator: torch.Generator) -> Pairs:
        """Draw ``count`` squares, float32 in [0, 1].

        Args:
            count: how many (N).
            generator: the source of chance, on the CPU.

        Returns:
            The small squares (N, 3, p, p), the teacher's and the true ones (N, 3, s * p, s * p),
            and the numbers of their photographs.
        """
        items = torch.randint(len(self.pairs.photo), (count,), generator=generator)
        places = torch.rand(count, 2, generator=generator).tolist()
        turns = torch.randint(8, (count,), generator=generator).tolist()

        def cut(pictures: Tensor, scale: int) -> Tensor:
            squares = []
            for item, place, turn in zip(items.tolist(), places, turns, strict=True):
                top, left = (
                    scale * (self.border + min(int(part * room), room - 1))
                    for part, room in zip(place, self._room, strict=True)
                )
                side = scale * self.patch
                square = pictures[item, :, top : top + side, left : left + side]
                squares.append(_turn(square, turn))
            return to_values(torch.stack(squares))

        scale = self.pairs.scale
        return Pairs(
            cut(self.pairs.input, 1),
            cut(self.pairs.teacher, scale),
            cut(self.pairs.truth, scale),
            self.pairs.photo[items],
        )


def _turn(square: Tensor, turn: int) -> Tensor:
    """Mirror if ``turn`` is 4 or more, then turn by ``turn % 4`` quarters."""
    flipped = square.flip(-1) if turn >= 4 else square
    return torch.rot90(flipped, turn % 4, (-2, -1))


def split_pairs(pairs: Pairs, every: int = 20) -> tuple[Pairs, Pairs]:
    """Divide pairs into those to train on and those of every ``every``-th photograph.

    Raises:
        DatasetError: if one of the two is empty.
    """
    held = pairs.photo % every == 0
    if held.all() or not held.any():
        raise DatasetError("too few photographs in the pairs to hold some out, make more pairs")
    return Pairs(*(part[~held] for part in pairs)), Pairs(*(part[held] for part in pairs))
