"""``enhance video``: enlarge the frames of videos, and keep everything else of them as it was."""

import hashlib
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from functools import cached_property, partial
from typing import Any

from enhance_cli import __version__
from enhance_cli.defaults import CUT_THRESHOLD
from enhance_cli.engine.catalogue import Model, ModelOptions
from enhance_cli.engine.recurrent import FrameEnlarger
from enhance_cli.engine.scales import Networks, load_networks
from enhance_cli.engine.tiled import TilePlan
from enhance_cli.errors import InputError, UsageError
from enhance_cli.io.files import sha256_of
from enhance_cli.io.jobs import FileOptions, Job
from enhance_cli.io.video import (
    Damage,
    Deinterlace,
    EncodeOptions,
    FrameSource,
    Kind,
    Span,
    VideoInfo,
    check_seconds,
    exact_seconds,
    is_animation_name,
    open_source,
    plan_sink,
    plan_video_jobs,
)
from enhance_cli.sizes import FrameSize, WantedSize, beyond
from enhance_cli.subsampling import MIDDLE, Phase
from enhance_cli.talk import Talk
from enhance_cli.tasks.attempt import FileProgress
from enhance_cli.tasks.batch import Crew, run_batch
from enhance_cli.tasks.estimating import Estimate, Prober
from enhance_cli.tasks.pool import WorkerOptions
from enhance_cli.tasks.provenance import Provenance, as_line
from enhance_cli.tasks.video_pipeline import FramePipeline
from enhance_cli.tasks.video_work import WorkFolder


@dataclass(frozen=True)
class PartOptions:
    """Which part of a video is enlarged.

    Attributes:
        start: seconds from the first frame at which the part begins, None for the beginning.
        end: seconds from the first frame at which the part ends, None for the end of the video.
        preview: the largest number of seconds that the part lasts, None for no limit.
    """

    start: float | None = None
    end: float | None = None
    preview: float | None = None

    @property
    def span(self) -> Span:
        """The span of time that is left by all three.

        Raises:
            UsageError: if a time is negative or no number, or the span is empty.
        """
        check_seconds("preview", self.preview)
        span = Span(self.start, self.end)
        if self.preview is None:
            return span
        if not self.preview:
            raise UsageError("--preview 0: must be more than 0 seconds")
        last = float(exact_seconds(self.start or 0.0) + exact_seconds(self.preview))
        return Span(self.start, last if self.end is None else min(self.end, last))


@dataclass(frozen=True)
class VideoRequest:
    """What ``enhance video`` is asked to do.

    Attributes:
        files: the inputs and the output.
        model: the model, and where and how it runs.
        size: the size of the results; None stands for that which the network makes.
        part: the part of each video that is enlarged.
        encoding: how video files are encoded.
        rate: frames a second of a video that is made of pictures, as the user typed it.
        frames: whether results are folders of numbered PNGs.
        compare: whether frames show the bicubic enlargement beside the result.
        phase: which pixel of its cell of the large frame a pixel of the input samples.
        cut_threshold: a scene begins where two frames differ by more, from 0 to 1; None if the
            whole video is taken for one scene.
        resume: whether an interrupted run is continued.
        keep_time: whether an output gets the time at which its input was last changed.
        deinterlace: what becomes of the interlaced frames of files.
        strict: whether damaged files are refused.
        metadata: whether outputs keep what their inputs tell of themselves.
        workers: what does the work.
    """

    files: FileOptions
    model: ModelOptions = ModelOptions()
    size: WantedSize | None = None
    part: PartOptions = PartOptions()
    encoding: EncodeOptions = EncodeOptions()
    rate: str | None = None
    frames: bool = False
    compare: bool = False
    phase: Phase = MIDDLE
    cut_threshold: float | None = CUT_THRESHOLD
    resume: bool = False
    keep_time: bool = False
    deinterlace: Deinterlace = "tell"
    strict: bool = False
    metadata: bool = True
    workers: WorkerOptions = WorkerOptions()


@dataclass(frozen=True)
class _Run:
    """Enlarges one input, and holds what all inputs of a request share."""

    request: VideoRequest
    span: Span
    rate: Fraction | None
    networks: Networks

    @classmethod
    def of(cls, request: VideoRequest, options: ModelOptions) -> "_Run":
        """The work of a request with the networks of such options.

        Raises:
            EnhanceError: if an option is wrong, or there is no such model.
        """
        span, rate = request.part.span, parse_rate(request.rate)
        return cls(request, span, rate, load_networks(options, "video", request.size))

    @classmethod
    def make(cls, request: VideoRequest, device: str) -> "_Run":
        """The work of a request in a worker, on a device."""
        return cls.of(request, replace(request.model, device=device))

    def again(self) -> "_Run":
        """See :class:`~enhance_cli.tasks.attempt.Work`; the segments that are finished stay."""
        request = replace(self.request, files=self.request.files.again(), resume=True)
        return replace(self, request=request)

    def __call__(self, job: Job, bar: FileProgress) -> dict[str, Any]:
        return _enlarge(job, self, bar)

    @property
    def tiles(self) -> TilePlan:
        """How the network cuts frames into tiles."""
        return TilePlan(tile=self.request.model.tile)

    @cached_property
    def _prober(self) -> Prober:
        return Prober(self.tiles)

    def estimate(self, job: Job) -> Estimate:
        """What a job would take."""
        info = open_source(job.source, job.source_kind, rate=self.rate).info
        size, model = _frame_size(info, self.networks)
        frames = len(info.names) or info.frames or round((info.seconds or 0) * info.rate)
        seconds = frames / info.rate
        left = min(seconds, self.span.end or seconds) - (self.span.start or 0)
        frames = max(round(left * info.rate), 0)
        if not frames:
            raise InputError(
                f"{job.source}: does not tell how long it is, so nothing can be estimated"
            )
        return self._prober.estimate(
            model, info.width * info.height, size.rounded(), count=frames, frames=frames
        )


def run_video(request: VideoRequest, talk: Talk) -> int:
    """Enlarge every input of a request.

    Args:
        request: what is to be done.
        talk: how the command speaks.

    Returns:
        The exit code: 0 if every input succeeded, else 1.

    Raises:
        EnhanceError: for what concerns all inputs: an option, the model, the device, the names
            of the outputs.
    """
    run = _Run.of(request, request.workers.here(request.model))
    networks = run.networks
    jobs = plan_video_jobs(request.files, networks.size.tag, frames=request.frames)
    for model in networks.models:
        talk.explain(model.describe(FrameEnlarger(model, run.tiles).tile_side))
    networks.tell(talk.console.print)
    crew = Crew(request.workers, partial(_Run.make, request))
    return run_batch(jobs, run, crew, talk, networks.header, run.estimate)


def parse_rate(text: str | None) -> Fraction | None:
    """Read a number of frames a second: ``25``, ``23.976`` or ``30000/1001``.

    Raises:
        UsageError: if the text is no number above 0.
    """
    if text is None:
        return None
    try:
        rate = Fraction(text).limit_denominator(1_000_000)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if rate <= 0:
        raise UsageError(f"--rate {text}: must be frames a second, like 25 or 30000/1001")
    return rate


def _enlarge(job: Job, run: _Run, bar: FileProgress) -> dict[str, Any]:
    """Do one job, and return what is reported of it."""
    request = run.request
    damage = Damage()
    source = _open(job, run, damage)
    info = source.info
    size, model = _frame_size(info, run.networks)
    provenance = Provenance.of("video", request)
    record = provenance.record(model)
    note = as_line(record) if provenance.in_metadata else ""
    sink = plan_sink(
        info,
        job.target,
        job.target_kind,
        _widened(info, size) if request.compare else size,
        replace(request.encoding, note=note, metadata=request.metadata),
    )
    _tell(dict.fromkeys((*info.notices, *sink.plan.notices, *_unused(info, job, request))), bar)
    if further := beyond(size, model.contract.scale):
        bar.notice(further)
    folder = WorkFolder(job.target, sink.segment_suffix)
    finished = folder.begin(
        _settings(info, model, size, run),
        resume=request.resume,
        overwrite=request.files.overwrite,
        reaches=partial(_reaches, source, run.span, model.contract.lookahead),
    )
    try:
        if finished:
            bar.notice(f"going on after {finished * folder.segment_frames} frames")
        pipeline = FramePipeline(
            enlarger=FrameEnlarger(model, run.tiles, bar.notice, request.phase),
            source=source,
            sink=sink,
            folder=folder,
            span=run.span,
            cut_threshold=request.cut_threshold,
            compare=request.compare,
            progress=bar.frames,
        )
        pipeline.run(finished)
        _tell(damage.tell(run.span), bar)
        sink.assemble(pipeline.segments, run.span, bar.notice)
    except BaseException:
        if not folder.remove_if_empty():
            bar.notice(f"finished segments are kept in {folder.path}, go on with --resume")
        raise
    folder.remove()
    if request.keep_time:
        before = job.source.stat()
        os.utime(job.target, ns=(before.st_atime_ns, before.st_mtime_ns))
    plan = sink.plan
    return {
        "width": plan.width,
        "height": plan.height,
        "frames": pipeline.done,
        "cuts": pipeline.cuts,
        **damage.row(run.span),
        **run.networks.row(model),
        "provenance": record,
    }


def _open(job: Job, run: _Run, damage: Damage) -> FrameSource:
    """Open the input of a job; a strict run reads all of it first, to refuse it before any work."""
    request = run.request
    source = open_source(
        job.source,
        job.source_kind,
        rate=run.rate,
        deinterlace=request.deinterlace,
        damage=None if request.strict else damage,
    )
    if request.strict:
        next(source.frames(run.span, skip=sys.maxsize), None)
    return source


def _tell(notices: Iterable[str], bar: FileProgress) -> None:
    for text in notices:
        bar.notice(text)


def _frame_size(info: VideoInfo, networks: Networks) -> tuple[FrameSize, Model]:
    """The size of the frames of a result, and the network that makes them."""
    turned = info.quarter_turns % 2 == 1
    size = networks.size.of(
        info.path, info.width, info.height, info.sample_aspect_ratio, turned=turned
    )
    model = networks.reaching(size)
    scale = model.contract.scale
    resampled = size.width != info.width * scale or size.height != info.height * scale
    return replace(size, resampled=resampled), model


def _widened(info: VideoInfo, size: FrameSize) -> FrameSize:
    """The size of frames that are twice as wide when players show them, and may turn them."""
    if info.quarter_turns % 2:
        return replace(size, height=2 * size.height)
    return replace(size, width=2 * size.width)


def _unused(info: VideoInfo, job: Job, request: VideoRequest) -> Iterator[str]:
    """Name the options that have no effect on this job."""
    if request.rate is not None and info.kind is not Kind.FRAMES:
        yield f"--rate {request.rate} is for folders of pictures: not used"
    if request.deinterlace in ("auto", "yes") and info.kind is not Kind.VIDEO:
        yield f"--deinterlace {request.deinterlace} is for video files: not used"
    given = [
        f"--{name.replace('_', '-')}"
        for name in ("codec", "crf", "preset", "pixel_format", "audio")
        if getattr(request.encoding, name) is not None
    ]
    if given and (job.target_kind is Kind.FRAMES or is_animation_name(job.target)):
        made = "a folder of PNGs" if job.target_kind is Kind.FRAMES else "an animated picture"
        yield f"{', '.join(given)}: not used, for the output is {made}"


def _reaches(source: FrameSource, span: Span, lookahead: int, end: float, frames: int) -> bool:
    """Whether finished frames are the same with this end and with that of the span.

    They are if the part up to the earlier end holds them and those that the network looks ahead to.
    """
    if not lookahead and end != span.end:
        return True  # They were made with the earlier end.
    following = source.frames(Span(span.start, end), frames + lookahead - 1)
    with suppress(InputError):
        return next(following, None) is not None
    return False


def _settings(info: VideoInfo, model: Model, size: FrameSize, run: _Run) -> dict[str, Any]:
    """Everything that the frames of an output depend on; a run with other settings cannot go on.

    A run with another end can, as far as the finished frames do not depend on it.
    """
    request = run.request
    encoding = {**asdict(request.encoding), "rate": run.rate}
    del encoding["audio"], encoding["note"], encoding["metadata"]  # They are not in the segments.
    return {
        "input": _identity(info),
        "model": [model.info.name, *map(sha256_of, model.info.files)],
        "version": __version__,
        "device": model.device.type,
        "precision": model.precision,
        "-x or --size": [str(value) for value in (size.width, size.height, size.aspect)],
        "start": run.span.start,
        "end": run.span.end,
        "encoding": {key: str(value) for key, value in encoding.items() if value is not None},
        "--compare": request.compare,
        "--deinterlace": request.deinterlace if request.deinterlace in ("auto", "yes") else None,
        "--phase": request.phase,
        "--cut-threshold": request.cut_threshold,
        "segment": WorkFolder.segment_frames,
    }


def _identity(info: VideoInfo) -> list[Any]:
    """An input, and a digest that changes when its files are changed."""
    paths = [info.path / name for name in info.names] or [info.path]
    stats = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    return [str(info.path.resolve()), hashlib.sha256(repr(stats).encode()).hexdigest()]
