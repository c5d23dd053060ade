"""Draws training patches from photographs that stay in memory, on the CPU or on the GPU.

A patch is a small square of a picture. Super-resolution learns from pairs of a low-resolution
patch (LR) and the high-resolution patch (HR) of the same place.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from enhance_cli.errors import DatasetError, InputError
from enhance_cli.io.image import find_images, read_rgb8
from enhance_cli.levels import to_planes
from enhance_cli.resize import imresize

_SOFTNESS = 1.15, 1.8  # Enlargements after which pixels are about as soft as those of cameras.
_SMALLNESS = 0.5, 0.9  # Reductions after which fine detail is another, and patches still fit.


def find_photos(folder: Path) -> list[Path]:
    """List every picture under a folder, in the order of their paths.

    Raises:
        DatasetError: if there is no folder, or no picture in it.
    """
    paths = find_images(folder, recursive=True)
    if not paths:
        what = "no pictures in this folder" if folder.is_dir() else "no such folder"
        raise DatasetError(f"{folder}: {what}, give --data a folder of photos")
    return paths


def load_photos(folder: Path, limit: int | None = None) -> list[Tensor]:
    """Read every picture under a folder, in the order of their names.

    Args:
        folder: the folder, which is searched with all folders in it.
        limit: how many of the first pictures to keep, for a quick trial; None keeps all.

    Returns:
        RGB pictures as uint8 tensors (3, H, W), each of its own size.

    Raises:
        DatasetError: as ``find_photos``.
        InputError: if pictures cannot be read. The message names up to five of them.
    """
    paths = find_photos(folder)[:limit]
    photos: list[Tensor] = []
    broken: list[str] = []
    for path in paths:
        try:
            photos.append(to_planes(read_rgb8(path)))
        except InputError as error:
            broken.append(str(error))
    if broken:  # named together, so that a folder can be mended in one go
        more = f"; and {len(broken) - 5} more" if len(broken) > 5 else ""
        raise InputError("; ".join(broken[:5]) + more)
    return photos


def soft_copies(photos: Sequence[Tensor], share: float, seed: int) -> list[Tensor]:
    """Parts of photographs, enlarged 1.15 to 1.8 times, to train on beside the photographs.

    Photographs that were reduced, as those for training are, are sharp in every pixel. Pixels as
    cameras make them are softer, and a network that never saw such sharpens them too much.

    Args:
        photos: uint8 (3, H, W).
        share: Which share of all pixels shall be soft, from 0 to 0.5.
        seed: Seed of the places and of the enlargements.

    Returns:
        One soft picture for each photograph, uint8 (3, h, w), of ``share / (1 - share)`` times its
        pixels; none if the share is 0. It is of no paper.
    """
    if not share:
        return []
    generator = torch.Generator().manual_seed(seed)
    root = math.sqrt(share / (1 - share))
    copies = []
    for photo in photos:
        low, high = _SOFTNESS
        factor = low + (high - low) * float(torch.rand((), generator=generator))
        sides = [max(round(side * root / factor), 1) for side in photo.shape[-2:]]
        top, left = (
            int(torch.randint(length - side + 1, (), generator=generator))
            for length, side in zip(photo.shape[-2:], sides, strict=True)
        )
        part = photo[:, top : top + sides[0], left : left + sides[1]]
        copies.append(imresize(part.contiguous(), factor))
    return copies


def small_copies(photos: Sequence[Tensor], count: int, seed: int) -> list[Tensor]:
    """Photographs made smaller, to 0.5 to 0.9 times their sides, to train on beside them.

    What was coarse in a photograph is fine detail in its smaller copy, so that a network sees more
    of it than there are photographs, and learns less by heart.

    Args:
        photos: uint8 (3, H, W).
        count: How many copies to make of each.
        seed: Seed of the reductions.

    Returns:
        ``count`` copies of each, uint8 (3, h, w), the first of all photographs before the second.
        The range from 0.5 to 0.9 is parted into ``count`` equal ranges. First copies have their
        reductions from the lowest of these, each one of its own, second ones from the next, and so
        on. None if the count is 0. It is of no paper.
    """
    generator = torch.Generator().manual_seed(seed)
    low, high = _SMALLNESS
    copies = []
    for part in range(count):
        for photo in photos:
            place = (part + float(torch.rand((), generator=generator))) / count
            copies.append(imresize(photo, low + (high - low) * place))
    return copies


def cut_middle(image: Tensor, height: int, width: int) -> Tensor:
    """The middle of a picture (C, H, W), (C, height, width), which must not be larger than it."""
    top, left = (image.shape[-2] - height) // 2, (image.shape[-1] - width) // 2
    return image[:, top : top + height, left : left + width]


def crop_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """Cut a tensor (..., H, W) at the bottom and right so that both sides become multiples."""
    height, width = (side - side % multiple for side in image.shape[-2:])
    return image[..., :height, :width]


class _PixelPool:
    """Pictures of any sizes in one uint8 array (pixels, 3).

    A batch of patches is then read with a single indexing operation, which is fast on a GPU.
    """

    def __init__(self, images: Sequence[Tensor], device: torch.device) -> None:
        self.pixels = torch.cat([image.permute(1, 2, 0).reshape(-1, 3) for image in images])
        self.pixels = self.pixels.to(device)
        sizes = torch.tensor([image.shape[1] * image.shape[2] for image in images])
        self.offsets = sizes.cumsum(0) - sizes
        self.widths = torch.tensor([image.shape[2] for image in images])

    def gather(self, image: Tensor, top: Tensor, left: Tensor, side: int, turn: Tensor) -> Tensor:
        """Read squares and flip or turn each of them.

        Args:
            image: (N,), the index of the picture that each patch is cut from.
            top: (N,), the row of its upper left corner.
            left: (N,), the column of that corner.
            side: the side of the squares in pixels.
            turn: (N,), 0 to 7: quarter turns by ``turn % 4``, mirrored before if 4 or more.

        Returns:
            float32 (N, 3, side, side) in [0, 1].
        """
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
    """Where the patches of a batch lie. Each tensor has shape (N,); see ``_PixelPool.gather``."""

    image: Tensor
    top: Tensor
    left: Tensor
    turn: Tensor


def _draw(sizes: Tensor, side: int, count: int, generator: torch.Generator) -> _Places:
    """Draw the places of squares so that every pixel of all pictures is about equally likely.

    Args:
        sizes: (P, 2), the height and width of each picture.
        side: the side of the squares in pixels.
        count: how many places to draw.
        generator: the source of chance, on the CPU.
    """
    image = torch.multinomial(sizes.prod(1).double(), count, replacement=True, generator=generator)
    room = sizes[image] - side + 1
    place = (torch.rand(count, 2, generator=generator, dtype=torch.float64) * room).long()
    turn = torch.randint(8, (count,), generator=generator)
    return _Places(image, place[:, 0], place[:, 1], turn)


def _require_size(photos: Sequence[Tensor], side: int) -> list[Tensor]:
    """The photographs that are large enough for a square of ``side`` pixels.

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
    """Draws random squares from photographs and flips or turns each of them.

    The chance of a photograph is proportional to its area.

    Args:
        photos: uint8 tensors (3, H, W). Those with a side smaller than a patch are left out.
        side: the side of a patch in pixels.
        device: the device that keeps the pixels and gives the patches.

    Raises:
        DatasetError: if no photograph is large enough.
    """

    def __init__(self, photos: Sequence[Tensor], side: int, device: torch.device) -> None:
        self.side = side
        photos = _require_size(photos, side)
        self.sizes = torch.tensor([photo.shape[-2:] for photo in photos])
        self.pool = _PixelPool(photos, device)

    def batch(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw ``count`` patches: float32 (N, 3, side, side) in [0, 1].

        ``generator`` must be one of the CPU, so that its state gives the same patches everywhere.
        """
        at = _draw(self.sizes, self.side, count, generator)
        return self.pool.gather(at.image, at.top, at.left, self.side, at.turn)


class PatchSampler:
    """Draws aligned pairs of LR and HR patches, with LR made by MATLAB's bicubic.

    The LR pictures are made once from the whole photographs and rounded to 8 bits, as the LR
    files of benchmarks are. So the borders of LR patches depend on what really lies beyond them.
    The chance of a photograph is proportional to its area.

    Args:
        photos: uint8 tensors (3, H, W), which are cut to a multiple of ``scale``. Those with a
            side smaller than a patch are left out.
        scale: the enlargement: how many HR pixels lie along the side of one LR pixel.
        patch: the side of an LR patch in pixels.
        device: the device that keeps the pixels and gives the patches.
        flat_share: the share of the drawn patches that are dropped again, from 0 to below 1. They
            are those with the least detail in LR, since of a sky there is nothing to learn.

    Raises:
        DatasetError: if no photograph is large enough.
    """

    def __init__(
        self,
        photos: Sequence[Tensor],
        scale: int,
        patch: int,
        device: torch.device,
        flat_share: float = 0.0,
    ) -> None:
        self.scale, self.patch, self.flat_share = scale, patch, flat_share
        hr = [crop_to_multiple(photo, scale) for photo in photos]
        hr = _require_size(hr, patch * scale)
        self.sizes = torch.tensor([photo.shape[-2:] for photo in hr]) // scale
        self.lr = _PixelPool([imresize(photo, 1 / scale) for photo in hr], device)
        self.hr = _PixelPool(hr, device)

    def batch(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw pairs of patches.

        Args:
            count: how many pairs to draw (N).
            generator: a generator of the CPU; the same state gives the same batch on any device.

        Returns:
            The LR patches (N, 3, p, p) and the HR patches (N, 3, s * p, s * p), float32 in
            [0, 1].
        """
        scale, patch = self.scale, self.patch
        at = _draw(self.sizes, patch, round(count / (1 - self.flat_share)), generator)
        frame_lr = self.lr.gather(at.image, at.top, at.left, patch, at.turn)
        if self.flat_share:
            kept = _detail(frame_lr).topk(count).indices.sort().values
            frame_lr, kept = frame_lr[kept], kept.cpu()
            at = _Places(at.image[kept], at.top[kept], at.left[kept], at.turn[kept])
        return (
            frame_lr,
            self.hr.gather(at.image, at.top * scale, at.left * scale, patch * scale, at.turn),
        )


def _detail(pictures: Tensor) -> Tensor:
    """The mean square (N,) of what pictures (N, C, H, W) lose by a mean over 3x3 pixels."""
    smooth = functional.avg_pool2d(pictures, 3, 1, 1, count_include_pad=False)
    return (pictures - smooth).square().mean((1, 2, 3))
