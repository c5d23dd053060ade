"""Run a network over a picture of any size: cut it into tiles, run these, and merge the results.

The picture and its result stay on the host. Only a batch of tiles is on the device.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from enhance_cli.architectures.spec import Contract
from enhance_cli.engine.grids import GRIDS, Box, make_boxes
from enhance_cli.engine.memory import shrink_to_fit
from enhance_cli.engine.merging import MERGERS, Canvas, MergeSettings, make_canvas
from enhance_cli.engine.runnable import Runnable
from enhance_cli.errors import UnknownNameError, UsageError

Progress = Callable[[int, int], None]  # input pixels done, input pixels in all

# Sides of tiles in input pixels, and tiles that run together. On a CPU memory stays below 3 GiB
# with this side (benchmarks/tiles.py). The numbers for GPUs are worked out, not measured: one map
# of 64 channels takes 0.5 GiB for a tile of 512 pixels enlarged 4 times in 16 bits, and two tiles
# at once fill a large card better than one.
_AUTO_TILE = {"cpu": 320, "mps": 320, "cuda": 512}
_COMPILED_TILE = {
    "fp32": 384,
    "bf16": 512,
    "int8": 512,
}  # with OpenVINO, which needs less memory than torch
_AUTO_BATCH = {"cpu": 1, "mps": 1, "cuda": 2}


@dataclass(frozen=True)
class TilePlan:
    """How to cut a picture into tiles.

    Attributes:
        tile: side of a tile in input pixels. None is a size that suits the device, and 0 takes
            the whole picture at once. The patch size of a contract goes before it.
        grid: key of ``GRIDS``, or None for the grid that the contract's tiling needs.
        merger: one of ``MERGERS``, or None for ``crop`` where tiling is exact, and elsewhere for
            ``inverse-distance``, as the thesis merges patches (000, eq. 16 with p = 2).
        overlap: pixels that neighbouring tiles share at least, vertically and horizontally. None
            is twice the halo for exact tiling, and an eighth of the tile for blended tiling, or a
            quarter where networks draw, since what one invents must pass into what another does.
        power: p of the inverse-distance merger.
        batch: how many tiles of one shape run together; None for what suits the device.
    """

    tile: int | None = None
    grid: str | None = None
    merger: str | None = None
    overlap: int | tuple[int, int] | None = None
    power: float = 2.0
    batch: int | None = None


@dataclass(frozen=True)
class _Layout:
    """A plan with every choice made, for one picture and one network."""

    tile: int
    grid: str
    merger: str
    overlap: tuple[int, int]
    settings: MergeSettings
    batch: int

    def describe(self) -> str:
        """How much runs at once, for people."""
        return f"{self.batch} tile{'s' * (self.batch > 1)} of {self.tile} pixels at a time"


def run_tiled(
    model: Runnable,
    image: Tensor,
    plan: TilePlan,
    *,
    levels: torch.dtype = torch.float32,
    progress: Progress = lambda _done, _total: None,
    notice: Callable[[str], None] = lambda _: None,
    shrunk: Callable[[TilePlan], None] = lambda _: None,
) -> Tensor:
    """Apply a network to a picture of any size.

    A picture that is smaller than the network allows, or not of its size multiple, is continued
    at the bottom and right by reflection, and the result is cropped. If the tiles do not fit in
    memory, first the batch and then the side of the tiles is halved, and the picture begins anew.

    Args:
        model: the network, with its contract and device.
        image: (C, H, W) float32 on the host.
        plan: how to cut.
        levels: type of the result: float32, or uint8 or uint16 levels of values in [0, 1].
        progress: called after each batch with the input pixels done and in all.
        notice: called with one line when something had to be changed.
        shrunk: called with what took the place of the plan, if it did not fit in memory.

    Returns:
        (C', scale * H, scale * W) of type ``levels``, on the host.

    Raises:
        UnknownNameError: if grid or merger is unknown.
        UsageError: if the tile is too small for its overlap, or the picture must not be tiled.
        DeviceError: if not even the smallest tile fits in memory.
    """
    contract, device = model.contract, model.device
    height, width = (side * contract.scale for side in image.shape[-2:])
    padded = _pad(image, contract)
    layout = _arrange(plan, model, padded.shape)
    # Made once, since it is on the host: smaller tiles would not make room for it.
    rows, columns = (side * contract.scale for side in padded.shape[-2:])
    canvas = make_canvas(layout.merger, (contract.channels_out, rows, columns), levels)

    def smaller(layout: _Layout) -> _Layout | None:
        if layout.batch > 1:
            return replace(layout, batch=layout.batch // 2)
        tile = min(layout.tile, max(padded.shape[-2:])) // 2
        if contract.patch_size or contract.tiling == "forbidden" or tile < 2 * max(layout.overlap):
            return None
        return _arrange(replace(plan, tile=tile, batch=1), model, padded.shape)

    result, fitting = shrink_to_fit(
        lambda layout: _run(model, padded, layout, canvas, progress),
        layout,
        smaller=smaller,
        describe=_Layout.describe,
        device=device,
        notice=notice,
    )
    if fitting != layout:
        shrunk(replace(plan, tile=fitting.tile, batch=fitting.batch))
    return result[:, :height, :width]


def tile_side(plan: TilePlan, model: Runnable) -> int:
    """The side of a plan's tiles in input pixels; 0 is the whole picture at once."""
    if model.contract.patch_size:
        return model.contract.patch_size
    if plan.tile is not None:
        return plan.tile
    usual = _COMPILED_TILE[model.compiled] if model.compiled else _AUTO_TILE[model.device.type]
    # Networks that see far need larger ones, or most of the work would be overlap.
    least = 6 * model.contract.halo if model.contract.tiling == "exact" else 0
    return model.contract.auto_tile or max(usual, least)


def _pad(image: Tensor, contract: Contract) -> Tensor:
    """Continue a picture by reflection up to the contract's patch size and size multiple."""
    for axis in (-2, -1):
        length = image.shape[axis]
        wanted = max(length, contract.patch_size or 1)
        wanted = math.ceil(wanted / contract.size_multiple) * contract.size_multiple
        if wanted > length:
            # Places follow a triangular wave, so that even one pixel goes on without end.
            place = torch.arange(wanted) % max(2 * (length - 1), 1)
            image = image.index_select(
                axis, torch.minimum(place, 2 * (length - 1) - place).clamp_(min=0)
            )
    return image


def _arrange(plan: TilePlan, model: Runnable, shape: torch.Size) -> _Layout:
    """The layout of a plan for a picture of a shape (C, H, W) that is padded already."""
    contract = model.contract
    exact = contract.tiling == "exact"
    grid = plan.grid or ("cores" if exact and not contract.patch_size else "even")
    merger = plan.merger or ("crop" if exact else "inverse-distance")
    for kind, name, known in (("grid", grid, GRIDS), ("merger", merger, MERGERS)):
        if name not in known:
            raise UnknownNameError(kind, name, known)
    longest = max(shape[-2:])
    tile = tile_side(plan, model) or longest
    multiple = contract.size_multiple
    tile = max(multiple, tile // multiple * multiple)
    if contract.tiling == "forbidden" and tile < longest:
        if plan.tile is not None:
            raise UsageError(
                f"--tile {plan.tile}: this network must see the whole picture, use --tile 0"
            )
        tile = longest
    usual = 2 * contract.halo if exact else tile // (4 if contract.draws else 8)
    overlap = usual if plan.overlap is None else plan.overlap
    both = (overlap, overlap) if isinstance(overlap, int) else overlap
    if merger == "crop":
        both = (max(both[0], 2 * contract.halo), max(both[1], 2 * contract.halo))
    if _begins_at_multiples(merger, contract):
        both = (math.ceil(both[0] / multiple) * multiple, math.ceil(both[1] / multiple) * multiple)
    if tile < longest and tile < 2 * max(both):  # Most of the work would be overlap.
        raise UsageError(
            f"--tile {plan.tile or tile}: must be at least {2 * max(both)}, twice the "
            f"{max(both)} pixels that neighbouring tiles of this network share"
        )
    settings = MergeSettings(
        halo=contract.halo * contract.scale,
        overlap=min(both) * contract.scale,
        power=plan.power,
    )
    batch = plan.batch or _AUTO_BATCH[model.device.type]
    return _Layout(tile, grid, merger, both, settings, batch)


def _begins_at_multiples(merger: str, contract: Contract) -> bool:
    """Whether tiles must begin at multiples of the size multiple.

    Cropped tiles are exact only there, and noise has a place for each latent. Networks of fixed
    patches may have latents as large as a patch, and no overlap would be left.
    """
    return merger == "crop" or (contract.draws and not contract.patch_size)


def _boxes(layout: _Layout, contract: Contract, height: int, width: int) -> list[Box]:
    unit = contract.size_multiple if _begins_at_multiples(layout.merger, contract) else 1
    tile = min(layout.tile, max(height, width))
    if tile == max(height, width):
        return [Box(0, 0, height, width)]
    overlap = (layout.overlap[0] // unit, layout.overlap[1] // unit)
    grid = make_boxes(layout.grid, height // unit, width // unit, tile // unit, overlap)
    return [box.scaled(unit) for box in grid]


def _batches(boxes: list[Box], size: int) -> Iterator[list[Box]]:
    """Give boxes of equal shape, ``size`` at a time, in an order that keeps neighbours close."""
    shapes: dict[tuple[int, int], list[Box]] = {}
    for box in boxes:
        shapes.setdefault((box.height, box.width), []).append(box)
    for group in shapes.values():
        for start in range(0, len(group), size):
            yield group[start : start + size]


def _run(
    model: Runnable, image: Tensor, layout: _Layout, canvas: Canvas, progress: Progress
) -> Tensor:
    """Apply the network tile by tile, and merge on the canvas."""
    scale = model.contract.scale
    boxes = _boxes(layout, model.contract, *image.shape[-2:])
    total = sum(box.height * box.width for box in boxes)
    done = 0
    canvas.begin(layout.settings)
    for group in _batches(boxes, layout.batch):
        tiles = torch.stack([image[:, box.top : box.bottom, box.left : box.right] for box in group])
        tiles = tiles.to(model.device)
        if not model.compiled:  # OpenVINO takes one plane after the other
            tiles = tiles.contiguous(memory_format=torch.channels_last)
        for box, result in zip(group, model.run_tiles(tiles, group).cpu(), strict=True):
            canvas.add(box.scaled(scale), result)
            done += box.height * box.width
        progress(done, total)
    return canvas.finish()
