"""Brighten dark pictures: camera RAW and sRGB files, mixed at will."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from enhance_cli import __version__
from enhance_cli.colour import srgb_to_linear
from enhance_cli.engine.amplification import choose_ratio
from enhance_cli.engine.brighten import DarkImage, brighten
from enhance_cli.engine.catalogue import Model, ModelOptions
from enhance_cli.engine.device import choose_device, choose_dtype
from enhance_cli.engine.strategies import PATCH, STRATEGIES
from enhance_cli.engine.tiled import TilePlan, tile_side
from enhance_cli.errors import InputError, UnknownNameError, UsageError
from enhance_cli.io.image import (
    READABLE_SUFFIXES,
    Picture,
    check_writable,
    find_images,
    output_suffix,
    read_image,
    write_image,
    write_notices,
)
from enhance_cli.io.jobs import FileOptions, Job, Naming, plan_jobs
from enhance_cli.io.metadata import note_software, srgb_profile, turn_upright
from enhance_cli.io.raw import (
    RAW_SUFFIXES,
    Exposure,
    NotBayerError,
    RawImage,
    is_raw,
    read_exposure,
    read_raw,
    read_rendered,
)
from enhance_cli.levels import to_pixels, to_planes, to_values
from enhance_cli.talk import Talk
from enhance_cli.tasks.batch import FileProgress, run_batch

SIZES = ("full", "half")
RATIO_LIMIT = 10_000
_LEVELS = {8: torch.uint8, 16: torch.uint16}


@dataclass(frozen=True)
class LowLightRequest:
    """The options of ``enhance lowlight``; see its help."""

    files: FileOptions
    model: ModelOptions = ModelOptions()
    strategy: str | None = None
    ratio: str = "auto"
    like: Path | None = None
    grayscale: bool = False
    size: str = "full"
    bits: int | None = None
    quality: int | None = None


@dataclass(frozen=True)
class _Source:
    """An input, read.

    Attributes:
        image: its light.
        exposure: how the camera was set.
        exif: of the result.
        bits: of the result's samples, where none are asked for.
        orientation: to be applied to the result.
        picture: the file's own picture, where it is no RAW.
    """

    image: DarkImage
    exposure: Exposure
    exif: bytes | None
    bits: int = 8
    orientation: int = 1
    picture: Picture | None = None

    @property
    def is_grey(self) -> bool:
        """Whether the file's own picture is without colour."""
        return self.picture is not None and self.picture.pixels.shape[2] == 1


def run_lowlight(request: LowLightRequest, talk: Talk) -> int:
    """Brighten every input of a request.

    Returns:
        The exit code.

    Raises:
        EnhanceError: for what concerns all inputs: options, device, names of outputs.
    """
    fixed_ratio = parse_ratio(request.ratio, request.like)
    reference = _read_reference(request.like) if request.like else None
    plan = _choose_plan(request)
    # Models are loaded when the first file asks for one, but a wrong device is told at once.
    choose_dtype(request.model.precision, choose_device(request.model.device))

    @lru_cache(maxsize=2)
    def load(name: str | None) -> Model:
        model = replace(request.model, name=name).load("lowlight")
        talk.explain(model.describe(tile_side(plan, model.contract, model.device)))
        return model

    named = request.model.name or request.model.weights
    if named:
        load(request.model.name)  # a wrong name is wrong for every file, so it is told first
    jobs = plan_jobs(request.files, Naming("_bright", _output_suffix), find_dark)

    def work(job: Job, bar: FileProgress) -> dict[str, Any]:
        source = _read(job.source, bar.notice)
        model = load(
            request.model.name if named else _default_model(source.image.is_raw, request.grayscale)
        )
        _check_kind(model, source.image, job.source)
        ratio = fixed_ratio or _find_ratio(source, reference, job.source)
        bits = request.bits or source.bits
        height, width = _output_size(source, model, request.size)
        check_writable(
            job.target,
            height,
            width,
            depth=bits,
            alpha=source.picture is not None and source.picture.alpha is not None,
        )
        shown = brighten(
            model,
            source.image,
            ratio,
            plan,
            half=request.size == "half",
            grey=request.grayscale or source.is_grey,
            levels=_LEVELS[bits],
            progress=bar.update,
            notice=bar.notice,
        )
        result = _as_picture(shown, source)
        for text in write_notices(job.target, result):
            bar.notice(text)
        note = f"enhance {__version__} lowlight, ratio {ratio:.4g}, model {model.info.name}"
        result = replace(result, exif=note_software(result.exif, note))
        write_image(job.target, result, request.quality)
        bar.notice(f"ratio {ratio:.4g}, {model.info.name}")
        return {
            "width": result.width,
            "height": result.height,
            "ratio": float(f"{ratio:.6g}"),
            "model": model.info.name,
        }

    return run_batch(jobs, work, talk, {"strategy": request.strategy})


def parse_ratio(text: str, like: Path | None) -> float | None:
    """The number of ``--ratio``; None for ``auto``.

    Raises:
        UsageError: if it is neither, not positive, or given beside ``--like``.
    """
    if text == "auto":
        return None
    if like is not None:
        raise UsageError("give either --ratio or --like, not both")
    try:
        ratio = float(text)
    except ValueError:
        ratio = 0.0
    if not 0 < ratio <= RATIO_LIMIT:
        raise UsageError(f"--ratio {text}: must be auto or a number from above 0 to {RATIO_LIMIT}")
    return ratio


def _choose_plan(request: LowLightRequest) -> TilePlan:
    if request.size not in SIZES:
        raise UnknownNameError("size", request.size, SIZES)
    if request.bits not in (None, *_LEVELS):
        raise UsageError(f"--bits {request.bits}: must be 8 or 16")
    if request.strategy is None:
        return TilePlan(tile=request.model.tile)
    if request.strategy not in STRATEGIES:
        raise UnknownNameError("strategy", request.strategy, STRATEGIES)
    if request.model.tile is not None:
        raise UsageError(
            f"--tile {request.model.tile}: a strategy has patches of {PATCH}, "
            "leave one of the two out"
        )
    return STRATEGIES[request.strategy]


def _default_model(raw: bool, grey: bool) -> str:
    return ("sid-fcn-grey" if grey else "sid-fcn") if raw else "sid-fcn-srgb"


def find_dark(folder: Path, recursive: bool = False) -> list[Path]:
    """RAW files and pictures of a folder, by suffix, in the order of their paths."""
    return find_images(folder, recursive, READABLE_SUFFIXES | RAW_SUFFIXES)


def _output_suffix(source: Path) -> str:
    return ".png" if source.suffix.lower() in RAW_SUFFIXES else output_suffix(source)


def _read(path: Path, notice: Callable[[str], None]) -> _Source:
    if is_raw(path):
        try:
            return _from_raw(read_raw(path), notice)
        except NotBayerError:
            picture = read_rendered(path)
            notice(
                "no Bayer mosaic of red, green and blue: LibRaw's rendering goes through the "
                "sRGB model"
            )
            return _from_picture(picture, _exposure_or_none(path), bits=8)
    picture = read_image(path)
    return _from_picture(picture, _exposure_or_none(path), picture.pixels.dtype.itemsize * 8)


def _exposure_or_none(path: Path) -> Exposure:
    try:
        return read_exposure(path)
    except InputError:
        return Exposure()


def _from_raw(raw: RawImage, notice: Callable[[str], None]) -> _Source:
    if raw.white_balance_source != "camera":
        notice(f"no white balance in the file, taken from: {raw.white_balance_source}")
    if raw.colour_source == "none":
        notice("no colour matrix in the file, the sensor's colours are taken for sRGB")
    image = DarkImage(
        torch.from_numpy(raw.planes), raw.white_balance, torch.from_numpy(raw.camera_to_srgb)
    )
    return _Source(image, raw.exposure, raw.exif, orientation=raw.orientation)


def _from_picture(picture: Picture, exposure: Exposure, bits: int) -> _Source:
    planes = to_values(to_planes(picture.pixels))
    if picture.alpha is not None and picture.alpha.any():
        seen = picture.alpha > 0  # the rest has any colour: it may not count, nor bleed
        values = planes.movedim(0, -1).numpy()  # the same memory
        values[~seen] = values[seen].mean(axis=0)
    linear = srgb_to_linear(planes.expand(3, -1, -1))
    return _Source(DarkImage(linear), exposure, picture.exif, bits, picture=picture)


def _check_kind(model: Model, image: DarkImage, path: Path) -> None:
    wants_raw = model.contract.colour.endswith("raw")
    if wants_raw != image.is_raw:
        kind, other = ("RAW", "sRGB") if wants_raw else ("sRGB", "RAW")
        raise InputError(
            f"{path}: model {model.info.name!r} is for {kind} files and this is an "
            f"{other} one, leave --model out or choose another"
        )


def _find_ratio(source: _Source, reference: Exposure | None, path: Path) -> float:
    own = source.exposure
    if reference is None:
        light = None
        if own.seconds and own.iso and own.f_number:
            light = own.seconds * own.iso / own.f_number / own.f_number
        return choose_ratio(source.image.balanced(), light)
    if not own.seconds:
        raise InputError(
            f"{path}: its metadata has no exposure time to compare with that of "
            "--like, give --ratio"
        )
    ratio = compare_exposures(own, reference)
    if not 1 / RATIO_LIMIT <= ratio <= RATIO_LIMIT:
        raise InputError(
            f"{path}: the exposure of --like is {ratio:.3g} times its own by the "
            f"metadata, the limit is {RATIO_LIMIT}: give --ratio"
        )
    return ratio


def compare_exposures(dark: Exposure, bright: Exposure) -> float:
    """How many times more exposed ``bright`` is.

    The ratio of the exposure times (thesis 000, ch. 2), times those of sensitivity and aperture
    where both files tell them: in the thesis's pairs they are the same.
    """
    assert dark.seconds and bright.seconds
    ratio = bright.seconds / dark.seconds
    if dark.iso and bright.iso:
        ratio *= bright.iso / dark.iso
    if dark.f_number and bright.f_number:
        step = dark.f_number / bright.f_number
        ratio *= step * step  # damaged metadata give infinity, where a power would raise
    return ratio


def _read_reference(path: Path) -> Exposure:
    exposure = read_exposure(path)
    if not exposure.seconds:
        raise InputError(
            f"{path}: its metadata has no exposure time, give --ratio instead of --like"
        )
    return exposure


def _output_size(source: _Source, model: Model, size: str) -> tuple[int, int]:
    height, width = source.image.planes.shape[-2:]
    if source.image.is_raw and size == "full":
        height, width = (side * model.contract.scale for side in (height, width))
    elif size == "half" and not source.image.is_raw:
        height, width = max(height // 2, 1), max(width // 2, 1)
    return (width, height) if source.orientation > 4 else (height, width)


def _as_picture(shown: Tensor, source: _Source) -> Picture:
    """The result as a picture, upright, with what belongs to its source."""
    pixels = turn_upright(to_pixels(shown, shown.dtype), source.orientation)
    old = source.picture
    same_colours = old is not None and source.is_grey == (pixels.shape[2] == 1)
    profile = old.icc_profile if old is not None and same_colours else None
    if profile is None and pixels.shape[2] == 3:
        profile = srgb_profile()
    if old is None:
        return Picture(pixels, exif=source.exif, icc_profile=profile)
    alpha = None if old.alpha is None else _fit_alpha(old.alpha, pixels)
    return replace(old, pixels=pixels, alpha=alpha, icc_profile=profile)


def _fit_alpha(alpha: NDArray[Any], pixels: NDArray[Any]) -> NDArray[Any]:
    """Alpha of the depth and size of a result, which may be half as large."""
    values = alpha * np.float32(np.iinfo(pixels.dtype).max / np.iinfo(alpha.dtype).max)
    if values.shape != pixels.shape[:2]:
        values = functional.avg_pool2d(
            torch.from_numpy(values)[None], [min(2, side) for side in values.shape]
        )[0].numpy()
    return values.round().astype(pixels.dtype)
