"""What the evaluations of video share: what is compared, frame by frame, and its options."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from enhance_cli.architectures import ARCHITECTURES, MODELS
from enhance_cli.architectures.frvsr import Frvsr, VideoState
from enhance_cli.data.benchmarks import data_roots
from enhance_cli.data.video_sets import FramePair, VideoClip, count_frames, load_clips
from enhance_cli.engine.catalogue import Model, cache_folder, find_entry, find_weights, load_model
from enhance_cli.engine.device import choose_device, choose_dtype
from enhance_cli.engine.recurrent import FrameEnlarger, with_following
from enhance_cli.engine.tiled import TilePlan
from enhance_cli.errors import UsageError
from enhance_cli.levels import quantise
from enhance_cli.metrics.video import VIDEO_METRICS
from enhance_cli.resize import imresize
from enhance_cli.talk import Talk
from enhance_cli.tasks.scores import check_names

PROTOCOL = "video-y"
BICUBIC = "bicubic"


@dataclass(frozen=True)
class VideoRequest:
    """The options of ``enhance evaluate`` for video; see its help."""

    dataset: str | None = None
    predictions: Path | None = None
    references: Path | None = None
    study: str | None = None
    row: int | None = None
    study_frames: int | None = None
    output: Path | None = None
    models: Sequence[str] = ()
    weights: Path | None = None
    scale: int | None = None
    protocol: str = PROTOCOL
    metrics: Sequence[str] = VIDEO_METRICS
    border: int | None = None
    data_root: Path | None = None
    csv: Path | None = None
    report: Path | None = None
    tile: int | None = None
    device: str = "auto"
    precision: str = "auto"


# Small frame (3, h, w) and the one after it, or None at the end -> large frame in [0, 1].
Step = Callable[[Tensor, Tensor | None], Tensor]


class Enlarger(NamedTuple):
    """One of what is compared.

    Attributes:
        name: for tables.
        start: begins a clip, given its first frame and that frame's truth (which only figure 3.7
            makes use of); the steps of one clip share a memory.
    """

    name: str
    start: Callable[[FramePair], Step]


@dataclass(frozen=True)
class VideoModels:
    """What is compared, bicubic enlargement first.

    Attributes:
        scale: of all of them.
        networks: by name.
        plan: of their tiles.
    """

    scale: int
    networks: dict[str, Model]
    plan: TilePlan

    def enlargers(self) -> list[Enlarger]:
        """Bicubic, then the networks."""
        return [
            bicubic_enlarger(self.scale),
            *(network_enlarger(name, model, self.plan) for name, model in self.networks.items()),
        ]

    def names(self) -> list[str]:
        """Of ``enlargers``."""
        return [BICUBIC, *self.networks]


def bicubic_enlarger(scale: int) -> Enlarger:
    """The baseline: no memory, in floating point."""

    def step(frame_lr: Tensor, following: Tensor | None) -> Tensor:
        return imresize(frame_lr.double(), scale)

    return Enlarger(BICUBIC, lambda first: step)


def network_enlarger(
    name: str, model: Model, plan: TilePlan, *, from_truth: bool = False
) -> Enlarger:
    """A network with a memory for each clip.

    Args:
        name: for tables.
        model: of task ``video``.
        plan: of its tiles.
        from_truth: the estimate before the first frame is that frame's truth, not black.
    """
    engine = FrameEnlarger(model, plan)

    def start(first: FramePair) -> Step:
        state: VideoState | None = None
        if from_truth:
            state = VideoState(
                first.frame_lr[None].to(model.device), first.frame_hr[None].to(model.device)
            )

        def step(frame_lr: Tensor, following: Tensor | None) -> Tensor:
            nonlocal state
            after = following if model.contract.lookahead else None
            frame_hr, state = engine.step(frame_lr, state, after)
            return frame_hr.float().cpu()

        return step

    return Enlarger(name, start)


def is_recurrent(model: Model) -> bool:
    """Whether its estimates feed the next ones."""
    return isinstance(model.network, Frvsr)


def enlarge_frames(
    pairs: Iterable[FramePair], enlargers: Sequence[Enlarger]
) -> Iterator[tuple[Tensor, list[Tensor]]]:
    """Run a clip through all that is compared, with no more than two frames in memory.

    Returns:
        For each frame the truth (3, H, W) and the estimates, rounded to 8 bits, in [0, 1].
    """
    steps: list[Step] = []
    for pair, following in with_following(pairs, 1):
        if not steps:
            steps = [enlarger.start(pair) for enlarger in enlargers]
        after = None if following is None else following.frame_lr
        yield pair.frame_hr, [quantise(step(pair.frame_lr, after)) for step in steps]


def load_models(request: VideoRequest, talk: Talk) -> VideoModels:
    """The models asked for, else all trained ones of the scale.

    Raises:
        EnhanceError: for unknown names, and weights that are absent or do not fit.
    """
    device = choose_device(request.device)
    dtype = choose_dtype(request.precision, device)
    networks: dict[str, Model] = {}
    scale = request.scale
    for name, weights in _chosen_models(request, talk):
        model = load_model(
            "video", name=name, weights=weights, scale=request.scale, device=device, dtype=dtype
        )
        if scale is not None and scale != model.contract.scale:
            raise UsageError("the models have different scales, evaluate them one by one")
        scale = model.contract.scale
        label = str(model.info.name)
        while label in networks or label == BICUBIC:
            label += "*"
        networks[label] = model
    return VideoModels(scale or 4, networks, TilePlan(tile=request.tile))


def _chosen_models(request: VideoRequest, talk: Talk) -> list[tuple[str | None, Path | None]]:
    chosen: list[tuple[str | None, Path | None]] = [
        (name, None) for name in request.models if name != BICUBIC
    ]
    if request.weights is not None:
        chosen.append((None, request.weights))
    if chosen or request.models:
        return chosen
    scale = request.scale or 4
    trained: list[tuple[str | None, Path | None]] = [
        (name, None)
        for name, spec in MODELS.items()
        if ARCHITECTURES[spec.architecture].task == "video"
        and spec.config.scale == scale
        and find_weights(name)
        and not find_entry(name).get("untrained")
    ]
    if not trained:
        talk.console.print("no weights of a video model: bicubic only")
    return trained


def check_request(request: VideoRequest) -> None:
    """Refuse what video has no use for.

    Raises:
        UsageError: in one line.
    """
    if request.protocol != PROTOCOL:
        raise UsageError(
            f"--protocol {request.protocol}: video is compared by {PROTOCOL} alone, leave it out"
        )
    check_names([], request.metrics)
    for metric in request.metrics:
        if metric not in VIDEO_METRICS:
            raise UsageError(
                f"--metrics {metric}: of video there are {' and '.join(VIDEO_METRICS)}"
            )
    if request.dataset is not None and (request.predictions or request.references):
        raise UsageError("give either --dataset or --pred and --gt, not both")


def find_clips_of(request: VideoRequest) -> list[VideoClip]:
    """The dataset's clips."""
    assert request.dataset is not None
    return load_clips(request.dataset, data_roots(request.data_root, cache_folder()))


@contextmanager
def frame_bar(
    title: str,
    clips: Sequence[VideoClip],
    talk: Talk,
    *,
    rounds: int = 1,
    limit: int | None = None,
) -> Iterator[Callable[[], None]]:
    """A progress bar over the frames of clips; what it gives is to be called after each."""
    counts = [count_frames(clip) for clip in clips] if talk.shows_progress else []
    if limit is not None:
        counts = [min(count, limit) for count in counts]
    total = rounds * sum(counts) if all(counts) else None
    with bar_of(title, total, talk) as advance:
        yield advance


@contextmanager
def bar_of(title: str, total: int | None, talk: Talk) -> Iterator[Callable[[], None]]:
    """A progress bar of so many frames, or of an unknown number."""
    with talk.progress(title, total, "frames") as bar:
        yield bar.advance
