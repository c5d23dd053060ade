"""Dark pictures with their truth, for tests. To add a set: its line in ``DARK_DATASETS``.

A set lists its cases without reading pictures; a case is read, or made, when it is asked for, so
that a whole set needs no more memory than one picture.
"""

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from enhance_cli.colour import TONE_CURVES, ToneCurve, luminance, render, srgb_to_linear
from enhance_cli.data.benchmarks import match_folders
from enhance_cli.data.darkness import (
    Conditions,
    dark_srgb,
    draw_conditions,
    expose_raw,
    merge_blocks,
    packed_gains,
    unpack,
)
from enhance_cli.data.patches import crop_to_multiple
from enhance_cli.data.sensor import normalise
from enhance_cli.data.sid import SidPair, load_sid_pairs
from enhance_cli.errors import DatasetError, UsageError
from enhance_cli.io.dng import write_dng
from enhance_cli.io.image import find_images, read_rgb8
from enhance_cli.io.libraw_render import demosaic_linear
from enhance_cli.io.raw import read_raw
from enhance_cli.levels import quantise, to_planes, to_values

Source = Literal["raw", "srgb"]

RATIOS = (100, 250, 300)  # those of the SID dataset (thesis 000, table 5)
ISO_GRID = (50, 200, 800, 3_200, 12_800, 25_600)
# LibRaw opens no DNG with a smaller side.
_SMALLEST = 22


@dataclass(frozen=True)
class View:
    """In which form a model is given a scene, and in which form it should give it back.

    Attributes:
        source: Whether the dark picture is a RAW mosaic or an sRGB picture of 8 bits.
        half: Whether pictures have half of the sensor's size, as the thesis's networks want them:
            of RAW a mean of each 2x2 block, of sRGB files one pixel that was made of it. RAW
            networks of this kind know one camera only.
        grey: Whether the result is the luminance alone.
    """

    source: Source = "raw"
    half: bool = False
    grey: bool = False

    @property
    def label(self) -> str:
        """The view in a few words, for tables that hold several views."""
        return ", ".join(
            [self.source, *(["half size"] if self.half else []), *(["grey"] if self.grey else [])]
        )


@dataclass(frozen=True)
class DarkScene:
    """A dark picture that has not been amplified, with its clean counterpart; all on the CPU.

    Attributes:
        view: The view that the scene was made for.
        planes: The dark picture, float32 and linear, where 1 is white: packed R, G1, B, G2 of
            shape (4, h, w), or sRGB of shape (3, H, W).
        gains: Gains of R, G and B that balance white in it; the smallest is 1.
        camera_to_srgb: The matrix (3, 3) from its white-balanced colours to linear sRGB.
        clean: The clean picture, linear, white-balanced and in [0, 1]: (3, 2h, 2w) for RAW,
            (3, H, W) for sRGB.
        clean_to_srgb: The matrix (3, 3) from the colours of ``clean`` to linear sRGB.
        mosaic: The dark RAW file, for methods that read files; None for sRGB.
    """

    view: View
    planes: Tensor
    gains: tuple[float, float, float]
    camera_to_srgb: Tensor
    clean: Tensor
    clean_to_srgb: Tensor
    mosaic: Path | BytesIO | None = None

    @property
    def curve(self) -> ToneCurve:
        """The tone curve: a camera's for RAW, and sRGB's own for files, which name no other."""
        return "camera" if self.view.source == "raw" else "srgb"

    def reference(self) -> Tensor:
        """The clean picture as it is shown, (3, H, W) or (1, H, W) in [0, 1]."""
        return self.show(self.clean, self.clean_to_srgb)

    def show(self, linear: Tensor, matrix: Tensor) -> Tensor:
        """Linear white-balanced values (3, H, W) as the view wants to see them.

        The grey of full-size RAW is the luminance in the camera's own colours, as the networks
        give it (see ``darkness.shown``).
        """
        if self.view.half and self.view.source == "raw":
            linear = functional.avg_pool2d(linear, 2)
        if self.view.grey and self.view.source == "raw" and not self.view.half:
            return TONE_CURVES[self.curve][0](luminance(linear).clamp(0, 1))
        return render(linear, matrix, self.curve, self.view.grey)


@dataclass(frozen=True)
class DarkCase:
    """One test picture, not read yet.

    Attributes:
        name: Name of the case in reports.
        ratio: Exposure of the clean picture over that of the dark one; None if nobody knows.
        iso: ISO of the dark picture; None if nobody knows.
        load: Reads or makes the scene.
    """

    name: str
    ratio: float | None
    iso: float | None
    load: Callable[[], DarkScene]


# --- SID: Chen et al., Learning to See in the Dark, CVPR 2018 -----------------------------------


def _find_sid(view: View, roots: Sequence[Path]) -> list[DarkCase] | None:
    for folder in _folders(roots, "SID", "sid"):
        if (folder / "Sony").is_dir() or (folder / "Sony_test_list.txt").is_file():
            return [
                DarkCase(pair.short.stem, pair.ratio, pair.iso, partial(_load_sid, pair, view))
                for pair in load_sid_pairs(folder, "test")
            ]
    return None


def _load_sid(pair: SidPair, view: View) -> DarkScene:
    dark, bright = read_raw(pair.short), read_raw(pair.long)
    clean = torch.from_numpy(demosaic_linear(pair.long, gains=bright.white_balance))
    to_srgb, clean_to_srgb = (torch.from_numpy(raw.camera_to_srgb) for raw in (dark, bright))
    height, width = (2 * side for side in dark.planes.shape[1:])
    if clean.shape[1:] != (height, width):
        raise DatasetError(
            f"{pair.long}: {clean.shape[2]}x{clean.shape[1]} pixels, but "
            f"{pair.short.name} has {width}x{height}"
        )
    if view.source == "raw":
        return DarkScene(
            view,
            torch.from_numpy(dark.planes),
            dark.white_balance,
            to_srgb,
            clean,
            clean_to_srgb,
            pair.short,
        )
    if view.half:
        red, green, blue = dark.white_balance
        gains = packed_gains(torch.tensor([[red / green, blue / green]]))
        linear = merge_blocks(torch.from_numpy(dark.planes)[None] * gains)[0]
        clean = functional.avg_pool2d(clean, 2)
    else:
        linear = torch.from_numpy(demosaic_linear(pair.short, gains=dark.white_balance))
    file = quantise(render(linear, to_srgb, "srgb"))
    return DarkScene(
        view, srgb_to_linear(file), (1.0, 1.0, 1.0), torch.eye(3), clean, clean_to_srgb
    )


# --- LOL: Wei et al., Deep Retinex Decomposition for Low-Light Enhancement, BMVC 2018 -----------


def _find_lol(view: View, roots: Sequence[Path]) -> list[DarkCase] | None:
    for folder in _folders(roots, "LOL", "lol", "LOLdataset"):
        test = folder / "eval15"
        if test.is_dir():
            return [
                DarkCase(
                    pair.name, None, None, partial(_load_lol, pair.source, pair.reference, view)
                )
                for pair in match_folders(test / "low", test / "high")
                if pair.source is not None
            ]
    return None


def _load_lol(low: Path, high: Path, view: View) -> DarkScene:
    dark, clean = (to_values(_read_photo(path)) for path in (low, high))
    if dark.shape != clean.shape:
        raise DatasetError(
            f"{low}: {dark.shape[2]}x{dark.shape[1]} pixels, but its bright "
            f"picture has {clean.shape[2]}x{clean.shape[1]}"
        )
    return DarkScene(
        view,
        srgb_to_linear(dark),
        (1.0, 1.0, 1.0),
        torch.eye(3),
        srgb_to_linear(clean),
        torch.eye(3),
    )


def _read_photo(path: Path) -> Tensor:
    """uint8 (3, H, W)."""
    return to_planes(read_rgb8(path))


# --- synthetic-dark: photographs darkened by ``data.darkness`` ----------------------------------


def _find_synthetic(view: View, roots: Sequence[Path]) -> list[DarkCase] | None:
    for folder in _folders(roots, "photos_val"):
        photos = find_images(folder) if folder.is_dir() else []
        if photos:
            return [
                DarkCase(
                    f"{photo.stem}-{ratio}",
                    float(ratio),
                    float(iso),
                    partial(_make_synthetic, photo, ratio, iso, view),
                )
                for i, photo in enumerate(photos)
                for j, ratio in enumerate(RATIOS)
                for iso in [ISO_GRID[(i + 2 * j) % len(ISO_GRID)]]
            ]
    return None


def _make_synthetic(path: Path, ratio: int, iso: int, view: View) -> DarkScene:
    # Of the case's own name, so that another case changes nothing here.
    seed = zlib.crc32(f"{path.stem}/{ratio}".encode("utf-8", "surrogateescape"))
    generator = torch.Generator().manual_seed(seed)
    taken = draw_conditions(
        1,
        generator,
        camera="one" if view.half and view.source == "raw" else "any",
        ratio=torch.tensor([float(ratio)]),
        iso=torch.tensor([float(iso)]),
        vary_brightness=False,
    )
    return make_scene(path, taken, view, generator)


def make_scene(path: Path, taken: Conditions, view: View, generator: torch.Generator) -> DarkScene:
    """A photograph as a camera would have taken it in the dark.

    Args:
        path: the photograph, at least 22x22 pixels.
        taken: the circumstances of this one picture.
        view: whether RAW or sRGB is wanted.
        generator: of the noise, on the CPU.

    Raises:
        DatasetError: if the photograph is too small.
    """
    photo = to_values(crop_to_multiple(_read_photo(path), 2)[None])
    if min(photo.shape[-2:]) < _SMALLEST:
        raise DatasetError(
            f"{path}: {photo.shape[3]}x{photo.shape[2]} pixels, at least "
            f"{_SMALLEST}x{_SMALLEST} are needed"
        )
    if view.source == "srgb":
        pairs = dark_srgb(photo, taken, generator, reduced=1.0 if view.half else 0.0)
        return DarkScene(
            view,
            pairs.dark[0] / float(taken.ratio[0]),
            (1.0, 1.0, 1.0),
            pairs.camera_to_srgb[0],
            pairs.clean[0],
            pairs.camera_to_srgb[0],
        )
    levels, clean, to_srgb = expose_raw(photo, taken, generator)
    red, blue = taken.gains[0].tolist()
    return DarkScene(
        view,
        normalise(levels, taken.sensor)[0],
        (red, 1.0, blue),
        to_srgb[0],
        clean[0],
        to_srgb[0],
        _as_dng(levels, taken),
    )


def _as_dng(levels: Tensor, taken: Conditions) -> BytesIO:
    """A RAW file of the packed levels (1, 4, h, w) of one picture."""
    file = BytesIO()
    red, blue = taken.gains[0].tolist()
    write_dng(
        file,
        unpack(levels)[0].numpy().astype(np.uint16),
        white=int(taken.sensor.white[0]),
        black=int(taken.sensor.black[0]),
        as_shot_neutral=(1 / red, 1.0, 1 / blue),
        color_matrix=taken.xyz_to_camera[0].numpy().astype(np.float64),
    )
    return file


# --- the table ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class DarkDataset:
    """A set of dark pictures.

    Attributes:
        sources: The kinds of input that it has, the usual one first.
        find: Gives its cases for a view from the first of some roots that has it, or None.
        layout: What to put where, for the message when it is absent.
        summary: One line for people.
        notice: What must be said beside the figures of this set; empty if nothing.
    """

    sources: tuple[Source, ...]
    find: Callable[[View, Sequence[Path]], list[DarkCase] | None]
    layout: str
    summary: str
    notice: str = ""


DARK_DATASETS: dict[str, DarkDataset] = {
    "sid": DarkDataset(
        ("raw", "srgb"),
        _find_sid,
        "put SID/Sony/short, SID/Sony/long and SID/Sony_test_list.txt there",
        "See-in-the-Dark, Sony, test split (Chen et al., CVPR 2018)",
        "The truth is the long exposure as enhance renders it (linear demosaicing, the camera's "
        "matrix, a camera's curve), as its networks are trained to, not as LibRaw does by default. "
        "Figures compare methods with each other, not with the tables of thesis 000.",
    ),
    "lol": DarkDataset(
        ("srgb",),
        _find_lol,
        "put LOL/eval15/low and LOL/eval15/high there",
        "LOL, eval15 (Wei et al., BMVC 2018)",
    ),
    "synthetic-dark": DarkDataset(
        ("raw", "srgb"),
        _find_synthetic,
        "put sharp photographs in photos_val there",
        "photographs darkened with a sensor's noise, fixed by seeds",
    ),
}


def load_cases(name: str, view: View, roots: Sequence[Path]) -> list[DarkCase]:
    """The test cases of a dataset, none of them read yet.

    Args:
        name: Key of ``DARK_DATASETS``.
        view: In which form models are given the pictures and give them back.
        roots: Folders to look in, in this order; for one named ``benchmarks`` its parent too.

    Raises:
        UsageError: If the dataset has no input of the view's kind.
        DatasetError: If no root has it, or it is incomplete.
    """
    dataset = DARK_DATASETS[name]
    if view.source not in dataset.sources:
        raise UsageError(
            f"--dataset {name} has no {view.source} input: choose models for "
            f"{' or '.join(dataset.sources)}"
        )
    cases = dataset.find(view, roots)
    if cases is None:
        raise DatasetError(
            f"dataset {name!r} is not in {', '.join(map(str, roots))}: "
            f"{dataset.layout} or name its folder with --data-root"
        )
    return cases


def _folders(roots: Sequence[Path], *names: str) -> Iterator[Path]:
    for root in roots:
        for place in (root, root.parent) if root.name == "benchmarks" else (root,):
            yield from (place / name for name in names)
