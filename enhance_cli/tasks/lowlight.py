"""Brighten dark pictures: camera RAW and sRGB files, mixed at will."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from enhance_cli import __version__
from enhance_cli.defaults import RAW_CURVE, SRGB_CURVE, STRENGTH, lowlight_model
from enhance_cli.engine.brighten import DarkImage, Look, brighten
from enhance_cli.engine.catalogue import Model, ModelOptions
from enhance_cli.engine.strategies import choose_plan
from enhance_cli.engine.tiled import TilePlan, tile_side
from enhance_cli.errors import InputError, UnknownNameError, UsageError, one_line
from enhance_cli.io.captions import Captions
from enhance_cli.io.image import check_writable, write_image, write_notices
from enhance_cli.io.jobs import FileOptions, Job, Naming, is_file_name, plan_jobs
from enhance_cli.io.linear_dng import check_dng, write_linear_dng
from enhance_cli.io.raw import RawSettings
from enhance_cli.talk import Talk
from enhance_cli.tasks.attempt import FileProgress
from enhance_cli.tasks.batch import Crew, run_batch
from enhance_cli.tasks.dark_files import (
    DarkFile,
    find_dark_files,
    find_dark_size,
    parse_raw_settings,
    read_dark_file,
    result_suffix,
)
from enhance_cli.tasks.estimating import Estimate, Prober
from enhance_cli.tasks.pool import WorkerOptions
from enhance_cli.tasks.provenance import Provenance
from enhance_cli.tasks.ratio_rule import RatioRule
from enhance_cli.tone import CURVES, Curve

SIZES = ("full", "half")
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
    workers: WorkerOptions = WorkerOptions()

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
    work = _Work.of(request, request.workers.here(request.model), talk)
    jobs = plan_jobs(request.files, Naming("_bright", result_suffix), find_dark_files)
    crew = Crew(request.workers, partial(_Work.make, request))
    return run_batch(jobs, work, crew, talk, {"strategy": request.strategy}, work.estimate)


@dataclass(frozen=True)
class _Work:
    """Brightens one file, of which it returns what is reported."""

    request: LowLightRequest
    settings: RawSettings
    rule: RatioRule
    plan: TilePlan
    models: "_Models"

    @classmethod
    def of(cls, request: LowLightRequest, options: ModelOptions, talk: Talk) -> "_Work":
        """The work of a request with the models of such options.

        Raises:
            EnhanceError: if an option is wrong, or the model that it names is.
        """
        rule = RatioRule.parse(request.ratio, request.like)
        _check_options(request)
        settings = parse_raw_settings(request.black, request.white_balance)
        plan = choose_plan(request.strategy, request.model.tile)
        return cls(request, settings, rule, plan, _Models(request, options, plan, talk))

    @classmethod
    def make(cls, request: LowLightRequest, device: str) -> "_Work":
        """The work of a request in a worker, on a device."""
        return cls.of(request, replace(request.model, device=device), Talk(quiet=True))

    def again(self) -> "_Work":
        """See :class:`~enhance_cli.tasks.attempt.Work`."""
        return replace(self, request=replace(self.request, files=self.request.files.again()))

    def __call__(self, job: Job, progress: FileProgress) -> dict[str, Any]:
        return _brighten_file(
            job, self.request, self.settings, self.rule, self.plan, self.models, progress
        )

    @cached_property
    def _prober(self) -> Prober:
        return Prober(self.plan)

    def estimate(self, job: Job) -> Estimate:
        """What a job would take."""
        height, width, raw = find_dark_size(job.source)
        model = self.models.choose(raw, job.source)
        area = height * width // 4 if raw else height * width
        share = 2 if self.request.size == "half" else 1
        size = max(width // share, 1), max(height // share, 1)
        depth = (self.request.bits or 8) // 8
        return self._prober.estimate(model, area, size, depth=depth)


def _brighten_file(
    job: Job,
    request: LowLightRequest,
    settings: RawSettings,
    rule: RatioRule,
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

    def __init__(
        self, request: LowLightRequest, options: ModelOptions, plan: TilePlan, talk: Talk
    ) -> None:
        self._options, self._grey = options, request.grayscale
        given = {
            "--curve": request.curve is not None,
            "--strength": request.strength != STRENGTH,
            f"-o {request.files.output}": request.makes_dng,
        }
        self._look_options = [option for option, is_given in given.items() if is_given]
        self._plan, self._talk = plan, talk
        self._loaded: dict[str | None, Model] = {}
        self._named = options.name is not None or options.weights is not None
        # A wrong name or device is wrong for every file, so it is told before the first.
        if self._named:
            self._load(options.name)
        else:
            _ = options.engine

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
