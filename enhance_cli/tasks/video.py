"""Enlarge videos: frames recurrently, everything else of the file as it was."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from math import isfinite
from typing import Any, NamedTuple

import torch
from torch import Tensor

from enhance_cli import __version__
from enhance_cli.architectures.frvsr import VideoState
from enhance_cli.cuts import DEFAULT_THRESHOLD, cut_score
from enhance_cli.engine.catalogue import Model, ModelOptions
from enhance_cli.engine.recurrent import FrameEnlarger, load_state, save_state, with_following
from enhance_cli.engine.tiled import TilePlan
from enhance_cli.errors import OutputError, UsageError
from enhance_cli.io.jobs import FileOptions, Job
from enhance_cli.io.video import (
    EncodeOptions,
    Frame,
    OutputPlan,
    SegmentWriter,
    VideoInfo,
    assemble,
    open_frames,
    plan_output,
    probe,
    segment_suffix,
    write_segment,
)
from enhance_cli.levels import level_type, to_pixels, to_planes, to_values
from enhance_cli.overlap import Behind, ahead, behind
from enhance_cli.resize import imresize
from enhance_cli.talk import Talk
from enhance_cli.tasks.batch import FileProgress, run_batch
from enhance_cli.tasks.video_jobs import gives_folder, plan_video_jobs
from enhance_cli.tasks.video_work import SEGMENT_FRAMES, WorkFolder

# Frames decoded ahead of the network, and enlarged ones that wait for the encoder: enough to
# keep all three busy, and few enough for frames of any size.
_AHEAD = 3
_BEHIND = 2


@dataclass(frozen=True)
class VideoRequest:
    """The options of ``enhance video``; see its help."""

    files: FileOptions
    model: ModelOptions = ModelOptions()
    scale: int | None = None
    codec: str | None = None
    crf: float | None = None
    preset: str | None = None
    pixel_format: str | None = None
    rate: str | None = None
    start: float | None = None
    end: float | None = None
    preview: float | None = None
    compare: bool = False
    frames: bool = False
    cut_threshold: float = DEFAULT_THRESHOLD
    cut_detection: bool = True
    resume: bool = False

    @property
    def span(self) -> tuple[float | None, float | None]:
        """From and to in seconds, ``--preview`` included.

        Raises:
            UsageError: if it is empty.
        """
        start, end = self.start or 0.0, self.end
        for name, value in (("start", start), ("end", end), ("preview", self.preview)):
            if value is not None and not (isfinite(value) and value >= 0):
                raise UsageError(f"--{name} {value}: must be a number of seconds from 0 on")
        if end is not None and end <= start:
            raise UsageError(f"--end {end:g}: must be after --start {start:g}")
        if self.preview is not None:
            if not self.preview:
                raise UsageError("--preview 0: must be more than 0 seconds")
            last = float(Fraction(str(start)) + Fraction(str(self.preview)))
            end = last if end is None else min(end, last)
        return self.start, end


def run_video(request: VideoRequest, talk: Talk) -> int:
    """Enlarge every input of a request.

    Returns:
        The exit code.

    Raises:
        EnhanceError: for what concerns all inputs: model, device, names of outputs.
    """
    span = request.span
    model = request.model.load("video", request.scale)
    scale = model.contract.scale
    options = EncodeOptions(
        codec=request.codec,
        crf=request.crf,
        preset=request.preset,
        pixel_format=request.pixel_format,
        rate=parse_rate(request.rate),
    )
    jobs = plan_video_jobs(request.files, f"_x{scale}", frames=request.frames)
    plan = TilePlan(tile=request.model.tile)
    talk.explain(model.describe(FrameEnlarger(model, plan).tile_side))
    source = _Source(model)

    ready: list[Job] = []

    def work(job: Job, bar: FileProgress) -> dict[str, Any]:
        try:
            result = _enhance_file(job, request, span, options, source, plan, bar)
        except UsageError as error:
            if not ready:
                raise
            raise OutputError(str(error)) from error  # the options did fit another input
        ready.append(job)
        return result

    return run_batch(jobs, work, talk, {"model": model.info.name, "scale": scale})


def parse_rate(text: str | None) -> Fraction | None:
    """Frames a second: ``25``, ``23.976`` or ``30000/1001``.

    Raises:
        UsageError: if it is no number above 0.
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


class _Source:
    """The model, and the sha256 of its weights when it is first asked for."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self._digest = ""

    @property
    def digest(self) -> str:
        if not self._digest:
            with self.model.info.path.open("rb") as file:
                self._digest = hashlib.file_digest(file, "sha256").hexdigest()
        return self._digest


def _enhance_file(
    job: Job,
    request: VideoRequest,
    span: tuple[float | None, float | None],
    options: EncodeOptions,
    source: _Source,
    tiles: TilePlan,
    bar: FileProgress,
) -> dict[str, Any]:
    model = source.model
    scale = model.contract.scale
    info = probe(job.source, rate=options.rate)
    plan = plan_output(
        _shown(info) if request.compare else info,
        job.target,
        scale,
        options,
        folder=gives_folder(job, request.files.output, request.frames),
    )
    for text in dict.fromkeys((*info.notices, *plan.notices, *_unused(plan, request))):
        bar.notice(text)
    folder = WorkFolder(job.target, segment_suffix(plan))
    finished = folder.begin(
        _settings(info, request, span, options, source),
        resume=request.resume,
        overwrite=request.files.overwrite,
    )
    try:
        if finished:
            bar.notice(f"going on after {finished * SEGMENT_FRAMES} frames")
        stream = _Stream(
            enlarger=FrameEnlarger(model, tiles, bar.notice),
            info=info,
            plan=plan,
            folder=folder,
            threshold=request.cut_threshold if request.cut_detection else None,
            compare=request.compare,
            progress=bar.frames,
            total=_expected_frames(info, span),
        )
        stream.run(span, options.rate, finished)
        segments = [folder.segment(index) for index in range(stream.segments)]
        assemble(plan, segments, job.target, start=span[0], end=span[1], notice=bar.notice)
    except BaseException:
        if not folder.remove_if_empty():
            bar.notice(f"finished segments are kept in {folder.path}, go on with --resume")
        raise
    folder.remove()
    return {"width": plan.width, "height": plan.height, "frames": stream.done, "cuts": stream.cuts}


def _shown(info: VideoInfo) -> VideoInfo:
    """Twice as wide on the screen; players may turn it."""
    if _quarter_turns(info) % 2:
        return replace(info, height=2 * info.height)
    return replace(info, width=2 * info.width)


def _quarter_turns(info: VideoInfo) -> int:
    """Counter-clockwise, that players make."""
    return round(info.rotation / 90) % 4


def _unused(plan: OutputPlan, request: VideoRequest) -> Iterator[str]:
    """Options that mean nothing here."""
    if request.rate is not None and not plan.source.names:
        yield f"--rate {request.rate} is for folders of pictures: not used"
    given = [
        f"--{name.replace('_', '-')}"
        for name in ("codec", "crf", "preset", "pixel_format")
        if getattr(request, name) is not None
    ]
    if plan.is_folder and given:
        yield f"{', '.join(given)}: not used, for the output is a folder of PNGs"


def _identity(info: VideoInfo) -> list[Any]:
    """An input, and what changes when it is changed."""
    paths = [info.path / name for name in info.names] or [info.path]
    stats = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    return [str(info.path.resolve()), hashlib.sha256(repr(stats).encode()).hexdigest()]


def _settings(
    info: VideoInfo,
    request: VideoRequest,
    span: tuple[float | None, float | None],
    options: EncodeOptions,
    source: _Source,
) -> dict[str, Any]:
    """What a video's frames depend on."""
    encoding = {key: str(value) for key, value in asdict(options).items() if value is not None}
    return {
        "input": _identity(info),
        "model": [source.model.info.name, source.digest],
        "version": __version__,
        "device": source.model.device.type,
        "precision": str(source.model.dtype),
        "start and end": span,
        "encoding": encoding,
        "--compare": request.compare,
        "--cut-threshold": request.cut_threshold if request.cut_detection else None,
        "segment": SEGMENT_FRAMES,
    }


def _expected_frames(info: VideoInfo, span: tuple[float | None, float | None]) -> int | None:
    """How many frames will come, roughly; for the bar."""
    start, end = span
    frames = info.frames
    if frames is None and info.seconds is not None:
        frames = round(info.seconds * info.rate)
    if frames is None and end is None:
        return None
    last = float("inf") if frames is None else frames
    if end is not None:
        last = min(last, float(end * info.rate))
    return max(1, round(last - float((start or 0) * info.rate)))


class _Enlarged(NamedTuple):
    """What the network hands to the encoder; ``ends`` where it is a segment's last."""

    frame: Frame
    frame_lr: Tensor
    frame_hr: Tensor
    ends: bool


@dataclass
class _Stream:
    """One video on its way: decoder, network and encoder side by side."""

    enlarger: FrameEnlarger
    info: VideoInfo
    plan: OutputPlan
    folder: WorkFolder
    threshold: float | None
    compare: bool
    progress: Callable[[int, int | None], None]
    total: int | None
    done: int = 0
    segments: int = 0
    cuts: list[float] = field(default_factory=list)
    _written: ExitStack = field(default_factory=ExitStack)
    _writer: SegmentWriter | None = None

    def run(
        self, span: tuple[float | None, float | None], rate: Fraction | None, finished: int
    ) -> None:
        """Work through all frames after the finished segments."""
        self.segments = finished
        self.done = finished * SEGMENT_FRAMES
        device = self.enlarger.model.device
        state: VideoState | None = None
        if finished:
            state, self.cuts = load_state(self.folder.state(finished), device)
        with open_frames(
            self.info.path, start=span[0], end=span[1], skip=self.done, rate=rate
        ) as reader:
            decoded = ahead(_seen(reader, state, self.threshold), _AHEAD)
            try:
                with self._written, behind(self._encode, _BEHIND) as encoder:
                    self._enlarge(decoded, state, encoder)
            finally:
                decoded.close()

    def _enlarge(
        self,
        decoded: Iterator["_Seen"],
        state: VideoState | None,
        encoder: Behind[_Enlarged],
    ) -> None:
        lookahead = self.enlarger.model.contract.lookahead
        self.progress(self.done, self.total)
        for seen, following in with_following(decoded, lookahead):
            if seen.cut:
                state = None
                self.cuts.append(float((seen.frame.time - self.info.first) * self.info.time_base))
            after = following.frame_lr if following and not following.cut else None
            frame_hr, state = self.enlarger.step(seen.frame_lr, state, after)
            self.done += 1
            ends = self.done % SEGMENT_FRAMES == 0
            if ends:
                save_state(self.folder.state(self.done // SEGMENT_FRAMES), state, self.cuts)
            encoder.put(_Enlarged(seen.frame, seen.frame_lr, frame_hr, ends))
            self.progress(self.done, self.total)

    def _encode(self, item: _Enlarged) -> None:
        """Runs in a thread: from tensor to file."""
        if self._writer is None:
            self._writer = self._written.enter_context(
                write_segment(self.plan, self.folder.segment(self.segments))
            )
            self.segments += 1
        picture = item.frame_hr
        if self.compare:
            picture = self._side_by_side(item.frame_lr.to(picture.device), picture)
        pixels = to_pixels(picture, level_type(item.frame.pixels))
        self._writer.write(replace(item.frame, pixels=pixels))
        if item.ends:
            self._written.pop_all().close()
            self._writer = None
            self.folder.finish_segment(self.segments - 1)

    def _side_by_side(self, frame_lr: Tensor, frame_hr: Tensor) -> Tensor:
        """Bicubic enlargement and result, left and right where the picture is shown."""
        both = [imresize(frame_lr, self.plan.scale).clamp(0, 1), frame_hr]
        turns = _quarter_turns(self.info)
        return torch.cat(both if turns < 2 else both[::-1], -2 if turns % 2 else -1)


class _Seen(NamedTuple):
    """A decoded frame, and whether a scene begins with it."""

    frame: Frame
    frame_lr: Tensor
    cut: bool


def _seen(
    frames: Iterable[Frame], state: VideoState | None, threshold: float | None
) -> Iterator[_Seen]:
    before = None if state is None else state.frame_lr[0].cpu()
    for frame in frames:
        frame_lr = to_values(to_planes(frame.pixels))
        cut = (
            threshold is not None and before is not None and cut_score(before, frame_lr) > threshold
        )
        yield _Seen(frame, frame_lr, cut)
        before = frame_lr
