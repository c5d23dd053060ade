"""Aligned LR/HR training patches from photographs that stay in memory, or on the GPU."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from enhance_cli.errors import DatasetError, InputError
from enhance_cli.io.image import find_images, read_rgb8
from enhance_cli.resize import imresize


def load_photos(folder: Path, limit: int | None = None) -> list[Tensor]:
    """Every picture under a folder, in name order.

    Args:
        folder: searched recursively.
        limit: keep only the first so many, for a quick trial.

    Returns:
        uint8 RGB tensors (3, H, W).

    Raises:
        DatasetError: if there is no picture.
        InputError: if some cannot be read; names them.
    """
    paths = find_images(folder, recursive=True)[:limit]
    if not paths:
        raise DatasetError(f"{folder}: no pictures in this folder, give --data a folder of photos")
    photos: list[Tensor] = []
    broken: list[str] = []
    for path in paths:
        try:
            photos.append(torch.from_numpy(np.array(read_rgb8(path))).permute(2, 0, 1))
        except InputError as error:
            broken.append(str(error))
    if broken:  # all at once: a folder is mended in one go
        more = f"; and {len(broken) - 5} more" if len(broken) > 5 else ""
        raise InputError("; ".join(broken[:5]) + more)
    return photos


def crop_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """Cut (..., H, W) at the bottom and right so that both sides are multiples."""
    height, width = (side - side % multiple for side in image.shape[-2:])
    return image[..., :height, :width]


class _PixelPool:
    """Pictures of any sizes as one (pixels, 3) uint8 array, so that one gather makes a batch."""

    def __init__(self, images: Sequence[Tensor], device: torch.device) -> None:
        self.pixels = torch.cat([image.permute(1, 2, 0).reshape(-1, 3) for image in images])
        self.pixels = self.pixels.to(device)
        sizes = torch.tensor([image.shape[1] * image.shape[2] for image in images])
        self.offsets = sizes.cumsum(0) - sizes
        self.widths = torch.tensor([image.shape[2] for image in images])

    def gather(self, image: Tensor, top: Tensor, left: Tensor, side: int, turn: Tensor) -> Tensor:
        """Square patches (N, 3, side, side) float32 in [0, 1], each flipped or turned."""
        width = self.widths[image]
        base = self.offsets[image] + top * width + left
        cells = torch.arange(side * side).view(side, side)
        orders = torch.stack(
            [
                torch.rot90(flipped, quarter).reshape(-1)
                for flipped in (cells, cells.flip(1))
                for quarter in range(4)
            ]
        )[turn]
        index = base[:, None] + orders // side * width[:, None] + orders % side
        device = self.pixels.device
        patches = self.pixels[index.to(device)].view(len(image), side, side, 3)
        return patches.permute(0, 3, 1, 2).float().div_(255)


@dataclass(frozen=True)
class _Places:
    """Where the patches of a batch lie: indices (N,) of pictures, corners and turns."""

    image: Tensor
    top: Tensor
    left: Tensor
    turn: Tensor


def _draw(sizes: Tensor, side: int, count: int, generator: torch.Generator) -> _Places:
    """Places of squares in pictures of (height, width) ``sizes``, uniform over all pixels."""
    image = torch.multinomial(sizes.prod(1).double(), count, replacement=True, generator=generator)
    room = sizes[image] - side + 1
    place = (torch.rand(count, 2, generator=generator, dtype=torch.float64) * room).long()
    turn = torch.randint(8, (count,), generator=generator)
    return _Places(image, place[:, 0], place[:, 1], turn)


def _require_size(photos: Sequence[Tensor], side: int) -> list[Tensor]:
    """Those that hold a square of ``side``.

    Raises:
        DatasetError: if there is none.
    """
    large = [photo for photo in photos if min(photo.shape[-2:]) >= side]
    if not large:
        raise DatasetError(
            f"no photograph holds a patch of {side}x{side} pixels: "
            "use larger photographs or a smaller patch"
        )
    return large


class PhotoSampler:
    """Random square crops, each flipped or turned; a picture's chance follows its area.

    Args:
        photos: uint8 (3, H, W); those with a side smaller than a patch are left out.
        side: of a patch.
        device: where the pixels live.

    Raises:
        DatasetError: if no photograph is large enough.
    """

    def __init__(self, photos: Sequence[Tensor], side: int, device: torch.device) -> None:
        self.side = side
        photos = _require_size(photos, side)
        self.sizes = torch.tensor([photo.shape[-2:] for photo in photos])
        self.pool = _PixelPool(photos, device)

    def batch(self, count: int, generator: torch.Generator) -> Tensor:
        """(N, 3, side, side) float32 in [0, 1]; ``generator`` is one of the CPU."""
        at = _draw(self.sizes, self.side, count, generator)
        return self.pool.gather(at.image, at.top, at.left, self.side, at.turn)


class PatchSampler:
    """Random aligned crops with the MATLAB bicubic degradation.

    LR pictures are made once from the whole photographs and rounded to 8 bits, as benchmark LR
    files are; crops then share their borders with real content. A picture is drawn with a
    probability proportional to its area.

    Args:
        photos: uint8 (3, H, W), cut to a multiple of ``scale``; those with a side smaller than
            a patch are left out.
        scale: HR pixels per LR pixel.
        patch: LR patch side.
        device: where the pixels live.

    Raises:
        DatasetError: if no photograph is large enough.
    """

    def __init__(
        self, photos: Sequence[Tensor], scale: int, patch: int, device: torch.device
    ) -> None:
        self.scale, self.patch = scale, patch
        hr = [crop_to_multiple(photo, scale) for photo in photos]
        hr = _require_size(hr, patch * scale)
        self.sizes = torch.tensor([photo.shape[-2:] for photo in hr]) // scale
        self.lr = _PixelPool([imresize(photo, 1 / scale) for photo in hr], device)
        self.hr = _PixelPool(hr, device)

    def batch(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw patches: LR (N, 3, p, p) and HR (N, 3, s * p, s * p), float32 in [0, 1].

        Args:
            count: N.
            generator: a CPU generator; the same state gives the same batch on any device.
        """
        scale, patch = self.scale, self.patch
        at = _draw(self.sizes, patch, count, generator)
        return (
            self.lr.gather(at.image, at.top, at.left, patch, at.turn),
            self.hr.gather(at.image, at.top * scale, at.left * scale, patch * scale, at.turn),
        )
