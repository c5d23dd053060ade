"""Brighten dark pictures: camera RAW and sRGB files, mixed at will."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from enhance_cli import __version__
from enhance_cli.colour import srgb_to_linear
from enhance_cli.engine.amplification import choose_ratio
from enhance_cli.engine.brighten import DarkImage, brighten
from enhance_cli.engine.catalogue import Model, load_model
from enhance_cli.engine.device import choose_device, choose_dtype
from enhance_cli.engine.strategies import STRATEGIES
from enhance_cli.engine.tiled import TilePlan
from enhance_cli.errors import InputError, UnknownNameError, UsageError
from enhance_cli.io.image import (
    Picture,
    check_writable,
    find_images,
    output_suffix,
    read_image,
    write_image,
    write_notices,
)
from enhance_cli.io.jobs import Job, Naming, plan_jobs
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
from enhance_cli.tasks.batch import FileProgress, run_batch
from enhance_cli.tasks.talk import Talk

SIZES = ("full", "half")
_LEVELS = {8: torch.uint8, 16: torch.uint16}


@dataclass(frozen=True)
class LowLightRequest:
    """The options of ``enhance lowlight``; see its help."""

    inputs: Sequence[str]
    output: Path | None = None
    strategy: str | None = None
    ratio: str = "auto"
    like: Path | None = None
    model: str | None = None
    weights: Path | None = None
    grayscale: bool = False
    size: str = "full"
    bits: int | None = None
    tile: int | None = None
    device: str = "auto"
    precision: str = "auto"
    quality: int | None = None
    recursive: bool = False
    overwrite: bool = False
    skip_existing: bool = False
    seed: int = 0


@dataclass(frozen=True)
class _Source:
    """An input, read.

    Attributes:
        image: its light.
        exposure: how the camera was set.
        exif: of the result.
        orientation: to be applied to the result.
        picture: the file's own picture, where it is no RAW.
    """

    image: DarkImage
    exposure: Exposure
    exif: bytes | None
    orientation: int = 1
    picture: Picture | None = None


def run_lowlight(request: LowLightRequest, talk: Talk) -> int:
    """Brighten every input of a request.

    Returns:
        The exit code.

    Raises:
        EnhanceError: for what concerns all inputs: options, device, names of outputs.
    """
    torch.manual_seed(request.seed)
    fixed_ratio = parse_ratio(request.ratio, request.like)
    reference = _read_reference(request.like) if request.like else None
    plan = _choose_plan(request)
    device = choose_device(request.device)
    dtype = choose_dtype(request.precision, device)

    @lru_cache(maxsize=2)
    def model_for(raw: bool) -> Model:
        name = request.model or (None if request.weights else _default_model(
            raw, request.grayscale))
        return load_model("lowlight", name=name, weights=request.weights, device=device,
                          dtype=dtype)

    if request.model or request.weights:
        model_for(True)  # a wrong name is wrong for every file, so it is told first
    jobs = plan_jobs(
        request.inputs, request.output, Naming("_bright", _output_suffix), find_dark,
        recursive=request.recursive, overwrite=request.overwrite,
        skip_existing=request.skip_existing,
    )

    def work(job: Job, bar: FileProgress) -> dict[str, Any]:
        source = _read(job.source, bar.notice)
        model = model_for(source.image.is_raw)
        _check_kind(model, source.image, job.source)
        ratio = fixed_ratio or _find_ratio(source, reference, job.source)
        bits = request.bits or (source.picture.pixels.dtype.itemsize * 8 if source.picture else 8)
        height, width = _output_size(source, model, request.size)
        check_writable(job.target, height, width, depth=bits,
                       alpha=source.picture is not None and source.picture.alpha is not None)
        shown = brighten(
            model, source.image, ratio, plan, half=request.size == "half",
            grey=request.grayscale, levels=_LEVELS[bits], progress=bar.update,
            notice=bar.notice,
        )
        result = _as_picture(shown, source, bits, request.grayscale)
        note = f"enhance {__version__} lowlight, ratio {ratio:.4g}, model {model.info.name}"
        result = replace(result, exif=note_software(result.exif, note))
        for text in write_notices(job.target, result):
            bar.notice(text)
        write_image(job.target, result, request.quality)
        bar.notice(f"ratio {ratio:.4g}, {model.info.name}")
        return {"width": result.width, "height": result.height, "ratio": round(ratio, 4),
                "model": model.info.name}

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
    if not 0 < ratio <= 10_000:
        raise UsageError(f"--ratio {text}: must be auto or a number from above 0 to 10000")
    return ratio


def _choose_plan(request: LowLightRequest) -> TilePlan:
    if request.size not in SIZES:
        raise UnknownNameError("size", request.size, SIZES)
    if request.bits not in (None, *_LEVELS):
        raise UsageError(f"--bits {request.bits}: must be 8 or 16")
    if request.strategy is None:
        return TilePlan(tile=request.tile)
    if request.strategy not in STRATEGIES:
        raise UnknownNameError("strategy", request.strategy, STRATEGIES)
    if request.tile is not None:
        raise UsageError("--tile: a strategy has patches of 256, leave one of the two out")
    return STRATEGIES[request.strategy]


def _default_model(raw: bool, grey: bool) -> str:
    return ("sid-fcn-grey" if grey else "sid-fcn") if raw else "sid-fcn-srgb"


def find_dark(folder: Path, recursive: bool = False) -> list[Path]:
    """RAW files and pictures of a folder, by suffix, in the order of their paths."""
    walk = folder.rglob("*") if recursive else folder.glob("*")
    raw = (
        path for path in walk
        if path.suffix.lower() in RAW_SUFFIXES and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    return sorted({*find_images(folder, recursive), *raw})


def _output_suffix(source: Path) -> str:
    return ".png" if source.suffix.lower() in RAW_SUFFIXES else output_suffix(source)


def _read(path: Path, notice: Callable[[str], None]) -> _Source:
    if is_raw(path):
        try:
            return _from_raw(read_raw(path), notice)
        except NotBayerError as error:
            picture = read_rendered(path)
            reason = str(error).removeprefix(f"{path}: ")
            notice(f"{reason}; LibRaw's rendering goes through the sRGB model")
            return _from_picture(picture, read_exposure(path))
    return _from_picture(read_image(path), _exposure_or_none(path))


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
    image = DarkImage(torch.from_numpy(raw.planes), raw.white_balance,
                      torch.from_numpy(raw.camera_to_srgb))
    return _Source(image, raw.exposure, raw.exif, raw.orientation)


def _from_picture(picture: Picture, exposure: Exposure) -> _Source:
    values = picture.pixels.astype(np.float32) / picture.max_value
    planes = torch.from_numpy(values).permute(2, 0, 1).expand(3, -1, -1)
    return _Source(DarkImage(srgb_to_linear(planes)), exposure, picture.exif, picture=picture)


def _check_kind(model: Model, image: DarkImage, path: Path) -> None:
    wants_raw = model.contract.colour.endswith("raw")
    if wants_raw != image.is_raw:
        kind, other = ("RAW", "sRGB") if wants_raw else ("sRGB", "RAW")
        raise InputError(f"{path}: model {model.info.name!r} is for {kind} files and this is an "
                         f"{other} one, leave --model out or choose another")


def _find_ratio(source: _Source, reference: Exposure | None, path: Path) -> float:
    own = source.exposure
    if reference is None:
        light = None
        if own.seconds and own.iso and own.f_number:
            light = own.seconds * own.iso / own.f_number**2
        return choose_ratio(source.image.balanced(), light)
    if not own.seconds:
        raise InputError(f"{path}: its metadata has no exposure time to compare with that of "
                         "--like, give --ratio")
    return compare_exposures(own, reference)


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
        ratio *= (dark.f_number / bright.f_number) ** 2
    return ratio


def _read_reference(path: Path) -> Exposure:
    exposure = read_exposure(path)
    if not exposure.seconds:
        raise InputError(f"{path}: its metadata has no exposure time, give --ratio instead of "
                         "--like")
    return exposure


def _output_size(source: _Source, model: Model, size: str) -> tuple[int, int]:
    height, width = source.image.planes.shape[-2:]
    if source.image.is_raw and size == "full":
        height, width = (side * model.contract.scale for side in (height, width))
    elif size == "half" and not source.image.is_raw:
        height, width = height // 2, width // 2
    return (width, height) if source.orientation > 4 else (height, width)


def _as_picture(shown: Tensor, source: _Source, bits: int, grey: bool) -> Picture:
    """The result as a picture, upright, with what belongs to its source."""
    pixels: NDArray[Any] = np.ascontiguousarray(shown.permute(1, 2, 0).numpy())
    pixels = turn_upright(pixels, source.orientation)
    old = source.picture
    if old is None:
        profile = srgb_profile() if pixels.shape[2] == 3 else None
        return Picture(pixels, exif=source.exif, icc_profile=profile)
    was_grey = old.pixels.shape[2] == 1
    if was_grey and pixels.shape[2] == 3:
        pixels = pixels[..., 1:2].copy()
    alpha = old.alpha
    if alpha is not None:
        top = {8: 255, 16: 65535}[bits]
        if pixels.shape[:2] != alpha.shape:  # half size: every other sample of a mask
            alpha = alpha[: 2 * pixels.shape[0] : 2, : 2 * pixels.shape[1] : 2]
        alpha = (alpha.astype(np.float32) * (top / old.max_value)).round().astype(pixels.dtype)
    profile = old.icc_profile if was_grey == (pixels.shape[2] == 1) else None
    if profile is None and pixels.shape[2] == 3:
        profile = srgb_profile()
    return replace(old, pixels=pixels, alpha=alpha, icc_profile=profile)
