"""Brighten dark pictures: camera RAW and sRGB files, mixed at will."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from enhance_cli import __version__
from enhance_cli.defaults import RAW_CURVE, SRGB_CURVE, STRENGTH, lowlight_model
from enhance_cli.engine.amplification import choose_ratio
from enhance_cli.engine.brighten import DarkImage, Look, brighten
from enhance_cli.engine.catalogue import Model, ModelOptions
from enhance_cli.engine.strategies import choose_plan
from enhance_cli.engine.tiled import TilePlan, tile_side
from enhance_cli.errors import InputError, UnknownNameError, UsageError, one_line
from enhance_cli.io.captions import Captions
from enhance_cli.io.image import check_writable, write_image, write_notices
from enhance_cli.io.jobs import FileOptions, Job, Naming, is_file_name, plan_jobs
from enhance_cli.io.linear_dng import check_dng, write_linear_dng
from enhance_cli.io.raw import Exposure, RawSettings, read_exposure
from enhance_cli.talk import Talk
from enhance_cli.tasks.batch import FileProgress, run_batch
from enhance_cli.tasks.dark_files import (
    DarkFile,
    find_dark_files,
    find_dark_size,
    parse_raw_settings,
    read_dark_file,
    result_suffix,
)
from enhance_cli.tasks.estimating import Estimate, Prober
from enhance_cli.tasks.provenance import Provenance
from enhance_cli.tone import CURVES, Curve

SIZES = ("full", "half")
LARGEST_RATIO = 10_000
LARGEST_STOPS = 10
_STOPS = re.compile(r"auto([+-]\d+(?:\.\d*)?|[+-]\.\d+)")
_LEVEL_TYPES = {8: torch.uint8, 16: torch.uint16}


@dataclass(frozen=True)
class LowLightRequest:
    """The options of ``enhance lowlight``; see its help."""

    files: FileOptions
    model: ModelOptions = ModelOptions()
    strategy: str | None = None
    ratio: str = "auto"
    like: Path | None = None
    black: str = "auto"
    white_balance: str = "camera"
    grayscale: bool = False
    size: str = "full"
    strength: float = STRENGTH
    curve: str | None = None
    bits: int | None = None
    quality: int | None = None
    metadata: bool = True

    @property
    def makes_dng(self) -> bool:
        """Whether the output is a DNG file."""
        output = self.files.output
        return output is not None and is_file_name(output) and output.suffix.lower() == ".dng"


def run_lowlight(request: LowLightRequest, talk: Talk) -> int:
    """Brighten every input of a request.

    Returns:
        The exit code.

    Raises:
        EnhanceError: for what concerns all inputs: options, device, names of outputs.
    """
    rule = _RatioRule.parse(request.ratio, request.like)
    _check_options(request)
    settings = parse_raw_settings(request.black, request.white_balance)
    plan = choose_plan(request.strategy, request.model.tile)
    models = _Models(request, plan, talk)
    jobs = plan_jobs(request.files, Naming("_bright", result_suffix), find_dark_files)

    def work(job: Job, progress: FileProgress) -> dict[str, Any]:
        return _brighten_file(job, request, settings, rule, plan, models, progress)

    prober = Prober(plan)

    def estimate(job: Job) -> Estimate:
        height, width, raw = find_dark_size(job.source)
        model = models.choose(raw, job.source)
        area = height * width // 4 if raw else height * width
        share = 2 if request.size == "half" else 1
        size = max(width // share, 1), max(height // share, 1)
        depth = (request.bits or 8) // 8
        return prober.estimate(model, area, size, depth=depth)

    return run_batch(jobs, work, talk, {"strategy": request.strategy}, estimate)


def _brighten_file(
    job: Job,
    request: LowLightRequest,
    settings: RawSettings,
    rule: "_RatioRule",
    plan: TilePlan,
    models: "_Models",
    progress: FileProgress,
) -> dict[str, Any]:
    """Read, brighten and write one file; gives what is to be reported of it."""
    dark = read_dark_file(job.source, progress.notice, settings)
    if request.makes_dng and not dark.image.is_raw:
        raise InputError(
            f"{job.source}: only RAW files of sensors with red, green and blue become DNG, name a "
            ".png or .tif with -o"
        )
    model = progress.compute(partial(models.choose, dark.image.is_raw, job.source))
    ratio = rule.find(dark, job.source)
    look = _choose_look(request, model, dark.image)
    told: dict[str, Any] = {}
    if look is not None:
        told = {"strength": look.strength}
        if look.curve is not None:
            told = {"curve": look.curve, **told}
    software = f"enhance {__version__} lowlight, ratio {ratio:.4g}, model {model.info.name}"
    software += "".join(f", {name} {value}" for name, value in told.items())
    provenance = Provenance.of("lowlight", request)
    found = {"ratio": float(f"{ratio:.6g}"), **told}
    record = provenance.record(model, **found)
    note = partial(provenance.note, record=record, software=software)
    brightened = partial(
        brighten,
        model,
        dark.image,
        ratio,
        plan,
        look=look,
        half=request.size == "half",
        grey=request.grayscale or dark.is_grey,
        progress=progress.update,
        notice=progress.notice,
    )

    def run(**options: torch.dtype) -> Tensor:
        return progress.compute(partial(brightened, **options))

    write = _write_dng if request.makes_dng else _write_picture
    height, width = write(job, request, dark, model.contract.scale, run, note, progress)
    progress.notice(f"ratio {ratio:.4g}, {model.info.name}")
    return {
        "width": width,
        "height": height,
        "model": model.info.name,
        **found,
        "provenance": record,
    }


def _write_picture(
    job: Job,
    request: LowLightRequest,
    dark: DarkFile,
    scale: int,
    run: Callable[..., Tensor],
    note: Callable[[bytes | None], bytes | None],
    progress: FileProgress,
) -> tuple[int, int]:
    """Brighten a file and write it as a picture; gives its height and width."""
    linear = request.curve == "linear"
    bits = request.bits or (16 if linear else dark.bits)
    height, width = dark.result_size(scale, half=request.size == "half")
    check_writable(job.target, height, width, depth=bits, alpha=dark.has_alpha)
    result = dark.finish(run(levels=_LEVEL_TYPES[bits]), linear=linear)
    if linear and dark.has_profile:
        progress.notice("its colour profile is replaced by that of linear sRGB")
    if not request.metadata:
        result = result.without_metadata()
    for text in write_notices(job.target, result):
        progress.notice(text)
    write_image(job.target, replace(result, exif=note(result.exif)), request.quality)
    return result.height, result.width


def _write_dng(
    job: Job,
    request: LowLightRequest,
    dark: DarkFile,
    scale: int,
    run: Callable[..., Tensor],
    note: Callable[[bytes | None], bytes | None],
    progress: FileProgress,
) -> tuple[int, int]:
    """Clean a RAW file and write it as a linear DNG file; gives its height and width."""
    check_dng(job.target, *dark.result_size(scale, half=request.size == "half"))
    result = dark.finish_light(run(), job.source)
    if not request.metadata:
        result = replace(result, exif=None, captions=Captions())
    result = replace(result, exif=note(result.exif))
    write_linear_dng(job.target, result)
    height, width = result.light.shape[:2]
    return height, width


def _choose_look(request: LowLightRequest, model: Model, image: DarkImage) -> Look | None:
    """The look of one result; None for a network that gives what is shown."""
    if not model.contract.is_linear:
        return None
    if request.makes_dng:
        return Look(None, request.strength)
    curve = request.curve or (RAW_CURVE if image.is_raw else SRGB_CURVE)
    return Look(cast(Curve, curve), request.strength)


def _check_options(request: LowLightRequest) -> None:
    if request.size not in SIZES:
        raise UnknownNameError("size", request.size, SIZES)
    if request.bits not in (None, *_LEVEL_TYPES):
        raise UsageError(f"--bits {request.bits}: must be 8 or 16")
    if request.curve is not None and request.curve not in CURVES:
        raise UnknownNameError("curve", request.curve, CURVES)
    if request.makes_dng and request.curve is not None:
        raise UsageError(
            f"--curve {request.curve}: a DNG holds light as the sensor records it, leave it out"
        )
    if request.makes_dng and request.bits == 8:
        raise UsageError("--bits 8: a DNG has 16, leave it out")
    if not 0 <= request.strength <= 1:
        raise UsageError(f"--strength {request.strength:g}: must be from 0 to 1")


class _Models:
    """The models of a run; each is loaded when the first file needs it."""

    def __init__(self, request: LowLightRequest, plan: TilePlan, talk: Talk) -> None:
        self._options, self._grey = request.model, request.grayscale
        given = {
            "--curve": request.curve is not None,
            "--strength": request.strength != STRENGTH,
            f"-o {request.files.output}": request.makes_dng,
        }
        self._look_options = [option for option, is_given in given.items() if is_given]
        self._plan, self._talk = plan, talk
        self._loaded: dict[str | None, Model] = {}
        self._named = request.model.name is not None or request.model.weights is not None
        # A wrong name or device is wrong for every file, so it is told before the first.
        if self._named:
            self._load(request.model.name)
        else:
            _ = request.model.engine

    def choose(self, is_raw: bool, path: Path) -> Model:
        """The model for a file: the one the user named, or else the default for its kind.

        Raises:
            InputError: if the named model is for the other kind of file.
            CheckpointError: if there are no weights.
        """
        name = self._options.name if self._named else lowlight_model(raw=is_raw, grey=self._grey)
        model = self._loaded.get(name) or self._load(name)
        wants_raw = model.contract.is_raw
        if wants_raw != is_raw:
            kind, other = ("RAW", "sRGB") if wants_raw else ("sRGB", "RAW")
            raise InputError(
                f"{path}: model {model.info.name!r} is for {kind} files and this is an "
                f"{other} one, leave --model out or choose another"
            )
        return model

    def _load(self, name: str | None) -> Model:
        model = replace(self._options, name=name).load("lowlight")
        if self._look_options and not model.contract.is_linear:
            raise UsageError(
                f"{self._look_options[0]}: model {model.info.name!r} gives finished pictures, "
                "leave the option out or choose another model"
            )
        if model.notice and all(model.notice != other.notice for other in self._loaded.values()):
            self._talk.console.print(one_line(model.notice))
        self._loaded[name] = model
        self._talk.explain(model.describe(tile_side(self._plan, model)))
        return model


@dataclass(frozen=True)
class _RatioRule:
    """How the amplification ratio of a file is found.

    Attributes:
        number: the ratio of every file, if the user gave one.
        reference: the exposure that results should have, if the user named such a file. Without
            either the ratio is estimated from each picture.
        stops: how much brighter the result shall be than by the estimate; each stop doubles.
    """

    number: float | None = None
    reference: Exposure | None = None
    stops: float = 0.0

    @classmethod
    def parse(cls, text: str, like: Path | None) -> "_RatioRule":
        """The rule of the options ``--ratio`` and ``--like``.

        Raises:
            UsageError: if ``--ratio`` is neither ``auto``, with stops or without, nor a positive
                number, or both are given.
            InputError: if the file of ``--like`` does not tell its exposure time.
        """
        if text == "auto":
            return cls(reference=None if like is None else _read_reference(like))
        if like is not None:
            raise UsageError("give either --ratio or --like, not both")
        if match := _STOPS.fullmatch(text):
            stops = float(match[1])
            if abs(stops) > LARGEST_STOPS:
                raise UsageError(f"--ratio {text}: at most {LARGEST_STOPS} stops more or less")
            return cls(stops=stops)
        try:
            ratio = float(text)
        except ValueError:
            ratio = 0.0
        if not 0 < ratio <= LARGEST_RATIO:
            raise UsageError(
                f"--ratio {text}: must be auto, auto+1 or auto-0.5 (in stops), or a number from "
                f"above 0 to {LARGEST_RATIO}"
            )
        return cls(ratio)

    def find(self, dark: DarkFile, path: Path) -> float:
        """The ratio of one file.

        Raises:
            InputError: if its exposure cannot be compared with the reference's.
        """
        if self.number is not None:
            return self.number
        if self.reference is None:
            ratio = choose_ratio(dark.image.balanced()) * 2**self.stops
            return min(max(ratio, 1 / LARGEST_RATIO), LARGEST_RATIO)
        own = dark.exposure
        if not own.seconds:
            raise InputError(
                f"{path}: its metadata has no exposure time to compare with that of "
                "--like, give --ratio"
            )
        ratio = _compare_exposures(own, self.reference)
        if not 1 / LARGEST_RATIO <= ratio <= LARGEST_RATIO:
            raise InputError(
                f"{path}: the exposure of --like is {ratio:.3g} times its own by the "
                f"metadata, the limit is {LARGEST_RATIO}: give --ratio"
            )
        return ratio


def _compare_exposures(dark: Exposure, bright: Exposure) -> float:
    """How many times more light ``bright`` got than ``dark``.

    This is the ratio of the exposure times (thesis 000, ch. 2), multiplied by the ratios of
    sensitivity and aperture area where both files tell them. In the thesis's pairs of pictures
    these two are the same.
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
