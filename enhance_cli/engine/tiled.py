"""Run a network over a picture of any size: split, run, merge, and shrink when memory ends.

Image and canvas stay on the host; only a batch of tiles is on the device.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from enhance_cli.architectures.spec import Contract
from enhance_cli.engine.grids import GRIDS, Box, make_grid
from enhance_cli.engine.merging import MERGERS, MergeSettings, make_canvas
from enhance_cli.errors import DeviceError, UnknownNameError, UsageError

Network = Callable[[Tensor], Tensor]
Progress = Callable[[int, int], None]  # input pixels done, input pixels in all

# On a CPU a side whose peak stays below 3 GiB (benchmarks/tiles.py). On a GPU by
# arithmetic, not measured: one map of 64 channels is 0.5 GiB for a tile of 512 enlarged 4x in
# 16 bits, and two tiles at once fill a large card better than one.
_AUTO_TILE = {"cpu": 320, "mps": 320, "cuda": 512}
_AUTO_BATCH = {"cpu": 1, "mps": 1, "cuda": 2}


@dataclass(frozen=True)
class TilePlan:
    """How to cut a picture.

    Attributes:
        tile: side of a tile in input pixels; None for a size that suits the device, 0 for the
            whole picture at once. A contract with a patch size overrules it.
        grid: key of ``GRIDS``, or None for what the contract's tiling needs.
        merger: key of ``MERGERS``, or None likewise.
        overlap: pixels that neighbours share at least (vertically, horizontally), or None for
            twice the halo (exact tiling) or an eighth of the tile (blended).
        power: p of the inverse-distance merger.
        batch: tiles of one shape that run together, or None for what suits the device.
    """

    tile: int | None = None
    grid: str | None = None
    merger: str | None = None
    overlap: int | tuple[int, int] | None = None
    power: float = 2.0
    batch: int | None = None


@dataclass(frozen=True)
class _Layout:
    """A plan made definite for one picture and network."""

    tile: int
    grid: str
    merger: str
    overlap: tuple[int, int]
    settings: MergeSettings
    batch: int


class _OutOfMemoryError(Exception):
    """One tile alone does not fit."""


def run_tiled(
    network: Network,
    contract: Contract,
    image: Tensor,
    plan: TilePlan,
    *,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    levels: torch.dtype = torch.float32,
    progress: Progress = lambda _done, _total: None,
    notice: Callable[[str], None] = lambda _: None,
    shrunk: Callable[[TilePlan], None] = lambda _: None,
) -> Tensor:
    """Apply a network to a picture.

    A picture smaller than the contract allows, or not of its size multiple, is padded at the
    bottom and right by reflection and the result cropped. When a tile does not fit in memory
    the batch is halved, then the tile, and the picture is begun anew with that.

    Args:
        network: (N, C, h, w) -> (N, C', scale * h, scale * w), on ``device``.
        contract: how it wants to be run.
        image: (C, H, W) float32 on the host, in the contract's value range.
        plan: how to cut.
        device, dtype: where, and in which precision (float32 or autocast to another). Tiles
            whose result in reduced precision is not finite are run again in float32.
        levels: type of the result: float32, or uint8 or uint16 levels of values in [0, 1].
        progress: called after each batch.
        notice: called with one line when something had to be changed.
        shrunk: called with what then took the place of the plan.

    Returns:
        (C', scale * H, scale * W) of type ``levels``, on the host.

    Raises:
        UnknownNameError: if grid or merger is unknown.
        UsageError: if the tile is too small for its overlap, or the picture must not be tiled.
        DeviceError: if not even the smallest tile fits in memory.
    """
    height, width = image.shape[-2:]
    padded = _pad(image, contract)
    while True:
        layout = _arrange(plan, contract, padded.shape[-2], padded.shape[-1], device)
        try:
            result = _run(network, contract, padded, layout, device, dtype, levels, progress)
        except _OutOfMemoryError as error:
            plan = _shrink(plan, layout, contract, padded.shape, device, error)
            shrunk(plan)
            notice(
                f"out of memory on {device}: going on with {plan.batch} tiles at a time"
                if layout.batch > 1
                else f"out of memory on {device}: going on with tiles of {plan.tile} pixels"
            )
            continue
        return result[:, : height * contract.scale, : width * contract.scale]


def tile_side(plan: TilePlan, contract: Contract, device: torch.device) -> int:
    """Side of a plan's tiles in input pixels; 0 for the whole picture at once."""
    auto = contract.auto_tile or _AUTO_TILE[device.type]
    return contract.patch_size or (auto if plan.tile is None else plan.tile)


def _pad(image: Tensor, contract: Contract) -> Tensor:
    """Reflect at the bottom and right up to the contract's patch size and size multiple."""
    for axis in (-2, -1):
        length = image.shape[axis]
        wanted = max(length, contract.patch_size or 1)
        wanted = math.ceil(wanted / contract.size_multiple) * contract.size_multiple
        if wanted > length:
            # A triangular wave, so that even one pixel can be continued without end.
            place = torch.arange(wanted) % max(2 * (length - 1), 1)
            image = image.index_select(
                axis, torch.minimum(place, 2 * (length - 1) - place).clamp_(min=0)
            )
    return image


def _arrange(
    plan: TilePlan, contract: Contract, height: int, width: int, device: torch.device
) -> _Layout:
    exact = contract.tiling == "exact"
    grid = plan.grid or ("cores" if exact and not contract.patch_size else "even")
    merger = plan.merger or ("crop" if exact else "feather")
    for kind, name, known in (("grid", grid, GRIDS), ("merger", merger, MERGERS)):
        if name not in known:
            raise UnknownNameError(kind, name, known)
    longest = max(height, width)
    tile = tile_side(plan, contract, device) or longest
    multiple = contract.size_multiple
    tile = max(multiple, tile // multiple * multiple)
    if contract.tiling == "forbidden" and tile < longest:
        if plan.tile is not None:
            raise UsageError(
                f"--tile {plan.tile}: this network must see the whole picture, use --tile 0"
            )
        tile = longest
    overlap = (
        plan.overlap if plan.overlap is not None else (2 * contract.halo if exact else tile // 8)
    )
    both = (overlap, overlap) if isinstance(overlap, int) else overlap
    if merger == "crop":  # exact only if tiles lie on the same multiples as the whole picture
        both = (max(both[0], 2 * contract.halo), max(both[1], 2 * contract.halo))
        both = (math.ceil(both[0] / multiple) * multiple, math.ceil(both[1] / multiple) * multiple)
    if tile < longest and tile < 2 * max(both):  # below, most of the work would be overlap
        raise UsageError(
            f"--tile {plan.tile or tile}: must be at least {2 * max(both)}, twice the "
            f"{max(both)} pixels that neighbouring tiles of this network share"
        )
    settings = MergeSettings(
        halo=contract.halo * contract.scale,
        overlap=min(both) * contract.scale,
        power=plan.power,
    )
    return _Layout(tile, grid, merger, both, settings, plan.batch or _AUTO_BATCH[device.type])


def _boxes(layout: _Layout, contract: Contract, height: int, width: int) -> list[Box]:
    """The layout's grid; tiles that are cropped lie on multiples of the size multiple."""
    unit = contract.size_multiple if layout.merger == "crop" else 1
    tile = min(layout.tile, max(height, width))
    if tile == max(height, width):
        return [Box(0, 0, height, width)]
    overlap = (layout.overlap[0] // unit, layout.overlap[1] // unit)
    grid = make_grid(layout.grid, height // unit, width // unit, tile // unit, overlap)
    return [box.scaled(unit) for box in grid]


def _batches(boxes: list[Box], size: int) -> Iterator[list[Box]]:
    """Boxes of equal shape, so many at a time, in an order that keeps neighbours close."""
    shapes: dict[tuple[int, int], list[Box]] = {}
    for box in boxes:
        shapes.setdefault((box.height, box.width), []).append(box)
    for group in shapes.values():
        for start in range(0, len(group), size):
            yield group[start : start + size]


def _run(
    network: Network,
    contract: Contract,
    image: Tensor,
    layout: _Layout,
    device: torch.device,
    dtype: torch.dtype,
    levels: torch.dtype,
    progress: Progress,
) -> Tensor:
    height, width = image.shape[-2:]
    scale = contract.scale
    boxes = _boxes(layout, contract, height, width)
    total = sum(box.height * box.width for box in boxes)
    canvas = make_canvas(
        layout.merger,
        (contract.channels_out, height * scale, width * scale),
        layout.settings,
        levels,
    )
    done = 0
    for group in _batches(boxes, layout.batch):
        tiles = torch.stack([image[:, box.top : box.bottom, box.left : box.right] for box in group])
        for box, result in zip(group, _forward(network, tiles, device, dtype), strict=True):
            canvas.add(box.scaled(scale), result)
            done += box.height * box.width
        progress(done, total)
    return canvas.finish()


@torch.inference_mode()
def _forward(network: Network, tiles: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Results (N, C', h', w') float32 on the host.

    Raises:
        _OutOfMemoryError: if they do not fit.
    """
    try:
        inputs = tiles.to(device).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            results = network(inputs).float().cpu()
        if dtype != torch.float32:
            broken = ~torch.isfinite(results).flatten(1).all(1)
            if broken.any():
                results[broken] = network(inputs[broken.to(device)]).float().cpu()
        return results
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    if device.type == "cuda":
        torch.cuda.empty_cache()
    raise _OutOfMemoryError


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means exhausted memory: CUDA has a type for it, the CPU a text."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(
        text in str(error) for text in ("out of memory", "can't allocate memory")
    )


def _shrink(
    plan: TilePlan,
    layout: _Layout,
    contract: Contract,
    shape: torch.Size,
    device: torch.device,
    error: Exception,
) -> TilePlan:
    """The next smaller plan."""
    if layout.batch > 1:
        return replace(plan, batch=layout.batch // 2)
    tile = min(layout.tile, max(shape[-2:])) // 2
    if contract.patch_size or contract.tiling == "forbidden" or tile < 2 * max(layout.overlap):
        raise DeviceError(
            f"out of memory on {device} with the smallest tile ({layout.tile} pixels): "
            "close other programs or use --device cpu"
        ) from error
    return replace(plan, tile=tile)
