"""Draws training patches from recorded pairs of a dark and a bright exposure (the SID dataset)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from enhance_cli.colour import AMPLIFIED_RANGE, AMPLIFIED_SRGB_RANGE, apply_matrix, srgb_to_linear
from enhance_cli.data.darkness import (
    DarkPairs,
    demosaic,
    merge_blocks,
    pack,
    packed_gains,
    through_file,
    unpack,
)
from enhance_cli.data.sid import SidPair
from enhance_cli.errors import DatasetError
from enhance_cli.io.libraw_render import demosaic_linear
from enhance_cli.io.raw import read_raw
from enhance_cli.levels import to_levels, to_values


@dataclass(frozen=True)
class _Recording:
    """A pair in memory, in the orientation of the sensor.

    Attributes:
        mosaic: int16 (2h, 2w), the dark exposure. The black level is 0 and white is 32767.
        clean: uint16 (3, 2h, 2w), the bright exposure as linear white-balanced camera RGB.
        ratio: how many times longer the bright exposure is than the dark one.
        gains: (1, 2), the white-balance gains of red and blue of the dark exposure, relative to
            green.
        camera_to_srgb: (3, 3), the matrix of the bright exposure from camera RGB to linear sRGB.
    """

    mosaic: Tensor
    clean: Tensor
    ratio: float
    gains: Tensor
    camera_to_srgb: Tensor


def _read(pairs: Sequence[SidPair]) -> list[_Recording]:
    @cache
    def read_clean(path: Path) -> tuple[Tensor, Tensor]:  # one bright file serves several pairs
        raw = read_raw(path)
        linear = torch.from_numpy(demosaic_linear(path, gains=raw.white_balance))
        levels = to_levels(linear, torch.uint16)
        return levels, torch.from_numpy(raw.camera_to_srgb)

    recordings = []
    for pair in pairs:
        dark = read_raw(pair.short)
        mosaic = unpack(torch.from_numpy(dark.planes)).clamp(-1, 1)
        clean, matrix = read_clean(pair.long)
        if clean.shape[1:] != mosaic.shape:
            raise DatasetError(
                f"{pair.long}: {clean.shape[2]}x{clean.shape[1]} pixels, but "
                f"{pair.short.name} has {mosaic.shape[1]}x{mosaic.shape[0]}"
            )
        red, green, blue = dark.white_balance
        recordings.append(
            _Recording(
                mosaic.mul(32_767).round().to(torch.int16),
                clean,
                pair.ratio,
                torch.tensor([[red / green, blue / green]]),
                matrix,
            )
        )
    return recordings


class RecordedSampler:
    """Draws random aligned squares from recorded pairs, all of which are kept in memory.

    A pair takes about 8 bytes per pixel of the sensor, which is 100 MB for the cameras of SID.
    Squares are transposed and flipped so that the order of the mosaic's colours stays: a flipped
    one begins a pixel later.

    Args:
        pairs: the dark and bright files.
        side: the side of a patch in pixels of the sensor, an even number.

    Raises:
        DatasetError: if the two pictures of a pair differ in size, or are smaller than a patch.
        InputError: if a file cannot be read.
    """

    def __init__(self, pairs: Sequence[SidPair], side: int) -> None:
        self.side = side
        self.recordings = _read(pairs)
        for pair, recording in zip(pairs, self.recordings, strict=True):
            if min(recording.mosaic.shape) < side + 2:
                raise DatasetError(f"{pair.short}: smaller than a patch of {side} pixels")

    def batch(
        self,
        count: int,
        generator: torch.Generator,
        *,
        srgb: bool,
        balanced: bool,
        reduced: bool = False,
    ) -> DarkPairs:
        """Draw amplified dark patches and their clean counterparts, on the CPU.

        Args:
            count: how many pairs of patches to draw.
            generator: the source of chance, on the CPU.
            srgb: whether the dark patches are made of an sRGB file of 8 bits instead of packed
                RAW planes.
            balanced: whether the RAW planes are white-balanced.
            reduced: whether one sRGB pixel is made of each 2x2 block of the mosaic, so that dark
                and clean pictures have half of the patch's side (thesis 000, ch. 2).
        """
        chosen = torch.randint(len(self.recordings), (count,), generator=generator).tolist()
        drawn = [self._crop(self.recordings[index], generator) for index in chosen]
        return join(
            [_as_pair(*crop, srgb=srgb, balanced=balanced, reduced=reduced) for crop in drawn]
        )

    def middle(self, *, srgb: bool, balanced: bool, reduced: bool = False) -> list[DarkPairs]:
        """The patch in the middle of every pair, for validation; see ``batch`` for the options."""
        result = []
        for recording in self.recordings:
            top, left = ((length - self.side) // 4 * 2 for length in recording.mosaic.shape)
            crop = _cut(recording, top, left, self.side)
            result.append(_as_pair(recording, *crop, srgb=srgb, balanced=balanced, reduced=reduced))
        return result

    def _crop(
        self, recording: _Recording, generator: torch.Generator
    ) -> tuple[_Recording, Tensor, Tensor]:
        height, width = recording.mosaic.shape
        room = torch.tensor([height - self.side, width - self.side]) // 2
        place = 2 * (torch.rand(2, generator=generator) * room).long()
        flip_rows, flip_columns, transpose = torch.randint(2, (3,), generator=generator).tolist()
        mosaic, clean = _cut(
            recording, int(place[0]) + flip_rows, int(place[1]) + flip_columns, self.side
        )
        axes = [axis for axis, flip in ((-2, flip_rows), (-1, flip_columns)) if flip]
        mosaic, clean = mosaic.flip(axes), clean.flip(axes)
        if transpose:  # red and blue stay in place and the greens change places, as pack expects
            mosaic, clean = mosaic.mT, clean.mT
        return recording, mosaic, clean


def _cut(recording: _Recording, top: int, left: int, side: int) -> tuple[Tensor, Tensor]:
    """Cut a square from the mosaic and the clean picture, as float32 values."""
    window = (..., slice(top, top + side), slice(left, left + side))
    return (
        recording.mosaic[window].float() / 32_767,
        to_values(recording.clean[window]),
    )


def _as_pair(
    recording: _Recording,
    mosaic: Tensor,
    clean: Tensor,
    *,
    srgb: bool,
    balanced: bool,
    reduced: bool,
) -> DarkPairs:
    packed = pack(mosaic[None, None].expand(1, 3, -1, -1))
    matrix = recording.camera_to_srgb[None]
    gains = packed_gains(recording.gains)
    if srgb:
        if reduced:
            clean = functional.avg_pool2d(clean[None], 2)[0]
        camera = merge_blocks(packed * gains) if reduced else demosaic(packed * gains)
        file = through_file(camera, matrix)
        dark = (srgb_to_linear(file) * recording.ratio).clamp(*AMPLIFIED_SRGB_RANGE)
        linear = apply_matrix(clean[None], matrix).clamp(0, 1)
        return DarkPairs(dark, linear, torch.eye(3)[None])
    dark = packed * recording.ratio * (gains if balanced else 1)
    return DarkPairs(dark.clamp(*AMPLIFIED_RANGE), clean[None], matrix)


def join(pairs: Sequence[DarkPairs]) -> DarkPairs:
    """Join several batches into one."""
    return DarkPairs(
        torch.cat([pair.dark for pair in pairs]),
        torch.cat([pair.clean for pair in pairs]),
        torch.cat([pair.camera_to_srgb for pair in pairs]),
    )
